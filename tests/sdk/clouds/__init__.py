"""Tests of the clouds: the SDKs' own cloud clients and credential chains against the scripted server."""
