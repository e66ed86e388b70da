"""Plan, approve, apply and undo on a real Tryton: every refusal named for what it is, and nothing else written.

After every story the whole table of parties is compared with what it was before, column by column.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect
from reverse_etl import audit, setup
from reverse_etl.plan import load
from reverse_etl.rollback import plan_rollback
from tests.reverse_kit import AS_OF, policies, project_policy
from tests.tryton_kit import (
    PARTIAL,
    PARTY,
    READER,
    REASON,
    SAM,
    SCORE,
    STAMPS,
    TIER,
    TrytonDesk,
    Wire,
    changed,
    party_row,
    tryton,
    tryton_desk,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def room(tmp_path: Path, wire: Wire) -> Iterator[TrytonDesk]:
    with tryton_desk(tmp_path, transport=wire) as made:
        yield made


def fields(party: str, *names: str) -> set[tuple[str, str]]:
    """What a write of these fields changes on a party, with Tryton's own stamps."""
    return {(party, name) for name in (*names, *STAMPS)}


# what goes well -------------------------------------------------------------------------------------------------------


def test_a_plan_is_written_once_and_nothing_else_changes(room: TrytonDesk, wire: Wire) -> None:
    anna, bob, other = room.server.create("Anna", "Bob", "Other")
    before = room.server.rows()
    report = room.write(
        [party_row(anna, SCORE, "72.5"), party_row(anna, TIER, "A"), party_row(bob, REASON, 'says "now", שלום 🦄')]
    )
    assert (report.counts, report.exit_code) == ({"applied": 3}, 0)
    after = room.server.rows()
    assert changed(before, after) == fields(anna, SCORE, TIER) | fields(bob, REASON)
    assert (after[anna][TIER], after[bob][REASON]) == ("A", 'says "now", שלום 🦄')
    assert after[other] == before[other]
    assert wire.writes == 1, "one call for the batch"
    assert room.plan([party_row(anna, SCORE, "72.50"), party_row(anna, TIER, "A")]).operation_count == 0


def test_the_module_gives_everything_the_mapping_needs() -> None:
    policy = project_policy()
    assert setup.difference(tryton().adapter(), policy).is_empty
    seen = tryton().as_(SAM)(PARTY, "fields_view_get", None, "form")["arch"]
    mapping = policy.mapping("tryton")
    wanted = [item.property for item in (*mapping.fields[PARTY], *mapping.asked[PARTY])]
    assert [name for name in wanted if f'<field name="{name}"' not in seen] == []


def test_fields_that_are_not_there_can_only_come_from_the_module() -> None:
    policy, adapter = project_policy(), tryton().adapter()
    mapping = policy.mapping("tryton")
    more = mapping.fields[PARTY][0].model_copy(update={"property": "nightdesk_lead_because"})
    mapping = mapping.model_copy(update={"fields": {PARTY: (*mapping.fields[PARTY], more)}})
    policy = replace(policy, mappings={**policy.mappings, "tryton": mapping})
    missing = setup.difference(adapter, policy)
    assert [spec.name for _, spec in missing.properties] == ["nightdesk_lead_because"] and missing.exit_code == 2
    with pytest.raises(NightdeskError, match="has no field `nightdesk_lead_because`") as error:
        setup.apply(adapter, policy)
    assert "module `nightdesk`" in error.value.todo
    with pytest.raises(NightdeskError, match="has no option E"):
        adapter.add_options(PARTY, TIER, ["A", "E"])


# what goes wrong, each named for what it is ---------------------------------------------------------------------------


