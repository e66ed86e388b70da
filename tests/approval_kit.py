"""What the tests of approval share: a policy with named approvers, questions asked, and people who answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from nightdesk.ledger import connect, migrate
from nightdesk.policy import Policy
from reverse_etl.answers import AnswersReport, read_answers
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import ApprovalReport, approve, reject
from reverse_etl.asking import ask, newest_for_people
from reverse_etl.crms.protocol import (
    CrmRecord,
    ObjectSchema,
    PropertySchema,
    ReadResult,
    RecordWrite,
    WriteOutcome,
)
from reverse_etl.plan import PlanSummary, make
from reverse_etl.reviews import standings
from reverse_etl.select import Selection
from sandbox.crm.writes import Origin
from tests.reverse_kit import AS_OF, Desk, ManualTime, policies, warehouse

QUESTION, ANSWER = "nightdesk_review", "nightdesk_review_answer"
PEOPLE = """approvers:
  - {name: Dana, roles: [revops], email: dana@example.com, crm_users: {hubspot: "11"}}
  - {name: Kim, roles: [sales_lead], crm_users: {hubspot: "12"}}
  - {name: Lee, roles: [seller], crm_users: {hubspot: "13"}}
  - {name: Nobody in the CRM, roles: [revops]}
"""
EVERYTHING = "four_eyes:\n  - {object_type: [contacts, companies]}\n"


def with_people(four_eyes: str | None = None) -> Callable[[str], str]:
    """A change of approvals.yml: named approvers, and other four-eyes entries if given."""

    def change(text: str) -> str:
        head, _, rest = text.partition("approvers: []\n")
        return head + PEOPLE + (four_eyes if four_eyes is not None else rest)

    return change


@cache
def people(four_eyes: str | None = None) -> Policy:
    """The project's policies with named approvers; read once per kind of four eyes."""
    with TemporaryDirectory() as folder:
        return policies(Path(folder) / "policies", approvals=with_people(four_eyes))


@cache
def _empty_ledger() -> bytes:
    """A migrated ledger, as its file: migrating takes longer than most tests."""
    with TemporaryDirectory() as folder:
        migrate(Path(folder) / "ledger.duckdb", ManualTime())
        return (Path(folder) / "ledger.duckdb").read_bytes()


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


@dataclass
class PaperCrm:
    """A CRM in memory, for tests of who decides: it holds what it is told and never makes trouble."""

    policy: Policy
    values: dict[tuple[str, str, str], str] = field(default_factory=dict)
    crm: str = "hubspot"
    batch_size: int = 100
    keyed_types: frozenset[str] = frozenset()

    def write_batch(self, records: int) -> int:
        return self.batch_size

    def describe(self, object_type: str) -> ObjectSchema:
        mapping = self.policy.mapping(self.crm)
        items = [*mapping.fields.get(object_type, ()), *mapping.asked.get(object_type, ())]
        known = {i.property: PropertySchema(i.property, i.label, i.type, i.type, "nightdesk", i.options) for i in items}
        return ObjectSchema(object_type, known, frozenset({"nightdesk"}))

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        return ReadResult(
            {i: CrmRecord(i, {p: self.values.get((object_type, i, p)) for p in properties}) for i in ids}, {}
        )

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        for one in writes:
            self.values |= {(object_type, one.id, name): value for name, value in one.values.items()}
        return {one.trace_id: WriteOutcome("acknowledged") for one in writes}

    def create_group(self, object_type: str, name: str, label: str) -> None: ...
    def create_property(self, object_type: str, spec: Any) -> None: ...
    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None: ...


@dataclass
class Office:
    """A ledger, a CRM on paper and a clock: everything a verdict needs."""

    folder: Path
    policy: Policy
    crm: PaperCrm
    ledger: duckdb.DuckDBPyConnection
    clock: ManualTime

    def plan(self, rows: Sequence[dict[str, Any]], created_by: str = "nightdesk") -> PlanSummary:
        path = warehouse(self.folder / "warehouse.duckdb", rows)
        self.clock.now += timedelta(seconds=1)
        return make(path, self.ledger, self.crm, self.policy, "run-1", AS_OF, created_by, self.clock)

    def approve(self, who: str, role: str, *terms: str, **more: Any) -> ApprovalReport:
        return approve(self.ledger, None, Selection.parse(terms), who, role, self.policy, self.clock, **more)

    def reject(self, who: str, role: str, *terms: str, **more: Any) -> ApprovalReport:
        return reject(self.ledger, None, Selection.parse(terms), who, role, self.policy, self.clock, **more)

    def write(self, plan_id: str | None = None) -> ApplyReport:
        return apply(
            self.ledger, plan_id, self.crm, self.policy, "nightdesk", False, self.clock, sleep=self.clock.sleep
        )

    def standings(self) -> dict[tuple[str, str], str]:
        """(record, property) -> where it stands in words."""
        plan_id = newest_for_people(self.ledger)
        found = standings(self.ledger, plan_id, self.policy, self.clock)
        ops = self.ledger.execute("select op_id, record_id, property from plan_ops where plan_id = ?", [plan_id])
        return {(record, name): found[op].words for op, record, name in ops.fetchall()}


@contextmanager
def office(folder: Path, policy: Policy) -> Iterator[Office]:
    """An office of its own."""
    folder.mkdir(exist_ok=True)
    clock = ManualTime()
    (folder / "ledger.duckdb").write_bytes(_empty_ledger())
    with connect(folder / "ledger.duckdb") as ledger:
        yield Office(folder, policy, PaperCrm(policy), ledger, clock)
