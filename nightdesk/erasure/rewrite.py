"""Rewrites a DuckDB file so that deleted rows are not only invisible but gone.

DuckDB keeps deleted rows in free blocks and in its write-ahead log. Live rows are copied into a fresh file beside the
old one, which then takes its place in one move: a crash leaves either the old file or the new one, never a mixture.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import duckdb

_FRESH = ".erasing"


def compact(path: Path, observe: Callable[[str], None] = lambda _: None) -> None:
    """Replace a database file by a copy of what is live in it. May be repeated.

    Args:
        path: The file; nothing else may have it open. Missing is fine.
        observe: Told `copied` and `replaced`, for tests that kill the process there.

    Raises:
        NightdeskError: The file is in use, the disk is full, or the copy differs (nothing is replaced then).
    """
    import duckdb

    from nightdesk.ledger.connection import explain

    fresh = path.with_name(path.name + _FRESH)
    for left in (fresh, fresh.with_name(fresh.name + ".wal")):
        left.unlink(missing_ok=True)
    if not path.exists():
        return
    connection = duckdb.connect(":memory:")
    try:
        connection.execute(f"attach '{_quoted(path)}' as old")
        connection.execute("checkpoint old")
        connection.execute(f"attach '{_quoted(fresh)}' as fresh")
        connection.execute("copy from database old to fresh")
        if _counts(connection, "old") != _counts(connection, "fresh"):
            raise NightdeskError(
                "The rewritten database differs from the old one", where=str(path), todo="Run it again."
            )
        connection.execute("detach fresh")
        connection.execute("detach old")
    except duckdb.Error as error:
        raise explain(error, path, path.stem) from error
    finally:
        connection.close()
    _sync(fresh)
    observe("copied")
    os.replace(fresh, path)
    # The old file's log must not outlive it: it may hold what was deleted.
    path.with_name(path.name + ".wal").unlink(missing_ok=True)
    sync_folder(path.parent)
    observe("replaced")


def remove_database(path: Path) -> bool:
    """Delete a database file with its log and its spill folder; returns whether there was one."""
    import shutil

    found = path.exists()
    for left in (path, path.with_name(path.name + ".wal")):
        left.unlink(missing_ok=True)
    shutil.rmtree(path.with_name(path.name + ".tmp"), ignore_errors=True)
    return found


def replace_text(path: Path, data: bytes) -> None:
    """Put other bytes in a file's place in one move; rights stay as they are."""
    fresh = path.with_name(path.name + _FRESH)
    mode = path.stat().st_mode & 0o777
    handle = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Delete half-written files of an erasure that was killed."""
    for left in folder.rglob(f"*{_FRESH}"):
        left.unlink(missing_ok=True)
    for left in folder.rglob(f"*{_FRESH}.wal"):
        left.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a replaced file's name survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    with suppress(OSError):
        os.fsync(handle)
    os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def _counts(connection: duckdb.DuckDBPyConnection, catalog: str) -> list[tuple[str, str, int]]:
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = ? order by all", [catalog]
    ).fetchall()
    found: list[tuple[str, str, int]] = []
    for schema, table in tables:
        row = connection.execute(f'select count(*) from {catalog}."{schema}"."{table}"').fetchone()
        found.append((str(schema), str(table), int(row[0]) if row else 0))
    return found


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
