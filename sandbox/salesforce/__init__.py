"""A Salesforce-shaped CRM over one SQLite file, for tests and for looking at what a write really does there."""
