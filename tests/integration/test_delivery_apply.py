"""Tasks and notes of ours in the CRM: made once, hung on the right record, never taken from a seller."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightdesk.errors import NightdeskError
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.crms.protocol import PRESENT, RECORD, RecordWrite
from reverse_etl.rollback import plan_rollback
from reverse_etl.verify import verify
from sandbox.crm.faults import Answer, Drop, Script, When
from tests.reverse_kit import AS_OF, Desk, desk, row

KEYS = ("nd_00000000000000000000000000000001", "nd_00000000000000000000000000000002")
BODY = 'They asked: "is 5 < 6 & 7 > 6?" <b>no</b>\n\n[1] 2026-11-03 email: "日本語 – ünïcode 🚚" /records/emails/12'


def task(key: str = KEYS[0], *, contact: str = "1", last: dict[str, str] | None = None, **more: Any) -> list[dict]:
    """The rows of one recommendation, as `sync_hubspot__tasks` gives them."""
    values = {
        RECORD: PRESENT,
        "@contacts": contact,
        "@companies": "1",
        "hs_task_subject": "Answer P1 (Company 1)",
        "hs_task_body": BODY,
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": "HIGH",
        "hs_task_type": "EMAIL",
        "hs_timestamp": "2026-11-18T08:00:00Z",
        "nightdesk_rule": "answer_question",
        "nightdesk_state": "open",
    } | {name.replace("at_", "@"): value for name, value in more.items()}
    return rows(key, values, last or {}, subject_id=f"hubspot:contact:{contact}")


def ended(key: str = KEYS[0]) -> list[dict]:
    """The rows that take one back whose reason is gone."""
    values = {"hs_task_status": "COMPLETED", "nightdesk_state": "superseded", "nightdesk_why": "It was answered"}
    return rows(key, values, {"hs_task_status": "NOT_STARTED", "nightdesk_state": "open"}, subject_id=None)


def rows(key: str, values: dict[str, str], last: dict[str, str], **more: Any) -> list[dict]:
    return [
        row(key, name, value, object_type="tasks", record_label="Answer P1", last=last.get(name), **more)
        for name, value in values.items()
    ]


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
    with desk(tmp_path, faults=fault, contacts=3, companies=1) as made:
        yield made


def write(room: Desk, **more: Any) -> ApplyReport:
    return apply(
        room.ledger, None, room.adapter, room.policy, "Dana", False, room.clock, sleep=room.clock.sleep, **more
    )


def deliver(room: Desk, proposed: list[dict]) -> ApplyReport:
    room.plan(proposed)
    room.approve()
    return write(room)


def tasks(room: Desk) -> list[dict[str, Any]]:
    """Every task in the CRM, archived ones too, with the contacts it hangs on."""
    found = room.sandbox.store.connection.execute(
        """
        select id, archived_at is not null, json_extract(properties, '$.hs_task_status'),
            json_extract(properties, '$.hs_task_body'), json_extract(properties, '$.nightdesk_op_key'),
            (select group_concat(to_id) from associations
             where from_type = 'tasks' and from_id = objects.id and to_type = 'contacts')
        from objects where object_type = 'tasks' order by id
        """
    ).fetchall()
    names = ("id", "archived", "status", "body", "key", "contacts")
    return [dict(zip(names, entry, strict=True)) for entry in found]


def archive(room: Desk, number: int) -> None:
    """A person deletes a task on its page."""
    room.adapter.client.request("DELETE", f"/crm/v3/objects/tasks/{number}", effect="write")


# made once ------------------------------------------------------------------------------------------------------------


def test_a_recommendation_becomes_one_task_however_often_it_is_planned_and_applied(room: Desk) -> None:
    first = room.plan(task())
    assert first.counts["decision"] == {"require_approval": 11}
    assert set(first.counts["deciding_rule"]) == {"approve_each_task"}
    room.approve()
    assert write(room).counts == {"applied": 11}
    assert write(room).counts == {"already_there": 11}

    assert room.plan(task()).operation_count == 0  # the CRM has it all
    only = tasks(room)
    assert [(t["status"], t["key"], t["contacts"], t["archived"]) for t in only] == [("NOT_STARTED", KEYS[0], "1", 0)]
    # Customer words travel escaped: what HubSpot shows as HTML can't be markup.
    assert "is 5 &lt; 6 &amp; 7 &gt; 6?" in only[0]["body"] and "<b>" not in only[0]["body"]
    assert verify(room.ledger, room.adapter, None, room.clock).counts == {"holds": 11}


def test_a_task_stands_at_the_level_of_the_operation_that_recommends_it(room: Desk) -> None:
    room.promote("churn_revisit", 3)
    room.plan([{**entry, "operation": "churn_revisit"} for entry in task()])
    found = set(room.ledger.execute("select operation, autonomy_level from plan_ops").fetchall())
    assert found == {("churn_revisit", 3)}
    room.plan([{**entry, "operation": "nobody_knows"} for entry in task()])
    newest = "plan_id = (select plan_id from plans order by created_at desc limit 1)"
    found = set(room.ledger.execute(f"select autonomy_level, decision from plan_ops where {newest}").fetchall())
    assert found == {(1, "denied")}


def test_nothing_is_made_about_somebody_who_opted_out_since(room: Desk) -> None:
    room.plan([*task(KEYS[0], contact="1"), *task(KEYS[1], contact="2")])
    room.approve()
    room.ledger.execute(
        "insert into suppression values ('hubspot:contact:1', 'fact', 'd#1-2', 'stop', 'run-1', '2026-11-17T06:00:00Z')"
    )
    room.edit(2, "hs_email_optout", "true")
    assert set(write(room).counts) == {"denied"}
    assert tasks(room) == []


def test_a_lost_answer_after_the_task_was_made_makes_no_second_one(room: Desk, fault: Switch) -> None:
    room.plan(task())
    room.approve()
    fault.set(Drop(When(r"/tasks/batch/upsert$", "POST")))
    assert write(room).counts == {"applied": 11}
    assert [t["contacts"] for t in tasks(room)] == ["1"]


def test_a_lost_answer_to_the_association_leaves_one_task_with_it(room: Desk, fault: Switch) -> None:
    room.plan(task())
    room.approve()
    fault.set(Answer(When(r"/tasks/contacts/batch/associate", "POST"), 502))
    assert write(room).counts == {"applied": 11}
    assert [t["contacts"] for t in tasks(room)] == ["1"]


@pytest.mark.parametrize("moment", ["before the upsert", "before the association", "before the answer is kept"])
def test_killed_in_the_middle_the_same_command_ends_with_one_task(
    room: Desk, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    room.plan(task() + task(KEYS[1], contact="2"))
    room.approve()
    keyed = room.adapter._keyed
    with monkeypatch.context() as patch, pytest.raises(Killed):
        if moment == "before the upsert":
            patch.setattr(keyed, "_create", killed)
        elif moment == "before the association":
            patch.setattr(keyed, "_link", killed)
        else:
            patch.setattr(keyed, "_partition", killed)
        write(room)
    room.clock.now += timedelta(hours=1)
    report = write(room)
    assert (report.resumed, report.counts) == (True, {"applied": 22})
    assert [(t["key"], t["contacts"]) for t in tasks(room)] == [(KEYS[0], "1"), (KEYS[1], "2")]


def test_one_bad_task_does_not_keep_the_others_from_being_made(room: Desk) -> None:
    good, bad = task(), task(KEYS[1], hubspot_owner_id="987654321")
    report = deliver(room, good + bad)
    assert report.counts == {"applied": 11, "refused": 12}
    assert [t["key"] for t in tasks(room)] == [KEYS[0]]


def test_a_record_that_is_gone_cannot_be_hung_on_and_says_so(room: Desk) -> None:
    report = deliver(room, task(contact="77"))
    assert report.counts == {"applied": 10, "refused": 1}
    assert "contact 77" in report.problems[0]["message"]


def test_without_approval_of_the_record_itself_nothing_is_made_of_its_fields(room: Desk) -> None:
    room.plan(task())
    room.approve(None, "property:hs_task_*,hs_timestamp")
    assert write(room).counts == {"refused": 6, "not_approved": 5}
    assert tasks(room) == []


# people ---------------------------------------------------------------------------------------------------------------


def test_a_task_that_a_person_archived_stays_archived(room: Desk) -> None:
    deliver(room, task())
    archive(room, tasks(room)[0]["id"])
    again = room.plan(task(last={RECORD: PRESENT}))
    assert again.counts["deciding_rule"] == {"forbid_in_hand": 11}
    assert [t["archived"] for t in tasks(room)] == [1]


def test_a_task_whose_reason_is_gone_is_ended_unless_a_seller_has_it(room: Desk) -> None:
    deliver(room, task() + task(KEYS[1]))
    mine, theirs = (t["id"] for t in tasks(room))
    room.edit(theirs, "hs_task_status", "IN_PROGRESS", "tasks")
    plan = room.plan(ended() + ended(KEYS[1]))
    assert plan.counts["deciding_rule"]["forbid_in_hand"] == 1
    room.approve()
    assert write(room).counts == {"applied": 5, "denied": 1}
    assert {t["id"]: t["status"] for t in tasks(room)} == {mine: "COMPLETED", theirs: "IN_PROGRESS"}


def test_a_seller_who_takes_it_after_the_plan_keeps_it(room: Desk) -> None:
    deliver(room, task())
    room.plan(ended())
    room.approve()
    room.edit(tasks(room)[0]["id"], "hs_task_status", "WAITING", "tasks")
    assert write(room).counts == {"applied": 2, "conflict": 1}
    assert [t["status"] for t in tasks(room)] == ["WAITING"]


def test_who_opts_out_between_plan_and_apply_gets_no_task(room: Desk) -> None:
    room.plan(task() + task(KEYS[1], contact="2"))
    room.approve()
    room.edit(1, "hs_email_optout", "true")
    assert write(room).counts == {"applied": 11, "denied": 11}
    assert [t["key"] for t in tasks(room)] == [KEYS[1]]


def test_tasks_of_people_are_out_of_reach(room: Desk) -> None:
    client = room.adapter.client
    client.request(
        "POST",
        "/crm/v3/objects/tasks",
        json={"properties": {"hs_timestamp": "2026-11-20T08:00:00Z", "hs_task_subject": "Mine"}},
        effect="write",
    )
    number = str(tasks(room)[0]["id"])
    for attempt in (
        lambda: room.adapter.read("tasks", [number], ["hs_task_subject"]),
        lambda: room.adapter.write("tasks", [RecordWrite(number, "t", {"hs_task_subject": "Ours"})]),
    ):
        with pytest.raises(NightdeskError) as refused:
            attempt()
        assert refused.value.exit_code == 5
    outcome = room.adapter.write("tasks", [RecordWrite(KEYS[0], "t", {"nightdesk_op_key": KEYS[1], RECORD: PRESENT})])
    assert outcome["t"].state == "rejected"
    deliver(room, task())
    assert room.sandbox.store.get("tasks", int(number)).properties["hs_task_subject"] == "Mine"


# undone ---------------------------------------------------------------------------------------------------------------


def test_rollback_archives_a_task_nobody_has_touched_and_leaves_the_others(room: Desk) -> None:
    deliver(room, task() + task(KEYS[1], contact="2"))
    first, second = (t["id"] for t in tasks(room))
    room.edit(second, "hs_task_body", "I called her.", "tasks")
    room.clock.now += timedelta(seconds=1)
    plan_rollback(room.ledger, None, room.adapter, room.policy, "run-2", AS_OF, "Omar", room.clock)
    room.approve()
    report = write(room)
    assert set(report.counts) == {"applied"}
    assert {t["id"]: t["archived"] for t in tasks(room)} == {first: 1, second: 0}
    # Taken back by us, so the CRM has nothing under that key; taken back by a person, it would be `missing`.
    assert room.adapter.read("tasks", [KEYS[0]], [RECORD]).found[KEYS[0]].values == {RECORD: None}


# notes ----------------------------------------------------------------------------------------------------------------


def test_a_note_is_brought_up_to_date_in_place_until_a_person_edits_it(room: Desk) -> None:
    def note(body: str, last: str | None = None) -> list[dict]:
        values = {
            RECORD: PRESENT,
            "@companies": "1",
            "hs_note_body": body,
            "hs_timestamp": "2026-11-18T09:00:00Z",
            "nightdesk_state": "open",
        }
        if last is not None:
            values = {"hs_note_body": body}
        return [
            row(KEYS[0], name, value, object_type="notes", last=last if name == "hs_note_body" else None)
            for name, value in values.items()
        ]

    assert deliver(room, note("First")).counts == {"applied": 5}
    assert deliver(room, note("Second", "First")).counts == {"applied": 1}
    assert room.value(KEYS[0], "hs_note_body", "notes") == "Second"
    (number,) = room.sandbox.store.connection.execute("select id from objects where object_type = 'notes'").fetchone()
    room.edit(number, "hs_note_body", "Hers", "notes")
    assert room.plan(note("Third", "Second")).counts["deciding_rule"] == {"forbid_in_hand": 1}
    assert write(room).counts == {"denied": 1}
    assert room.value(KEYS[0], "hs_note_body", "notes") == "Hers"
