"""Trees of files that a VM left, however deep and however protected."""
