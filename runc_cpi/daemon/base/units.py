"""Units of what is counted."""

MEBIBYTE = 1 << 20  # bytes
