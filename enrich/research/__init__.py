"""Read-only look-ups for research agents: one record's own documents and facts, bounded, one line per item."""
