"""Tests for each row of this folder's README: what breaks in libraries like this one, and not in this one."""
