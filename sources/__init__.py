"""Where raw data comes from: one folder a system, each loading into raw.duckdb, and the border that checks it."""
