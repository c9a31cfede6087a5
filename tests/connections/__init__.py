"""Tests of the library's own HTTP client, against a server that is scripted byte by byte."""
