"""Work on the files of a VM, which trusts nothing in it and can be given up."""
