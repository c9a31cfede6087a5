"""The connection to a provider: clients, time limits, bytes read, secrets kept; ``core`` is our own HTTP/1.1."""
