"""
What the daemon expects of its host, tested on the real drivers and on their fakes.

A behaviour is a class with tests of one interface, or of some that belong together.  Each
runs twice: on L{tests.behaviour.fake_host}, and on this host.  So a fake that does not
behave like what it stands for fails, and unit tests can rely on it.
"""
