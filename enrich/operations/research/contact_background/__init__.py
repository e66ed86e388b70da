"""One operation: operation.yml (data), prompt.md (for language models), output.py (the answer)."""
