"""The AMP side of the daemon: it translates and delegates, nothing else."""
