"""The models of the configured providers: what is known about them, and the cache file that keeps it."""
