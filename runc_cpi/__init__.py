"""BOSH VMs as runc containers: the CPI, its daemon and the operator's tool."""

__version__ = "0.1.0"
