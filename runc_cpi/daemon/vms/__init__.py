"""VMs: their records, their containers, and what create, reboot and delete mean."""
