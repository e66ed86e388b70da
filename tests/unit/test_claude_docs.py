"""The page on agents says what the code and the policy say."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from enrich.agents.batch import ClaudeBatchAgent
from enrich.agents.batch_journal import Journal, batch_file
from enrich.agents.claude import ClaudeAgent
from enrich.agents.protocol import AgentRequest
from nightdesk import agents, prepare
from nightdesk.errors import NightdeskError
from nightdesk.policy.load import load
from nightdesk.policy.models import ClaudeBatches
from nightdesk.settings import AgentName, Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")


def test_every_agent_that_can_be_chosen_is_in_the_table() -> None:
    assert set(re.findall(r"^\| `(\w+)`(?: \(default\))? \| ", PAGE.split("## ")[0], re.MULTILINE)) == set(
        get_args(AgentName)
    )


def test_every_limit_of_batches_is_documented_and_every_documented_one_exists() -> None:
    table = PAGE.split("| `agents.claude.batch` in `policies/budget.yml`")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(ClaudeBatches.model_fields)


def test_the_setting_makes_the_agent_and_live_calls_know_of_the_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio

    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    policy = load(ROOT / "policies")

    def made(name: AgentName) -> object:
        settings = Settings(data_dir=tmp_path, agent=name)
        return agents.make(prepare.Project(ROOT, settings, policy))

    live, batch = made("claude"), made("claude_batch")
    assert isinstance(live, ClaudeAgent)
    assert isinstance(batch, ClaudeBatchAgent)
    assert (live.name, live.version) == (batch.name, batch.version), "what one was answered, the other never asks"
    journal = Journal(batch_file(tmp_path))
    request = AgentRequest("icp_fit", "account", "hubspot:company:1", "key", "", "", "")
    journal.intend("icp_fit", "claude-haiku-5-5", [request], datetime(2026, 11, 17, tzinfo=UTC))
    journal.close()
    with pytest.raises(NightdeskError, match="1 calls of `icp_fit` are with the provider"):
        anyio.run(live.prepare, "icp_fit")
