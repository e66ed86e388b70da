"""Drain one operation's queue: ask an agent what nobody has answered yet, keep every answer, count every record.

The order of things is what makes a night safe to kill: a raw answer is spooled and fsynced before anything reads it,
an attempt and all it produced are committed together, outcomes are computed from the ledger at the end. Whatever the
moment of a crash, the next run finds answers in the ledger or in the spool and asks only for what was in flight.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from enrich.agents.protocol import Agent
    from enrich.budget import NightBudget
    from enrich.runner_task import Task
    from nightdesk.clock import Clock
    from nightdesk.policy.load import Policy

Progress = Callable[[int, int], None]
"""Told (answered or given up so far, due in all)."""

Checkpoint = Callable[[str], None]
"""Told where the runner is: `asked`, `spooled`, `checked`, `committed`, `answered` (all committed, outcomes next)."""


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What a drain did.

    Attributes:
        operation: Name of the operation.
        selected: Records in the queue.
        counts: Records per outcome, all seven, adding up to `selected`.
        asked: Calls made by this process.
        cost_usd: What they cost.
        seconds: Wall-clock time.
        replayed: Calls an earlier process had made and spooled, put into the ledger now.
        answers_written: Answers this process put into the ledger.
        asks_anew: Whether prompt, policy, agent or model have changed since the operation was drained before.
        warnings: What a person should know, one line each.
    """

    operation: str
    selected: int
    counts: dict[str, int]
    asked: int
    cost_usd: Decimal
    seconds: float
    replayed: int = 0
    answers_written: int = 0
    asks_anew: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Due:
    """What a drain would ask now.

    Attributes:
        operation: Name of the operation.
        selected: Records in the queue.
        due: Inputs nobody has answered yet (two records with the same context are one).
        estimated_tokens: Of their contexts, as the queue model estimates them; prompts not counted.
        most_usd: The sum of all worst cases: the real cost is a fraction of it, and never more.
    """

    operation: str
    selected: int
    due: int
    estimated_tokens: int
    most_usd: Decimal


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard the runner tries. Seconds are wall-clock.

    Attributes:
        max_tries: Calls per input and run before it counts as `failed`.
        backoff_seconds: Wait before the second try; doubles from then on.
        longest_wait_seconds: A provider that asks for more is not waited for tonight.
        give_up_after: So many inputs failing in a row mean that the provider is down: the rest is not asked.
        commit_rows: Answers per ledger commit, at most.
        commit_seconds: Time between ledger commits, at most (while answers arrive).
        grace_seconds: What calls in flight get to finish after an interrupt.
    """

    max_tries: int = 4
    backoff_seconds: float = 1.0
    longest_wait_seconds: float = 120.0
    give_up_after: int = 25
    commit_rows: int = 2_000
    commit_seconds: float = 2.0
    grace_seconds: float = 30.0


@dataclass(slots=True)
class Tally:
    """Counters of one drain, filled by its parts."""

    asked: int = 0
    replayed: int = 0
    answers_written: int = 0
    cost_usd: Decimal = Decimal(0)
    warnings: list[str] = field(default_factory=list[str])


def drain(
    operation: str,
    *,
    warehouse: Path,
    ledger: Path,
    spool_dir: Path,
    agent: Agent,
    policy: Policy,
    run_id: str,
    as_of: date,
    budget: NightBudget,
    clock: Clock,
    on_progress: Progress,
) -> DrainReport:
    """Ask what is due in `queue_<operation>` and record an outcome for each of its records.

    Args:
        operation: Name of the operation, e.g. `icp_fit`.
        warehouse: dbt's file; read only.
        ledger: The ledger; written by this process alone.
        spool_dir: Where raw answers are kept.
        agent: Who answers.
        policy: The policy the questions are asked under.
        run_id: The same id again goes on with an interrupted run.
        as_of: The night's day; other runs of the same day share its budget.
        budget: The night's money.
        clock: UTC wall clock.
        on_progress: Called with (done, due).

    Raises:
        NightdeskError: Nothing can be asked, or a file cannot be read or written. What was answered is kept.
        KeyboardInterrupt: Interrupted by a signal after what was answered has been kept; run again to go on.
    """
    return drain_task(
        _task(operation, policy, agent),
        warehouse=warehouse,
        ledger=ledger,
        spool_dir=spool_dir,
        agent=agent,
        run_id=run_id,
        as_of=as_of,
        budget=budget,
        clock=clock,
        on_progress=on_progress,
    )


def due(operation: str, *, warehouse: Path, ledger: Path, agent: Agent, policy: Policy) -> Due:
    """What `drain()` would ask in a new run; nothing is asked and nothing written.

    Raises:
        NightdeskError: As `drain()`, before any call.
    """
    from enrich import runner_queue
    from nightdesk.ledger import connect

    task = _task(operation, policy, agent)
    with _told_clearly(ledger), connect(ledger, read_only=True, warehouse=warehouse) as connection:
        selected = runner_queue.load_keys(connection, operation, task.operation_hash)
        count = runner_queue.select_due(connection, operation, run_id="", max_tries=Limits().max_tries)
        most_usd, page = Decimal(0), 1
        # An agent that counts no tokens costs nothing: no need to read what it would be shown.
        while task.max_output_tokens and (rows := runner_queue.read_page(connection, operation, page)):
            for row in rows:
                question = task.open(row, connection)
                worst = sum((agent.worst_case_usd(request) for request in question.pending()), Decimal(0))
                most_usd += worst * question.most_rounds
            page += 1
        return Due(operation, selected, count, runner_queue.due_tokens(connection), most_usd)


def _task(operation: str, policy: Policy, agent: Agent) -> Task:
    from enrich import registry, runner_task

    known = registry.operations()
    if operation not in known:
        raise NightdeskError(f"There is no operation `{operation}`", todo=f"One of: {', '.join(sorted(known))}.")
    return runner_task.of_operation(known[operation], policy, agent)


def drain_task(
    task: Task,
    *,
    warehouse: Path,
    ledger: Path,
    spool_dir: Path,
    agent: Agent,
    run_id: str,
    as_of: date,
    budget: NightBudget,
    clock: Clock,
    on_progress: Progress,
    limits: Limits | None = None,
    checkpoint: Checkpoint | None = None,
) -> DrainReport:
    """`drain()` for a task put together by the caller; `limits` and `checkpoint` are for tests and tuning."""
    import anyio

    from enrich import outcomes, runner_queue, store
    from enrich.agents.protocol import HasOpenCalls, HasRemarks
    from enrich.agents.simulated import refuse_elsewhere
    from enrich.memory import recall
    from enrich.runner_pipeline import Pipeline
    from enrich.runner_replay import replay
    from enrich.spool import SpoolWriter, mark_committed, read_line
    from nightdesk.ledger import connect

    refuse_elsewhere(agent, ledger)
    began = time.monotonic()
    limits = limits or Limits()
    tally = Tally()
    name = task.operation
    with _told_clearly(ledger), connect(ledger, warehouse=warehouse) as connection:
        selected = runner_queue.load_keys(connection, name, task.operation_hash)
        who = (agent.name, agent.model_for(name))
        asks_anew = runner_queue.note_question(connection, name, task.operation_hash, who, run_id, clock())
        segments = replay(connection, task, spool_dir, tally)
        budget.restore(store.spent_of_night(connection, run_id, as_of))
        due = runner_queue.select_due(connection, name, run_id, limits.max_tries)
        spool = SpoolWriter(spool_dir, run_id, name)
        left_out: outcomes.LeftOut = {}
        if not due and isinstance(agent, HasOpenCalls) and agent.open_calls(name):
            # Questions that nobody asks any more were paid for all the same: their cost belongs into the ledger.
            anyio.run(agent.collect, name)
            segments += replay(connection, task, spool_dir, tally)
        if due:
            pipeline = Pipeline(
                connection=connection,
                task=task,
                agent=agent,
                spool=spool,
                run_id=run_id,
                budget=budget,
                clock=clock,
                limits=limits,
                tally=tally,
                due=due,
                on_progress=on_progress,
                checkpoint=checkpoint or _nothing,
                heard_before=runner_queue.heard_before(connection, name),
                read_spool=lambda ref: read_line(spool_dir, ref),
            )
            try:
                anyio.run(pipeline.run)
            finally:
                spool.close()
            left_out = pipeline.left_out
        if isinstance(agent, HasRemarks):
            tally.warnings += agent.take_remarks()
        tally.answers_written += store.copy_to_twins(connection, name, run_id, clock())
        recall.append_log(connection, name, run_id, clock())
        if checkpoint is not None:
            checkpoint("answered")
        counts = outcomes.record(
            connection,
            operation=name,
            run_id=run_id,
            selected=selected,
            left_out=left_out,
            recorded_at=clock(),
        )
    # Only now: the connection is closed, so what the markers promise is on disk.
    for segment in [*segments, *spool.written]:
        mark_committed(segment)
    return DrainReport(
        operation=name,
        selected=selected,
        counts=counts,
        asked=tally.asked,
        cost_usd=tally.cost_usd,
        seconds=time.monotonic() - began,
        replayed=tally.replayed,
        answers_written=tally.answers_written,
        asks_anew=asks_anew,
        warnings=tuple(tally.warnings),
    )


@contextmanager
def _told_clearly(ledger: Path) -> Generator[None]:
    """A database error that nobody foresaw (a full disk, a damaged file) is one message, not a traceback."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise NightdeskError(
            f"The ledger or the warehouse cannot be used: {first_line}",
            where=str(ledger.parent),
            todo="Free some space if the disk is full, then run again: what was answered is kept.",
        ) from error


def _nothing(_: str) -> None:
    """No one wants to know where the runner is."""
