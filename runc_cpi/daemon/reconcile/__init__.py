"""What nobody asks for in a call: the host is made to agree with the records."""
