"""A review follows from the evidence alone: never two steps, never past a ceiling, never with a violation."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk import policy
from nightdesk.errors import NightdeskError
from nightdesk.policy import caps
from reverse_etl.autonomy_evidence import Evidence, breaches, judge

SHIPPED = Path(__file__).parents[2] / "policies"
AUTONOMY = policy.load(SHIPPED).autonomy
NOW = datetime(2026, 11, 17, 6, tzinfo=UTC)
GOOD = Evidence(
    since=NOW - timedelta(days=30), approved=400, rejected=2, counted=300, written=500, sent=100,
    rehearsed_at=NOW - timedelta(days=10),
)  # fmt: skip


def said(level: int, ceiling: int = 5, window: Evidence | None = None, **changes: Any) -> tuple[str, int, list[str]]:
    import dataclasses

    found = dataclasses.replace(GOOD, **changes)
    return judge(level, ceiling, found, window or found, NOW, AUTONOMY.promotion, AUTONOMY.demotion)


@pytest.mark.parametrize("level", [2, 3, 4])
def test_a_good_record_is_one_step_up(level: int) -> None:
    proposal, to_level, why = said(level)
    assert (proposal, to_level) == ("promote", level + 1)
    assert "300 of 302 decisions approved" in why[0]


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"counted": 190, "rejected": 0}, "190 of 200 decisions"),
        ({"counted": 0, "rejected": 0, "approved": 0}, "0 of 200 decisions"),
        ({"rejected": 20}, "acceptance at least 0.9"),
        ({"rehearsed_at": None}, "no rollback rehearsed"),
        ({"rehearsed_at": NOW - timedelta(days=180)}, "180 days old"),
    ],
)
def test_what_is_lacking_is_named(changes: dict[str, Any], lacking: str) -> None:
    proposal, to_level, why = said(3, **changes)
    assert (proposal, to_level) == ("hold", 3)
    assert any(lacking in reason for reason in why), why


@pytest.mark.parametrize(
    ("changes", "against"),
    [
        ({"rolled_back": 1}, "a rollback put back 1 of its fields"),
        ({"overwritten": 51}, "others changed 51 of the 500 fields"),
        ({"not_kept": 6}, "did not keep 6 of the 100 fields"),
        ({"outside": 1}, "outside our properties"),
        ({"counted": 20, "rejected": 20}, "find approval"),
    ],
)
def test_a_violation_speaks_for_a_step_down_and_stops_every_step_up(changes: dict[str, Any], against: str) -> None:
    proposal, to_level, why = said(4, **changes)
    assert (proposal, to_level) == ("demote", 3) and any(against in reason for reason in why)
    # At the floor a person decides everything anyway; it only cannot rise.
    proposal, to_level, why = said(2, **changes)
    assert (proposal, to_level) == ("hold", 2) and any(against in reason for reason in why)


def test_what_happened_at_an_earlier_level_stops_a_promotion_and_demotes_nobody() -> None:
    import dataclasses

    earlier = dataclasses.replace(GOOD, rolled_back=3)
    assert said(3, window=earlier)[:2] == ("hold", 3)
    assert said(3, window=dataclasses.replace(GOOD, auto_demotions=1))[:2] == ("hold", 3)


def test_too_few_fields_say_nothing() -> None:
    assert breaches(Evidence(NOW, written=19, overwritten=19, sent=19, not_kept=19), AUTONOMY.demotion) == []


def test_level_one_needs_no_decisions_because_it_proposes_nothing() -> None:
    assert said(1, counted=0, rejected=0, rehearsed_at=None)[:2] == ("promote", 2)
    assert said(1, outside=1)[:2] == ("hold", 1)


counts = st.integers(0, 500)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 5),
    st.fixed_dictionaries(
        {name: counts for name in ("approved", "rejected", "counted", "written", "overwritten", "not_kept", "sent")}
        | {name: st.integers(0, 2) for name in ("rolled_back", "outside", "auto_demotions")}
        | {"rehearsed_at": st.none() | st.just(NOW - timedelta(days=3))}
    ),
)  # fmt: skip
def test_never_more_than_a_step_never_past_the_ceiling_never_with_a_violation(
    level: int, ceiling: int, numbers: dict[str, Any]
) -> None:
    level = min(level, ceiling)
    found = Evidence(since=NOW - timedelta(days=30), **numbers)
    proposal, to_level, why = judge(level, ceiling, found, found, NOW, AUTONOMY.promotion, AUTONOMY.demotion)
    assert why
    assert {"promote": to_level == level + 1, "hold": to_level == level, "demote": to_level == level - 1}[proposal]
    assert 1 <= to_level <= 5
    if proposal == "promote":
        assert to_level <= ceiling and not breaches(found, AUTONOMY.demotion) and not found.auto_demotions
        if level > 1:
            interval = found.interval(AUTONOMY.promotion.confidence)
            assert interval and interval[0] >= AUTONOMY.promotion.acceptance_at_least
            assert found.reviewed >= AUTONOMY.promotion.decisions_at_least and found.rehearsed_at
    if proposal == "demote":
        assert to_level >= AUTONOMY.demotion.floor


# ceilings and caps ----------------------------------------------------------------------------------------------------


def _edited(tmp_path: Path, name: str, old: str, new: str) -> Path:
    folder = tmp_path / "policies"
    if not folder.exists():
        shutil.copytree(SHIPPED, folder)
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


def test_the_shipped_ceilings_let_nothing_begin_above_two() -> None:
    loaded = policy.load(SHIPPED)
    for operation in loaded.autonomy.operations:
        assert min(caps.operation_ceiling(loaded, operation), caps.STARTS_AT) <= 2
    ceilings = caps.property_ceilings(loaded)
    assert ceilings["lead_quality", "nightdesk_lead_score"] == 5
    assert all(ceilings[o, p] <= 4 for o, p in ceilings if p.startswith("@") or p in caps.OWNER_PROPERTIES)
    assert any(p.startswith("@") for _, p in ceilings), "tasks are mapped"


def test_owners_records_and_foreign_properties_never_go_above_four() -> None:
    loaded = policy.load(SHIPPED)
    for object_type, name in (
        ("tasks", "hs_task_subject"),
        ("contacts", "hubspot_owner_id"),
        ("contacts", "@record"),
        ("meetings", "hs_meeting_body"),
    ):
        assert caps.cap(loaded, "lead_quality", "hubspot", object_type, name)[0] == 4
    assert caps.cap(loaded, "route_lead", "hubspot", "contacts", "nightdesk_owner")[0] == 4
    assert caps.cap(loaded, "lead_quality", "hubspot", "contacts", "nightdesk_lead_score") == (5, "")


def test_a_property_may_have_a_ceiling_of_its_own(tmp_path: Path) -> None:
    folder = _edited(
        tmp_path, "autonomy.yml", "lead_quality: {ceiling: 5}",
        "lead_quality: {ceiling: 4, properties: {nightdesk_lead_score: 5, nightdesk_lead_reason: 2}}",
    )  # fmt: skip
    ceilings = caps.property_ceilings(policy.load(folder))
    assert [
        ceilings["lead_quality", f"nightdesk_lead_{name}"] for name in ("score", "reason", "tier")
    ] == [5, 2, 4]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "said_of"),
    [
        ("lead_quality: {ceiling: 5}", "lead_quality: {level: 5}", "write `ceiling`"),
        ("lead_quality: {ceiling: 5}", "lead_quality: {ceiling: 6}", "lead_quality.ceiling"),
        ("lead_quality: {ceiling: 5}", "lead_quality: {ceiling: 5, properties: {nightdesk_icp_score: 4}}", "writes no"),
        ("acceptance_below: 0.8", "acceptance_below: 0.99", "acceptance_below"),
        ("floor: 2", "floor: 4", "floor"),
    ],
)
def test_an_autonomy_policy_that_cannot_be_meant_is_refused(tmp_path: Path, old: str, new: str, said_of: str) -> None:
    with pytest.raises(NightdeskError) as error:
        policy.load(_edited(tmp_path, "autonomy.yml", old, new))
    assert said_of in error.value.what and "autonomy.yml" in error.value.where
