"""The project tried on distributions, each in a tree of files of its own."""
