"""The files in a VM: those it gets before it boots, and those it left."""
