"""Persistent disks and their snapshots."""
