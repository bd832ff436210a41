"""Runs C{twistd}, with the modules that C{PYTHONPATH} names."""

from twisted.scripts.twistd import run

run()
