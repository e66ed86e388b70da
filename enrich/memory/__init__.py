"""What was read once and is shown again: the facts of documents, how they are recalled, and the log of it."""
