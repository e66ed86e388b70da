"""What goes wrong between us and a CRM: lost answers, refusals, merges, people in between, kill -9.

Nothing is lost or doubled.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect
from reverse_etl import audit, quarantine
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.crms.hubspot import HubSpotAdapter
from reverse_etl.crms.protocol import CrmRefused
from reverse_etl.lease import acquire
from reverse_etl.plan import summarize
from reverse_etl.rollback import plan_rollback
from reverse_etl.select import Selection
from sandbox.crm.faults import Answer, Delay, Drop, Script, When
from tests.reverse_kit import AS_OF, Desk, desk, row

SCORE, TIER = "nightdesk_lead_score", "nightdesk_lead_tier"
ROOT = Path(__file__).parents[2]


class Switch:
    """A fault that can be put in while the CRM runs."""

    def __init__(self) -> None:
        self.script = Script([])

    def set(self, *actions: Any) -> None:
        self.script = Script(actions)

    async def before(self, request: Any) -> Any:
        return await self.script.before(request)

    async def after(self, request: Any, response: Any) -> Any:
        return await self.script.after(request, response)


@pytest.fixture
def fault() -> Switch:
    return Switch()


@pytest.fixture
def room(tmp_path: Path, fault: Switch) -> Iterator[Desk]:
    with desk(tmp_path, faults=fault, contacts=6, companies=1) as made:
        yield made


def prepare(room: Desk, records: int = 3) -> list[dict[str, Any]]:
    rows = [row(n, name, value) for n in range(1, records + 1) for name, value in ((SCORE, str(60 + n)), (TIER, "B"))]
    room.plan(rows)
    room.approve()
    return rows


def write(room: Desk, **more: Any) -> ApplyReport:
    return apply(
        room.ledger, None, room.adapter, room.policy, "Dana", False, room.clock, sleep=room.clock.sleep, **more
    )


def before_writes(room: Desk, act: Callable[[], None], *, after: bool = False) -> None:
    """Do something once, between our read and our write, or between our write and the read-back."""
    send, done = room.adapter.write, [False]

    def wrapped(object_type: str, writes: Any) -> Any:
        first = not done[0]
        done[0] = True
        if first and not after:
            act()
        answer = send(object_type, writes)
        if first and after:
            act()
        return answer

    room.adapter.write = wrapped  # pyright: ignore[reportAttributeAccessIssue]


def as_person(room: Desk, object_type: str, method: str, path: str, body: Any = None) -> None:
    room.adapter.client.request(method, f"/crm/v3/objects/{object_type}{path}", json=body, effect="create")


UPDATE = When("batch/update")


# lost answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble", [Drop(UPDATE), Answer(UPDATE, 502, after_commit=True), Answer(UPDATE, 500, after_commit=True)]
)
def test_a_write_whose_answer_was_lost_is_found_by_reading_and_not_sent_again(
    room: Desk, fault: Switch, trouble: Any
) -> None:
    prepare(room)
    fault.set(trouble)
    report = write(room)
    assert (report.counts, report.exit_code) == ({"applied": 6}, 0)
    assert room.requests("%batch/update%") == 1 and len(room.journal()) == 6
    states = {row[0] for row in room.ledger.execute("select distinct state from write_attempts").fetchall()}
    assert states == {"intent", "sent", "unknown", "verified"}


@pytest.mark.parametrize("trouble", [Drop(UPDATE, after_commit=False), Answer(UPDATE, 503)])
def test_a_write_that_did_not_happen_is_sent_again_after_looking(room: Desk, fault: Switch, trouble: Any) -> None:
    prepare(room)
    fault.set(trouble)
    assert write(room).counts == {"applied": 6}
    assert room.clock.waited == [1.0] and len(room.journal()) == 6
    intents = room.ledger.execute("select count(*) from audit_events where action = 'write_intent'").fetchone()
    assert intents == (2,)  # the second request has an audit event of its own


def test_what_stays_unknown_is_said_so_and_the_next_apply_ends_it(room: Desk, fault: Switch) -> None:
    prepare(room)
    fault.set(Answer(When("batch/update", times=None), 504))
    report = write(room)
    assert (report.counts, report.exit_code) == ({"unknown": 6}, 7)
    assert room.journal() == []
    fault.set()
    assert write(room).counts == {"applied": 6}


def test_a_late_commit_of_an_unknown_write_is_undone_by_rollback(room: Desk, fault: Switch) -> None:
    prepare(room, 1)
    fault.set(Answer(When("batch/update", times=None), 504))
    report = write(room)
    fault.set()
    as_person(room, "contacts", "PATCH", "/1", {"properties": {SCORE: "61"}})  # the write arrives after all
    made = plan_rollback(
        room.ledger, report.apply_run_id, room.adapter, room.policy, "r", AS_OF, "nightdesk", room.clock
    )
    assert made.operation_count == 1 and made.left_out == {"restored already": 1}


def test_the_crm_gone_after_a_write_leaves_unknown_outcomes_and_resumes(room: Desk, fault: Switch) -> None:
    prepare(room)
    fault.set(Answer(When("batch/read", kth=2, times=6), 503))
    with pytest.raises(NightdeskError, match="Written, but not read back") as error:
        write(room)
    assert error.value.exit_code == 7
    fault.set()
    report = write(room)
    assert (report.counts, report.resumed) == ({"applied": 6}, True)
    assert room.requests("%batch/update%") == 1
    assert room.ledger.execute("select count(*) from apply_runs").fetchone() == (1,)


def test_rate_limits_are_obeyed(room: Desk, fault: Switch) -> None:
    prepare(room)
    fault.set(
        Answer(UPDATE, 429, {"errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}, {"Retry-After": "9"})
    )
    assert write(room).counts == {"applied": 6}
    assert room.clock.waited == [9.0, 1.0]  # and looked at the records again before it was sent again


def test_a_wrong_token_stops_before_anything_and_a_right_one_goes_on(room: Desk) -> None:
    prepare(room)
    wrong = HubSpotAdapter.connect(room.sandbox.url, "wrong", room.policy, AS_OF)
    with pytest.raises(CrmRefused, match="token"):
        apply(room.ledger, None, wrong, room.policy, "Dana", False, room.clock)
    assert write(room).counts == {"applied": 6}


# refusals -------------------------------------------------------------------------------------------------------------


def test_a_property_archived_under_our_hands_is_refused_with_the_reason_and_nothing_else_is_lost(room: Desk) -> None:
    room.plan([row(1, SCORE, "61"), row(2, SCORE, "62"), row(3, TIER, "B")])
    room.approve()
    before_writes(room, lambda: _archive(room))
    report = write(room)
    assert (report.counts, report.exit_code) == ({"applied": 2, "refused": 1}, 6)
    (problem,) = report.problems
    assert problem["record_id"] == "3" and TIER in problem["message"]


def _archive(room: Desk) -> None:
    room.adapter.client.request("DELETE", f"/crm/v3/properties/contacts/{TIER}", effect="create")


def test_an_archived_record_is_refused_for_what_it_is(room: Desk) -> None:
    prepare(room)
    as_person(room, "contacts", "DELETE", "/2")
    report = write(room)
    assert (report.counts, report.exit_code) == ({"applied": 4, "refused": 2}, 6)
    assert {p["message"] for p in report.problems} == {"the record is archived in the CRM"}


def test_a_merged_record_is_followed_to_its_survivor_and_nothing_is_created(room: Desk) -> None:
    room.plan([row(1, SCORE, "61"), row(2, SCORE, "62"), row(3, SCORE, "63")])
    room.approve()
    as_person(room, "contacts", "POST", "/merge", {"primaryObjectId": "5", "objectIdToMerge": "2"})
    as_person(room, "contacts", "POST", "/merge", {"primaryObjectId": "3", "objectIdToMerge": "1"})
    report = write(room)
    assert report.counts == {"applied": 2, "refused": 1}
    assert report.problems[0]["message"] == "merged into 3, which has its own change of this field"
    assert {(entry[1], entry[4]) for entry in room.journal()} == {("5", "62"), ("3", "63")}


def test_a_field_that_keeps_failing_is_set_aside_until_released(room: Desk) -> None:
    as_person(room, "contacts", "DELETE", "/2")
    rows = [row(2, SCORE, "62")]
    for _ in range(3):
        room.plan(rows)
        room.approve()
        assert write(room).counts == {"refused": 1}
    assert room.plan([*rows, row(1, SCORE, "1")]).counts["deciding_rule"] == {
        "approve_recommendations": 1,
        "quarantined": 1,
    }
    assert [entry["record_id"] for entry in quarantine.listing(room.ledger)] == ["2"]
    assert quarantine.release(room.ledger, Selection.parse(["record:contact:2"]), "Dana", room.clock) == 1
    assert room.plan(rows).counts["decision"] == {"require_approval": 1}


# people in between ----------------------------------------------------------------------------------------------------


def test_a_human_edit_right_after_our_write_stays_and_is_reported(room: Desk) -> None:
    prepare(room)
    before_writes(room, lambda: room.edit(1, SCORE, "9"), after=True)
    report = write(room)
    assert report.counts == {"applied": 5, "conflict": 1}
    assert "right after the write by CRM_UI" in report.problems[0]["message"]
    assert room.value(1, SCORE) == "9"


def test_a_value_another_integration_changes_back_is_altered_not_success(room: Desk) -> None:
    prepare(room)
    before_writes(room, lambda: as_person(room, "contacts", "PATCH", "/1", {"properties": {SCORE: "5"}}), after=True)
    report = write(room)
    assert (report.counts, report.exit_code) == ({"altered": 1, "applied": 5}, 6)


def test_a_crm_that_accepts_and_keeps_nothing_is_found_out(room: Desk, fault: Switch) -> None:
    prepare(room, 1)
    body = {"status": "COMPLETE", "results": [{"id": "1", "properties": {SCORE: "61", TIER: "B"}}]}
    fault.set(Answer(UPDATE, 200, body))
    report = write(room)
    assert (report.counts, report.exit_code) == ({"ignored": 2}, 6)


# two at once ----------------------------------------------------------------------------------------------------------


def test_while_another_holds_the_lease_nothing_is_written(room: Desk) -> None:
    prepare(room)
    acquire(room.ledger, "apply:hubspot", room.clock, "another-host:1")
    with pytest.raises(NightdeskError, match="Another apply is running"):
        write(room)
    assert room.journal() == []
    room.clock.now += timedelta(seconds=121)
    assert write(room).counts == {"applied": 6}


def test_a_fenced_applier_stops_before_its_next_write(room: Desk) -> None:
    prepare(room)

    def taken_over(label: str, _: int) -> None:
        if label == "intent":
            now = room.clock()
            room.ledger.execute("insert into leases values ('apply:hubspot', 99, 'other:1', ?, ?, null)", [now, now])

    with pytest.raises(NightdeskError, match="taken over"):
        write(room, observe=taken_over)
    assert room.journal() == []
    assert write(room).counts == {"applied": 6}


# kill -9 --------------------------------------------------------------------------------------------------------------

CHILD = """
import os, signal, sys
from datetime import date, datetime, timedelta
from pathlib import Path
from nightdesk.policy import load
from reverse_etl.apply import apply
from reverse_etl.crms.hubspot import HubSpotAdapter
ledger, url, token, now, when = sys.argv[1:]
looks = 0
def clock():
    global looks
    looks += 1
    return datetime.fromisoformat(now) + timedelta(milliseconds=looks)
