"""Loads a HubSpot-shaped CRM into raw.duckdb: all records once, then only what moved."""

from sources.hubspot.run import load
from sources.hubspot.schema import ensure_tables
from sources.hubspot.settings import HubSpotSettings, LoadReport

__all__ = ["HubSpotSettings", "LoadReport", "ensure_tables", "load"]
