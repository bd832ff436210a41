"""All that touches Linux.  It provides what the other parts ask for in their interfaces."""
