"""Whatever people say in whatever order: written is what as many people as it needs have approved, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reverse_etl import audit, diffs
from reverse_etl.approve import approve, reject
from reverse_etl.select import Selection
from tests.approval_kit import office, people
from tests.reverse_kit import row

SCORE, TIER, TRIGGER = "nightdesk_lead_score", "nightdesk_lead_tier", "nightdesk_last_reply"
Field = tuple[str, str]
FIELDS: list[Field] = [(record, name) for record in ("1", "2", "3") for name in (SCORE, TIER)]
VALUES = {SCORE: "61", TIER: "B"}
TWO = "four_eyes:\n  - {property: [nightdesk_lead_tier]}\n"
PEOPLE = {"Dana": "revops", "dana@example.com": "revops", "Kim": "sales_lead"}


@dataclass(frozen=True)
class Verdict:
    """One person's word on some fields, given somewhere."""

    word: str
    who: str
    fields: frozenset[Field]
    via: str


VERDICTS = st.builds(
    Verdict,
    st.sampled_from(["approve", "approve", "approve", "reject"]),
    st.sampled_from(sorted(PEOPLE)),
    st.sets(st.sampled_from(FIELDS), min_size=1).map(frozenset),
    st.sampled_from(["terminal", "file", "crm"]),
)


def expected(said: list[Verdict], opted_out: set[str]) -> set[Field]:
    """The rule in plain words: since the last rejection, one person, or two different ones for a tier."""
    approved: dict[Field, set[str]] = {where: set() for where in FIELDS}
    for verdict in said:
        for where in verdict.fields:
            if verdict.word == "reject":
                approved[where].clear()
            else:
                approved[where].add(verdict.who.split("@")[0].casefold())
    return {
        where
        for where, names in approved.items()
        if where[0] not in opted_out and len(names) >= (2 if where[1] == TIER else 1)
    }


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VERDICTS, max_size=6), st.sets(st.sampled_from(["1", "2", "3"]), max_size=1))
def test_exactly_what_enough_people_approved_is_written(said: list[Verdict], opted_out: set[str]) -> None:
    holds(said, opted_out)


@pytest.mark.soak
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VERDICTS, max_size=9), st.sets(st.sampled_from(["1", "2", "3"]), max_size=2))
def test_exactly_what_enough_people_approved_is_written_at_length(said: list[Verdict], opted_out: set[str]) -> None:
    holds(said, opted_out)


def holds(said: list[Verdict], opted_out: set[str]) -> None:
    with TemporaryDirectory() as folder, office(Path(folder) / "o", people(TWO)) as room:
        made = room.plan([row(r, name, VALUES[name], is_suppressed=r in opted_out) for r, name in FIELDS])
        found = room.ledger.execute("select record_id, property, op_id, decision from plan_ops").fetchall()
        ops = {(record, name): op for record, name, op, _ in found}
        assert {record for record, *_, decision in found if decision == "denied"} == opted_out
        for verdict in said:
            chosen = [ops[where] for where in sorted(verdict.fields) if where[0] not in opted_out]
            if chosen:
                give = approve if verdict.word == "approve" else reject
                give(
                    room.ledger, made.plan_id, Selection.ops(chosen), verdict.who, PEOPLE[verdict.who], room.policy,
                    room.clock, via=verdict.via,
                )  # fmt: skip
        report = room.write(made.plan_id)
        wanted = expected(said, opted_out)
        written = {(record, name) for _, record, name in room.crm.values}
        assert written == wanted
        assert report.counts.get("applied", 0) == len(wanted) and report.total == made.operation_count
        # Every operation written rests on enough people's unexpired words about exactly this plan.
        for where in written:
            who = room.ledger.execute(
                """
                select count(distinct approver) from approvals
                where plan_id = ? and verdict = 'approved' and expires_at > ? and list_contains(op_ids::varchar[], ?)
                    and digest = (select digest from plans where plans.plan_id = approvals.plan_id)
                """,
                [made.plan_id, room.clock.now, ops[where]],
            ).fetchone()
            assert who[0] >= (2 if where[1] == TIER else 1)
        assert audit.verify(room.ledger).ok


TEXTS = st.lists(st.sampled_from(["july", "May", "we", "wait\n", "  ", "🙂", "cost"]), max_size=30).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_a_difference_holds_both_texts(before: str, after: str) -> None:
    parts = diffs.words(before, after, around=10_000)
    assert "".join(text for what, text in parts if what in ("same", "gone")) == before
    assert "".join(text for what, text in parts if what in ("same", "new")) == after
    short = diffs.words(before, after, around=1)
    assert [p for p in short if p[0] in ("gone", "new")] == [p for p in parts if p[0] in ("gone", "new")]
