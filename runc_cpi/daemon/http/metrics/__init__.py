"""Metrics of the daemon, of its VMs and of what they use, as Prometheus reads them."""
