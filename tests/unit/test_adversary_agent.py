"""The adversary answers every operation as badly as it can, the same way each time, on its own ground only."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from enrich import answer, registry
from enrich.agents.adversary import AdversaryAgent
from enrich.agents.obedient import ObedientAgent
from enrich.agents.protocol import Agent, AgentRequest, Tool
from enrich.agents.simulated import MARK, claim, refuse_elsewhere
from nightdesk.errors import NightdeskError
from nightdesk.settings import AgentName
from tests.hostile_kit import FIRST_OPERATIONS, email, fixture, policy, request

FOREIGN = ("f_aaaaaaaaaaaa", "document.hubspot:email:999", "hubspot:contact:99")
BODY = "Our budget is frozen until July 2027.\n\nWe have 40 seats and no one trusts the data.\n\nWhat would it cost?"


@pytest.fixture
def agent(tmp_path: Path) -> AdversaryAgent:
    return AdversaryAgent(policy(), claim(tmp_path / "ground"), seed=3, foreign_ids=FOREIGN)


def question(operation: str, number: int) -> AgentRequest:
    if operation in ("extract_facts", "reply_class"):
        return request(operation, email(f"{BODY}\n\nNumber {number} of them."))
    return request(operation, fixture(operation), f"hubspot:thing:{number}")


def test_it_says_the_same_again_and_something_else_with_another_seed(tmp_path: Path, agent: AdversaryAgent) -> None:
    assert isinstance(agent, Agent)
    asked = [question(operation, number) for operation in FIRST_OPERATIONS for number in range(4)]
    again = AdversaryAgent(policy(), claim(tmp_path / "ground"), seed=3, foreign_ids=FOREIGN)
    other = AdversaryAgent(policy(), claim(tmp_path / "ground"), seed=4, foreign_ids=FOREIGN)
    assert [agent.answer(item) for item in asked] == [again.answer(item) for item in reversed(asked)][::-1]
    assert agent.version != other.version
    assert sum(agent.answer(item) == other.answer(item) for item in asked) < len(asked) / 4


def test_it_breaks_the_schema_and_keeps_it_refuses_and_reaches(agent: AdversaryAgent) -> None:
    seen: Counter[str] = Counter()
    for operation in FIRST_OPERATIONS:
        for number in range(200 if operation == "reply_class" else 12):
            said = agent.answer(question(operation, number))
            seen[said.status] += 1
            seen["tool calls nobody offered"] += bool(said.tool_calls)
            seen["surrogates"] += any(0xD800 <= ord(char) <= 0xDFFF for char in said.text)
            seen["huge"] += len(said.text) > answer.MAX_ANSWER_CHARS
            seen["deep"] += said.text.startswith("[" * 1000)
            try:
                registry.operations()[operation].output_model.model_validate_json(said.text)
                seen[f"right shape {operation}"] += 1
            except (ValueError, RecursionError):
                seen["wrong shape"] += 1
            seen["foreign ids"] += any(item in said.text for item in FOREIGN)
            seen["links"] += "collect" in said.text
    assert all(seen[f"right shape {operation}"] > 2 for operation in FIRST_OPERATIONS), seen
    for kind in (
        "ok",
        "refused",
        "truncated",
        "tool calls nobody offered",
        "surrogates",
        "huge",
        "deep",
        "wrong shape",
    ):
        assert seen[kind] >= 1, (kind, seen)
    assert seen["foreign ids"] > 20 and seen["links"] > 2, seen


def test_offered_tools_are_asked_about_other_records(agent: AdversaryAgent) -> None:
    from dataclasses import replace

    tool = Tool("read_document", "One document.", {"type": "object"})
    calls = [
        call
        for number in range(20)
        for call in agent.answer(replace(question("icp_fit", number), tools=(tool,))).tool_calls
    ]
    assert any(call.name == "read_document" and any(item in call.arguments_json for item in FOREIGN) for call in calls)
    assert any(call.name != "read_document" for call in calls)


def test_no_setting_names_a_simulated_model(tmp_path: Path) -> None:
    ground = claim(tmp_path / "ground")
    names = {AdversaryAgent(policy(), ground).name, ObedientAgent(policy(), ground).name}
    assert names.isdisjoint(get_args(AgentName))
    assert all(
        "adversary" not in path.read_text() and "obedient" not in path.read_text()
        for path in sorted((Path(__file__).parents[2] / "nightdesk").rglob("*.py"))
    ), "no command of Nightdesk can make one"


def test_a_real_ledger_is_no_proving_ground(tmp_path: Path, agent: AdversaryAgent) -> None:
    real = tmp_path / "data"
    real.mkdir()
    (real / "ledger.duckdb").write_bytes(b"somebody's")
    with pytest.raises(NightdeskError, match="real ledger"):
        claim(real)
    assert not (real / MARK).exists()
    with pytest.raises(NightdeskError, match="no proving ground"):
        refuse_elsewhere(agent, real / "ledger.duckdb")
    ground = claim(tmp_path / "own")
    (ground.folder / "ledger.duckdb").write_bytes(b"its own")
    assert claim(ground.folder) == ground
    refuse_elsewhere(agent, ground.folder / "ledger.duckdb")
    refuse_elsewhere(object(), real / "ledger.duckdb")


def test_json_said_twice_is_not_read(agent: AdversaryAgent) -> None:
    honest = json.dumps({"facts": []})
    operation = registry.operations()["extract_facts"]
    checked = answer.check(operation, honest + honest, email(BODY), policy(), record_id="hubspot:email:7")
    assert not checked.is_valid and checked.outcome == "rejected" and checked.rejections
