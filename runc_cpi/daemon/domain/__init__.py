"""VMs, stemcells and addresses: what BOSH asks for, knowing nothing of AMP."""
