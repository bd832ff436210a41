"""Who may connect: addresses, users, TLS, and bounds for those who are not known yet."""
