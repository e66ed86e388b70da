"""Loads a HubSpot-shaped CRM into raw.duckdb: all records once, then only what moved."""

from sources.hubspot.run import load
from sources.hubspot.settings import HubSpotSettings
from sources.hubspot.tables import DATASET, TABLES
from sources.kit.report import LoadReport

__all__ = ["DATASET", "TABLES", "HubSpotSettings", "LoadReport", "load"]
