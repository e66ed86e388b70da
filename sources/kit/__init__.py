"""What every source shares: tables defined once, one load at a time, only what moved is written."""
