"""What is done to whole trees of files, also those that a VM protected."""
