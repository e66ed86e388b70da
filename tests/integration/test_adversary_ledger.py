"""Hostile answers through the real runner into a real ledger: what is stored is verified again, from outside."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from enrich import context as contexts
from enrich.agents.adversary import AdversaryAgent
from enrich.agents.simulated import claim
from enrich.budget import NightBudget
from enrich.runner import drain
from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect, migrate
from sandbox.company import generate
from tests.hostile_kit import FIRST_OPERATIONS, email, fixture, policy
from tests.runner_kit import AS_OF, Row, clock, write_warehouse

EMAILS = 45


@pytest.fixture(scope="module")
def questions() -> dict[str, list[Row]]:
    """Emails of a small sample company, its hostile ones first, and the example of every other operation."""
    company = generate(60, seed=5)
    hostile = {item.document_id for item in company.truth.hostile}
    bodies = [
        (row.id, row.properties.get("hs_email_text", "")) for row in company.crm.objects if row.object_type == "emails"
    ]
    bodies.sort(key=lambda item: (item[0] not in hostile, item[0]))
    rows = [Row(f"hubspot:email:{number}", email(body)) for number, body in bodies if body.strip()][:EMAILS]
    found = {"extract_facts": rows, "reply_class": rows}
    for operation in FIRST_OPERATIONS[2:]:
        found[operation] = [
            Row(f"hubspot:thing:{number}", f"{fixture(operation).rstrip()}\n[account.note] {number}")
            for number in range(6)
        ]
    return found


def ask(folder: Path, agent: AdversaryAgent, questions: dict[str, list[Row]]) -> int:
    asked = 0
    for operation, rows in questions.items():
        warehouse = folder / f"{operation}.duckdb"
        if not warehouse.exists():
            write_warehouse(warehouse, rows, operation)
        asked += drain(
            operation,
            warehouse=warehouse,
            ledger=folder / "ledger.duckdb",
            spool_dir=folder / "spool",
            agent=agent,
            policy=policy(),
            run_id=f"run-{agent.version}",
            as_of=AS_OF,
            budget=NightBudget(Decimal(1), {operation: Decimal(1)}),
            clock=clock,
            on_progress=lambda done, due: None,
        ).asked
    return asked


def test_a_drain_refuses_it_on_a_ledger_of_somebodys(tmp_path: Path, questions: dict[str, list[Row]]) -> None:
    agent = AdversaryAgent(policy(), claim(tmp_path / "ground"))
    real = tmp_path / "data"
    real.mkdir()
    migrate(real / "ledger.duckdb", clock)
    with pytest.raises(NightdeskError, match="no proving ground"):
        ask(real, agent, {"reply_class": questions["reply_class"]})
    with connect(real / "ledger.duckdb", read_only=True) as ledger:
        assert ledger.execute("select count(*) from attempts").fetchone() == (0,)


def test_nothing_unverified_is_stored(tmp_path: Path, questions: dict[str, list[Row]]) -> None:
    ground = claim(tmp_path / "ground")
    migrate(ground.folder / "ledger.duckdb", clock)
    foreign = ("f_aaaaaaaaaaaa", "document.hubspot:email:999", "hubspot:email:1#0-5")
    asked = sum(
        ask(ground.folder, AdversaryAgent(policy(), ground, seed=seed, foreign_ids=foreign), questions)
        for seed in (1, 2)
    )
    assert asked >= 180
    parsed = {
        (operation, row.record_id): contexts.parse(row.context or "")
        for operation, rows in questions.items()
        for row in rows
    }
    with connect(ground.folder / "ledger.duckdb", read_only=True) as ledger:
        attempts = ledger.execute("select status, count(*) from attempts group by 1").fetchall()
        facts = ledger.execute(
            "select operation, record_id, document_id, span_start, span_end, quote "
            "from facts inner join answers using (answer_id)"
        ).fetchall()
        cited = ledger.execute(
            "select operation, record_id, evidence_kind, evidence_id, quote "
            "from evidence inner join answers using (answer_id)"
        ).fetchall()
        silent = ledger.execute(
            "select count(*) from attempts "
            "where status = 'invalid' and attempt_id not in (select attempt_id from rejections)"
        ).fetchone()
        names = ledger.execute("select distinct agent from answers").fetchall()
    assert {"ok", "invalid"} <= {status for status, _ in attempts}
    assert sum(count for _, count in attempts) == asked, "every answer is on record, whatever became of it"
    assert facts and cited and names == [("adversary",)]
    for operation, record, document, start, end, quote in facts:
        assert document == record and quote and (parsed[operation, record].body or "")[start:end] == quote
    for operation, record, kind, evidence_id, quote in cited:
        context = parsed[operation, record]
        if kind == "span":
            document, _, place = evidence_id.rpartition("#")
            start, _, end = place.partition("-")
            assert document == record and (context.body or "")[int(start) : int(end)] == quote
        elif kind == "fact":
            assert context.by_id[evidence_id].quote == quote
        else:
            shown = dict(context.fields) | {item.id: item.subject for item in context.documents}
            assert shown[evidence_id] == quote
    assert silent == (0,), "an answer that cannot be read is listed with its reason"
