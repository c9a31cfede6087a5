"""The connection to a provider: clients, time limits, bytes read, secrets kept."""
