"""What functional tests drive: real daemons, real calls, and a search for leftovers."""
