"""Small helpers over the ledger's connection: open it once, one transaction at a time, rows in sets, times in UTC."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import duckdb

Clock = Callable[[], datetime]
NewId = Callable[[str], str]

ANCHOR_FILE = "audit-anchor.jsonl"


def new_id(kind: str) -> str:
    """Return a fresh id such as `apply-1f9c0a7be2d4`; tests pass their own."""
    return f"{kind}-{secrets.token_hex(6)}"


@contextmanager
def opened(ledger: Path | str | duckdb.DuckDBPyConnection) -> Generator[duckdb.DuckDBPyConnection]:
    """Yield the ledger's connection: the one given, or one opened for the time of the block."""
    if isinstance(ledger, (str, Path)):
        from nightdesk.ledger import connect

        connection = connect(ledger)
        try:
            yield connection
        finally:
            connection.close()
    else:
        yield ledger


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Generator[None]:
    """Run the block in one transaction; whatever goes wrong undoes all of it and becomes one clear error."""
    import duckdb

    con.begin()
    try:
        yield
        con.commit()
    except BaseException as error:
        with suppress(duckdb.Error):  # a failed commit has already ended the transaction
            con.rollback()
        if isinstance(error, duckdb.Error):
            raise NightdeskError(
                f"The ledger could not be written: {str(error).splitlines()[0]}",
                where=data_path(con) or "ledger",
                todo="Free disk space or release the file, then run the same command again: it resumes.",
            ) from error
        raise


@contextmanager
def attached_warehouse(con: duckdb.DuckDBPyConnection, warehouse: Path | str | None) -> Generator[str | None]:
    """Attach dbt's file read-only for the block (unless it is already there); yields its alias, None without a file."""
    from nightdesk.ledger.connection import WAREHOUSE_ALIAS, attach_read_only

    present = con.execute("select 1 from duckdb_databases() where database_name = ?", [WAREHOUSE_ALIAS]).fetchone()
    if present:
        yield WAREHOUSE_ALIAS
    elif warehouse is None:
        yield None
    else:
        attach_read_only(con, Path(warehouse), WAREHOUSE_ALIAS)
        try:
            yield WAREHOUSE_ALIAS
        finally:
            con.execute(f"detach {WAREHOUSE_ALIAS}")


def find_table(con: duckdb.DuckDBPyConnection, catalog: str, table: str) -> str | None:
    """Return the quoted full name of a table or view in an attached database, whatever schema dbt put it in."""
    rows = con.execute(
        "select table_schema from information_schema.tables where table_catalog = ? and table_name = ? order by 1",
        [catalog, table],
    ).fetchall()
    return f'"{catalog}"."{rows[0][0]}"."{table}"' if rows else None


def data_path(con: duckdb.DuckDBPyConnection) -> str | None:
    """The ledger's file; None for a ledger in memory."""
    row = con.execute("select path from duckdb_databases() where database_name = current_database()").fetchone()
    return str(row[0]) if row and row[0] else None


def anchor_path(con: duckdb.DuckDBPyConnection) -> Path | None:
    """Where the audit chain is anchored: beside the ledger, outside of it; None for a ledger in memory."""
    path = data_path(con)
    return Path(path).parent / ANCHOR_FILE if path else None


def first_event(subject: str) -> str:
    """SQL: the place in the audit trail where a plan or an apply begins.

    The trail's order is the order things happened in; a clock can be set back, and then the newest plan by its time is
    not the newest plan.
    """
    return f"(select min(sequence) from audit_events where audit_events.subject = {subject})"


def rows(
    con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
) -> list[dict[str, Any]]:
    """Run a query and return dictionaries."""
    cursor = con.execute(sql, dict(parameters) if isinstance(parameters, Mapping) else list(parameters))
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def insert(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
    """Insert some hundred rows at once, given by column (text, numbers or aware times).

    They travel as one JSON parameter: building Arrow from Python lists would import pandas, a second for every apply.
    """
    if not columns or not len(next(iter(columns.values()))):
        return
    names = list(columns)
    shape = json.dumps([dict.fromkeys(names, "varchar")])
    entries = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    con.execute(
        f"insert into {table} ({', '.join(names)}) "
        f"select {', '.join(f'entry.{name}' for name in names)} "
        "from (select unnest(from_json($entries, $shape)) as entry)",
        {"entries": json.dumps(entries, default=_as_text), "shape": shape},
    )


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return utc(value).isoformat()
    raise TypeError(f"cannot insert {type(value).__name__}")


def utc(moment: datetime) -> datetime:
    """Give a time its UTC form; a time without a zone is an error of the caller."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)


def iso(moment: datetime) -> str:
    """UTC time as text, to the second."""
    return utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")
