"""HubSpot: a small HTTP client that respects its quota, and the adapter over it."""

from __future__ import annotations

from reverse_etl.crms.hubspot.adapter import HubSpotAdapter
from reverse_etl.crms.hubspot.client import HubSpotClient

__all__ = ["HubSpotAdapter", "HubSpotClient"]
