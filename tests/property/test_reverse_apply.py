"""Whatever is lost, edited or killed in between: the end is the plan, edits of people stay, rollback is its mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightdesk.ledger import connect, migrate
from reverse_etl import audit
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import approve
from reverse_etl.crms.protocol import (
    Change,
    CrmRecord,
    ObjectSchema,
    PropertySchema,
    ReadResult,
    RecordWrite,
    WriteOutcome,
)
from reverse_etl.plan import make
from reverse_etl.rollback import plan_rollback
from reverse_etl.select import Selection
from tests.reverse_kit import AS_OF, ManualTime, project_policy, row, warehouse

SCORE, TIER = "nightdesk_lead_score", "nightdesk_lead_tier"
Field = tuple[str, str]
FIELDS: list[Field] = [(record, name) for record in ("1", "2", "3") for name in (SCORE, TIER)]
VALUES = {SCORE: ("61", "62"), TIER: ("A", "B")}
BY_HAND = {SCORE: "7", TIER: "D"}


class Killed(BaseException):
    """The process ends here."""


@dataclass
class MemoryCrm:
    """A CRM in memory behind the protocol: two records a request, and one trouble after the other, as told."""

    values: dict[Field, str]
    troubles: list[str] = field(default_factory=list)
    by_person: set[Field] = field(default_factory=set)
    changes: list[tuple[Field, str, str]] = field(default_factory=list)
    crm: str = "hubspot"
    batch_size: int = 2
    keyed_types: frozenset[str] = frozenset()

    def write_batch(self, records: int) -> int:
        return self.batch_size

    def describe(self, object_type: str) -> ObjectSchema:
        fields = project_policy().field_mapping.fields[object_type]
        known = {
            f.property: PropertySchema(f.property, f.label, f.type, f.type, "nightdesk", f.options) for f in fields
        }
        return ObjectSchema(object_type, known, frozenset({"nightdesk"}))

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        found: dict[str, CrmRecord] = {}
        for record in ids:
            past = {p: (Change("", "t", "CRM_UI", "1", (record, p) in self.by_person),) for p in properties}
            found[record] = CrmRecord(
                record, {p: self.values.get((record, p)) for p in properties}, past if history else {}
            )
        return ReadResult(found, {})

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        trouble = self.troubles.pop(0) if self.troubles else "none"
        if trouble == "killed before":
            raise Killed
        if trouble != "lost before":
            for write in writes:
                for name, value in write.values.items():
                    if self.values.get((write.id, name), "") != value:
                        self.changes.append(((write.id, name), self.values.get((write.id, name), ""), value))
                    self.values[write.id, name] = value
                    self.by_person.discard((write.id, name))
        if trouble == "killed after":
            raise Killed
        state = "unknown" if trouble in ("lost before", "lost after") else "acknowledged"
        return {write.trace_id: WriteOutcome(state) for write in writes}

    def edit(self, where: Field) -> None:
        self.values[where] = BY_HAND[where[1]]
        self.by_person.add(where)

    def create_group(self, object_type: str, name: str, label: str) -> None: ...
    def create_property(self, object_type: str, spec: Any) -> None: ...
    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class Night:
    """Values in the CRM, wanted values, edits between plan and apply and after it, troubles, and when we are killed."""

    before: dict[Field, str]
    wanted: dict[Field, str]
    edits: set[Field]
    late_edits: set[Field]
    troubles: list[str]
    kills: list[int]


TROUBLES = st.sampled_from(["none", "lost before", "lost after", "killed before", "killed after"])


@st.composite
def nights(draw: st.DrawFn) -> Night:
    wanted = {
        where: draw(st.sampled_from(VALUES[where[1]])) for where in draw(st.sets(st.sampled_from(FIELDS), min_size=1))
    }
    before = {where: VALUES[where[1]][0] for where in draw(st.sets(st.sampled_from(FIELDS)))}
    some = st.sets(st.sampled_from(FIELDS), max_size=2)
    troubles = draw(st.lists(TROUBLES, max_size=2))  # a third loss in a row would honestly end as `unknown`
    kills = draw(st.lists(st.integers(1, 8), max_size=2))
    return Night(before, wanted, draw(some), draw(some), troubles, kills)


def until_done(con: Any, crm: MemoryCrm, plan_id: str, clock: ManualTime, kills: list[int]) -> ApplyReport:
    """Apply; whenever the process is killed, the same command again."""
    while True:
        left = [kills.pop(0) if kills else 0]

        def count_down(label: str, operations: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed

        try:
            return apply(
                con, plan_id, crm, project_policy(), "Dana", False, clock, observe=count_down, sleep=clock.sleep
            )
        except Killed:
            clock.now += timedelta(seconds=1)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(nights())
def test_the_end_is_the_plan_whatever_happens_on_the_way(night: Night) -> None:
    clock, policy = ManualTime(), project_policy()
    crm = MemoryCrm(dict(night.before), list(night.troubles))
    with TemporaryDirectory() as folder:
        migrate(Path(folder) / "ledger.duckdb", clock)
        rows = [row(w[0], w[1], v, crm=night.before.get(w), last=night.before.get(w)) for w, v in night.wanted.items()]
        with connect(Path(folder) / "ledger.duckdb") as con:
            file = warehouse(Path(folder) / "warehouse.duckdb", rows)
            made = make(file, con, crm, policy, "run-1", AS_OF, "nightdesk", clock)
            planned = {w: v for w, v in night.wanted.items() if v != night.before.get(w)}
            assert made.operation_count == len(planned)
            if not planned:
                return
            accept = [g.guard for g in made.guards if g.tripped]
            approve(con, made.plan_id, Selection(), "Kim", "revops", policy, clock, accept_guards=accept)
            for where in night.edits:
                crm.edit(where)

            report = until_done(con, crm, made.plan_id, clock, list(night.kills))
            lost_for_good = report.counts.get("unknown", 0)
            assert report.total == made.operation_count and not lost_for_good
            expected = {**night.before, **planned, **{where: BY_HAND[where[1]] for where in night.edits}}
            assert {w: v for w, v in crm.values.items() if v} == expected
            assert sorted(where for where, *_ in crm.changes) == sorted(
                set(planned) - night.edits
            )  # each once, no other
            again = apply(con, made.plan_id, crm, policy, "Dana", False, clock, sleep=clock.sleep)
            written = len(set(planned) - night.edits)
            assert again.counts.get("already_there", 0) == written and len(crm.changes) == written

            if written:
                for where in night.late_edits:
                    crm.edit(where)
                clock.now += timedelta(seconds=1)
                undo = plan_rollback(con, made.plan_id, crm, policy, "run-2", AS_OF, "nightdesk", clock)
                by_hand = night.edits | night.late_edits
                if undo.operation_count:
                    approve(con, undo.plan_id, Selection(), "Kim", "revops", policy, clock)
                    until_done(con, crm, undo.plan_id, clock, list(night.kills))
                mirror = {**night.before, **{where: BY_HAND[where[1]] for where in by_hand}}
                assert {w: v for w, v in crm.values.items() if v} == mirror
            assert audit.verify(con).ok
