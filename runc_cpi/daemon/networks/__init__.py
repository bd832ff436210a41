"""The VM network: what create_vm asks of it, and who has which address."""
