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
    if settings.agent in ("claude", "claude_batch"):
        agent = _claude(project)
    else:
        from enrich.agents.rules.agent import RulesAgent

        agent = RulesAgent(policy)
    if settings.record:
        from enrich.agents.recorded import RecordingAgent

        return RecordingAgent(agent, settings.recordings)
    return agent


def _claude(project: Project) -> Agent:
    """Claude, live or in batches. A missing key is an error only once something is due: a quiet night needs none."""
    import os

    from enrich.agents.batch_journal import batch_file, open_calls

    settings, limits = project.settings, project.policy.budget.agents.claude
    key, journal = os.environ.get("ANTHROPIC_API_KEY"), batch_file(settings.data_dir)
    if settings.agent == "claude_batch":
        from enrich.agents.batch import ClaudeBatchAgent
        from nightdesk.logs import log

        return ClaudeBatchAgent(
            limits, api_key=key, clock=system_clock, journal=journal, spool_dir=settings.spool, tell=log
        )
    from enrich.agents.claude import ClaudeAgent

    return ClaudeAgent(
        limits, api_key=key, clock=system_clock, in_batches=lambda operation: open_calls(journal, operation)
    )
