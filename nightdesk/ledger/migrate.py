"""Bring a ledger up to date: numbered SQL files, applied once, in order, each in one transaction with its own record.

The checksum of every applied file is kept. A file that was changed after it was applied, a gap in the numbers, or a
ledger written by a newer Nightdesk stops everything before a row is touched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from nightdesk.ledger.connection import connect

if TYPE_CHECKING:
    import duckdb

Clock = Callable[[], datetime]

MIGRATIONS_DIR = Path(__file__).parent / "migrations"

_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
_BOOKKEEPING = """
create table if not exists schema_migrations (
    version integer primary key,
    name varchar not null,
    checksum varchar not null,             -- sha256 of the file as it was applied
    applied_at timestamptz not null
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file: version 1 is `0001_<name>.sql`."""

    version: int
    name: str
    sql: str
    checksum: str


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """A row of `schema_migrations`."""

    version: int
    name: str
    checksum: str
    applied_at: datetime


def migrations(directory: Path = MIGRATIONS_DIR) -> list[Migration]:
    """Every migration in order of version.

    Raises:
        NightdeskError: A file name does not fit, or a number is missing or there twice.
    """
    found: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise NightdeskError(
                f"`{path.name}` is not a migration's name",
                where=str(path),
                todo="Name it like `0002_what_it_does.sql`.",
            )
        text = path.read_text(encoding="utf-8")
        # Line ends differ between checkouts; the statement does not.
        checksum = hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()
        found.append(Migration(int(match["version"]), match["name"], text, checksum))
    expected = list(range(1, len(found) + 1))
    if [migration.version for migration in found] != expected:
        numbers = ", ".join(str(migration.version) for migration in found)
        raise NightdeskError(
            f"Migrations must be numbered 1, 2, 3, ... without gaps; found {numbers or 'none'}", where=str(directory)
        )
    return found


def migrate(path: Path | str, clock: Clock, *, directory: Path = MIGRATIONS_DIR) -> list[Migration]:
    """Apply what the ledger at `path` has not had yet; creates the file when there is none.

    Args:
        path: The ledger file.
        clock: Gives the time of application, with a time zone.
        directory: Where the SQL files are; the package's own unless a test says otherwise.

    Returns:
        The migrations applied now, oldest first; empty when the ledger was up to date.

    Raises:
        NightdeskError: The ledger is newer than this code, an applied file was changed, or a statement failed (that
            migration is then undone as a whole).
    """
    known = migrations(directory)
    with connect(path) as connection:
        return apply_pending(connection, known, clock, where=str(path))


def apply_pending(
    connection: duckdb.DuckDBPyConnection, known: Sequence[Migration], clock: Clock, *, where: str = ""
) -> list[Migration]:
    """`migrate()` on an open ledger connection."""
    import duckdb

    connection.execute(_BOOKKEEPING)
    verify(applied(connection), known, where=where)
    done = {row.version for row in applied(connection)}
    pending = [migration for migration in known if migration.version not in done]
    for migration in pending:
        connection.begin()
        try:
            connection.execute(migration.sql)
            connection.execute(
                "insert into schema_migrations values (?, ?, ?, ?)",
                [migration.version, migration.name, migration.checksum, clock()],
            )
            connection.commit()
        except duckdb.Error as error:
            connection.rollback()
            raise NightdeskError(
                f"Migration {migration.version:04d}_{migration.name} failed and was undone: {error}",
                where=where,
                todo="The ledger is as it was before. Report this with the message above.",
            ) from error
    return pending


def applied(connection: duckdb.DuckDBPyConnection) -> list[AppliedMigration]:
    """The rows of `schema_migrations`, oldest first."""
    rows = connection.execute(
        "select version, name, checksum, applied_at from schema_migrations order by version"
    ).fetchall()
    return [AppliedMigration(*row) for row in rows]


def verify(done: Sequence[AppliedMigration], known: Sequence[Migration], *, where: str = "") -> None:
    """Refuse a ledger this code does not understand.

    Raises:
        NightdeskError: A version the code does not have, or a file that is no longer what was applied.
    """
    by_version = {migration.version: migration for migration in known}
    newest_known = max(by_version, default=0)
    for row in done:
        migration = by_version.get(row.version)
        if migration is None:
            raise NightdeskError(
                f"This ledger was written by a newer Nightdesk (schema {row.version}, this one knows {newest_known})",
                where=where,
                todo="Upgrade Nightdesk, or use the version that wrote the ledger.",
            )
        if migration.checksum != row.checksum:
            raise NightdeskError(
                f"Migration {row.version:04d}_{row.name} was changed after it was applied to this ledger",
                where=where,
                todo="Restore the file and put the change into a new, higher-numbered migration.",
            )
