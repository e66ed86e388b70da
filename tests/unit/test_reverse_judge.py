"""The three-way compare before a write, and the verdict after it, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reverse_etl.crms.protocol import Change, CrmRecord, WriteOutcome
from reverse_etl.journal import Earlier
from reverse_etl.judge import ApplyOp, after_write, before_write

SCORE = "nightdesk_lead_score"
OP = ApplyOp("op", "contacts", "1", SCORE, "number", None, None, "80", "80", "new")
NONE: frozenset[tuple[str, str, str]] = frozenset()


def crm(value: str | None, record: str = "1", history: tuple[Change, ...] = ()) -> CrmRecord:
    return CrmRecord(record, {SCORE: value}, {SCORE: history})


@pytest.mark.parametrize(
    ("op", "now", "expected"),
    [
        (OP, None, "write"),
        (OP, "", "write"),
        (OP, "80.0", "already_there"),
        (OP, "12", "conflict"),
        (replace(OP, before="70", last_written="70", conflict_class="ours"), "70.00", "write"),
        (replace(OP, before="70", last_written="70", conflict_class="ours"), "71", "conflict"),
        (replace(OP, before="70", last_written="70", conflict_class="ours"), "", "conflict"),
        (replace(OP, before="70", last_written="60", conflict_class="ours"), "60", "write"),
        (replace(OP, before="70", last_written="60", conflict_class="changed_by_other"), "70", "write"),
        (replace(OP, before="70", last_written="60", conflict_class="changed_by_other"), "60", "conflict"),
        (replace(OP, before="70", desired=None, wire=""), "", "already_there"),
        (replace(OP, before="70", desired=None, wire=""), "70", "write"),
        (replace(OP, may_write=False, earlier=Earlier("intent", None)), None, "not_approved"),
    ],
)
def test_before_a_write(op: ApplyOp, now: str | None, expected: str) -> None:
    verdict = before_write(op, crm(now), "", NONE, {})
    assert (verdict.result or verdict.action) == expected


def test_a_conflict_names_who_changed_it() -> None:
    verdict = before_write(
        OP, crm("12", history=(Change("12", "2026-11-17T06:00:00Z", "CRM_UI", "42", True),)), "", NONE, {}
    )
    assert verdict.message == "changed since the plan by CRM_UI (user 42) at 2026-11-17T06:00:00Z"


def test_a_record_that_is_gone_is_refused_with_the_reason() -> None:
    verdict = before_write(OP, None, "archived in the CRM", NONE, {})
    assert (verdict.result, verdict.message) == ("refused", "the record is archived in the CRM")


def test_after_an_interruption_our_own_value_counts_as_applied_with_the_first_before_image() -> None:
    sent = replace(OP, before="70", earlier=Earlier("sent", "70"))
    verdict = before_write(sent, crm("80"), "", NONE, {})
    assert (verdict.result, verdict.before, verdict.crm_value) == ("applied", "70", "80")
    only_intended = replace(OP, before="70", earlier=Earlier("intent", "70"))
    assert before_write(only_intended, crm("80"), "", NONE, {}).result == "already_there"


def test_a_merged_record_is_followed_once() -> None:
    assert before_write(OP, crm(None, "9"), "", NONE, {}).target == "9"
    own = frozenset({("contacts", "9", SCORE)})
    assert before_write(OP, crm(None, "9"), "", own, {}).result == "refused"
    taken = {("contacts", "9", SCORE): "another op"}
    assert before_write(OP, crm(None, "9"), "", NONE, taken).result == "refused"
    assert before_write(OP, crm(None, "9"), "", NONE, {("contacts", "9", SCORE): "op"}).action == "write"


UI = (Change("5", "t", "CRM_UI", "", True),)
API = (Change("5", "t", "INTEGRATION"),)


@pytest.mark.parametrize(
    ("said", "found", "result", "again"),
    [
        ("acknowledged", crm("80"), "applied", False),
        ("acknowledged", crm("80.0"), "applied", False),
        ("acknowledged", crm("70"), "ignored", False),
        ("acknowledged", crm("5", history=API), "altered", False),
        ("acknowledged", crm("5", history=UI), "conflict", False),
        ("acknowledged", None, "refused", False),
        ("rejected", crm("70"), "refused", False),
        ("rejected", crm("80"), "applied", False),
        ("unknown", crm("80"), "applied", False),
        ("unknown", crm("70"), "unknown", True),
        ("unknown", crm("5", history=UI), "conflict", False),
    ],
)
def test_after_a_write(said: str, found: CrmRecord | None, result: str, again: bool) -> None:
    outcome = after_write(replace(OP, before="70"), "70", WriteOutcome(said, "why"), found, "archived")  # pyright: ignore[reportArgumentType]
    assert (outcome.result, outcome.again) == (result, again)
