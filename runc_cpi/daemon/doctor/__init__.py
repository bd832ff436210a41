"""Whether this host is fit: checks that look and change nothing, each with what to type."""
