"""The operator's tool, C{runc-cpictl}."""
