"""Which agent answers: a setting turned into an object, each imported only when chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightdesk.clock import system_clock

if TYPE_CHECKING:
    from enrich.agents.protocol import Agent
    from nightdesk.prepare import Project


def make(project: Project) -> Agent:
    """The agent that NIGHTDESK_AGENT names; with NIGHTDESK_RECORD it also keeps what it says, to be played back.

    Raises:
        NightdeskError: Nothing has been recorded to play back.
    """
    settings, policy = project.settings, project.policy
    if settings.agent == "recorded":
        from enrich.agents.recorded import RecordedAgent

        return RecordedAgent(settings.recordings)
    if settings.agent == "claude":
        import os

        from enrich.agents.claude import ClaudeAgent

        # A missing key is an error only once something is due: a quiet night needs none.
        agent: Agent = ClaudeAgent(
            policy.budget.agents.claude, api_key=os.environ.get("ANTHROPIC_API_KEY"), clock=system_clock
        )
    else:
        from enrich.agents.rules.agent import RulesAgent

        agent = RulesAgent(policy)
    if settings.record:
        from enrich.agents.recorded import RecordingAgent

        return RecordingAgent(agent, settings.recordings)
    return agent
