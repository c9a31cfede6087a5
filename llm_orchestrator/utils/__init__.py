"""Helpers that know nothing of the library."""
