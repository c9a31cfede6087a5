"""How one call runs: from its plan and its attempts to its record."""
