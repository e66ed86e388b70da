"""What goes wrong on our side of the wire: a full disk, an empty source, values no CRM could hold, a foreign plan."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nightdesk.errors import NightdeskError
from reverse_etl import journal
from reverse_etl.crms.hubspot import HubSpotAdapter
from tests.fault_kit import HubSpotTarget, Night, check, night, not_silent, prepare
from tests.reverse_kit import Desk, desk, row

SCORE, TIER, TEXT = "nightdesk_lead_score", "nightdesk_lead_tier", "nightdesk_lead_reason"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(HubSpotTarget(), tmp_path_factory.mktemp("here") / "ready") / "planned"


@pytest.fixture
def it(ready: Path, tmp_path: Path) -> Iterator[Night]:
    shutil.copytree(ready, tmp_path / "cell")
    with night(HubSpotTarget(), tmp_path / "cell") as opened:
        opened.clock.advance(600)
        yield opened


# a commit per step of a batch: intent, sent, answered, verified
@pytest.mark.parametrize(
    ("kth", "requests"),
    [pytest.param(1, 0, marks=pytest.mark.soak), (2, 0), pytest.param(3, 1, marks=pytest.mark.soak), (4, 1)],
)
def test_a_disk_that_is_full_at_any_step_stops_and_the_same_command_goes_on(
    it: Night, kth: int, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, seen = journal.insert, [0]

    def full(con: Any, table: str, columns: Any) -> None:
        seen[0] += table == "write_attempts"
        if table == "write_attempts" and seen[0] == kth:
            raise duckdb.IOException("IO Error: Could not write file: No space left on device")
        insert(con, table, columns)

    monkeypatch.setattr(journal, "insert", full)
    with pytest.raises(NightdeskError, match="No space left on device") as error:
        it.apply()
    assert error.value.exit_code == 1
    assert sum(sent.kind == "write" for sent in it.bench.sent()) == requests
    monkeypatch.undo()
    report = it.apply()
    assert (report.counts, report.resumed, report.exit_code) == ({"applied": 7}, True, 0)
    assert sum(sent.kind == "write" for sent in it.bench.sent()) == 1
    not_silent(it, report)
    check(it)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, contacts=6, companies=0) as made:
        yield made


def test_an_empty_source_puts_a_brake_on(room: Desk) -> None:
    room.plan([row(1, SCORE, "61")], source=100)
    room.plan([row(1, SCORE, "62"), row(2, TIER, "B")], source=0)
    with pytest.raises(NightdeskError, match="min_source_share") as error:
        room.approve()
    assert error.value.exit_code == 3
    assert room.journal() == []


def test_values_no_crm_could_hold_are_denied_one_by_one_and_the_others_written(room: Desk) -> None:
    from reverse_etl.apply import apply

    made = room.plan(
        [
            row(1, SCORE, "NaN"), row(2, SCORE, "Infinity"), row(3, SCORE, "-inf"), row(4, TIER, "🙂"),
            row(5, TEXT, "x" * 65_537), row(6, TEXT, "x" * 60_000), row(6, TIER, "B"),
        ]
    )  # fmt: skip
    assert made.counts["deciding_rule"]["invalid_value"] == 5
    room.approve()
    report = apply(room.ledger, None, room.adapter, room.policy, "Dana", False, room.clock, sleep=room.clock.sleep)
    assert report.counts == {"applied": 2, "denied": 5}
    assert {(record, name) for _, record, name, *_ in room.journal()} == {("6", TEXT), ("6", TIER)}
    reasons = room.ledger.execute("select distinct message from op_results where result = 'denied'").fetchall()
    assert reasons == [("invalid_value",)]


def test_a_plan_that_is_not_in_this_ledger_is_not_found(room: Desk) -> None:
    from reverse_etl.apply import apply

    room.plan([row(1, SCORE, "61")])
    with pytest.raises(NightdeskError, match="There is no such plan"):
        apply(room.ledger, "plan-20260101-000000-abcdef", room.adapter, room.policy, "Dana", False, room.clock)


def test_a_plan_for_another_crm_is_refused(room: Desk) -> None:
    from reverse_etl.apply import apply

    made = room.plan([row(1, SCORE, "61")])
    room.approve()

    class Elsewhere(HubSpotAdapter):
        crm = "salesforce"  # type: ignore[assignment]

    other = Elsewhere(room.adapter.client, "nightdesk_")
    with pytest.raises(NightdeskError, match="hubspot") as error:
        apply(room.ledger, made.plan_id, other, room.policy, "Dana", False, room.clock)
    assert error.value.exit_code != 0 and room.journal() == []
