"""Work on the files of VMs: it trusts nothing in them, and is given up when it hangs."""
