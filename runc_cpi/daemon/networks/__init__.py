"""Networks: what VMs ask for, who has which address, and which interfaces VMs get."""