def test_a_bad_value_a_missing_right_and_a_vanished_record_each_by_its_name(room: TrytonDesk, wire: Wire) -> None:
    good, bad, barred, gone, deactivated = room.server.create("Good", "Bad", "Board Barred", "Gone", "Deactivated")
    room.plan(
        [party_row(party, SCORE, "72.5") for party in (good, barred, gone, deactivated)]
        + [party_row(bad, SCORE, "72.555"), party_row(bad, REASON, "fine by itself")]
    )
    room.approve()
    room.server.delete(gone)
    room.server.edit(deactivated, active=False)
    before = room.server.rows()
    report = room.apply()
    assert (report.counts, report.exit_code) == ({"applied": 1, "refused": 5}, 6)
    results = room.results()
    assert results[good, SCORE] == ("applied", None, "")
    said = {key: (refusal, message) for key, (result, refusal, message) in results.items() if result == "refused"}
    # one request per record: the fields of a record are written together or not at all
    assert said[bad, SCORE][0] == said[bad, REASON][0] == "bad_value"
    assert 'number of digits in the value “…” for field "Lead score"' in said[bad, SCORE][1]
    assert said[barred, SCORE] == ("no_right", "our user may not write this record (a rule of Tryton)")
    assert said[gone, SCORE] == ("gone", "the record is not in the CRM, or hidden from our user")
    assert said[deactivated, SCORE] == ("gone", "the record is deactivated in the CRM")
    assert changed(before, room.server.rows()) == fields(good, SCORE)


def test_a_record_that_vanishes_between_our_look_and_our_write(room: TrytonDesk, wire: Wire) -> None:
    stays, goes = room.server.create("Stays", "Goes")
    room.plan([party_row(stays, SCORE, "10"), party_row(goes, SCORE, "20")])
    room.approve()
    before = room.server.rows()
    wire.before_write = lambda: room.server.delete(goes)
    room.apply()
    results = room.results()
    assert results[stays, SCORE][0] == "applied"
    assert results[goes, SCORE][:2] == ("refused", "gone")
    assert changed(before, room.server.rows()) == fields(stays, SCORE) | {(goes, "gone")}


def test_a_stale_record_is_looked_at_again_and_a_persons_edit_is_kept(room: TrytonDesk, wire: Wire) -> None:
    elsewhere, same_field, calm = room.server.create("Elsewhere", "Same field", "Calm")
    room.plan([party_row(party, TIER, "A") for party in (elsewhere, same_field, calm)])
    room.approve()
    before = room.server.rows()

    def a_seller_is_faster() -> None:
        room.server.edit(elsewhere, name="Renamed")
        room.server.edit(same_field, **{TIER: "C"})

    wire.before_write = a_seller_is_faster
    report = room.apply()
    assert report.counts == {"applied": 2, "conflict": 1}
    # Tryton refused both as stale; one could be decided again, on the other a person's value stands.
    stale = room.ledger.execute(
        "select record_id, write_attempts.message from write_attempts inner join apply_runs using (apply_run_id) "
        "inner join plan_ops using (plan_id, op_id) where state = 'rejected' order by length(record_id), record_id"
    ).fetchall()
    assert stale == [(party, "changed in Tryton since it was read") for party in (elsewhere, same_field)]
    result, _, message = room.results()[same_field, TIER]
    assert result == "conflict" and "Sam Seller" in message
    after = room.server.rows()
    assert (after[same_field][TIER], after[elsewhere][TIER], after[elsewhere]["name"]) == ("C", "A", "Renamed")
    assert changed(before, after) == fields(elsewhere, TIER, "name") | fields(same_field, TIER) | fields(calm, TIER)


def test_an_edit_between_plan_and_apply_stays(room: TrytonDesk, wire: Wire) -> None:
    (party,) = room.server.create("Anna")
    room.plan([party_row(party, TIER, "A")])
    room.approve()
    room.server.edit(party, **{TIER: "D"})
    before = room.server.rows()
    assert room.apply().counts == {"conflict": 1}
    result, _, message = room.results()[party, TIER]
    assert result == "conflict" and message.startswith(
        "changed since the plan by field changed (user Sam Seller) at 20"
    )
    assert wire.writes == 0 and changed(before, room.server.rows()) == set()


@pytest.mark.parametrize(
    ("user", "name", "value"),
    [(READER, TIER, "A"), pytest.param(PARTIAL, "nightdesk_last_reply", "positive", marks=pytest.mark.soak)],
)
def test_rights_that_are_missing_when_the_plan_is_made_refuse_the_plan(
    tmp_path: Path, user: str, name: str, value: str
) -> None:
    with tryton_desk(tmp_path, user=user) as room:
        (party,) = room.server.create("Anna")
        with pytest.raises(NightdeskError, match=rf"party.party.{name} is read-only in the CRM"):
            room.plan([party_row(party, name, value)])


