"""A run and its steps in the ledger: what was started, how it ended, and what an interrupted night goes on with."""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from nightdesk import ledger
from nightdesk.clock import Clock
from nightdesk.errors import NightdeskError

Numbers = Mapping[str, int | float]


def new_run_id(clock: Clock) -> str:
    """A sortable id: time to the second and six random hex digits."""
    return f"{clock():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command. `resumed` says that an earlier process left it unfinished."""

    run_id: str
    ledger_path: Path
    clock: Clock
    resumed: bool = False

    def event(self, step: str, event: str, numbers: Numbers | None = None, message: str | None = None) -> None:
        """Append one event (`started`, `finished`, `failed`) of a step; the whole command is the step `run`."""
        with ledger.connect(self.ledger_path) as connection:
            connection.execute(
                """
                insert into run_events
                select ?, coalesce(max(sequence), 0) + 1, ?, ?, ?, ?, ?
                from run_events where run_id = ?
                """,
                [
                    self.run_id,
                    step,
                    event,
                    self.clock(),
                    json.dumps(dict(numbers)) if numbers is not None else None,
                    message,
                    self.run_id,
                ],
            )

    @contextmanager
    def step(self, name: str) -> Generator[dict[str, int | float]]:
        """Record a step around a block; the block fills the numbers it wants kept."""
        self.event(name, "started")
        numbers: dict[str, int | float] = {}
        try:
            yield numbers
        except NightdeskError as error:
            self.event(name, "failed", numbers, str(error))
            raise
        except Exception as error:
            self.event(name, "failed", numbers, f"{type(error).__name__}: {error}"[:1000])
            raise
        self.event(name, "finished", numbers)


def start(
    ledger_path: Path,
    command: str,
    *,
    as_of: date,
    agent: str | None,
    policy_hash: str,
    clock: Clock,
    parent: str | None = None,
) -> Run:
    """Begin a run and append it to the ledger."""
    run_id = new_run_id(clock)
    with ledger.connect(ledger_path) as connection:
        connection.execute(
            "insert into runs values (?, ?, ?, ?, ?, ?, ?)",
            [run_id, command, parent, as_of, agent, policy_hash, clock()],
        )
    run = Run(run_id, ledger_path, clock)
    run.event("run", "started")
    return run


def start_or_resume(ledger_path: Path, command: str, *, as_of: date, agent: str, policy_hash: str, clock: Clock) -> Run:
    """Go on with the newest run of this command if it is of the same night, agent and policy and never ended.

    A run that failed has ended: its successor is a new run, and finds what was paid for in the ledger.
    """
    with ledger.connect(ledger_path) as connection:
        row = connection.execute(
            """
            select run_id
            from runs
            where command = ? and as_of = ? and agent = ? and policy_hash = ?
                and started_at = (select max(started_at) from runs where command = ?)
                and not exists (
                    select 1 from run_events
                    where run_events.run_id = runs.run_id and step = 'run' and event in ('finished', 'failed')
                )
            """,
            [command, as_of, agent, policy_hash, command],
        ).fetchone()
    if row is None:
        return start(ledger_path, command, as_of=as_of, agent=agent, policy_hash=policy_hash, clock=clock)
    run = Run(str(row[0]), ledger_path, clock, resumed=True)
    run.event("run", "started", message="resumed")
    return run
