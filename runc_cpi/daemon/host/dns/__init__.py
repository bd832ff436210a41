"""DNS for VMs: answered at the gateways, and passed on to the host's name servers."""