def test_a_right_taken_away_after_the_plan_stops_the_apply_before_any_request(room: TrytonDesk, wire: Wire) -> None:
    (party,) = room.server.create("Anna")
    room.plan([party_row(party, TIER, "A")])
    room.approve()
    before, entry = room.server.rows(), room.server.close_field(TIER)
    try:
        with pytest.raises(NightdeskError) as error:
            room.apply()
    finally:
        room.server.open_field(entry)
    assert error.value.exit_code == 4
    assert wire.writes == 0 and changed(before, room.server.rows()) == set()


def test_a_right_taken_away_at_the_last_moment_is_named(room: TrytonDesk, wire: Wire) -> None:
    one, two = room.server.create("One", "Two")
    room.plan([party_row(one, TIER, "A"), party_row(two, REASON, "because")])
    room.approve()
    before, entries = room.server.rows(), []
    wire.before_write = lambda: entries.append(room.server.close_field(TIER))
    try:
        report = room.apply()
    finally:
        room.server.open_field(entries[0])
    assert report.counts == {"applied": 1, "refused": 1}
    assert room.results()[one, TIER] == ("refused", "no_right", f"our user may not write `{TIER}`")
    assert changed(before, room.server.rows()) == fields(two, REASON)


def test_a_mapping_of_the_wrong_type_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    changed_policy = policies(
        tmp_path / "policies",
        **{
            "field_mapping.tryton": lambda text: text.replace(
                "nightdesk_lead_reason,   label: Lead score reason,     type: text",
                "nightdesk_lead_reason,   label: Lead score reason,     type: number",
            )
        },
    )
    with tryton_desk(tmp_path, policy=changed_policy) as room:
        (party,) = room.server.create("Anna")
        with pytest.raises(NightdeskError, match="nightdesk_lead_reason is text in the CRM, the mapping says number"):
            room.plan([party_row(party, REASON, "12")])
        difference = setup.difference(room.adapter, changed_policy)
        assert difference.problems and difference.exit_code == 1


def test_a_party_to_be_left_alone_is_left_alone(room: TrytonDesk, wire: Wire) -> None:
    (party,) = room.server.create("Anna")
    room.plan([party_row(party, TIER, "A")])
    room.approve()
    room.server.edit(party, nightdesk_leave_alone=True)
    before = room.server.rows()
    assert room.apply().counts == {"denied": 1}
    assert "nightdesk_leave_alone in the CRM" in room.results()[party, TIER][2]
    assert wire.writes == 0 and changed(before, room.server.rows()) == set()


# lost answers, interruptions, undoing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("done", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_a_lost_answer_is_looked_up_and_nothing_is_sent_twice(room: TrytonDesk, wire: Wire, done: bool) -> None:
    (party,) = room.server.create("Anna")
    before = room.server.rows()
    room.plan([party_row(party, SCORE, "55")])
    room.approve()

    def only_once() -> None:
        wire.loses = None

    wire.loses = done
    sleep = room.clock.sleep
    room.clock.sleep = lambda seconds: (only_once(), sleep(seconds))[1]
    assert room.apply().counts == {"applied": 1}
    assert wire.writes == (1 if done else 2)
    logged = [entry for entry in room.server.table("ir_model_log") if entry["resource"] == f"party.party,{party}"]
    assert [entry["target"] for entry in logged] == [SCORE], "Tryton saw one write"
    assert changed(before, room.server.rows()) == fields(party, SCORE)


def test_rollback_restores_what_still_holds_our_value(room: TrytonDesk) -> None:
    ours, theirs = room.server.create("Ours", "Theirs", **{TIER: "D"})
    before = room.server.rows()
    assert room.write([party_row(ours, TIER, "A", crm="D"), party_row(theirs, TIER, "A", crm="D")]).counts == {
        "applied": 2
    }
    room.server.edit(theirs, **{TIER: "B"})
    made = plan_rollback(room.ledger, None, room.adapter, room.policy, "r", AS_OF, "nightdesk", room.clock)
    assert (made.operation_count, made.left_out) == (1, {"changed since": 1})
    room.approve()
    assert room.apply().counts == {"applied": 1}
    after = room.server.rows()
    assert (after[ours][TIER], after[theirs][TIER]) == ("D", "B")
    assert changed(before, after) - {(party, stamp) for party in (ours, theirs) for stamp in STAMPS} == {(theirs, TIER)}


