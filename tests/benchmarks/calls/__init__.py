"""The calls that are measured, and the same work by bare tools: a module for each kind."""
