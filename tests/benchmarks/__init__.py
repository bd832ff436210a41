"""How long calls take, compared with the bare tools in the same run."""
