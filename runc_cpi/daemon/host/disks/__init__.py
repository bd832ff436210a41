"""Kinds of disks, and what they are made of: loop devices, mounts, frozen file systems."""
