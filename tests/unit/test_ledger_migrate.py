"""Migrations: applied once, in order, whole or not at all, and never on a ledger from the future."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect, migrate, migrations
from nightdesk.ledger.migrate import applied

NOW = datetime(2026, 11, 17, 2, 0, tzinfo=UTC)


def clock() -> datetime:
    return NOW


def write(directory: Path, **files: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, sql in files.items():
        (directory / f"{name.removeprefix('m')}.sql").write_text(sql)
    return directory


def test_the_projects_own_migrations_build_every_table_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    assert [migration.version for migration in migrate(path, clock)] == [m.version for m in migrations()]
    assert migrate(path, clock) == []
    with connect(path, read_only=True) as ledger:
        tables = {name for (name,) in ledger.execute("select table_name from information_schema.tables").fetchall()}
        assert {"runs", "answers", "outcomes", "plan_ops", "audit_events", "schema_migrations"} <= tables
        rows = applied(ledger)
        assert [(row.version, row.name, row.applied_at) for row in rows] == [
            (m.version, m.name, NOW) for m in migrations()
        ]


def test_only_what_is_missing_is_applied_in_order(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    folder = write(tmp_path / "m", m0001_first="create table a (x int);")
    migrate(path, clock, directory=folder)
    write(folder, m0002_second="alter table a add column y int;", m0003_third="insert into a values (1, 2);")
    assert [migration.name for migration in migrate(path, clock, directory=folder)] == ["second", "third"]
    with connect(path) as ledger:
        assert ledger.execute("select x, y from a").fetchall() == [(1, 2)]


def test_a_failing_migration_is_undone_whole_and_earlier_ones_stay(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    folder = write(
        tmp_path / "m", m0001_good="create table a (x int);", m0002_bad="create table b (x int); select nonsense;"
    )
    with pytest.raises(NightdeskError, match="0002_bad failed and was undone"):
        migrate(path, clock, directory=folder)
    with connect(path) as ledger:
        tables = {name for (name,) in ledger.execute("select table_name from information_schema.tables").fetchall()}
        assert tables == {"a", "schema_migrations"}
        assert [row.version for row in applied(ledger)] == [1]
    write(folder, m0002_bad="create table b (x int);")
    assert [migration.version for migration in migrate(path, clock, directory=folder)] == [2]


def test_a_changed_file_and_a_newer_ledger_are_refused_before_anything_changes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    folder = write(tmp_path / "m", m0001_first="create table a (x int);")
    migrate(path, clock, directory=folder)
    write(folder, m0001_first="create table a (x bigint);", m0002_second="create table b (x int);")
    with pytest.raises(NightdeskError, match="changed after it was applied"):
        migrate(path, clock, directory=folder)
    with connect(path) as ledger:
        ledger.execute("insert into schema_migrations values (9, 'future', 'x', now())")
    write(folder, m0001_first="create table a (x int);")
    with pytest.raises(NightdeskError, match=r"newer Nightdesk \(schema 9, this one knows 2\)"):
        migrate(path, clock, directory=folder)
    with connect(path) as ledger:
        assert ledger.execute("select count(*) from information_schema.tables where table_name = 'b'").fetchall() == [
            (0,)
        ]


def test_line_ends_do_not_change_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    folder = write(tmp_path / "m", m0001_first="create table a (\nx int\n);\n")
    migrate(path, clock, directory=folder)
    (folder / "0001_first.sql").write_bytes(b"create table a (\r\nx int\r\n);\r\n")
    assert migrate(path, clock, directory=folder) == []


@pytest.mark.parametrize("names", [("0001_a", "0003_c"), ("0002_b",), ("0001_a", "0001_b")])
def test_gaps_and_doubles_in_the_numbers_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = write(tmp_path / "m", **{f"m{name}": "select 1;" for name in names})
    with pytest.raises(NightdeskError, match="without gaps"):
        migrations(folder)


def test_a_misnamed_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NightdeskError, match="not a migration's name"):
        migrations(write(tmp_path / "m", m1_first="select 1;"))
