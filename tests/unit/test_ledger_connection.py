"""Opening the ledger: whatever is wrong with a file is one error a person can act on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect

HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.readline()
"""


def test_read_only_needs_a_ledger_that_exists(tmp_path: Path) -> None:
    with pytest.raises(NightdeskError, match="no ledger yet") as caught:
        connect(tmp_path / "ledger.duckdb", read_only=True)
    assert caught.value.todo
    assert not (tmp_path / "ledger.duckdb").exists()


def test_opens_under_a_fixed_alias_with_utc_and_reads_the_warehouse(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "any name.duckdb")) as warehouse:
        warehouse.execute("create schema marts; create table marts.things as select 1 as thing")
    with connect(tmp_path / "new" / "Mine.duckdb", warehouse=tmp_path / "any name.duckdb") as connection:
        connection.execute("create table ledger.main.here (recorded_at timestamptz)")
        connection.execute("insert into here values ('2026-11-17 08:00:00+00')")
        assert connection.execute("select strftime(recorded_at, '%H %Z') from here").fetchall() == [("08 UTC",)]
        assert connection.execute("select thing from warehouse.marts.things").fetchall() == [(1,)]
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("create table warehouse.main.no (a int)")
    # Closing releases both files: this process may open them in another way at once.
    duckdb.connect(str(tmp_path / "any name.duckdb")).close()
    duckdb.connect(str(tmp_path / "new" / "Mine.duckdb"), read_only=True).close()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_lock_names_the_process_that_holds_it(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "ledger.duckdb"
    duckdb.connect(str(path)).close()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(NightdeskError, match=rf"in use by another process \(PID {holder.pid}"):
            connect(path, read_only=read_only)
    finally:
        holder.communicate("\n", timeout=10)
    connect(path, read_only=read_only).close()


def test_a_file_that_is_not_a_database_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    path.write_bytes(b"not a database" * 400)
    with pytest.raises(NightdeskError, match="not a DuckDB file") as caught:
        connect(path)
    assert "backup" in caught.value.todo
    assert path.read_bytes() == b"not a database" * 400


def test_a_missing_warehouse_and_a_second_connection_say_so(tmp_path: Path) -> None:
    with pytest.raises(NightdeskError, match="warehouse file is missing"):
        connect(tmp_path / "ledger.duckdb", warehouse=tmp_path / "warehouse.duckdb")
    with connect(tmp_path / "ledger.duckdb"), pytest.raises(NightdeskError, match="already open in this process"):
        connect(tmp_path / "ledger.duckdb")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(NightdeskError) as caught:
        connect(tmp_path / "data" / "deeper" / "ledger.duckdb")
    assert str(tmp_path / "data") in caught.value.where
