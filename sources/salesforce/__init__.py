"""Loads a Salesforce org into raw.duckdb: all records once, then only what moved."""

from sources.salesforce.run import load
from sources.salesforce.settings import SalesforceSourceSettings
from sources.salesforce.tables import DATASET, TABLES

__all__ = ["DATASET", "TABLES", "SalesforceSourceSettings", "load"]
