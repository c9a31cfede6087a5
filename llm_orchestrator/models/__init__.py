"""The models of the configured providers: the registry, and the file that it is cached in."""
