"""The dbt project over real databases: empty ones, and a small company with answers in the ledger."""

# Rows, queries and expected texts are kept whole: a table is read across.
# ruff: noqa: E501

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import test_models_world as world
from test_models_support import AS_OF, Project, fact, insert

from enrich.context import parse, render

QUEUES = ("extract_facts", "reply_class", "icp_fit", "lead_quality", "churn_revisit", "meeting_brief")
LATER_QUEUES = ("icp_fit", "lead_quality", "churn_revisit", "meeting_brief")
NO_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")

PAIN = fact("pain", "pain", "manual_work", "Two planners  still\nuse Excel.")
PRICE = fact("price", "pricing_asked", "yes", "What would 40 seats cost?")
STRANGER = fact("stranger", "budget", "available", "Budget is available at Acme.")
AUTHORITY = fact("authority", "authority", "decision_maker", 'I say "yes" or no.', author="Dana Reyes (Acme Freight)")
NEED = fact(
    "need", "need", "integration", "We need no connector.", author="Dana Reyes (Acme Freight)", polarity="negated"
)
FROZEN = fact("frozen", "budget", "frozen", "Everything is frozen until July.", fact_date=date(2026, 7, 1))
EARLIER = fact("earlier", "budget", "available", "Budget is there for the renewal.")
STOP = fact("stop", "opt_out", "yes", "Please stop calling me.", author="Omar Haddad")


def contact(number: int) -> str:
    return f"hubspot:contact:{number}"


def account(number: int) -> str:
    return f"hubspot:company:{number}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, manifest: Any) -> Project:
    """The small company after a night: facts and replies first, then scores, triggers and briefs, then everything."""
    built = Project(tmp_path_factory.mktemp("night") / "data", manifest=manifest)
    built.create(with_policies=True)
    world.fill(built)
    built.dbt("build", "--select", "+queue_extract_facts", "+queue_reply_class", *NO_TESTS)
    for document, facts in {
        "hubspot:email:101": [PAIN, PRICE],
        "hubspot:email:102": [STRANGER],
        "hubspot:call:201": [AUTHORITY, NEED],
        "hubspot:email:106": [FROZEN],
        "hubspot:email:107": [EARLIER],
        "hubspot:call:202": [STOP],
    }.items():
        built.answer("extract_facts", document, facts=facts)
    built.answer("extract_facts", "hubspot:email:105", outcome="insufficient_data")
    never = "Never write to me again."
    built.answer("reply_class", "hubspot:email:105", levels={"reply_class": "hard_no"},
                 cites={"reply_class": [("span", "hubspot:email:105#0-24", never)]})  # fmt: skip
    built.answer("reply_class", "hubspot:email:101", levels={"reply_class": "question"},
                 cites={"reply_class": [("span", "hubspot:email:101#40-65", PRICE["quote"])]})  # fmt: skip
    built.answer("reply_class", "hubspot:email:103", levels={"reply_class": "out_of_office"})
    built.dbt("build", "--select", *(f"+queue_{name}" for name in LATER_QUEUES), *NO_TESTS)
    built.answer("icp_fit", account(1),
                 levels={"industry_fit": "core", "size_fit": "in_range", "region_fit": "served", "champion": "possible"},
                 cites={"industry_fit": [("field", "account.industry", "LOGISTICS_AND_SUPPLY_CHAIN")],
                        "champion": [("fact", PAIN["fact_id"], PAIN["quote"])]},
                 sentences=[("reason", "Moves goods."), ("reason", "Planners work by hand.")])  # fmt: skip
    built.answer("lead_quality", contact(11), levels={"persona": "decision_maker", "seniority": "vp", "function": "core"},
                 cites={"persona": [("fact", AUTHORITY["fact_id"], AUTHORITY["quote"])]}, sentences=[("reason", "Decides alone.")])  # fmt: skip
    built.answer("churn_revisit", account(2), levels={"budget": "frozen"},
                 cites={"budget": [("fact", FROZEN["fact_id"], FROZEN["quote"])]}, sentences=[("reason", "Frozen until July.")])  # fmt: skip
    built.answer("meeting_brief", "hubspot:meeting:301", cites={"x": [("fact", PRICE["fact_id"], PRICE["quote"])]},
                 sentences=[("questions", "Who signs?"), ("they_said", "They asked for a price."), ("they_said", "Excel by hand.")])  # fmt: skip
    built.dbt("build", "--exclude-resource-type", "unit_test")
    return built


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, manifest: Any) -> tuple[Project, dict[str, str]]:
    """A fresh clone: no rows, no policies, no answers; every model, data test and unit test."""
    built = Project(tmp_path_factory.mktemp("empty") / "data", manifest=manifest)
    built.create(with_policies=False)
    return built, built.dbt("build")


