"""BOSH as far as C{runc-cpictl director} meets it: agent, director, and the bosh CLI."""
