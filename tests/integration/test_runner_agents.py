"""The real operations, asked through the real Claude agent over a mock transport, recorded and played back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter

from enrich import registry
from enrich.agents.claude import ClaudeAgent
from enrich.agents.protocol import Agent
from enrich.agents.recorded import RecordedAgent, RecordingAgent
from enrich.budget import NightBudget
from enrich.runner import DrainReport, drain, due
from nightdesk.errors import NightdeskError
from nightdesk.policy import Policy, load
from tests.runner_kit import Desk, Row, clock, write_warehouse

ROOT = Path(__file__).parents[2]
CONTEXTS = ROOT / "tests" / "fixtures" / "contexts"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(ROOT / "policies")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk")


def reply(body: dict[str, Any], answer: str, stop_reason: str = "end_turn") -> httpx2.Response:
    return httpx2.Response(
        200,
        json={
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": answer}],
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": {"input_tokens": 900, "output_tokens": 120, "cache_read_input_tokens": 2_000},
        },
    )


def claude(policy: Policy, answer: Callable[[dict[str, Any]], httpx2.Response]) -> ClaudeAgent:
    def handler(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        TypeAdapter(MessageCreateParamsNonStreaming).validate_python(body)
        return answer(body)

    transport = httpx2.MockTransport(handler)
    return ClaudeAgent(policy.budget.agents.claude, api_key="test-key", clock=clock, transport=transport)


def run(
    desk: Desk, operation: str, agent: Agent, policy: Policy, run_id: str = "run-1", budget: NightBudget | None = None
) -> DrainReport:
    return drain(
        operation,
        warehouse=desk.warehouse,
        ledger=desk.ledger,
        spool_dir=desk.spool,
        agent=agent,
        policy=policy,
        run_id=run_id,
        as_of=date(2026, 11, 17),
        budget=budget or NightBudget.from_policy(policy.budget),
        clock=clock,
        on_progress=lambda done, due: None,
    )


def context(name: str) -> str:
    return (CONTEXTS / f"{name}.txt").read_bytes().decode()


ICP_ANSWER = {
    "industry_fit": {"level": "core", "evidence": ["account.industry"]},
    "size_fit": {"level": "in_range", "evidence": ["account.employees"]},
    "region_fit": {"level": "served", "evidence": ["account.country"]},
    "champion": {"level": "active", "evidence": ["f_0c77d1e9b3aa"]},
}


def icp_answer(**changes: Any) -> str:
    names = set(registry.operations()["icp_fit"].output_model.model_fields)
    rest = {name: [] for name in names - set(ICP_ANSWER)}
    return json.dumps({**rest, **ICP_ANSWER, **changes})


def test_claude_answers_an_operation_end_to_end_and_every_kind_of_bad_answer_is_kept_back(
    desk: Desk, policy: Policy
) -> None:
    replies: dict[str, tuple[str, str]] = {
        "Good": (icp_answer(), "end_turn"),
        "Range": (icp_answer(size_fit={"level": "gigantic", "evidence": ["account.employees"]}), "end_turn"),
        "Invented": (icp_answer(champion={"level": "active", "evidence": ["f_000000000000"]}), "end_turn"),
        "Torn": ('{"industry_fit": {"lev', "max_tokens"),
        "Refused": ("I can't help with that.", "refusal"),
        "Chatty": ("Sure! Here is the JSON.", "end_turn"),
    }

    def answer(body: dict[str, Any]) -> httpx2.Response:
        shown = body["messages"][0]["content"]
        name = next(name for name in replies if f"[account.name] {name}" in shown)
        return reply(body, *replies[name])

    base = context("icp_fit")
    rows = [Row(f"hubspot:company:{name}", base.replace("Acme Freight", name)) for name in replies]
    write_warehouse(desk.warehouse, rows, "icp_fit")
    report = run(desk, "icp_fit", claude(policy, answer), policy)
    assert (report.selected, report.asked) == (6, 6)
    assert report.counts["enriched"] + report.counts["rejected"] == 6
    statuses = dict(desk.rows("select split_part(record_id, ':', 3), status from attempts"))
    assert statuses == {
        "Good": "ok",
        "Range": "ok",
        "Invented": "ok",
        "Torn": "truncated",
        "Refused": "refused",
        "Chatty": "invalid",
    }
    outcomes = {name.rsplit(":", 1)[1]: outcome for name, (outcome, _) in desk.outcomes().items()}
    assert [outcomes[name] for name in ("Good", "Torn", "Refused", "Chatty")] == [
        "enriched",
        "rejected",
        "rejected",
        "rejected",
    ]
    levels = desk.rows(
        "select split_part(record_id, ':', 3), component, level from judgements join answers using (answer_id)"
    )
    assert ("Good", "champion", "active") in levels
    assert ("Invented", "champion", "active") not in levels, "a level without evidence that was shown is not published"
    assert not [row for row in levels if row[2] == "gigantic" or row[0] in ("Torn", "Refused", "Chatty")]
    assert desk.rows("select count(*) from rejections where body like '%gigantic%'")[0][0] == 1
    assert report.cost_usd == 6 * Decimal("0.00017") == desk.rows("select sum(cost_usd) from attempts")[0][0]
    tokens = "select distinct input_tokens, cache_read_tokens, output_tokens, model from attempts"
    assert desk.rows(tokens) == [(900, 2_000, 120, "claude-haiku-5-5")]
    again = run(desk, "icp_fit", claude(policy, answer), policy, "run-2")
    assert (again.asked, again.counts["unchanged"]) == (0, 6)


def test_overload_is_retried_and_each_call_is_a_row(desk: Desk, policy: Policy) -> None:
    left = 2

    def answer(body: dict[str, Any]) -> httpx2.Response:
        nonlocal left
        if left:
            left -= 1
            error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
            return httpx2.Response(529, json=error, headers={"retry-after": "0.01"})
        return reply(body, icp_answer())

    write_warehouse(desk.warehouse, [Row("hubspot:company:1", context("icp_fit"))], "icp_fit")
    report = run(desk, "icp_fit", claude(policy, answer), policy)
    assert (report.asked, report.counts["enriched"]) == (3, 1)
    assert desk.rows("select status, count(*), max(error) from attempts group by all order by 1") == [
        ("ok", 1, None),
        ("provider_error", 2, "529 overloaded_error: Overloaded"),
    ]


def test_the_budget_of_policy_holds_for_claude(desk: Desk, policy: Policy) -> None:
    rows = [Row(f"hubspot:company:{n}", context("icp_fit").replace("Acme", f"Acme{n}")) for n in range(5)]
    write_warehouse(desk.warehouse, rows, "icp_fit")
    nothing = NightBudget(Decimal(50), {"icp_fit": Decimal("0.0001")})
    agent = claude(policy, lambda body: reply(body, icp_answer()))
    report = run(desk, "icp_fit", agent, policy, budget=nothing)
    assert (report.asked, report.counts["over_budget"], report.cost_usd) == (0, 5, Decimal(0))


def test_without_a_key_nothing_is_asked_and_a_quiet_night_needs_none(desk: Desk, policy: Policy) -> None:
    write_warehouse(desk.warehouse, [Row("hubspot:company:1", context("icp_fit"))], "icp_fit")
    keyless = ClaudeAgent(policy.budget.agents.claude, api_key=None, clock=clock)
    with pytest.raises(NightdeskError, match="no key for Claude"):
        run(desk, "icp_fit", keyless, policy)
    assert desk.rows("select count(*) from attempts") == [(0,)]
    run(desk, "icp_fit", claude(policy, lambda body: reply(body, icp_answer())), policy)
    assert run(desk, "icp_fit", keyless, policy, "run-2").counts["unchanged"] == 1


def test_what_is_due_is_told_with_a_bound_on_its_cost_and_nothing_is_asked(desk: Desk, policy: Policy) -> None:
    rows = [Row(f"hubspot:company:{n}", context("icp_fit").replace("Acme", f"Acme{n}")) for n in range(4)]
    write_warehouse(desk.warehouse, [*rows, Row("hubspot:company:9", gate="too_small")], "icp_fit")
    agent = claude(policy, lambda body: reply(body, icp_answer()))
    before = due("icp_fit", warehouse=desk.warehouse, ledger=desk.ledger, agent=agent, policy=policy)
    assert (before.selected, before.due) == (5, 4)
    assert before.estimated_tokens == sum(len(row.context or "") // 4 for row in rows)
    report = run(desk, "icp_fit", agent, policy)
    assert Decimal(0) < report.cost_usd < before.most_usd
    after = due("icp_fit", warehouse=desk.warehouse, ledger=desk.ledger, agent=agent, policy=policy)
    assert (after.selected, after.due, after.estimated_tokens, after.most_usd) == (5, 0, 0, Decimal(0))


def test_a_recording_gives_the_same_answers_for_nothing(desk: Desk, policy: Policy, tmp_path: Path) -> None:
    recording = tmp_path / "icp_fit.jsonl"
    base = context("icp_fit")
    write_warehouse(
        desk.warehouse, [Row(f"hubspot:company:{n}", base.replace("Acme", f"Acme{n}")) for n in range(3)], "icp_fit"
    )
    live = RecordingAgent(claude(policy, lambda body: reply(body, icp_answer())), recording)
    first = run(desk, "icp_fit", live, policy)
    assert (first.counts["enriched"], first.cost_usd > 0) == (3, True)
    assert "test-key" not in recording.read_text()

    other = Desk(tmp_path / "other")
    write_warehouse(
        other.warehouse,
        [Row(f"hubspot:company:{n}", base.replace("Acme", f"Acme{n}")) for n in range(3)]
        + [Row("hubspot:company:9", base)],
        "icp_fit",
    )
    replayed = run(other, "icp_fit", RecordedAgent(recording), policy)
    assert (replayed.counts["enriched"], replayed.counts["failed"], replayed.cost_usd) == (3, 1, Decimal(0))
    sql = "select record_id, component, level from judgements join answers using (answer_id) order by all"
    assert other.rows(sql) == desk.rows(sql)
    assert other.rows("select distinct agent, model from answers") == [("recorded", "claude-haiku-5-5")]
    assert other.outcomes()["hubspot:company:9"][1] == (
        "Not in the recording: the record, the prompt or the schema has changed since"
    )
    write_warehouse(other.warehouse, [Row("hubspot:email:1", context("reply_class_email"))], "reply_class")
    with pytest.raises(NightdeskError, match="Nothing of `reply_class` was recorded"):
        run(other, "reply_class", RecordedAgent(recording), policy)


def test_a_recording_that_is_missing_or_mixed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NightdeskError, match="no recording"):
        RecordedAgent(tmp_path / "none.jsonl")
    mixed = tmp_path / "mixed.jsonl"
    entry = {"kind": "operation", "operation": "a", "agent": "claude", "model": None, "max_output_tokens": 1}
    mixed.write_text("".join(json.dumps({**entry, "agent_version": version}) + "\n" for version in ("1", "2")))
    with pytest.raises(NightdeskError, match="claude 1, claude 2"):
        RecordedAgent(mixed)
    mixed.write_text("{torn")
    with pytest.raises(NightdeskError, match="Line 1"):
        RecordedAgent(mixed)


def test_an_unknown_operation_names_those_there_are(desk: Desk, policy: Policy) -> None:
    with pytest.raises(NightdeskError, match="no operation `nonsense`") as caught:
        run(desk, "nonsense", claude(policy, lambda body: reply(body, "")), policy)
    assert "icp_fit" in caught.value.todo


def test_a_context_that_cannot_be_read_fails_alone(desk: Desk, policy: Policy) -> None:
    rows = [Row("hubspot:company:1", "no line of a context"), Row("hubspot:company:2", context("icp_fit"))]
    write_warehouse(desk.warehouse, [replace(row, record_id=f"{row.record_id}0") for row in rows], "icp_fit")
    report = run(desk, "icp_fit", claude(policy, lambda body: reply(body, icp_answer())), policy)
    assert (report.counts["failed"], report.counts["enriched"]) == (1, 1)
    assert any("hubspot:company:10" in warning for warning in report.warnings)
    email = context("extract_facts_email").replace("\n\n", "\n", 1)
    write_warehouse(desk.warehouse, [Row("hubspot:email:1", email)], "extract_facts")
    report = run(desk, "extract_facts", claude(policy, lambda body: reply(body, '{"facts": []}')), policy)
    assert (report.asked, report.counts["failed"]) == (0, 1)


@pytest.mark.parametrize("operation", sorted(registry.operations()))
def test_every_operation_makes_a_valid_request_and_none_is_too_big_for_the_grammar(
    operation: str, desk: Desk, policy: Policy
) -> None:
    examples = sorted(CONTEXTS.glob(f"{operation}*.txt"))
    assert examples
    bodies: list[dict[str, Any]] = []

    def answer(body: dict[str, Any]) -> httpx2.Response:
        bodies.append(body)
        return reply(body, "{}")

    rows = [Row(f"hubspot:thing:{path.stem}", context(path.stem)) for path in examples]
    write_warehouse(desk.warehouse, rows, operation)
    report = run(desk, operation, claude(policy, answer), policy)
    assert report.asked == len(examples) == len(bodies)
    assert len({json.dumps(body["system"]) for body in bodies}) == 1
    shown = [body["messages"][0]["content"] for body in bodies]
    assert all(len(said if isinstance(said, str) else said[0]["text"]) > 40 for said in shown)
    assert {body["max_tokens"] for body in bodies} == {policy.budget.agents.claude.max_output_tokens[operation]}  # type: ignore[index]
