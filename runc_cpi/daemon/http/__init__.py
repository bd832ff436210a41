"""The daemon as others see it by HTTP: they can look, and change nothing."""
