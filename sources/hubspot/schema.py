"""Creates the raw file with every table empty, so that dbt builds on a fresh clone before the first load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from nightdesk.errors import NightdeskError
from sources.hubspot.tables import DATASET, TABLES

if TYPE_CHECKING:
    import duckdb


def ensure_tables(raw_path: Path) -> None:
    """Creates `raw_path` and each missing table of dataset `hubspot`, empty. Idempotent; a later dlt load fits.

    Raises:
        NightdeskError: the file is in use by another process, or is not a DuckDB database.
    """
    import duckdb

    raw_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = duckdb.connect(str(raw_path))
    except duckdb.Error as error:
        raise unreadable(raw_path, error) from error
    try:
        connection.execute(f"create schema if not exists {DATASET}")
        for table in TABLES.values():
            connection.execute(table.ddl())
        if _identity(connection) is None:
            connection.execute(f"comment on table {DATASET}.load_watermarks is 'raw file {uuid4()}'")
    finally:
        connection.close()


def identity(raw_path: Path) -> str:
    """What tells this raw file from one made anew at the same place. Needs `ensure_tables` before."""
    import duckdb

    try:
        connection = duckdb.connect(str(raw_path), read_only=True)
    except duckdb.Error as error:
        raise unreadable(raw_path, error) from error
    try:
        return _identity(connection) or ""
    finally:
        connection.close()


def _identity(connection: duckdb.DuckDBPyConnection) -> str | None:
    row = connection.execute(
        f"select comment from duckdb_tables() where schema_name = '{DATASET}' and table_name = 'load_watermarks'"
    ).fetchone()
    return None if row is None else row[0]


def unreadable(raw_path: Path, error: Exception) -> NightdeskError:
    """The error for a raw file that cannot be opened: in use elsewhere, or not ours."""
    if "lock" in str(error).lower():
        return NightdeskError(
            "The raw database is in use by another process",
            where=str(raw_path),
            todo="Wait for the other load or build to end, or close the tool that has the file open.",
        )
    return NightdeskError(
        f"The raw database cannot be opened: {str(error).splitlines()[0]}",
        where=str(raw_path),
        todo="Move the file away and load again; everything in it comes from the CRM.",
    )
