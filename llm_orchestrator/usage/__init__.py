"""What was used and spent: records of attempts, the ledger they go to, limits, sums and the cost page."""
