"""Tests of each adapter: its pure translations, and its SDK against the scripted server."""
