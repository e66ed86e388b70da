"""What the research tests share: a warehouse of two records, opened as the runner opens it."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from enrich import registry
from enrich.agents import rules
from enrich.agents.protocol import AgentResponse, Step
from enrich.calls import InSteps
from enrich.research.toolbox import Toolbox, open_toolbox
from enrich.runner_queue import QueueRow
from enrich.runner_task import Task
from nightdesk.policy.load import Policy, load

ROOT = Path(__file__).parents[1]
POLICY = load(ROOT / "policies")
ACME, OTHER = "hubspot:company:1", "hubspot:company:2"


@dataclass(frozen=True)
class Text:
    """A document of the small warehouse."""

    id: str
    body: str
    day: str = "2026-08-03"
    record: str = ACME
    kind: str = "email"
    side: str = "theirs"
    author: str | None = "Dana Reyes"
    email: str | None = "dana@acme.example"
    subject: str = "Re: Leeds"

    @property
    def key(self) -> str:
        return hashlib.sha256(" ".join(self.body.split()).lower().encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Fact:
    """A remembered remark of it."""

    document: str
    predicate: str
    value: str
    quote: str
    day: str = "2026-08-03"
    record: str = ACME
    side: str = "theirs"
    author: str | None = "Dana Reyes"
    is_current: bool = True
    until: str | None = None
    kind: str = "email"
    polarity: str = "affirmed"

    @property
    def id(self) -> str:
        key = f"{self.document}|{self.predicate}|{self.value}|{self.quote}"
        return f"f_{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def fill(connection: duckdb.DuckDBPyConnection, texts: Sequence[Text], facts: Sequence[Fact] = ()) -> None:
    """Tables as dbt leaves them, in the catalog `warehouse`."""
    connection.execute("attach ':memory:' as warehouse")
    connection.execute(
        """
        create table warehouse.main.documents (document_id varchar, body varchar);
        create table warehouse.main.research_documents (
            record_type varchar, record_id varchar, document_id varchar, document_number bigint, document_type varchar,
            author_side varchar, author_name varchar, author_email varchar, direction varchar, subject varchar,
            body_hash varchar, content_key varchar, document_date date
        );
        create table warehouse.main.research_facts (
            record_type varchar, record_id varchar, fact_id varchar, document_id varchar, document_number bigint,
            predicate varchar, fact_value varchar, polarity varchar, author_side varchar, author_name varchar,
            quote varchar, document_type varchar, strength varchar, is_current boolean, fact_date date, valid_date date
        );
        """
    )
    numbers: dict[tuple[str, str], int] = {}
    for text in sorted(texts, key=lambda item: (item.record, item.day, item.id)):
        number = 1 + sum(record == text.record for record, _ in numbers)
        numbers[text.record, text.id] = number
        connection.execute("insert into warehouse.main.documents values (?, ?)", [text.id, text.body])
        connection.execute(
            "insert into warehouse.main.research_documents values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                _type(text.record), text.record, text.id, number, text.kind, text.side, text.author, text.email,
                "inbound", text.subject, "hash", text.key, date.fromisoformat(text.day),
            ],
        )  # fmt: skip
    for fact in facts:
        connection.execute(
            "insert into warehouse.main.research_facts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                _type(fact.record), fact.record, fact.id, fact.document, numbers[fact.record, fact.document],
                fact.predicate, fact.value, fact.polarity, fact.side, fact.author, fact.quote, fact.kind, None,
                fact.is_current, fact.until, fact.day,
            ],
        )  # fmt: skip


@contextmanager
def warehouse(texts: Sequence[Text], facts: Sequence[Fact] = ()) -> Generator[duckdb.DuckDBPyConnection]:
    """A connection with those texts, as the ledger's is while an operation is drained."""
    with duckdb.connect() as connection:
        fill(connection, texts, facts)
        yield connection


def toolbox(
    connection: duckdb.DuckDBPyConnection,
    record: str = ACME,
    operation: str = "account_deep_dive",
    policy: Policy = POLICY,
    **bounds: Any,
) -> Toolbox:
    """The tools of a record; `bounds` replace those of policy."""
    if bounds:
        tools = policy.research.tools.model_copy(update=bounds)
        changed = policy.research.model_copy(update={"tools": tools})
        policy = replace(policy, research=changed)
    return open_toolbox(connection, registry.operations()[operation], _type(record), record, policy)


def converse(task: Task, row: QueueRow, connection: duckdb.DuckDBPyConnection) -> tuple[InSteps, list[Step]]:
    """Put one question to the rules agent, as the runner would; the dialogue and every step of it."""
    dialogue = task.open(row, connection)
    assert isinstance(dialogue, InSteps)
    steps: Sequence[Step] = ()
    while not dialogue.is_over:
        (request,) = dialogue.pending()
        steps = request.steps
        calls = rules.look_up(request, steps) if request.tools else ()
        text = "" if calls else rules.answer(request, POLICY, steps)
        dialogue.hear(AgentResponse(request.input_hash, "ok", text=text, tool_calls=calls))
    return dialogue, list(steps)


def _type(record: str) -> str:
    return "contact" if ":contact:" in record else "account"