def test_a_fresh_clone_builds_with_nothing_in_it(empty: tuple[Project, dict[str, str]]) -> None:
    built, statuses = empty
    assert set(statuses.values()) <= {"success", "pass", "no-op"}
    for name in (*(f"queue_{queue}" for queue in QUEUES), "sync_hubspot__contacts", "contacts_enriched", "facts"):
        assert built.rows(f"select count(*) from {name}") == [(0,)], name


def test_every_unit_test_ran_and_passed(empty: tuple[Project, dict[str, str]]) -> None:
    _, statuses = empty
    unit_tests = [name for name in statuses if name.startswith("rule_")]
    assert len(unit_tests) >= 15
    assert {statuses[name] for name in unit_tests} == {"pass"}


def test_every_record_is_in_its_queue_once_and_knows_its_end(project: Project) -> None:
    expected = {
        "extract_facts": 12,
        "reply_class": 8,
        "icp_fit": 6,
        "lead_quality": 13,
        "churn_revisit": 1,
        "meeting_brief": 1,
    }
    for operation, population in expected.items():
        rows = project.rows(
            f"select record_id, context, context_hash, gate, missing, estimated_tokens from queue_{operation}"
        )
        assert len(rows) == len({row[0] for row in rows}) == population, operation
        for record_id, context, context_hash, gate, missing, tokens in rows:
            assert (context is None) == (gate is not None or missing is not None), record_id
            assert not (gate and missing), record_id
            if context is not None:
                assert hashlib.sha256(context.encode()).hexdigest() == context_hash
                assert tokens == -(-len(context) // 4)
                # What SQL writes, Python reads without losing a byte.
                assert render(parse(context)) == context


def test_gates_answer_in_the_order_of_the_policy(project: Project) -> None:
    gates = project.table("select record_id, gate, missing from queue_lead_quality")
    assert {int(key.split(":")[2]): value[0] or value[1] for key, value in gates.items()} == {
        11: None, 12: None, 14: "freemail", 15: "invalid_email", 16: "opted_out", 17: "opted_out", 18: "opted_out", 19: "job title",
        20: "customer_or_disqualified", 21: "opted_out", 22: None, 23: "opted_out", 24: "opted_out",
    }  # fmt: skip
    accounts = project.table("select record_id, gate, missing from queue_icp_fit")
    assert {int(key.split(":")[2]): value[0] or value[1] for key, value in accounts.items()} == {
        1: None, 2: None, 3: "too_small", 4: "customer_or_disqualified", 5: "disqualified_industry", 6: "industry, employees, country",
    }  # fmt: skip


def test_an_opt_out_reaches_everybody_who_shares_the_address(project: Project) -> None:
    rows = project.rows("select contact_id, source from opt_outs order by 1, 2")
    assert [(int(key.split(":")[2]), source) for key, source in rows] == [
        (16, "contact_property"), (17, "subscription_status"), (18, "lead_status"), (21, "reply_class"), (23, "fact"), (24, "reply_class"),
    ]  # fmt: skip
    assert (
        project.rows("select contact_id from contacts where is_opted_out and contact_id = 'hubspot:contact:11'") == []
    )


def test_the_extractor_reads_the_text_as_it_is(project: Project) -> None:
    contexts = project.table("select record_id, context, missing from queue_extract_facts")
    assert contexts["hubspot:email:101"][0] == (
        "[document.type] email\n[document.date] 2026-08-03\n[document.author] dana@acme.example\n[document.author_side] theirs\n"
        "[document.direction] inbound\n[document.subject] Re: Leeds\n\nTwo planners  still\nuse Excel. What would 40 seats cost?"
    )
    assert contexts["hubspot:email:108"] == (None, "text")
    replies = project.table("select record_id, context from queue_reply_class")
    assert (
        "[document.is_machine] true\n[document.auto_submitted] auto-replied\n\nAway until Monday."
        in replies["hubspot:email:103"][0]
    )


def test_a_lead_is_judged_by_its_own_words_most_useful_first(project: Project) -> None:
    (context,) = project.table("select record_id, context from queue_lead_quality")[contact(11)]
    assert context == (
        "[contact.job_title] VP Operations\n[contact.country] United Kingdom\n[contact.language] en\n[account.name] Acme Freight\n"
        "[account.industry] LOGISTICS_AND_SUPPLY_CHAIN\n"
        f"[{AUTHORITY['fact_id']}] 2026-10-18 theirs call authority=decision_maker affirmed \"I say 'yes' or no.\"\n"
        f'[{PRICE["fact_id"]}] 2026-08-03 theirs email pricing_asked=yes affirmed "What would 40 seats cost?"'
    )


def test_a_strangers_words_are_not_shown_to_a_judge_but_to_a_seller(project: Project) -> None:
    (judged,) = project.table("select record_id, context from queue_icp_fit")[account(1)]
    (brief,) = project.table("select record_id, context from queue_meeting_brief")["hubspot:meeting:301"]
    assert STRANGER["fact_id"] not in judged
    assert STRANGER["fact_id"] in brief


def test_a_brief_starts_from_what_the_crm_knows(project: Project) -> None:
    (context,) = project.table("select record_id, context from queue_meeting_brief")["hubspot:meeting:301"]
    assert context.startswith(
        "[meeting.title] Pilot review\n[meeting.start] 2026-11-17 09:30\n[meeting.attendees] Dana Reyes (VP Operations)\n"
        "[account.name] Acme Freight\n[account.industry] LOGISTICS_AND_SUPPLY_CHAIN\n[owner.name] Tom Hale\n"
        "[contact.last_contact] 2026-11-12\n[deal.name] Acme pilot\n[deal.stage] Proposal sent\n[deal.amount] 48000.5 EUR\n[f_"
    )
    assert '[document.hubspot:email:104] 2026-11-11 ours email "Leeds"' in context
    assert "hubspot:email:103" not in context


def test_facts_are_worth_what_the_policy_says(project: Project) -> None:
    facts = project.table(
        "select fact_id, is_trusted, is_current, superseded_by, cast(counted_points as double) from facts"
    )
    assert facts[STRANGER["fact_id"]] == (False, True, None, 5.0)
    assert facts[AUTHORITY["fact_id"]] == (True, True, None, 13.5)
    assert facts[NEED["fact_id"]] == (True, True, None, 0.0)
    assert facts[EARLIER["fact_id"]][1:3] == (False, FROZEN["fact_id"])
    # Pain and price of one email are worth 31 together after 106 days; one document moves 30 at most.
    assert facts[PAIN["fact_id"]][3] + facts[PRICE["fact_id"]][3] == pytest.approx(30, abs=0.001)


def test_scores_follow_from_levels_weights_and_decayed_points(project: Project) -> None:
    icp = project.rows(
        "select score, tier, firmographic_points, signals_points, engagement_points, champion_points, is_stale, reason, evidence_count from icp_scores"
    )
    score, tier, firmographic, signals, engagement, champion, is_stale, reason, cited = icp[0]
    assert (len(icp), score, tier, is_stale, cited) == (1, 80, "A", False, 2)
    assert (float(firmographic), float(signals), float(engagement), float(champion)) == (40.0, 24.25, 12.10, 4.0)
    assert reason == "Moves goods. Planners work by hand."
    lead = project.rows(
        "select contact_id, score, tier, persona_points, seniority_points, function_points, engagement_points, account_points from lead_scores"
    )
    assert [tuple(float(x) if i > 2 else x for i, x in enumerate(row)) for row in lead] == [
        (contact(11), 85, "A", 35.0, 18.0, 15.0, 9.27, 8.0)
    ]


def test_evidence_says_who_said_what_when_and_where(project: Project) -> None:
    (evidence,) = project.rows("select ai_icp_evidence from accounts_enriched where ai_icp_score is not null")[0]
    assert evidence == (
        '"Two planners still use Excel." — 2026-08-03 email /records/emails/101\n'
        '"LOGISTICS_AND_SUPPLY_CHAIN" — account.industry /records/companies/1'
    )


def test_frozen_money_whose_day_has_come_is_a_trigger(project: Project) -> None:
    rows = project.rows("select account_id, state, fact_id, reason, churned_on from revisit_triggers")
    assert rows == [
        (account(2), "fired", FROZEN["fact_id"],
         'Budget was frozen until 2026-07-01, that day has passed: "Everything is frozen until July." (2026-02-10 email)', date(2026, 2, 28)),
    ]  # fmt: skip


def test_a_brief_reads_in_the_order_of_its_sections(project: Project) -> None:
    assert project.rows("select ai_brief, ai_brief_evidence from meetings_enriched") == [
        ("## What they said\n- They asked for a price.\n- Excel by hand.\n\n## Questions to ask\n- Who signs?",
         '"What would 40 seats cost?" — 2026-08-03 email /records/emails/101'),
    ]  # fmt: skip


def test_only_what_differs_is_proposed(project: Project) -> None:
    rows = project.rows(
        "select record_id, property, crm_value, desired_value, is_suppressed from sync_hubspot__contacts order by 1, 2"
    )
    assert rows == [
        ("11", "nightdesk_last_reply", None, "out_of_office", False),
        ("11", "nightdesk_lead_evidence", None, "\"I say 'yes' or no.\" — 2026-10-18 call /records/calls/201", False),
        ("11", "nightdesk_lead_reason", None, "Decides alone.", False),
        ("11", "nightdesk_lead_score", "55", "85", False),
        # The day it was scored on is in the CRM already, as milliseconds.
        ("11", "nightdesk_lead_tier", None, "A", False),
        ("21", "nightdesk_last_reply", None, "hard_no", True),
    ]
    companies = project.table(
        "select property, crm_value, desired_value, evidence from sync_hubspot__companies where record_id = '1'"
    )
    assert companies["nightdesk_icp_tier"][:2] == ("C", "A")
    assert companies["nightdesk_icp_score"][2].startswith('[{"id":')
    assert project.rows("select distinct record_id from sync_hubspot__companies order by 1") == [("1",), ("2",)]
    assert project.rows("select record_id, count(*) from sync_hubspot__meetings group by 1") == [("301", 2)]


@pytest.mark.soak
def test_the_next_day_asks_nothing_again(project: Project) -> None:
    """Runs last: it moves the day. Ages and scores change, what agents are shown does not."""
    before = {name: project.rows(f"select record_id, context_hash from queue_{name} order by 1") for name in QUEUES[:5]}
    score = project.rows("select signals_points from icp_scores")
    project.as_of = date(2026, 11, 27)
    try:
        project.dbt("build", "--select", *(f"+queue_{name}" for name in QUEUES), "+icp_scores", *NO_TESTS)
        after = {
            name: project.rows(f"select record_id, context_hash from queue_{name} order by 1") for name in QUEUES[:5]
        }
        assert after == before
        assert project.rows("select signals_points from icp_scores") < score
        assert project.rows("select count(*) from queue_meeting_brief") == [(0,)]
    finally:
        project.as_of = AS_OF


def test_a_changed_text_leaves_the_old_answer_standing_but_stale(project: Project) -> None:
    """Runs last too: a new title means a new question; until it is answered, the old answer is shown as stale."""
    import duckdb

    with duckdb.connect(str(project.raw)) as connection:
        connection.execute("update hubspot.contacts set jobtitle = 'Retired' where id = '11'")
    project.dbt("build", "--select", "+sync_hubspot__contacts", *NO_TESTS)
    assert project.rows("select is_stale, run_id from lead_scores") == [(True, "run-1")]
    assert project.rows("select distinct is_stale from sync_hubspot__contacts where operation = 'lead_quality'") == [
        (True,)
    ]
    project.answer(
        "lead_quality", contact(11), levels={"persona": "influencer"}, answered_at=datetime(2026, 11, 18, tzinfo=UTC)
    )
    project.dbt(
        "build",
        "--select",
        "stg_ledger__answers",
        "stg_ledger__judgements",
        "published_lead_quality",
        "int_lead_scores",
        "lead_scores",
        *NO_TESTS,
    )
    assert project.rows("select is_stale, persona from lead_scores") == [(False, "influencer")]


def test_the_warehouse_can_be_deleted(project: Project, tmp_path: Path) -> None:
    """The ledger is enough: a warehouse built from nothing shows the same answers."""
    before = project.rows("select * from icp_scores order by all")
    (project.folder / "warehouse.duckdb").unlink()
    project.dbt("build", "--select", "+icp_scores", *NO_TESTS)
    assert project.rows("select * from icp_scores order by all") == before


def test_a_person_can_lift_an_opt_out(project: Project) -> None:
    insert(project.ledger, "policy_lists", [_lifted(project, "16")])
    project.dbt("build", "--select", "stg_policy__lists", "opt_outs", *NO_TESTS)
    assert project.rows("select count(*) from opt_outs where contact_id = 'hubspot:contact:16'") == [(0,)]


def _lifted(project: Project, contact_id: str) -> dict[str, Any]:
    (policy_hash,) = project.rows("select policy_hash from staging.stg_policy__current")[0]
    return {"policy_hash": policy_hash, "list_name": "suppression_lifted", "item": contact_id, "parameter": "a person"}
