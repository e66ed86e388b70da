"""What the tests of hostile models share: questions about the sample company, and the company's hostile texts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from enrich import registry
from enrich.agents.protocol import AgentRequest
from enrich.hashing import sha256_hex
from nightdesk.policy import Policy
from nightdesk.policy.load import load
from sandbox.company import grammar

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "tests" / "fixtures" / "contexts"
FIRST_OPERATIONS = ("extract_facts", "reply_class", "icp_fit", "lead_quality", "churn_revisit", "meeting_brief")


@cache
def policy() -> Policy:
    """The project's own."""
    return load(ROOT / "policies")


def request(operation: str, context: str, record_id: str = "hubspot:email:7") -> AgentRequest:
    """A question as the runner would put it."""
    known = registry.operations()[operation]
    return AgentRequest(
        operation,
        known.record_type,
        record_id,
        sha256_hex(f"{operation}:{record_id}:{context}"),
        "",
        "",
        context,
        known.output_schema(policy()),
    )


def email(body: str, subject: str = "Re: Leeds") -> str:
    """The context of an incoming email."""
    head = (
        "[document.type] email\n[document.date] 2026-08-03\n[document.author] dana@acme.example\n"
        f"[document.author_side] theirs\n[document.direction] incoming\n[document.subject] {subject}"
    )
    return f"{head}\n\n{body}"


def fixture(operation: str) -> str:
    """The example context of an operation that reads no document."""
    return (FIXTURES / f"{operation}.txt").read_bytes().decode()


def hostile_texts() -> Iterator[tuple[str, str]]:
    """Kind and words of every hostile text of the sample company that is written in the open."""
    bank = grammar.Bank("all")
    for name in sorted(bank.families):
        if not name.startswith("hostile."):
            continue
        for number, line in enumerate(bank.families[name].variants):
            words = line.replace("%nl%", "\n").replace("%our%", "Harbourline")
            if "::" not in words:
                yield f"{name.removeprefix('hostile.')}-{number}", words
