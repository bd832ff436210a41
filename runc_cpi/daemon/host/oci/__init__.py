"""The OCI runtime, and what each container has: a root file system, a console, an init."""
