"""What a start and a repair do, so that what there is agrees with the records."""
