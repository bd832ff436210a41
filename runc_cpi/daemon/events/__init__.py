"""What happened here: calls, and what the daemon did by itself, kept for the operator."""
