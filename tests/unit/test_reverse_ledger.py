"""The audit chain, the anchor, the lease, and how records and operations are named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect, migrate
from reverse_etl import audit
from reverse_etl.audit import event_hash
from reverse_etl.lease import acquire
from reverse_etl.records import parse_record
from reverse_etl.select import Selection
from reverse_etl.store import ANCHOR_FILE, transaction
from reverse_etl.view import plain
from tests.reverse_kit import ManualTime

Con = duckdb.DuckDBPyConnection


@pytest.fixture
def clock() -> ManualTime:
    return ManualTime()


@pytest.fixture
def con(tmp_path: Path, clock: ManualTime) -> Iterator[Con]:
    migrate(tmp_path / "ledger.duckdb", clock)
    with connect(tmp_path / "ledger.duckdb") as connection:
        yield connection


@pytest.fixture
def chain(con: Con, clock: ManualTime) -> Con:
    for n in range(1, 8):
        with transaction(con):
            audit.append(con, clock, "Zoë", "write_intent", f"run-{n}", {"n": n, "text": "ä \" ' \n 🙂"})
    return con


def test_a_whole_chain_verifies_and_python_hashes_like_sql(chain: Con) -> None:
    report = audit.verify(chain)
    assert (report.ok, report.events, report.exit_code) == (True, 7, 0)
    rows = chain.execute(
        "select prev_hash, sequence, occurred_at, actor, action, subject, body::varchar, hash from audit_events"
    ).fetchall()
    assert all(event_hash(*row[:7]) == row[7] for row in rows)


@pytest.mark.parametrize(
    ("damage", "first_bad"),
    [
        ("update audit_events set actor = 'Eve' where sequence = 3", 3),
        ("update audit_events set body = '{\"n\":9}' where sequence = 5", 5),
        ("update audit_events set occurred_at = occurred_at + interval 1 second where sequence = 2", 2),
        ("delete from audit_events where sequence = 4", 4),
        ("delete from audit_events where sequence = 1", 1),
        ("update audit_events set hash = sha256('x') where sequence = 7", 7),
        ("update audit_events set prev_hash = sha256('x') where sequence = 6", 6),
    ],
)
def test_any_damage_is_found_at_its_first_event(chain: Con, damage: str, first_bad: int) -> None:
    chain.execute(damage)
    report = audit.verify(chain)
    assert (report.first_bad, report.exit_code) == (first_bad, 8)


def test_two_events_in_each_others_place_are_found(chain: Con) -> None:
    two, three = (
        chain.execute(
            "select actor, action, subject, body::varchar from audit_events where sequence = ?", [n]
        ).fetchone()
        for n in (2, 3)
    )
    assert two and three
    for n, row in ((2, three), (3, two)):
        chain.execute(
            "update audit_events set actor = ?, action = ?, subject = ?, body = ? where sequence = ?", [*row, n]
        )
    assert audit.verify(chain).first_bad == 2


def test_a_rewritten_event_with_a_fitting_hash_breaks_at_the_next(chain: Con) -> None:
    row = chain.execute(
        "select prev_hash, sequence, occurred_at, actor, action, subject, body::varchar from audit_events "
        "where sequence = 4"
    ).fetchone()
    assert row
    forged = event_hash(row[0], row[1], row[2], "Eve", row[4], row[5], row[6])
    chain.execute("update audit_events set actor = 'Eve', hash = ? where sequence = 4", [forged])
    assert audit.verify(chain).first_bad == 5


def test_cutting_off_the_end_is_found_through_the_file_even_if_the_ledgers_anchors_are_cut_too(
    chain: Con, clock: ManualTime, tmp_path: Path
) -> None:
    assert audit.anchor(chain, clock) == (7, audit.verify(chain).last_hash)
    assert audit.anchor(chain, clock) is None  # nothing new
    chain.execute("delete from audit_events where sequence > 5")
    chain.execute("delete from audit_anchors")
    report = audit.verify(chain)
    assert (report.first_bad, report.exit_code) == (6, 8)
    assert "are gone" in report.problem
    (tmp_path / ANCHOR_FILE).unlink()
    assert audit.verify(chain).ok  # without file and rows nobody can know: that is why the file lives elsewhere too


def test_a_chain_made_anew_after_the_cut_differs_from_its_anchor(chain: Con, clock: ManualTime) -> None:
    audit.anchor(chain, clock)
    chain.execute("delete from audit_events where sequence > 5")
    for n in (6, 7):
        with transaction(chain):
            audit.append(chain, clock, "Eve", "write_intent", f"run-{n}", {})
    report = audit.verify(chain)
    assert (report.first_bad, report.problem.split(" in ")[0]) == (7, "event 7 differs from its anchor")


def test_a_missing_anchor_file_is_said(chain: Con, clock: ManualTime, tmp_path: Path) -> None:
    audit.anchor(chain, clock)
    (tmp_path / ANCHOR_FILE).unlink()
    assert "is gone" in audit.verify(chain).problem


def test_half_a_last_anchor_line_is_what_a_crash_leaves(chain: Con, clock: ManualTime, tmp_path: Path) -> None:
    audit.anchor(chain, clock)
    with (tmp_path / ANCHOR_FILE).open("a") as file:
        file.write('{"sequence": 8, "ha')
    assert audit.verify(chain).ok
    with transaction(chain):
        audit.append(chain, clock, "a", "b", "c", {})
    audit.anchor(chain, clock)
    lines = (tmp_path / ANCHOR_FILE).read_text().splitlines()
    assert json.loads(lines[-1])["sequence"] == 8


def test_an_event_that_is_undone_leaves_no_trace(con: Con, clock: ManualTime) -> None:
    with pytest.raises(RuntimeError), transaction(con):
        audit.append(con, clock, "a", "b", "c", {})
        raise RuntimeError
    assert audit.verify(con).events == 0


def test_export_can_be_checked_by_others(chain: Con, tmp_path: Path) -> None:
    assert audit.export(chain, tmp_path / "audit.jsonl") == 7
    entries = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [e["sequence"] for e in entries] == list(range(1, 8))
    assert all(a["hash"] == b["prev_hash"] for a, b in pairwise(entries))


# lease ----------------------------------------------------------------------------------------------------------------


def test_one_holds_the_lease_and_tokens_only_grow(con: Con, clock: ManualTime) -> None:
    first = acquire(con, "apply:hubspot", clock)
    with pytest.raises(NightdeskError, match="Another apply is running"):
        acquire(con, "apply:hubspot", clock)
    first.release()
    second = acquire(con, "apply:hubspot", clock)
    assert (first.token, second.token) == (1, 2)


def test_an_expired_lease_is_taken_over_and_the_old_holder_is_fenced(con: Con, clock: ManualTime) -> None:
    old = acquire(con, "apply:hubspot", clock, "otherhost:1")
    clock.now += timedelta(seconds=121)
    new = acquire(con, "apply:hubspot", clock)
    new.check()
    with pytest.raises(NightdeskError, match="taken over"):
        old.check()
    old.release()
    new.check()  # the old holder cannot release what is no longer its own


def test_a_long_run_renews_its_lease(con: Con, clock: ManualTime) -> None:
    held = acquire(con, "apply:hubspot", clock, "otherhost:1")
    for _ in range(5):
        clock.now += timedelta(seconds=60)
        held.check()
    with pytest.raises(NightdeskError, match="Another apply is running"):
        acquire(con, "apply:hubspot", clock)


def test_the_lease_of_a_dead_process_is_free_at_once(con: Con, clock: ManualTime) -> None:
    import socket
    import subprocess
    import sys

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    acquire(con, "apply:hubspot", clock, f"{socket.gethostname()}:{dead.pid}")
    assert acquire(con, "apply:hubspot", clock).token == 2


# names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123", (None, "123", None)),
        ("contact:123", ("contacts", "123", None)),
        ("hubspot:contact:123", ("contacts", "123", None)),
        ("hubspot:company:4", ("companies", "4", None)),
        ("companies:4", ("companies", "4", None)),
        ("Ann.Lee@Example.com", (None, None, "ann.lee@example.com")),
    ],
)
def test_the_ways_to_name_a_record(text: str, expected: tuple[str | None, str | None, str | None]) -> None:
    name = parse_record(text)
    assert (name.object_type, name.record_id, name.email) == expected


@pytest.mark.parametrize("text", ["", "robot:1", "a:b:c:d", "contact:", "1;drop"])
def test_what_names_no_record(text: str) -> None:
    with pytest.raises(NightdeskError):
        parse_record(text)


@pytest.mark.parametrize("text", ["property", "property:", "colour:red", ":x"])
def test_what_selects_nothing(text: str) -> None:
    with pytest.raises(NightdeskError):
        Selection.parse([text])


def test_customer_text_is_shown_without_control_characters() -> None:
    assert plain("a\x1b[31mred\x07\nnext\u202e", 80) == "a [31mred next"
    assert plain("x" * 200, 10) == "xxxxxxxxx…"
