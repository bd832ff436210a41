"""Responders translate between AMP and what a call is about; they do nothing else."""
