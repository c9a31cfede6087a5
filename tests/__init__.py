"""The tests; a package, so that they can share the scripted server in ``tests.support.scripted_server``."""