policy = load(Path("policies"))
adapter = HubSpotAdapter.connect(url, token, policy, date(2026, 11, 17))
def die(label, count):
    if label == when:
        os.kill(os.getpid(), signal.SIGKILL)
send = adapter.write
def write(object_type, writes):
    die("before request", 0)
    answer = send(object_type, writes)
    die("after request", 0)
    return answer
adapter.write = write
report = apply(Path(ledger), None, adapter, policy, "Dana", False, clock, observe=die)
print(report.counts)
"""
MOMENTS = ["started", "intent", "sent", "before request", "after request", "answered", "verified", "finished"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_the_same_command_ends_in_the_same_state(room: Desk, moment: str) -> None:
    room.edit(1, SCORE, "50")
    room.plan([row(1, SCORE, "61", crm="50", last="50"), row(2, SCORE, "62"), row(3, SCORE, "63"), row(4, TIER, "C")])
    room.approve(None, f"property:{SCORE}")
    room.edit(3, SCORE, "7")
    room.ledger.close()
    arguments = [str(room.ledger_path), room.sandbox.url, room.sandbox.token, room.clock.now.isoformat(), moment]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert child.returncode == -9, child.stderr

    room.ledger = connect(room.ledger_path)
    room.clock.now += timedelta(seconds=5)
    assert audit.verify(room.ledger).ok
    report = write(room)
    rollback_to = report.apply_run_id
    if moment == "finished":
        assert report.counts == {"already_there": 2, "conflict": 1, "not_approved": 1}
        rollback_to = room.ledger.execute("select apply_run_id from apply_runs order by started_at limit 1").fetchall()[
            0
        ][0]
    else:
        assert report.resumed and report.counts == {"applied": 2, "conflict": 1, "not_approved": 1}
        assert room.ledger.execute("select count(*) from apply_runs").fetchone() == (1,)
    assert sorted(room.journal()) == [("contacts", "1", SCORE, "50", "61"), ("contacts", "2", SCORE, "", "62")]
    assert [room.value(n, SCORE) for n in (1, 2, 3)] == ["61", "62", "7"]
    assert audit.verify(room.ledger).ok

    # The before-images are those of before the crash.
    room.clock.now += timedelta(seconds=1)
    made = plan_rollback(room.ledger, rollback_to, room.adapter, room.policy, "r", AS_OF, "nightdesk", room.clock)
    assert made.operation_count == 2
    room.approve(made.plan_id)
    assert apply(room.ledger, made.plan_id, room.adapter, room.policy, "Dana", False, room.clock).counts == {
        "applied": 2
    }
    assert [room.value(n, SCORE) for n in (1, 2, 3)] == ["50", None, "7"]


def test_what_an_interrupted_run_sent_is_settled_even_when_its_plan_may_no_longer_be_applied(
    room: Desk, fault: Switch
) -> None:
    prepare(room)
    fault.set(Answer(When("batch/read", kth=2, times=6), 503))
    with pytest.raises(NightdeskError, match="not read back"):
        write(room)
    fault.set()
    room.plan([row(4, SCORE, "64")])  # a newer plan replaces the interrupted one
    room.approve()
    assert write(room).counts == {"applied": 1}
    counts = dict(room.ledger.execute("select result, count(*) from op_results group by 1").fetchall())
    assert counts == {"applied": 7}
    bodies = room.ledger.execute("select body::varchar from audit_events where action = 'apply_finished'").fetchall()
    assert [json.loads(body[0]).get("interrupted", False) for body in bodies] == [True, False]
    assert summarize(room.ledger).operation_count == 1


def test_a_delayed_answer_is_unknown_then_found(room: Desk, fault: Switch) -> None:
    prepare(room, 1)
    impatient = HubSpotAdapter.connect(room.sandbox.url, room.sandbox.token, room.policy, AS_OF, timeout_seconds=0.4)
    fault.set(Delay(UPDATE, 0.8, after_commit=True))
    report = apply(room.ledger, None, impatient, room.policy, "Dana", False, room.clock, sleep=room.clock.sleep)
    assert report.counts == {"applied": 2} and len(room.journal()) == 2
