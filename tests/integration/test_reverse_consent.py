"""A no that is heard after the plan was approved: nothing more is written to that person, whatever was approved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reverse_etl.apply import ApplyReport, apply
from reverse_etl.rollback import plan_rollback
from tests.reverse_kit import AS_OF, Desk, desk, policies, row

SCORE, TIER = "nightdesk_lead_score", "nightdesk_lead_tier"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, contacts=3, companies=1) as made:
        yield made


def run(room: Desk, *, dry: bool = False) -> ApplyReport:
    return apply(room.ledger, None, room.adapter, room.policy, "Dana", dry, room.clock, sleep=room.clock.sleep)


def approved(room: Desk) -> None:
    company = row(1, "nightdesk_icp_score", "70", object_type="companies")
    room.plan([*(row(n, SCORE, f"{60 + n}") for n in (1, 2, 3)), row(1, TIER, "B"), company])
    room.approve()


def listed(room: Desk, contact: int) -> None:
    room.ledger.execute(
        "insert into suppression values (?, 'fact', null, 'Stop writing to me', 'run-9', ?)",
        [f"hubspot:contact:{contact}", room.clock()],
    )


def test_an_opt_out_on_the_list_since_the_approval_stops_the_write(room: Desk) -> None:
    approved(room)
    listed(room, 1)
    dry = run(room, dry=True)
    assert dry.counts == {"would_write": 3, "denied": 2} and dry.exit_code == 0
    report = run(room)
    assert report.counts == {"applied": 3, "denied": 2}
    assert {entry[:2] for entry in room.journal()} == {("contacts", "2"), ("contacts", "3"), ("companies", "1")}
    why = room.ledger.execute("select distinct message from op_results where result = 'denied'").fetchall()
    assert why == [("the person opted out since the plan was made (suppression list)",)]


@pytest.mark.parametrize(("name", "value"), [("hs_email_optout", "true"), ("hs_lead_status", "OBJECTED_TO_PROFILING")])
def test_an_opt_out_in_the_crm_since_the_load_stops_the_write(room: Desk, name: str, value: str) -> None:
    approved(room)
    room.edit(2, name, value)
    assert run(room).counts == {"applied": 4, "denied": 1}
    assert room.value(2, SCORE) in (None, "")


def test_a_no_that_a_person_has_lifted_stops_nothing(tmp_path: Path) -> None:
    lifted = "lifted: [{contact_id: 'hubspot:contact:1', lifted_by: maya, lifted_on: 2026-11-01, why: asked again}]"
    policy = policies(tmp_path / "p", suppression=lambda text: re.sub(r"(?m)^lifted:.*$", lifted, text))
    with desk(tmp_path, policy=policy, contacts=3, companies=1) as room:
        approved(room)
        listed(room, 1)
        assert run(room).counts == {"applied": 5}
        room.clock.now += timedelta(seconds=1)
        undo = plan_rollback(room.ledger, None, room.adapter, policy, "run-undo", AS_OF, "nightdesk", room.clock)
        assert undo.counts["decision"] == {"require_approval": 5}
