"""Units of size."""

MEBIBYTE = 1 << 20  # bytes
