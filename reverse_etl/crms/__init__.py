"""One folder per CRM behind one protocol: describe, read with history, write, create properties."""
