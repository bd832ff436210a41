"""What touches the host: child processes, the OCI runtime, tar, netlink, files."""
