"""The connection to a provider: clients, time limits, bytes, secrets; ``core`` is our own HTTP/1.1."""
