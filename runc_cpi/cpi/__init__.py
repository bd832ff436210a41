"""
The CPI executable: one JSON request in, one JSON document out.

It is started for every single call, so everything in this package runs on Python 3.9
with the standard library alone and imports only what a call needs.
"""
