"""Stemcells: images that were unpacked once, for VMs to share."""
