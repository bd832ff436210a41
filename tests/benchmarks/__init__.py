"""How long calls take, against the bare tools measured in the same run."""
