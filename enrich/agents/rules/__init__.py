"""The offline agent: lexicons and a small grammar instead of a language model. Deterministic, free, honestly a baseline."""  # noqa: E501

from __future__ import annotations

import json
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from enrich import context as contexts
from enrich import evidence, second_reading, spans
from enrich.agents.rules import lexicon as lexicons
from enrich.agents.rules import research
from enrich.agents.rules.brief import meeting_brief
from enrich.agents.rules.facts import FactReader
from enrich.agents.rules.lexicon import Lexicon
from enrich.agents.rules.replies import classify
from enrich.agents.rules.research_account import account_deep_dive
from enrich.agents.rules.research_contact import contact_background
from enrich.agents.rules.scoring import churn_revisit, icp_fit, lead_quality
from enrich.agents.rules.wording import Writer
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enrich.agents.protocol import Step, ToolCall
    from nightdesk.policy.load import Policy

CODE_VERSION = 3  # raise when the code answers an unchanged input differently; lexicon changes are seen by themselves

OPERATIONS = (
    "extract_facts",
    "reply_class",
    "icp_fit",
    "lead_quality",
    "churn_revisit",
    "meeting_brief",
    *research.OPERATIONS,
)


class Request(Protocol):
    """The part of an agent request this agent reads."""

    @property
    def operation(self) -> str: ...

    @property
    def context(self) -> str: ...


def look_up(request: Request, steps: Sequence[Step]) -> tuple[ToolCall, ...]:
    """What the agent wants to see before it answers; nothing for operations that look nothing up.

    Args:
        request: Operation and context.
        steps: What was looked up so far.

    Raises:
        NightdeskError: The context is malformed.
    """
    if request.operation not in research.OPERATIONS:
        return ()
    return research.next_calls(request.operation, contexts.parse(request.context), steps)


def version(policy: Policy) -> str:
    """`<code>-<12 hex of the lexicon files>`; part of every input hash."""
    return f"{CODE_VERSION}-{lexicons.content_version(policy)[:12]}"


def answer(request: Request, policy: Policy, steps: Sequence[Step] = ()) -> str:
    """Answer one question.

    Args:
        request: Operation and context.
        policy: Policy with the lexicon beside it; compiled once per process.
        steps: What was looked up about the record, if anything.

    Returns:
        JSON text of the operation's output model.

    Raises:
        NightdeskError: The operation is not one of `OPERATIONS`, the context is malformed or the lexicon is broken.
    """
    lexicon = lexicons.load(policy)
    context = contexts.parse(request.context)
    result: dict[str, Any]
    match request.operation:
        case "extract_facts":
            result = _extract_facts(context, policy, lexicon)
        case "reply_class":
            found = classify(context, spans.segment(context, policy.icp.company), lexicon, _reader(lexicon))
            result = {"reply_class": None if found is None else {"level": found.level, "evidence": [found.evidence]}}
        case "icp_fit":
            result = icp_fit(context, policy, lexicon.titles, _writer(context, policy, lexicon))
        case "lead_quality":
            result = lead_quality(context, policy, lexicon.titles, _writer(context, policy, lexicon))
        case "churn_revisit":
            result = churn_revisit(context, _writer(context, policy, lexicon))
        case "meeting_brief":
            result = meeting_brief(context, _writer(context, policy, lexicon))
        case "account_deep_dive" | "contact_background":
            found = research.found_in(steps)
            writer = _writer(context, policy, lexicon, research.shown(context, found))
            if request.operation == "account_deep_dive":
                result = account_deep_dive(context, found, writer)
            else:
                result = contact_background(context, found, policy, lexicon.titles, writer)
                if steps and second_reading.tries_to_lead(context, policy):
                    # A record that talks to its reader is judged by the fields that the check itself can read.
                    bare = contact_background(context, research.Found(), policy, lexicon.titles, writer)
                    result |= {name: bare[name] for name in ("role", "influence", "style", "move")}
        case _:
            raise NightdeskError(
                f"The rules agent does not know the operation `{request.operation}`",
                todo="Choose another agent for it.",
            )
    return json.dumps(result, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=4)
def _reader(lexicon: Lexicon) -> FactReader:
    return FactReader(lexicon)


def _extract_facts(context: contexts.Context, policy: Policy, lexicon: Lexicon) -> dict[str, Any]:
    reader = _reader(lexicon)
    shown = spans.segment(context, policy.icp.company)
    found = reader.read(
        reader.readable(shown, context.body or "", is_call=context.get("document.type") == "call"),
        date.fromisoformat(context.get("document.date")),
        is_machine=context.get("document.is_machine") == "true",
    )
    return {
        "facts": [
            {
                "predicate": fact.predicate,
                "value": fact.value,
                "polarity": fact.polarity,
                "date": fact.day,
                "span": fact.span,
            }
            for fact in found
        ]
    }


def _writer(
    context: contexts.Context, policy: Policy, lexicon: Lexicon, shown: Mapping[str, evidence.Shown] | None = None
) -> Writer:
    competitors = {
        evidence.normalise(alias): item.name
        for item in policy.competitors.competitors
        for alias in (item.name, *item.also)
    }
    citable = evidence.shown_in(context, (), "") if shown is None else shown
    return Writer(lexicon.phrases, citable, policy.icp.company, competitors)
