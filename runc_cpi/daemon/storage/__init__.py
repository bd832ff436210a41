"""The daemon's work_dir and its records, and safe ways through trees of others."""
