"""The operations: what agents are asked, one folder each."""
