"""What every part may use: locks, side by side work, the log, repairs."""
