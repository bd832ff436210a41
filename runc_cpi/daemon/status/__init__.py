"""The status page: what VMs used in the last hour, what it is told, and the page itself."""
