"""How well replies are told apart: the published class of each inbound email against its true one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.evaluation import results
from sandbox.evaluation.metrics import class_counts, confusion, macro_f1, share
from sandbox.evaluation.reading import rows

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy

SILENCE = "no answer"
STOPS = frozenset({"hard_no", "unsubscribe"})  # both mean: never write again; policies/suppression.yml acts on either


@dataclass(frozen=True, slots=True)
class Reply:
    """One inbound email whose class is known; `said` is None without an answer in force."""

    document_id: str
    truth: str
    said: str | None
    text: str


def classes(policy: Policy) -> tuple[str, ...]:
    """The classes there are, in the order of the policy."""
    for field in policy.field_mapping.fields["contacts"]:
        if field.operation == "reply_class" and field.options:
            return tuple(field.options)
    raise LookupError("No field of the operation reply_class has options in field_mapping.yml")


def read(connection: duckdb.DuckDBPyConnection) -> list[Reply]:
    """Every email with a true class that the CRM still holds."""
    return [
        Reply(str(row[0]), str(row[1]), row[2], " ".join(str(row[3] or "").split())[:160])
        for row in rows(
            connection,
            """
            select documents.document_id, replies.reply_class, published.reply_class, documents.body
            from truth.truth_replies as replies
            inner join warehouse.main.documents as documents
                on documents.document_id = 'hubspot:email:' || replies.email_id
            left join warehouse.main.published_reply_class as published
                on documents.document_id = published.document_id and not published.is_stale
            order by documents.document_id
            """,
        )
    ]


def judge(replies: Sequence[Reply], names: Sequence[str]) -> results.Replies:
    """Compare both sides. An email without an answer is wrong, not left out.

    Raises:
        KeyError: The truth or an answer holds a class that the policy does not know.
    """
    columns = (*names, SILENCE)
    pairs = [(reply.truth, reply.said or SILENCE) for reply in replies]
    matrix = confusion(pairs, columns)
    counts = class_counts(pairs, names)
    wrong = [reply for reply in replies if reply.truth != reply.said]
    errors = [
        results.Error(
            kind="confused",
            predicate="reply_class",
            document_id=reply.document_id,
            planted=reply.truth,
            found=reply.said or SILENCE,
            quote=reply.text,
        )
        for reply in wrong
    ]
    stops = [reply for reply in replies if reply.truth in STOPS]
    others = [reply for reply in replies if reply.truth not in STOPS]
    return results.Replies(
        total=len(replies),
        answered=sum(reply.said is not None for reply in replies),
        accuracy=share(len(replies) - len(wrong), len(replies)),
        macro_f1=macro_f1(counts.values()),
        classes=tuple(results.score(name, found) for name, found in counts.items()),
        columns=columns,
        matrix=tuple(tuple(row) for row in matrix[: len(names)]),
        stop_recall=results.rate("stops recognised", sum(reply.said in STOPS for reply in stops), len(stops)),
        false_stops=results.rate("others silenced", sum(reply.said in STOPS for reply in others), len(others)),
        errors=tuple(sorted(errors, key=lambda error: (error.planted or "", error.found or "", error.document_id))),
    )
