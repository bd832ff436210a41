"""BOSH as far as C{runc-cpictl director} meets it: an agent, a director, and the bosh CLI."""
