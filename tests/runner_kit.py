"""What the runner's tests share: a small warehouse, a fake agent with a journal of its calls, and a simple task.

The journal is a file, so that calls made by a process that was killed are still counted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from enrich.agents.protocol import AgentRequest, AgentResponse
from enrich.answer import CheckedAnswer, CheckedFact, CheckedJudgement, CheckedSentence, EvidenceItem, Rejection
from enrich.budget import NightBudget
from enrich.hashing import sha256_hex
from enrich.runner import Checkpoint, DrainReport, Limits, drain_task
from enrich.runner_task import Task
from nightdesk.ledger import connect, migrate

AS_OF = date(2026, 11, 17)
OPERATION = "lead_quality"


def clock() -> datetime:
    """The same moment always, so that two ledgers can be compared row by row."""
    return datetime(2026, 11, 17, 2, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """One row of a queue."""

    record_id: str
    context: str | None = None
    gate: str | None = None
    missing: str | None = None
    priority: int = 0


def write_warehouse(path: Path, rows: Sequence[Row], operation: str = OPERATION, *, as_view: bool = False) -> None:
    """A warehouse with one queue model, as dbt would leave it."""
    with duckdb.connect(str(path)) as warehouse:
        warehouse.execute("create schema if not exists activation")
        name = f"activation.queue_{operation}"
        target = f"activation.source_{operation}" if as_view else name
        warehouse.execute(
            f"""
            create or replace table {target} (
                operation varchar, record_type varchar, record_id varchar, context varchar, context_hash varchar,
                gate varchar, gate_reason varchar, missing varchar, priority bigint, estimated_tokens bigint
            )
            """
        )
        values = [
            (
                operation,
                "contact",
                row.record_id,
                row.context,
                None if row.context is None else sha256_hex(row.context),
                row.gate,
                row.gate and f"{row.gate} says no",
                row.missing,
                row.priority,
                None if row.context is None else len(row.context) // 4,
            )
            for row in rows
        ]
        if values:
            warehouse.executemany(f"insert into {target} values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        if as_view:
            warehouse.execute(f"create or replace view {name} as select * from {target}")


def check(text: str, context: str, record_id: str) -> CheckedAnswer:
    """A tiny evidence check: `{"level", "quote"}`, and the quote must stand in the context."""
    try:
        said = json.loads(text)
        level, quote = str(said["level"]), str(said["quote"])
    except (ValueError, KeyError, TypeError) as error:
        return CheckedAnswer(False, "rejected", f"Not the JSON asked for: {error}", None)
    if level == "crash":
        raise RuntimeError("a bug in the check")
    if quote not in context:
        rejection = Rejection("judgement", "persona", 0, quote, "quote not found")
        return CheckedAnswer(True, "rejected", "Nothing passed the evidence check", 0.0, rejections=(rejection,))
    start = context.index(quote)
    key = f"{record_id}|pain|{level}|affirmed|{start}-{start + len(quote)}"
    fact_id = "f_" + hashlib.sha256(key.encode()).hexdigest()[:12]
    span = f"{record_id}#{start}-{start + len(quote)}"
    return CheckedAnswer(
        True,
        "enriched",
        None,
        0.75,
        judgements=(CheckedJudgement("persona", level, 1),),
        sentences=(CheckedSentence("reason", 0, f"They said {quote}."),),
        facts=(
            CheckedFact(
                fact_id,
                record_id,
                "pain",
                level,
                "affirmed",
                date(2026, 8, 3),
                "theirs",
                None,
                start,
                start + len(quote),
                quote,
            ),
        ),
        evidence=(
            EvidenceItem("judgement", "persona", 0, "field", "contact.job_title", quote),
            EvidenceItem("sentence", "reason/0", 0, "span", span, quote),
            EvidenceItem("fact", fact_id, 0, "span", span, quote),
        ),
    )


def task(
    operation: str = OPERATION,
    *,
    version: str = "1",
    agent: str = "rules",
    check: Callable[[str, str, str], CheckedAnswer] = check,
) -> Task:
    """An operation whose answers `check` reads."""
    return Task(
        operation=operation,
        operation_hash=sha256_hex(f"{operation}|{version}|{agent}"),
        question_hash=sha256_hex(f"{operation}|{version}"),
        policy_hash="policy-1",
        system_prefix="You judge.",
        output_schema={"type": "object"},
        max_output_tokens=0,
        user_message=lambda context: context,
        check=check,
    )


def good_answer(request: AgentRequest) -> AgentResponse:
    """Quotes the first word of the context."""
    text = json.dumps({"level": "influencer", "quote": request.context.split()[0]})
    return AgentResponse(request.input_hash, "ok", text, stop_reason="end_turn", input_tokens=10, output_tokens=5)


@dataclass
class FakeAgent:
    """Answers by a function and writes every call into a journal file before it answers."""

    journal: Path
    answer: Callable[[AgentRequest], AgentResponse] = good_answer
    name: str = "rules"
    version: str = "1"
    chunk_size: int = 3
    concurrency: int = 2
    worst_case: Decimal = Decimal(0)
    prepared: list[str] = field(default_factory=list[str])
    closed: int = 0

    def model_for(self, operation: str) -> str | None:
        return None

    def max_output_tokens_for(self, operation: str) -> int:
        return 0

    def reads_at_once(self, operation: str) -> int:
        return 0

    def worst_case_usd(self, request: AgentRequest) -> Decimal:
        return self.worst_case

    async def prepare(self, operation: str) -> None:
        self.prepared.append(operation)

    async def ask(self, requests: Sequence[AgentRequest]) -> Sequence[AgentResponse]:
        handle = os.open(self.journal, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.write(handle, "".join(f"{request.record_id}\n" for request in requests).encode())
        os.close(handle)
        return [self.answer(request) for request in requests]

    async def aclose(self) -> None:
        self.closed += 1

    @property
    def calls(self) -> list[str]:
        """Record ids asked about, in order."""
        return self.journal.read_text().split() if self.journal.exists() else []


@dataclass
class Desk:
    """A data directory with a warehouse, a ledger and a spool."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        migrate(self.ledger, clock)

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.duckdb"

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    def agent(self, **settings: Any) -> FakeAgent:
        return FakeAgent(self.folder / "journal", **settings)

    def drain(
        self,
        agent: FakeAgent,
        *,
        run_id: str = "run-1",
        task: Task | None = None,
        budget: NightBudget | None = None,
        limits: Limits | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> DrainReport:
        """`drain_task` on this desk."""
        return drain_task(
            task or globals()["task"](),
            warehouse=self.warehouse,
            ledger=self.ledger,
            spool_dir=self.spool,
            agent=agent,
            run_id=run_id,
            as_of=AS_OF,
            budget=budget or NightBudget(Decimal(10), {OPERATION: Decimal(10)}),
            clock=clock,
            on_progress=lambda done, due: None,
            limits=limits or Limits(backoff_seconds=0.001),
            checkpoint=checkpoint,
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the ledger."""
        with connect(self.ledger, read_only=True) as ledger:
            return ledger.execute(sql).fetchall()

    def outcomes(self, run_id: str = "run-1") -> dict[str, tuple[str, str | None]]:
        """Record id to outcome and reason."""
        rows = self.rows(f"select record_id, outcome, reason from outcomes where run_id = '{run_id}' order by 1")
        return {record_id: (outcome, reason) for record_id, outcome, reason in rows}

    def state(self) -> Mapping[str, list[tuple[Any, ...]]]:
        """Everything enrich wrote, without where in the spool it came from, to compare two ledgers."""
        tables = ("answers", "judgements", "sentences", "facts", "evidence", "rejections", "outcomes")
        with connect(self.ledger, read_only=True) as ledger:
            found = {table: ledger.execute(f"from {table} order by all").fetchall() for table in tables}
            found["attempts"] = ledger.execute("select * exclude (response_ref) from attempts order by all").fetchall()
        return found


def some_rows(count: int) -> list[Row]:
    """Rows with contexts that all differ."""
    return [
        Row(f"hubspot:contact:{number}", f"Word{number} of a context", priority=number % 7) for number in range(count)
    ]
