"""What the tests of approval share: a policy with named approvers, questions asked, and people who answer."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from nightdesk.policy import Policy
from reverse_etl.answers import AnswersReport, read_answers
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.asking import ask
from reverse_etl.plan import PlanSummary
from reverse_etl.select import Selection
from sandbox.crm.writes import Origin
from tests.reverse_kit import AS_OF, Desk, policies

QUESTION, ANSWER = "nightdesk_review", "nightdesk_review_answer"
PEOPLE = """approvers:
  - {name: Dana, roles: [revops], email: dana@example.com, crm_users: {hubspot: "11"}}
  - {name: Kim, roles: [sales_lead], crm_users: {hubspot: "12"}}
  - {name: Lee, roles: [seller], crm_users: {hubspot: "13"}}
  - {name: Nobody in the CRM, roles: [revops]}
"""
EVERYTHING = "four_eyes:\n  - {object_type: [contacts, companies]}\n"


def people(folder: Path, four_eyes: str | None = None, **more: Any) -> Policy:
    """The project's policies with named approvers, and other four-eyes entries if given."""

    def change(text: str) -> str:
        head, _, rest = text.partition("approvers: []\n")
        return head + PEOPLE + (four_eyes if four_eyes is not None else rest)

    return policies(folder, approvals=change, **more)


def asked(room: Desk, *terms: str, plan_id: str | None = None) -> tuple[PlanSummary, ApplyReport]:
    """Ask about what waits, and write the questions."""
    room.clock.now += timedelta(seconds=1)
    made = ask(
        room.ledger,
        plan_id,
        Selection.parse(terms),
        room.adapter,
        room.policy,
        "run-ask",
        AS_OF,
        "nightdesk",
        room.clock,
    )
    return made, apply(
        room.ledger, made.plan_id, room.adapter, room.policy, "Dana", False, room.clock, sleep=room.clock.sleep
    )


def asked_at(room: Desk, record: str | int = 1, object_type: str = "contacts") -> datetime:
    """When the question on a record was set, by the CRM's clock."""
    read = room.adapter.read(object_type, [str(record)], [QUESTION], history=True)
    return datetime.fromisoformat(read.found[str(record)].history[QUESTION][0].changed_at)


def answer(
    room: Desk,
    value: str,
    user: str = "11",
    record: str | int = 1,
    *,
    source: str = "CRM_UI",
    at: datetime | None = None,
    name: str = ANSWER,
    object_type: str = "contacts",
) -> None:
    """A person (or something else, by `source`) sets a value on the record, a minute after the question."""
    store = room.sandbox.store
    moment = at or asked_at(room, record, object_type) + timedelta(minutes=1)
    with store.writing(Origin(source, f"userId:{user}" if user else "", user), at=moment) as writer:
        writer.update(store.get(object_type, int(record)), {name: value})


def listen(room: Desk) -> AnswersReport:
    """The load after: read the answers."""
    room.clock.now += timedelta(seconds=1)
    report = read_answers(room.ledger, room.adapter, room.policy, room.clock)
    assert sum(report.counts.values()) + report.known == report.questions
    return report


def write(room: Desk, plan_id: str | None = None) -> ApplyReport:
    """Apply a plan for real."""
    return apply(room.ledger, plan_id, room.adapter, room.policy, "Dana", False, room.clock, sleep=room.clock.sleep)
