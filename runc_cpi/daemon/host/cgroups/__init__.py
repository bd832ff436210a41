"""Cgroups: their directories, device rules, and the end of all that is in one."""
