"""Loads a HubSpot-shaped CRM into raw.duckdb: all records once, then only what moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sources.hubspot.schema import ensure_tables

__all__ = ["ensure_tables"]


def __getattr__(name: str) -> object:
    # Resolved on first use: a command line that only prints its help must not import dlt, DuckDB or an HTTP client.
    if name == "ensure_tables":
        from sources.hubspot.schema import ensure_tables

        return ensure_tables
    raise AttributeError(name)
