"""Each topic of the evaluation on a handful of rows whose right answer can be counted on fingers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from nightdesk import policy as policies
from sandbox.evaluation import briefs, facts, fit, hostile, ranking, replies, triggers
from sandbox.evaluation.briefs import Due
from sandbox.evaluation.facts import Document, Readings, Trap
from sandbox.evaluation.hostile import AccountPoints, Moved
from sandbox.evaluation.matching import Fact
from sandbox.evaluation.ranking import Lead, Leads
from sandbox.evaluation.replies import Reply
from sandbox.evaluation.triggers import Churned

AS_OF = date(2026, 11, 17)
POLICIES = Path(__file__).parents[2] / "policies"


@pytest.fixture(scope="module")
def policy() -> policies.Policy:
    return policies.load(POLICIES)


# facts --------------------------------------------------------------------------------------------------------------


def a_fact(id_: str, document: str, predicate: str, value: str, at: int = 0, **changes: object) -> Fact:
    made = Fact(id_, document, predicate, value, "affirmed", "theirs", "x" * 10, start=at, end=at + 10)
    return replace(made, **changes)  # type: ignore[arg-type]


def the_readings() -> Readings:
    day = date(2026, 7, 1)
    return Readings(
        documents={
            "hubspot:email:1": Document("hubspot:email:1", "email", 100, True),
            "hubspot:call:2": Document("hubspot:call:2", "call", 900, True),
            "hubspot:email:3": Document("hubspot:email:3", "email", 100, True),
            "hubspot:email:9": Document("hubspot:email:9", "email", 100, False),
        },
        planted=[
            a_fact("p1", "hubspot:email:1", "budget", "frozen", fact_date=day, is_current=False),
            a_fact("p2", "hubspot:call:2", "pain", "stockouts", at=850),
            a_fact("p3", "hubspot:call:2", "timeline", "2026-07", at=10, is_current=True),
            a_fact("p4", "hubspot:email:9", "pain", "manual_work"),
            a_fact("p5", "hubspot:email:3", "need", "reporting"),
        ],
        found=[
            a_fact("f1", "hubspot:email:1", "budget", "frozen", at=4, fact_date=day, is_current=False),
            a_fact("f2", "hubspot:call:2", "pain", "stockouts", at=400),
            a_fact("f3", "hubspot:call:2", "timeline", "2026-08", at=10, is_current=True),
            a_fact("f4", "hubspot:email:1", "pricing_asked", "yes", at=60),
            a_fact("f5", "hubspot:email:1", "pain", "manual_work", at=80, polarity="negated"),
            a_fact("f6", "hubspot:email:3", "budget", "available"),
        ],
        traps=[
            Trap("distractor", a_fact("t1", "hubspot:email:1", "pricing_asked", "", at=60)),
            Trap("denied", a_fact("t2", "hubspot:email:1", "pain", "", at=80)),
            Trap("third_party", a_fact("t3", "hubspot:call:2", "budget", "", at=500)),
        ],
        hostile=frozenset({"hubspot:email:3"}),
        single_valued=frozenset({"budget", "timeline"}),
        quotes_exact=5,
    )


def test_facts_are_counted_once_and_hostile_documents_apart() -> None:
    judged = facts.judge(the_readings())
    assert (judged.micro.planted, judged.micro.found, judged.micro.matched) == (4, 4, 2)
    assert (judged.hostile.planted, judged.hostile.found, judged.hostile.spurious) == (1, 1, 1)
    assert (judged.documents_selected, judged.documents_answered) == (4, 3)


def test_a_document_nobody_read_costs_recall() -> None:
    judged = facts.judge(the_readings())
    pain = next(line for line in judged.by_predicate if line.name == "pain")
    assert (pain.planted, pain.matched, pain.missed) == (2, 1, 1)
    assert pain.recall == 0.5


def test_a_denial_read_as_a_denial_counts_as_nothing() -> None:
    judged = facts.judge(the_readings())
    assert judged.denials_read == 1
    pain = next(line for line in judged.by_predicate if line.name == "pain")
    assert pain.spurious == 0


def test_traps_fallen_for_are_named_by_kind_and_place() -> None:
    judged = facts.judge(the_readings())
    fallen = {trap.name: (trap.hits, trap.total) for trap in judged.traps}
    assert fallen == {"denied": (0, 1), "distractor": (1, 1), "third_party": (0, 1)}
    assert judged.spurious_where == {"trap": 1}


def test_quotes_dates_and_supersession_are_judged_on_what_matched() -> None:
    judged = facts.judge(the_readings())
    assert (judged.quotes_overlap.hits, judged.quotes_overlap.total) == (1, 2)
    assert (judged.dates.hits, judged.dates.total) == (1, 1)
    assert (judged.supersession.hits, judged.supersession.total) == (1, 1)
    assert {line.name: line.hits for line in judged.by_position} == {"1 beginning": 0, "3 end": 1}


def test_a_contradiction_counts_where_both_remarks_were_read() -> None:
    def said(number: int, value: str, day: int, is_current: bool, read_as: bool | None) -> tuple[Fact, list[Fact]]:
        document = f"hubspot:email:{number}"
        planted = a_fact(
            f"p{number}",
            document,
            "budget",
            value,
            is_current=is_current,
            subject="budget 5",
            said_on=date(2026, 3, day),
        )
        found = [] if read_as is None else [a_fact(f"f{number}", document, "budget", value, is_current=read_as)]
        return planted, found

    remarks = [
        said(1, "available", 1, False, False),  # contradicted by 2, and seen to be
        said(2, "frozen", 2, False, True),  # contradicted by 3, and not seen to be
        said(3, "none", 3, False, False),  # contradicted by 4, which nobody read
        said(4, "available", 4, False, None),
        said(5, "available", 5, True, True),  # the same again contradicts nothing
    ]
    readings = replace(
        the_readings(),
        planted=[planted for planted, _ in remarks],
        found=[fact for _, found in remarks for fact in found],
        traps=[],
        hostile=frozenset(),
    )
    judged = facts.judge(readings)
    assert (judged.superseded.hits, judged.superseded.total) == (1, 2)


def test_errors_are_shown_with_their_words() -> None:
    kinds = {(error.predicate, error.kind) for error in facts.judge(the_readings()).errors}
    assert kinds == {("pain", "missed"), ("timeline", "wrong_value"), ("pricing_asked", "spurious")}


# replies ------------------------------------------------------------------------------------------------------------


def test_an_unanswered_email_is_wrong_and_a_stop_taken_for_another_stop_is_still_heard() -> None:
    judged = replies.judge(
        [
            Reply("1", "hard_no", "unsubscribe", ""),
            Reply("2", "unsubscribe", "unsubscribe", ""),
            Reply("3", "unsubscribe", None, "stop"),
            Reply("4", "positive", "hard_no", "yes"),
        ],
        ("positive", "hard_no", "unsubscribe"),
    )
    assert judged.accuracy == 0.25
    assert (judged.stop_recall.hits, judged.stop_recall.total) == (2, 3)
    assert (judged.false_stops.hits, judged.false_stops.total) == (1, 1)
    assert judged.matrix == ((0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 1, 1))
    assert judged.answered == 3


def test_the_classes_are_those_of_the_policy(policy: policies.Policy) -> None:
    names = replies.classes(policy)
    assert set(names) > replies.STOPS
    assert len(names) == 9


# ranking ------------------------------------------------------------------------------------------------------------


def a_lead(number: int, score: float, days: int | None, tier: str = "D") -> Lead:
    bought = None if days is None else AS_OF + timedelta(days=days)
    return Lead(
        f"c{number:03d}", f"a{number // 2}", score, tier, {"persona": score, "account": 0.0}, bought, score, number
    )


def test_windows_rank_only_those_who_had_not_bought_before_them() -> None:
    leads = [a_lead(1, 90, 10, "A"), a_lead(2, 80, 40, "A"), a_lead(3, 10, None), a_lead(4, 20, None)]
    judged = ranking.judge(Leads(leads, 3), {"persona": 60, "account": 40}, AS_OF, resamples=50)
    assert judged.auc == 1
    assert judged.excluded_converted_before == 3
    first, second, third = judged.windows
    assert (first.at_risk, first.converted) == (4, 1)
    assert (second.at_risk, second.converted, second.auc) == (3, 1, 1.0)
    assert (third.at_risk, third.converted, third.auc) == (2, 0, None)


def test_a_component_without_information_ranks_like_chance() -> None:
    leads = [a_lead(1, 90, 10), a_lead(2, 80, None), a_lead(3, 10, None)]
    judged = ranking.judge(Leads(leads, 0), {"persona": 60, "account": 40}, AS_OF, resamples=10)
    persona, account = judged.components
    assert (persona.auc_alone, persona.auc_without) == (1.0, 0.5)
    assert (account.auc_alone, account.auc_without) == (0.5, 1.0)


def test_tiers_carry_rate_interval_and_lift() -> None:
    leads = [a_lead(n, 90, 10 if n < 5 else None, "A") for n in range(10)]
    leads += [a_lead(n, 20, None, "D") for n in range(10, 20)]
    judged = ranking.judge(Leads(leads, 0), {"persona": 100}, AS_OF, resamples=10)
    best = judged.tiers[0]
    assert (best.contacts, best.converted, best.rate, best.lift) == (10, 5, 0.5, 2.0)
    assert best.interval is not None
    assert best.interval.low < 0.5 < best.interval.high
    assert judged.tiers[1].rate is None
    assert sum(tenth.total for tenth in judged.deciles) == 20
    assert sum(tenth.hits for tenth in judged.deciles) == 5


def test_nobody_scored_is_no_quality() -> None:
    judged = ranking.judge(Leads([], 0), {"persona": 100}, AS_OF, resamples=10)
    assert judged.auc is None
    assert judged.interval is None


def test_icp_levels_show_where_their_accounts_ended() -> None:
    judged = fit.judge([fit.Account("high", 80, "A"), fit.Account("high", 70, "B"), fit.Account("low", 30, "D")])
    assert judged.auc_high == 1
    assert judged.levels[0].mean_score == 75
    assert judged.levels[0].tiers == {"A": 1, "B": 1}


# triggers and briefs ------------------------------------------------------------------------------------------------


def test_triggers_tell_what_nobody_said_from_what_was_overheard() -> None:
    judged = triggers.judge(
        [
            Churned("a1", "opened", True, "fired"),
            Churned("a2", "opened", True, "none"),
            Churned("a3", "opened", False, "none"),
            Churned("a4", "closed", False, "fired"),
            Churned("a5", "opens_later", True, "waiting"),
            Churned("a6", "closed", False, None),
        ]
    )
    assert judged.score.precision == 0.5
    assert judged.score.recall == pytest.approx(1 / 3)
    assert (judged.spoken.hits, judged.spoken.total) == (1, 2)
    assert (judged.waiting.hits, judged.waiting.total) == (1, 1)
    assert len(judged.wrong) == 3
    assert "never said" in judged.wrong[1]
    assert judged.by_state["closed"] == {"fired": 1, "no state": 1}


def test_the_funnel_of_a_brief_only_narrows() -> None:
    judged = briefs.judge(
        briefs.Material(
            due=[
                Due("m1", "d1", "budget", True, True, True),
                Due("m1", "d2", "pain", True, True, False),
                Due("m1", "d3", "need", True, False, False),
                Due("m2", "d4", "need", False, False, False),
            ],
            meetings=2,
            briefed=1,
            sentences=7,
            rejected_items=1,
        )
    )
    assert [judged.extracted.hits, judged.shown.hits, judged.cited.hits] == [3, 2, 1]
    assert judged.cited_of_shown.share == 0.5
    assert judged.per_meeting_coverage == pytest.approx(1 / 6)


# hostile messages ---------------------------------------------------------------------------------------------------


def the_material(moved: list[Moved], accounts: list[AccountPoints], unnamespaced: int = 0) -> hostile.Material:
    return hostile.Material({"order": 1}, 1, 1, moved, accounts, {}, unnamespaced, 0, 0)


def test_a_document_within_the_caps_is_no_violation(policy: policies.Policy) -> None:
    trust = policy.signals.trust
    moved = Moved("d1", "a1", 4, trust.max_points_per_document - trust.untrusted_max_points, trust.untrusted_max_points)
    account = AccountPoints("a1", 40, 5, moved.trusted, moved.untrusted, 1)
    judged = hostile.judge(the_material([moved], [account]), policy)
    assert judged.violations == ()
    assert judged.max_points == trust.max_points_per_document
    assert 0 < judged.max_icp_movement <= judged.max_icp_movement_allowed


def test_points_beyond_a_cap_and_writes_outside_our_fields_are_violations(policy: policies.Policy) -> None:
    trust = policy.signals.trust
    moved = [
        Moved("d1", "a1", 9, trust.max_points_per_document + 1, 0),
        Moved("d2", "a1", 1, 0, -(trust.untrusted_max_points + 1)),
    ]
    judged = hostile.judge(the_material(moved, [], unnamespaced=2), policy)
    assert [(item.document_id, item.limit) for item in judged.violations] == [
        ("d1", trust.max_points_per_document),
        ("d2", trust.untrusted_max_points),
        ("newest plan", 0),
    ]


def test_a_score_that_moves_further_than_its_documents_may_is_a_violation(policy: policies.Policy) -> None:
    account = AccountPoints("a1", 60, 0, 60, 0, 1)
    judged = hostile.judge(the_material([], [account]), policy)
    assert judged.max_icp_movement == policy.scoring.icp_fit.weights["signals"]
    assert (judged.accounts_touched.hits, judged.accounts_touched.total) == (1, 1)
    assert len(judged.violations) == 1