def test_a_replaced_party_is_followed_to_the_one_that_took_its_place(room: TrytonDesk) -> None:
    old, new = room.server.create("Pat Party", "Pat Party")
    room.plan([party_row(old, TIER, "A")])
    room.approve()
    room.server.replace(old, new)
    before = room.server.rows()
    assert room.apply().counts == {"applied": 1}
    assert room.results()[old, TIER][2] == f"merged into {new}"
    assert changed(before, room.server.rows()) == fields(new, TIER)


class Stop(Exception):
    """Stands for a process that dies."""


@pytest.mark.parametrize(
    "moment", ["answered", *(pytest.param(moment, marks=pytest.mark.soak) for moment in ("intent", "sent", "verified"))]
)
def test_an_apply_that_dies_at_any_step_is_resumed_to_the_same_end(room: TrytonDesk, wire: Wire, moment: str) -> None:
    one, two = room.server.create("One", "Two")
    before = room.server.rows()
    room.plan([party_row(one, SCORE, "1"), party_row(two, TIER, "B")])
    room.approve()

    def observe(label: str, _: int) -> None:
        if label == moment:
            raise Stop

    with pytest.raises(Stop):
        room.apply(observe=observe)
    report = room.apply()
    assert (report.resumed, report.counts) == (True, {"applied": 2})
    assert wire.writes == 1
    assert changed(before, room.server.rows()) == fields(one, SCORE) | fields(two, TIER)
    audit.require_whole(room.ledger)


@pytest.mark.soak
def test_what_a_plan_says_is_what_tryton_gets(room: TrytonDesk, wire: Wire) -> None:
    """Every operation of an applied plan is in Tryton's own log, and nothing else of our user is."""
    parties = room.server.create("A", "B", "C")
    room.plan([party_row(party, TIER, "B") for party in parties] + [party_row(parties[0], REASON, "why")])
    room.approve()
    planned: list[dict[str, Any]] = load(room.ledger).ops.to_pylist()
    room.apply()
    us = room.adapter.client.user_id
    logged = {
        (entry["resource"], name)
        for entry in room.server.table("ir_model_log")
        if entry["user"] == us and entry["resource"].removeprefix("party.party,") in parties
        for name in entry["target"].split(",")
    }
    assert logged == {(f"party.party,{op['record_id']}", op["property"]) for op in planned}


CHILD = """
import os, signal, sys
from datetime import datetime, timedelta
from pathlib import Path
from reverse_etl.apply import apply
from tests.reverse_kit import ManualTime, project_policy
from tests.tryton_kit import Tryton, Wire
url, ledger, now = sys.argv[1:]
wire = Wire()
wire.after_write = lambda: os.kill(os.getpid(), signal.SIGKILL)
adapter = Tryton(url, Path(), None, Path()).adapter(transport=wire)
apply(Path(ledger), None, adapter, project_policy(), "Dana", False, ManualTime(datetime.fromisoformat(now)))
"""


def test_killed_after_tryton_wrote_and_before_anybody_knew(room: TrytonDesk, wire: Wire) -> None:
    one, two = room.server.create("One", "Two")
    before = room.server.rows()
    room.plan([party_row(one, SCORE, "1"), party_row(two, TIER, "B")])
    room.approve()
    room.ledger.close()
    arguments = [room.server.url, str(room.folder / "ledger.duckdb"), room.clock.now.isoformat()]
    child = subprocess.run([sys.executable, "-c", CHILD, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    written = room.server.rows()
    assert changed(before, written) == fields(one, SCORE) | fields(two, TIER)
    room.ledger = connect(room.folder / "ledger.duckdb")
    room.clock.sleep(120)  # the dead one's lease has to end
    report = room.apply()
    assert (report.resumed, report.counts, wire.writes) == (True, {"applied": 2}, 0)
    assert room.server.rows() == written
    assert {message for _, _, message in room.results().values()} == {"found written when it was looked at again"}
