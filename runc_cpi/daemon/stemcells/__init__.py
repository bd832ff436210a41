"""Stemcells: root file systems, unpacked once, that VMs share."""
