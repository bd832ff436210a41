"""Cgroups: their directories, their device rules, and how to kill what is in one."""
