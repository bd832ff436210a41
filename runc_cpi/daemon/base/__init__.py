"""What every part may use: locks, background tasks, the log, repairs."""
