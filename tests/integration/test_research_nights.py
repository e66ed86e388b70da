"""Research end to end on a small company: a first night, a quiet one, and one with news."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import test_models_world as world
from test_models_support import AS_OF, Project, at, fact, insert

from enrich.agents.rules.agent import RulesAgent
from enrich.budget import NightBudget
from enrich.runner import drain
from tests.research_kit import POLICY

OPERATIONS = ("account_deep_dive", "contact_background")
ACME, DANA = "hubspot:company:1", "hubspot:contact:11"
NO_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
BY_HAND = fact("by hand", "pain", "manual_work", "Two planners  still\nuse Excel.")
AGAIN = fact("again", "pain", "manual_work", "Hello Dana", author_side="theirs", author="Dana Reyes (Acme)")
PRICE = fact("price", "pricing_asked", "yes", "What would 40 seats cost?")
LEVELS = {"industry_fit": "core", "size_fit": "in_range", "region_fit": "served", "champion": "active"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, manifest: Any) -> Project:
    """The small company with its facts, replies and scores, before research."""
    built = Project(tmp_path_factory.mktemp("research") / "data", manifest=manifest)
    built.create(with_policies=True)
    world.fill(built)
    built.dbt("build", "--select", "+queue_icp_fit", "+queue_lead_quality", *NO_TESTS)
    built.answer("extract_facts", "hubspot:email:101", facts=[BY_HAND, PRICE])
    built.answer("extract_facts", "hubspot:call:201", facts=[AGAIN])
    built.answer("icp_fit", ACME, levels=LEVELS)
    built.answer("lead_quality", DANA, levels={"persona": "decision_maker", "seniority": "vp", "function": "core"})
    build_queues(built)
    return built


def build_queues(project: Project, *more: str) -> None:
    project.dbt("build", "--select", *(f"+queue_{operation}" for operation in OPERATIONS), *more, *NO_TESTS)


def night(project: Project, run_id: str) -> dict[str, list[str]]:
    """Drain both queues; which records were asked."""
    asked: dict[str, list[str]] = {}
    for operation in OPERATIONS:
        report = drain(
            operation,
            warehouse=project.folder / "warehouse.duckdb",
            ledger=project.ledger,
            spool_dir=project.folder / "spool",
            agent=RulesAgent(POLICY, workers=0),
            policy=POLICY,
            run_id=run_id,
            as_of=AS_OF,
            budget=NightBudget.from_policy(POLICY.budget),
            clock=lambda: datetime(2026, 11, 17, 4, tzinfo=UTC),
            on_progress=lambda done, due: None,
        )
        assert report is not None
        sql = "select distinct record_id from attempts where run_id = ? and operation = ? order by all"
        asked[operation] = [row[0] for row in ledger(project, sql, run_id, operation)]
    return asked


def ledger(project: Project, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(project.ledger), read_only=True) as connection:
        return connection.execute(sql, list(values)).fetchall()


@pytest.mark.soak
def test_a_night_a_quiet_night_and_a_night_with_news(project: Project, tmp_path: Path) -> None:
    asks = "select record_id from queue_{} where context is not null order by all"
    due = {operation: [row[0] for row in project.rows(asks.format(operation))] for operation in OPERATIONS}
    assert due == {"account_deep_dive": [ACME], "contact_background": [DANA]}
    assert night(project, "first") == due

    # Every step is in the ledger, under the hash of its own call, and the last one made the answer.
    counts = "count(*), count(distinct call_hash), count(distinct input_hash)"
    steps = ledger(project, f"select operation, {counts} from attempts group by all")
    assert sorted(steps) == [("account_deep_dive", 3, 3, 1), ("contact_background", 3, 3, 1)]
    outcomes = ledger(project, "select operation, outcome, count(*) from outcomes group by all")
    assert {(operation, outcome) for operation, outcome, _ in outcomes} >= {(name, "enriched") for name in OPERATIONS}
    cited = ledger(project, "select evidence_kind, evidence_id, quote from evidence where evidence_kind <> 'field'")
    texts = project.table("select document_id, body from documents")
    for kind, evidence_id, quote in cited:
        if kind == "span":
            document_id, _, place = evidence_id.partition("#")
            start, end = (int(number) for number in place.split("-"))
            assert texts[document_id][0][start:end] == quote

    build_queues(project, *(f"published_{operation}" for operation in OPERATIONS))
    assert night(project, "quiet") == {operation: [] for operation in OPERATIONS}
    ((summary, stale),) = project.rows("select summary, is_stale from published_account_deep_dive")
    assert "has 420 employees" in summary and not stale
    ((role, stale),) = project.rows("select role, is_stale from published_contact_background")
    assert (role, stale) == ("decision_maker", False)

    # Another account's news are not theirs. An edited email of Dana's has her and her account looked up again.
    insert(project.raw, "hubspot.emails", [
        {"id": "190", "archived": False, "created_at": at("2026-11-16"), "hs_timestamp": at("2026-11-16 10:00"),
         "hs_email_direction": "INCOMING_EMAIL", "hs_email_from_email": "niamh@brightwater.example",
         "hs_email_subject": "Re: us", "hs_email_text": "We are Brightwater, and none of yours."},
    ])  # fmt: skip
    insert(project.raw, "hubspot.associations", world._links("emails", {"190": ("22", "2")}))  # pyright: ignore[reportPrivateUsage]
    build_queues(project)
    assert night(project, "others-news") == {operation: [] for operation in OPERATIONS}

    with duckdb.connect(str(project.raw)) as connection:
        connection.execute("update hubspot.emails set hs_email_text = 'Two planners left. 40 seats?' where id = '101'")
    build_queues(project)
    assert night(project, "news") == due
