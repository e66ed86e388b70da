"""What a HubSpot load spools: its tables, and notes on what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sources.hubspot.tables import TABLES

# Notes a load takes besides rows: which records had their associations read anew, which ids a full list showed, which
# types were listed in full, and which addresses were asked for their consent status.
NOTES: Final[dict[str, tuple[str, ...]]] = {
    "_refreshed": ("object_type", "object_id"),
    "_listed": ("object_type", "object_id"),
    "_full": ("object_type",),
    "_asked": ("email",),
}


def spool_columns() -> Mapping[str, Sequence[str]]:
    """Column names per spooled table, notes included."""
    return {name: table.names for name, table in TABLES.items()} | NOTES
