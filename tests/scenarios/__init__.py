"""One test for each row of promises: what breaks in libraries like this one, and does not in this one."""
