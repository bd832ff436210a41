"""C{runc-cpictl director}: from this host to a BOSH director, and back."""
