"""What the OCI runtime is told of a VM's container."""
