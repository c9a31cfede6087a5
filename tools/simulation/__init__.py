"""Calls over an in-memory network and a virtual clock, with faults and cancellations from a seed."""
