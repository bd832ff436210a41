"""Files: the daemon's own tree, and safe steps through trees of others."""
