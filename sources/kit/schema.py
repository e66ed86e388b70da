"""Creates the raw file with every table empty, so that dbt builds on a fresh clone before the first load."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from nightdesk.errors import NightdeskError
from sources.kit.tables import SQL_TYPES, Table

if TYPE_CHECKING:
    import duckdb


def ensure_tables(raw_path: Path, dataset: str, tables: Iterable[Table]) -> None:
    """Creates `raw_path` and each missing table of a dataset, empty; adds columns that an older release did not have.

    Idempotent; a later dlt load fits.

    Raises:
        NightdeskError: the file is in use by another process, or is not a DuckDB database.
    """
    import duckdb

    declared = tuple(tables)
    first = declared[0].name
    raw_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = duckdb.connect(str(raw_path))
    except duckdb.Error as error:
        raise unreadable(raw_path, error) from error
    try:
        connection.begin()  # one commit for all of them
        connection.execute(f"create schema if not exists {dataset}")
        rows = connection.execute(
            "select table_name, column_name from duckdb_columns() where schema_name = ? and database_name = "
            "current_database()",
            [dataset],
        ).fetchall()
        there: dict[str, set[str]] = {}
        for name, column in rows:
            there.setdefault(str(name), set()).add(str(column))
        for one in declared:
            if one.name not in there:
                connection.execute(one.ddl())
                continue
            for column in one.columns:
                if column.name not in there[one.name]:
                    connection.execute(
                        f'alter table {dataset}."{one.name}" add column "{column.name}" {SQL_TYPES[column.kind]}'
                    )
        if _identity(connection, dataset) is None:
            connection.execute(f"comment on table {dataset}.\"{first}\" is 'raw file {uuid4()}'")
        connection.commit()
    finally:
        connection.close()


def identity(raw_path: Path, dataset: str) -> str:
    """What tells this raw file from one made anew at the same place. Needs `ensure_tables` before."""
    import duckdb

    try:
        connection = duckdb.connect(str(raw_path), read_only=True)
    except duckdb.Error as error:
        raise unreadable(raw_path, error) from error
    try:
        return _identity(connection, dataset) or ""
    finally:
        connection.close()


def _identity(connection: duckdb.DuckDBPyConnection, dataset: str) -> str | None:
    row = connection.execute(
        "select comment from duckdb_tables() where schema_name = ? and database_name = current_database() "
        "and comment like 'raw file %' order by table_name limit 1",
        [dataset],
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
        todo="Move the file away and load again; everything in it comes from the sources.",
    )
