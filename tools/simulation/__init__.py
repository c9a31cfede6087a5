"""Calls over an in-memory network and a virtual clock, with faults, schedules and cancellations from a seed."""
