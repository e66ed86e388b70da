"""Salesforce: a small HTTP client that renews its session and respects the org's quota, and the adapter over it."""

from __future__ import annotations

from reverse_etl.crms.salesforce.adapter import SalesforceAdapter
from reverse_etl.crms.salesforce.client import SalesforceClient

__all__ = ["SalesforceAdapter", "SalesforceClient"]
