"""The OCI runtime, and a container's root file system, console and first process."""
