"""Which agent answers: a setting turned into an object, each imported only when chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightdesk.clock import system_clock
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from enrich.agents.protocol import Agent
    from nightdesk.prepare import Project


def make(project: Project) -> Agent:
    """The agent that NIGHTDESK_AGENT names.

    Raises:
        NightdeskError: The agent cannot work here (no key, nothing recorded).
    """
    name = project.settings.agent
    if name == "rules":
        from enrich.agents.rules.agent import RulesAgent

        return RulesAgent(project.policy)
    if name == "claude":
        import os

        from enrich.agents.claude import ClaudeAgent

        key = os.environ.get("ANTHROPIC_API_KEY", "")
        if not key:
            raise NightdeskError(
                "The Claude agent has no key",
                where="ANTHROPIC_API_KEY",
                todo="Put the key into the environment, or set NIGHTDESK_AGENT=rules to run offline.",
            )
        return ClaudeAgent(project.policy.budget.agents.claude, api_key=key, clock=system_clock)
    raise NightdeskError(f"No agent is called `{name}`", where="NIGHTDESK_AGENT", todo="Use rules or claude.")
