"""The sandbox CRM: a HubSpot-shaped HTTP API and a record page over one SQLite file."""
