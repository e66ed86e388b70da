"""Open the ledger, alone or with other databases attached read-only; a lock is one clear error, not a traceback.

DuckDB lets one process hold a file: a reader in another process blocks a writer and the other way round. Nightdesk is
the ledger's only writer, so a lock means a second Nightdesk (or a BI tool on the live file).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import duckdb

LEDGER_ALIAS = "ledger"
WAREHOUSE_ALIAS = "warehouse"
PATIENCE_SECONDS = 3.0  # how long a file held by another process is waited for

_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")


def connect(
    path: Path | str,
    *,
    read_only: bool = False,
    warehouse: Path | str | None = None,
    attach: Mapping[str, Path | str] | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open the ledger as catalog `ledger` (the default one) with its clock on UTC.

    The file is attached to an in-memory database under a fixed alias, so SQL can say `ledger.main.answers` whatever the
    file is called. Closing the connection releases every file.

    Args:
        path: The ledger file. Created (with its folder) unless `read_only`.
        read_only: Open for reading; the file must exist.
        warehouse: dbt's file, attached read-only as `warehouse`.
        attach: Further files, alias to path, attached read-only.

    Raises:
        NightdeskError: A file is locked by another process, missing, damaged or cannot be created.
    """
    import duckdb

    path = Path(path)
    if read_only and not path.exists():
        raise NightdeskError(
            "There is no ledger yet", where=str(path), todo="Run `nightdesk init` (or `nightdesk refresh`) first."
        )
    if not read_only:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NightdeskError(
                f"The ledger's folder cannot be created: {error.strerror or error}",
                where=str(path.parent),
                todo="Check the data directory and who may write there.",
            ) from error
    connection = duckdb.connect(":memory:")
    try:
        connection.execute("set TimeZone = 'UTC'")
        _attach(connection, path, LEDGER_ALIAS, read_only=read_only)
        connection.execute(f"use {LEDGER_ALIAS}.main")
        others = dict(attach or {})
        if warehouse is not None:
            others[WAREHOUSE_ALIAS] = warehouse
        for alias, other in others.items():
            attach_read_only(connection, Path(other), alias)
    except BaseException:
        connection.close()
        raise
    return connection


def attach_read_only(connection: duckdb.DuckDBPyConnection, path: Path, alias: str) -> None:
    """Attach another of the project's files for reading.

    Raises:
        NightdeskError: The file is missing, locked by another process or not a DuckDB file.
    """
    if not path.exists():
        raise NightdeskError(
            f"The {alias} file is missing",
            where=str(path),
            todo="Run `nightdesk refresh` first.",
        )
    _attach(connection, path, alias, read_only=True)


def _attach(connection: duckdb.DuckDBPyConnection, path: Path, alias: str, *, read_only: bool) -> None:
    import duckdb

    if not re.fullmatch(r"[a-z_][a-z0-9_]*", alias):
        raise ValueError(f"alias {alias!r} is not a plain lower-case name")
    quoted = str(path).replace("'", "''")
    patience_ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection.execute(f"attach '{quoted}' as {alias}{' (read_only)' if read_only else ''}")
            return
        except duckdb.Error as error:
            # A command that only looks holds the file for a moment; a night must not end because of it.
            if "Could not set lock" not in str(error) or time.monotonic() > patience_ends:
                raise explain(error, path, alias) from error
            time.sleep(0.1)


def explain(error: Exception, path: Path, alias: str = LEDGER_ALIAS) -> NightdeskError:
    """Turn what DuckDB says about a file into what a person can do about it."""
    text = str(error)
    holder = _HOLDER.search(text)
    if holder is not None:
        return NightdeskError(
            f"The {alias} is in use by another process (PID {holder['pid']}, {Path(holder['program']).name})",
            where=str(path),
            todo="Wait until it has finished, or close the tool that has the file open, then run the command again.",
        )
    if "Could not set lock" in text:
        return NightdeskError(
            f"The {alias} is in use by another process",
            where=str(path),
            todo="Wait until it has finished, or close the tool that has the file open, then run the command again.",
        )
    if "different configuration" in text or "Unique file handle conflict" in text or "already attached" in text:
        return NightdeskError(
            f"The {alias} is already open in this process",
            where=str(path),
            todo="Close the other connection first; one writer at a time.",
        )
    if "not a valid DuckDB database" in text:
        return NightdeskError(
            f"The {alias} is not a DuckDB file (damaged, or something else under its name)",
            where=str(path),
            todo="Restore it from a backup; never delete a ledger you have no copy of.",
        )
    if "No space left" in text:
        return NightdeskError(
            f"The disk is full, the {alias} cannot be opened", where=str(path), todo="Free some space and run it again."
        )
    first_line = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return NightdeskError(
        f"The {alias} cannot be opened: {first_line}", where=str(path), todo="Check the file and its folder."
    )
