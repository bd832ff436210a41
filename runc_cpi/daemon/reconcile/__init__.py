"""Makes the host agree with the records, at a start and on demand."""
