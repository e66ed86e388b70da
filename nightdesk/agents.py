"""Which agent answers: a setting turned into an object, each imported only when chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    raise NightdeskError(f"No agent is called `{name}`", where="NIGHTDESK_AGENT", todo="Use rules or claude.")
