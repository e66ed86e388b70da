"""Levels are earned by people's verdicts and rehearsed rollbacks, taken by a named person, and lost by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightdesk.errors import NightdeskError
from nightdesk.policy import Policy
from reverse_etl import autonomy, autonomy_review
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import approve, reject
from reverse_etl.autonomy_evidence import Evidence
from reverse_etl.crms.protocol import NotOurProperty
from reverse_etl.policy_explain import explain
from reverse_etl.rollback import plan_rollback
from reverse_etl.select import Selection
from tests.reverse_kit import AS_OF, Desk, desk, policies, row

SCORE, TIER = "nightdesk_lead_score", "nightdesk_lead_tier"
LEAD: autonomy.Target = ("lead_quality", None)


def _fewer(text: str) -> str:
    """Thresholds that a handful of changes can reach."""
    for old, new in (
        ("decisions_at_least: 200", "decisions_at_least: 8"),
        ("counted_per_verdict: 100", "counted_per_verdict: 10"),
        ("acceptance_at_least: 0.95", "acceptance_at_least: 0.5"),
        ("acceptance_below: 0.8", "acceptance_below: 0.4"),
        ("fields_at_least: 20", "fields_at_least: 4"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, policy=policies(tmp_path / "p", autonomy=_fewer), contacts=10) as found:
        yield found


def night(first: int, last: int, value: str = "A") -> list[dict[str, Any]]:
    return [row(n, TIER, value) for n in range(first, last + 1)]


def write(room: Desk) -> ApplyReport:
    return apply(room.ledger, None, room.adapter, room.policy, "Dana", dry_run=False, clock=room.clock)


def undo(room: Desk, *, for_good: bool) -> ApplyReport:
    """Plan the undoing of the newest apply, approve it, and run it dry or for good."""
    made = plan_rollback(
        room.ledger, None, room.adapter, room.policy, "run-2", AS_OF, "Dana", room.clock,
    )  # fmt: skip
    approve(room.ledger, made.plan_id, Selection(), "Kim", "revops", room.policy, room.clock)
    report = apply(room.ledger, made.plan_id, room.adapter, room.policy, "Dana", dry_run=not for_good, clock=room.clock)
    if not for_good:
        reject(room.ledger, made.plan_id, Selection(), "Kim", "revops", room.policy, room.clock)
    return report


def earn(room: Desk) -> None:
    """A night that is approved and applied, and a rollback of it that is rehearsed."""
    room.plan(night(1, 10))
    room.approve()
    write(room)
    undo(room, for_good=False)


def level(room: Desk, target: autonomy.Target = LEAD) -> int:
    return autonomy.levels(room.ledger, room.policy)[target]


def proposal(room: Desk, by: str = "nightdesk", target: autonomy.Target = LEAD) -> autonomy_review.Proposal:
    room.clock.now += timedelta(seconds=1)
    found = autonomy_review.review(room.ledger, room.policy, room.clock, by)
    return next(one for one in found if (one.operation, one.property) == target)


def weighed(room: Desk) -> tuple[str, str, Evidence]:
    """What a review would say of lead_quality now, without storing it: proposal, reasons, evidence."""
    standing = autonomy.standings(room.ledger, room.policy)[LEAD]
    proposed, _, reasons, evidence = autonomy_review.weigh(room.ledger, standing, room.policy, room.clock())
    return proposed, "; ".join(reasons), evidence


def promote(
    room: Desk, by: str = "Kim", role: str = "revops", target: autonomy.Target = LEAD, **more: Any
) -> autonomy.Change:
    return autonomy_review.promote(
        room.ledger, target, by, role, more.pop("reason", "a good month"), more.pop("policy", room.policy), room.clock
    )


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(NightdeskError) as error:
        call()
    assert error.value.exit_code == 5
    return error.value.what


def test_a_level_is_earned_proposed_taken_once_and_holds_from_the_next_plan(room: Desk) -> None:
    assert level(room) == 2
    assert autonomy_review.review_if_due(room.ledger, room.policy, room.clock) == ()  # nothing was written yet
    assert "0 of 8 decisions" in weighed(room)[1]
    assert "No valid proposal" in refused(lambda: promote(room))
    earn(room)
    mine = autonomy_review.review_if_due(room.ledger, room.policy, room.clock)
    assert {one.proposed_by for one in mine} == {"nightdesk"}
    assert autonomy_review.review_if_due(room.ledger, room.policy, room.clock) == ()
    good = proposal(room, by="Dana")
    assert (good.proposal, good.level, good.to_level) == ("promote", 2, 3)
    assert (good.evidence["approved"], good.evidence["reviewed"], good.evidence["rejected"]) == (10, 10, 0)
    assert good.evidence["written"] == 10 and good.evidence["rehearsed_at"]

    assert "cannot take it" in refused(lambda: promote(room, by="dana"))
    assert "named person" in refused(lambda: promote(room, by="Nightdesk"))
    assert "may not change" in refused(lambda: promote(room, role="intern"))
    assert "reason" in refused(lambda: promote(room, reason=" "))
    change = promote(room)
    assert (change.from_level, change.to_level, change.kind, change.changed_by) == (2, 3, "promoted", "Kim")
    # The same evidence does not carry two steps: what counts begins anew at each level.
    assert "No valid proposal" in refused(lambda: promote(room))
    assert weighed(room)[1].startswith("0 of 8 decisions")
    made = room.plan([row(1, SCORE, "80")])
    levels = room.ledger.execute("select distinct autonomy_level from plan_ops where plan_id = ?", [made.plan_id])
    assert levels.fetchall() == [(3,)]
    events = room.ledger.execute(
        "select actor, action, subject from audit_events where action like 'autonomy%' order by sequence"
    ).fetchall()
    assert [event[:2] for event in events] == [
        ("nightdesk", "autonomy_reviewed"), ("Dana", "autonomy_reviewed"), ("Kim", "autonomy_promoted"),
    ]  # fmt: skip
    assert events[2][2] == "lead_quality"


def test_a_proposal_ends_with_its_time_its_policy_and_its_evidence(room: Desk, tmp_path: Path) -> None:
    earn(room)
    # A property is weighed by what became of its own changes.
    own = f"lead_quality: {{ceiling: 5, properties: {{{TIER}: 4, {SCORE}: 5}}}}"
    apart = policies(tmp_path / "apart", autonomy=lambda text: _fewer(text.replace("lead_quality: {ceiling: 5}", own)))
    places = autonomy.standings(room.ledger, apart)
    verdicts = {
        name: autonomy_review.weigh(room.ledger, places["lead_quality", name], apart, room.clock())[:3]
        for name in (TIER, SCORE)
    }
    assert verdicts[TIER][:2] == ("promote", 3)
    assert verdicts[SCORE][0] == "hold" and verdicts[SCORE][2][0] == "0 of 8 decisions"
    assert {("lead_quality", TIER), ("lead_quality", SCORE)} <= set(autonomy.own_targets(room.ledger, apart))
    assert proposal(room).proposal == "promote"
    other = policies(tmp_path / "p", guards=lambda text: text.replace("120000", "120001"))
    assert "No valid proposal" in refused(lambda: promote(room, policy=other))
    room.clock.now += timedelta(days=15)
    assert "No valid proposal" in refused(lambda: promote(room))
    assert proposal(room).proposal == "promote"
    room.ledger.execute("update autonomy_reviews set to_level = 5, proposal = 'promote' where operation = 'icp_fit'")
    assert "No valid proposal" in refused(lambda: promote(room, target=("icp_fit", None)))
    # A rejection of everything that came after takes the evidence away, though the proposal is still young.
    room.plan([row(n, SCORE, "80") for n in range(1, 11)])
    reject(room.ledger, None, Selection(), "Kim", "revops", room.policy, room.clock)
    assert "no longer holds" in refused(lambda: promote(room))
    assert level(room) == 2


def test_a_wholesale_approval_counts_only_so_far_and_a_change_proposed_again_counts_once(
    room: Desk, tmp_path: Path
) -> None:
    six = ("counted_per_verdict: 10", "counted_per_verdict: 6")
    room.policy = policies(tmp_path / "p", autonomy=lambda text: text.replace(*six))
    room.plan(night(1, 10))
    room.approve()
    assert weighed(room)[2].reviewed == 6  # of ten: nobody looks at everything at once
    room.plan([*night(1, 10), row(1, SCORE, "70")])
    room.approve()
    found = weighed(room)[2]
    # Ten were looked at (six count) when they were first approved, one now: it counts beside them.
    assert (found.approved, found.reviewed) == (11, 7)
    reject(room.ledger, None, Selection.parse([f"property:{SCORE}"]), "Kim", "revops", room.policy, room.clock)
    found = weighed(room)[2]
    assert (found.approved, found.rejected) == (10, 1)


def test_a_rollback_for_good_takes_a_level_away_once_and_a_person_is_needed_to_get_it_back(room: Desk) -> None:
    earn(room)
    room.promote("lead_quality", 5)
    made = room.plan([row(1, SCORE, "80"), row(2, SCORE, "90")])
    assert made.counts["decision"] == {"auto": 2}
    assert write(room).lowered == ()
    report = undo(room, for_good=True)
    assert report.counts == {"applied": 2}
    assert [(c.from_level, c.to_level, c.kind, c.changed_by, c.role) for c in report.lowered] == [
        (5, 4, "auto_demoted", "nightdesk", None)
    ]
    assert "a rollback put back 2 of its fields" in report.lowered[0].reason
    assert autonomy.after_apply(room.ledger, "again", room.policy, room.clock, "Dana") == ()
    assert level(room) == 4
    assert room.plan([row(3, SCORE, "80")]).counts["decision"] == {"require_approval": 1}
    _, why, _ = weighed(room)
    assert "lost a level by itself" in why and "a rollback put back 2" in why


def test_at_the_floor_a_rollback_takes_nothing_away(room: Desk) -> None:
    room.plan(night(1, 3))
    room.approve()
    write(room)
    assert undo(room, for_good=True).lowered == ()
    assert level(room) == 2


def test_edits_of_others_above_the_threshold_take_a_level_away(room: Desk) -> None:
    earn(room)
    room.promote("lead_quality", 4)
    for n in (1, 2):
        room.edit(n, TIER, "B")
    room.plan([row(n, TIER, "C", crm="B" if n < 3 else "A", last="A") for n in range(1, 4)])
    room.approve()
    report = write(room)
    assert [(c.from_level, c.to_level) for c in report.lowered] == [(4, 3)]
    assert "others changed 2 of the 10 fields" in report.lowered[0].reason


def test_a_plan_decided_at_a_level_that_was_lost_since_is_stale(room: Desk) -> None:
    room.promote("lead_quality", 5)
    assert room.plan([row(1, SCORE, "80")]).counts["decision"] == {"auto": 1}
    autonomy.demote(room.ledger, LEAD, "Kim", "revops", "too many wrong tiers", room.policy, room.clock)
    with pytest.raises(NightdeskError, match="stood at L5 when the plan was made and stands at L4 now") as error:
        write(room)
    assert error.value.exit_code == 4 and room.journal() == []


def test_a_person_may_lower_any_level_at_any_time_but_not_raise_it_so(room: Desk) -> None:
    room.promote("lead_quality", 5)
    room.promote("lead_quality", 5, TIER)

    def demote(to: int | None, by: str = "Kim", role: str = "sales_lead") -> tuple[autonomy.Change, ...]:
        return autonomy.demote(room.ledger, LEAD, by, role, "seen enough", room.policy, room.clock, to_level=to)

    assert "not below" in refused(lambda: demote(5))
    assert "named person" in refused(lambda: demote(1, by="nightdesk"))
    assert "may not change" in refused(lambda: demote(1, role="intern"))
    (change,) = demote(1)
    assert (change.from_level, change.to_level, change.kind) == (5, 1, "demoted")
    assert level(room) == 1 == level(room, ("lead_quality", TIER))
    assert room.plan([row(1, SCORE, "80")]).counts["deciding_rule"] == {"forbid_level_1": 1}
    assert "cannot be lowered" in refused(lambda: demote(None))


def test_a_property_has_its_own_level_until_its_operation_falls_below_it(room: Desk) -> None:
    room.promote("lead_quality", 3)
    room.promote("lead_quality", 5, SCORE)
    now = autonomy.levels(room.ledger, room.policy)
    assert (now[LEAD], now["lead_quality", SCORE], now["lead_quality", TIER]) == (3, 5, 3)
    made = room.plan([row(1, SCORE, "80"), row(1, TIER, "A")])
    assert made.counts["decision"] == {"auto": 1, "require_approval": 1}
    changes = autonomy.demote(room.ledger, LEAD, "Kim", "revops", "a bad week", room.policy, room.clock)
    assert [(c.name(), c.from_level, c.to_level) for c in changes] == [
        ("lead_quality", 3, 2), (f"lead_quality.{SCORE}", 5, 2),
    ]  # fmt: skip
    assert level(room, ("lead_quality", SCORE)) == 2


def test_a_ceiling_holds_whatever_was_earned_and_a_cap_whatever_the_ceiling(room: Desk, tmp_path: Path) -> None:
    room.promote("lead_quality", 5)
    lower: Policy = policies(
        tmp_path / "p", autonomy=lambda text: text.replace("lead_quality: {ceiling: 5}", "lead_quality: {ceiling: 3}")
    )
    assert autonomy.levels(room.ledger, lower)[LEAD] == 3
    assert "its ceiling" in refused(lambda: promote(room, policy=lower))
    tasks = {t: s for t, s in autonomy.standings(room.ledger, room.policy).items() if t[1] == "@record"}
    assert tasks and all(standing.level <= standing.ceiling <= 4 for standing in tasks.values())


def test_a_level_that_somebody_wrote_into_the_table_stops_all_planning(room: Desk) -> None:
    room.promote("lead_quality", 3)
    for forgery in (
        "update autonomy_changes set to_level = 5",
        "insert into autonomy_changes select * replace ('x' as change_id, 5 as to_level) from autonomy_changes",
        "delete from autonomy_changes",
        "update autonomy_changes set evidence = '{\"reviewed\": 900}'",
    ):
        room.ledger.begin()
        room.ledger.execute(forgery)
        with pytest.raises(NightdeskError, match="levels and the audit trail disagree") as error:
            autonomy.levels(room.ledger, room.policy)
        assert error.value.exit_code == 8
        room.ledger.rollback()
    # Words may be erased; the level stays what it is.
    room.ledger.execute("update autonomy_changes set reason = null")
    assert level(room) == 3


def test_a_write_outside_our_properties_stops_the_operation(room: Desk) -> None:
    room.promote("lead_quality", 5)
    room.plan([row(1, SCORE, "80")])

    def strict(*_: Any) -> Any:
        raise NotOurProperty("contacts", SCORE, "not ours", todo="")

    room.adapter.write = strict  # type: ignore[method-assign]
    with pytest.raises(NotOurProperty):
        write(room)
    assert level(room) == 1
    proposed, why, _ = weighed(room)
    assert proposed == "hold" and "outside our properties" in why


def test_an_explanation_names_rule_values_and_what_no_policy_lifts(room: Desk) -> None:
    room.promote("lead_quality", 5)
    made = room.plan([row(1, SCORE, "80"), row(2, SCORE, "90", is_suppressed=True), row(3, SCORE, "ninety")])
    ids = dict(
        room.ledger.execute("select record_id, op_id from plan_ops where plan_id = ?", [made.plan_id]).fetchall()
    )
    auto = explain(room.ledger, ids["1"][:10], room.policy)
    assert (auto.decision, auto.deciding_rule, auto.now) == ("auto", "auto_low_risk", ("auto", "auto_low_risk"))
    shown = {rule.id: rule for rule in auto.rules}
    assert shown["auto_low_risk"].outcome == "applies" and shown["forbid_stale"].outcome == "does not apply"
    said_no = explain(room.ledger, ids["2"], room.policy, made.plan_id)
    assert "The person opted out" in said_no.why and "wins over every permit" in said_no.why
    invalid = explain(room.ledger, ids["3"], room.policy)
    assert invalid.now is None and "No policy can lift this" in invalid.why
    assert invalid.as_json()["rules"][0]["conditions"][0].keys() == {"column", "wants", "value", "outcome"}
    with pytest.raises(NightdeskError, match="No operation begins"):
        explain(room.ledger, "zzz", room.policy)
