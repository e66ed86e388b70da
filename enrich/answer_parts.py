"""The check of a document that was read in parts: one answer, in which a part can only speak of its own spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from enrich.answer import (
    CheckedAnswer,
    ParsedAnswer,
    ParsedFact,
    Rejections,
    check_parsed,
    fact_body,
    parse,
    unreadable,
)
from enrich.fact_rules import printable

if TYPE_CHECKING:
    from enrich.calls import ReadPart
    from enrich.registry import Operation
    from nightdesk.policy.load import Policy


def check_parts(
    operation: Operation, parts: Sequence[ReadPart], context: str, policy: Policy, *, record_id: str
) -> CheckedAnswer:
    """`enrich.answer.check` for a long document.

    Args:
        operation: One that records facts and nothing else.
        parts: In reading order. One that could not be read loses its own facts, not the others'.
        context: As for `check`, the whole document.
        policy: As for `check`.
        record_id: As for `check`.

    Returns:
        As `check`; `is_valid=False` only when no part was readable.
    """
    rejections = Rejections()
    facts: list[ParsedFact] = []
    problems: list[str] = []
    for number, part in enumerate(parts, start=1):
        if part.problem is not None:
            problems.append(f"part {number}: {part.problem}")
            continue
        try:
            said = parse(operation, part.text).facts
        except (ValidationError, ValueError, RecursionError) as error:
            refused = unreadable(part.text, error)
            problems.append(f"part {number}: {refused.reason}")
            for item in refused.rejections:
                rejections.add(item.item_kind, item.item_key, item.body, item.reason)
            continue
        most = operation.spec.limits.facts
        for position, fact in enumerate(said):
            problem = None
            if fact.span not in part.span_ids:
                problem = "cites a span that was not shown"
            elif position >= most:
                problem = f"more than {most} facts in one part"
            if problem is None:
                facts.append(fact)
            else:
                rejections.add("fact", printable(fact.predicate)[:40], fact_body(fact), problem)
    not_read = f"{len(problems)} of {len(parts)} parts could not be used, {problems[0]}" if problems else None
    if len(problems) == len(parts):
        return CheckedAnswer(False, "rejected", not_read, None, rejections=rejections.items)
    answer = check_parsed(
        operation,
        ParsedAnswer(facts=tuple(facts)),
        context,
        policy,
        record_id,
        {},
        rejections,
        most_facts=operation.spec.limits.facts * len(parts),
    )
    return answer if not_read is None else replace(answer, reason=not_read)
