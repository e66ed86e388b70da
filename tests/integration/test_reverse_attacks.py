"""What somebody with the ledger's file, a wrong clock or a kill at the wrong moment could try."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from nightdesk.errors import NightdeskError
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import reject
from reverse_etl.plan import PlanSummary
from reverse_etl.rollback import plan_rollback
from reverse_etl.select import Selection
from tests.reverse_kit import AS_OF, Desk, desk, row

SCORE = "nightdesk_lead_score"


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, contacts=3, companies=1) as made:
        yield made


def planned(room: Desk, start: int = 60, written: int | None = None) -> PlanSummary:
    last = [None if written is None else f"{written + n}" for n in range(4)]
    return room.plan([row(n, SCORE, f"{start + n}", crm=last[n], last=last[n]) for n in (1, 2, 3)])


def run(room: Desk, plan_id: str | None = None, kill_at: str = "") -> ApplyReport:
    def observe(label: str, _: int) -> None:
        if label == kill_at:
            raise Killed

    return apply(
        room.ledger,
        plan_id,
        room.adapter,
        room.policy,
        "Dana",
        False,
        room.clock,
        sleep=room.clock.sleep,
        observe=observe,
    )


def test_an_approval_put_into_the_table_is_no_approval(room: Desk) -> None:
    made = planned(room)
    now = room.clock()
    room.ledger.execute(
        "insert into approvals values ('forged', ?, ?, 'approved', null, 'Dana', 'revops', null, ?, ?, 'terminal')",
        [made.plan_id, made.digest, now, now + timedelta(days=1)],
    )
    report = run(room)
    assert (report.counts, report.exit_code) == ({"not_approved": 3}, 3)
    assert room.journal() == []


@pytest.mark.parametrize(
    "change",
    [
        "op_ids = null",
        "approver = 'Eve'",
        "role = 'sales_lead'",
        "expires_at = expires_at + interval 9 day",
        "verdict = 'rejected'",
        "via = 'crm'",
    ],
)
def test_an_approval_changed_in_the_table_is_no_approval(room: Desk, change: str) -> None:
    planned(room)
    room.approve(None, "record:contact:1")
    room.ledger.execute(f"update approvals set {change}")
    assert run(room).counts == {"not_approved": 3}
    assert room.journal() == []


def test_an_accepted_guard_put_into_the_note_is_not_accepted(room: Desk) -> None:
    planned(room)
    room.approve()
    run(room)
    shrunken = room.plan([row(n, SCORE, f"{70 + n}", crm=f"{60 + n}", last=f"{60 + n}") for n in (1, 2, 3)], source=10)
    assert "min_source_share" in shrunken.tripped
    now = room.clock()
    room.ledger.execute(
        "insert into approvals values "
        "('forged', ?, ?, 'approved', null, 'Dana', 'revops', 'accepted guards: min_source_share', ?, ?, "
        "'terminal')",
        [shrunken.plan_id, shrunken.digest, now, now + timedelta(days=1)],
    )
    with pytest.raises(NightdeskError, match="brakes are on"):
        run(room)


def test_nothing_is_written_over_a_broken_audit_chain(room: Desk) -> None:
    planned(room)
    room.approve()
    room.ledger.execute("update audit_events set occurred_at = occurred_at - interval 1 hour where action = 'approved'")
    with pytest.raises(NightdeskError, match="audit chain is broken") as stopped:
        run(room)
    assert stopped.value.exit_code == 8
    assert room.journal() == []


def test_a_lost_anchor_file_alone_stops_nothing_and_comes_back(room: Desk) -> None:
    planned(room)
    room.approve()
    (room.folder / "audit-anchor.jsonl").unlink()
    assert run(room).counts == {"applied": 3}
    assert (room.folder / "audit-anchor.jsonl").exists()


def test_a_clock_set_back_makes_no_old_plan_the_newest(room: Desk) -> None:
    old = planned(room)
    room.approve()
    run(room)
    room.clock.now -= timedelta(hours=20)
    new = planned(room, 70, written=60)
    assert new.created_at < old.created_at
    assert room.approve().plan_id == new.plan_id
    with pytest.raises(NightdeskError, match="newer plan"):
        run(room, old.plan_id)
    assert run(room).counts == {"applied": 3}
    assert [room.value(n, SCORE) for n in (1, 2, 3)] == ["71", "72", "73"]


def test_a_clock_set_back_makes_no_rejection_void(room: Desk) -> None:
    planned(room)
    room.approve()
    room.clock.now -= timedelta(minutes=1)
    reject(room.ledger, None, Selection(), "Dana", "revops", room.policy, room.clock)
    assert run(room).counts == {"not_approved": 3}


@pytest.mark.parametrize("moment", ["sent", "answered"])
def test_a_killed_apply_can_be_rolled_back_without_being_resumed(room: Desk, moment: str) -> None:
    planned(room)
    room.approve()
    with pytest.raises(Killed):
        run(room, kill_at=moment)
    room.clock.now += timedelta(seconds=1)

    def undo() -> PlanSummary:
        return plan_rollback(room.ledger, None, room.adapter, room.policy, "run-undo", AS_OF, "nightdesk", room.clock)

    if moment == "sent":  # killed before the request: the CRM was looked at, and there is nothing to undo
        with pytest.raises(NightdeskError, match="Nothing to roll back"):
            undo()
        return
    made = undo()
    assert made.operation_count == 3
    room.approve(made.plan_id)
    assert run(room, made.plan_id).counts == {"applied": 3}
    assert [room.value(n, SCORE) or "" for n in (1, 2, 3)] == ["", "", ""]
