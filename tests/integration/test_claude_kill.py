"""kill -9 in every phase of a live drain and of a batch drain: nothing lost, nothing paid twice.

The process under test is a real one and dies a real death; the Messages API is a real server in this process, so what
it charged is known whoever lived to hear of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from tests.messages_api import MessagesApi, first_word
from tests.runner_kit import Desk, some_rows, write_warehouse

ROOT = Path(__file__).parents[2]
RECORDS, CONCURRENCY = 12, 3

NURSERY = f"""
import os, signal, sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
import anthropic, anyio._backends._asyncio, duckdb, genai_prices, numpy, pandas, pyarrow
import anthropic.resources.messages, anthropic.types.messages
import enrich.answer, enrich.runner_pipeline, enrich.runner_replay
from enrich.agents.batch import ClaudeBatchAgent
from enrich.agents.claude import ClaudeAgent
from enrich.runner import Limits
from tests.integration.test_batch_agent import batch_task, limits
from tests.runner_kit import Desk

def run(folder, url, kind, point, occurrence):
    seen = 0

    def checkpoint(reached):
        nonlocal seen
        if reached == point:
            seen += 1
            if seen == occurrence:
                os.kill(os.getpid(), signal.SIGKILL)

    def clock():
        return datetime.now(UTC)

    desk = Desk(Path(folder))
    policy = limits(most_requests=5).model_copy(update={{"concurrency": {CONCURRENCY}}})
    shared = dict(api_key="test-key", clock=clock, base_url=url)
    if kind == "live":
        agent = ClaudeAgent(policy, **shared)
    else:
        journal = Path(folder) / "batches" / "claude.jsonl"
        agent = ClaudeBatchAgent(
            policy, **shared, journal=journal, spool_dir=desk.spool, pauses=(0.01, 0.05), settling_seconds=0.2,
            checkpoint=checkpoint,
        )
    desk.drain(
        agent,
        task=batch_task(),
        limits=Limits(backoff_seconds=0.001, commit_rows=4, commit_seconds=0.01),
        checkpoint=checkpoint,
    )

for line in sys.stdin:
    folder, url, kind, point, occurrence = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        try:
            run(folder, url, kind, point, int(occurrence))
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    """Drains in processes of their own, forked off one that has done the imports."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.child = 0

    def drain(self, desk: Desk, api: MessagesApi, kind: str, point: str = "never", occurrence: int = 1) -> int:
        """One drain; 0 when it ended, -9 when it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{desk.folder}\t{api.url}\t{kind}\t{point}\t{occurrence}\n")
        self._process.stdin.flush()
        self.child = int(self._process.stdout.readline())
        code = int(self._process.stdout.readline())
        assert code in (0, -signal.SIGKILL), "the drain failed: see its error above"
        return code

    def kill(self) -> None:
        """kill -9 the drain that is running."""
        os.kill(self.child, signal.SIGKILL)

    def end(self) -> None:
        """Close the nursery."""
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    it = Nursery()
    yield it
    it.end()


@pytest.fixture(scope="module")
def server() -> Iterator[MessagesApi]:
    api = MessagesApi()
    with api.serving():
        yield api


@pytest.fixture
def api(server: MessagesApi) -> MessagesApi:
    server.charged.clear()
    server.batches.clear()
    server.creates, server.looks = 0, 2
    server.on_create = lambda number: None
    server.say = first_word
    return server


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    it = Desk(tmp_path / "desk")
    write_warehouse(it.warehouse, some_rows(RECORDS))
    return it


def assert_whole(desk: Desk, api: MessagesApi) -> None:
    """Every record has its one answer, each call its one row with its cost, and the spool is in the ledger."""
    assert desk.rows("select outcome, count(*) from outcomes group by all") == [("enriched", RECORDS)]
    assert desk.rows("select count(*), count(distinct input_hash) from answers") == [(RECORDS, RECORDS)]
    assert desk.rows("select count(*), count(distinct input_hash) from attempts where cost_usd > 0") == [
        (RECORDS, RECORDS)
    ]
    assert len(api.charged) == RECORDS
    assert not [path for path in desk.spool.rglob("*.jsonl") if not path.with_name(path.name + ".committed").exists()]


def kill_at_each(nursery: Nursery, desk: Desk, api: MessagesApi, kind: str, points: Sequence[tuple[str, int]]) -> None:
    """A drain killed at a point, gone on with, killed at the next point, and so on to its end."""
    for point, occurrence in points:
        assert nursery.drain(desk, api, kind, point, occurrence) == -signal.SIGKILL, point
    assert nursery.drain(desk, api, kind) == 0


def test_a_live_drain_that_is_killed_repeats_only_what_was_in_flight(
    nursery: Nursery, api: MessagesApi, desk: Desk
) -> None:
    points = [("asked", 2), ("spooled", 3), ("checked", 1), ("committed", 1), ("answered", 1)]
    kill_at_each(nursery, desk, api, "live", points)
    assert_whole(desk, api)
    assert sum(api.charged.values()) <= RECORDS + len(points) * CONCURRENCY


def test_a_live_drain_that_is_killed_while_calls_are_in_flight(nursery: Nursery, api: MessagesApi, desk: Desk) -> None:
    calls = 0

    def say(body: dict[str, Any]) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 6:
            nursery.kill()
        return first_word(body)

    api.say = say
    assert nursery.drain(desk, api, "live") == -signal.SIGKILL
    assert nursery.drain(desk, api, "live") == 0
    assert_whole(desk, api)
    assert sum(api.charged.values()) <= RECORDS + CONCURRENCY


@pytest.mark.parametrize(
    "points",
    [
        # Nothing of these is kept yet but the journal: one after the other on one desk.
        [("intent", 1), ("sent", 1), ("created", 2), ("polled", 1), ("result", 3), ("read", 2), ("asked", 1)],
        [("intent", 3), ("polled", 4), ("spooled", 1)],
        [("checked", 1)],
        [("committed", 1)],
        [("leftovers", 1)],
        [("collected", 2)],
        [("answered", 1)],
    ],
    ids=lambda points: points[-1][0],
)
def test_a_batch_drain_that_is_killed_pays_for_nothing_twice(
    nursery: Nursery, api: MessagesApi, desk: Desk, points: list[tuple[str, int]]
) -> None:
    kill_at_each(nursery, desk, api, "batch", points)
    assert_whole(desk, api)
    assert set(api.charged.values()) == {1}
    assert api.creates == 3


def test_a_batch_that_was_made_while_its_sender_died_is_found_and_not_sent_again(
    nursery: Nursery, api: MessagesApi, desk: Desk
) -> None:
    def on_create(number: int) -> tuple[bool, JSONResponse] | None:
        if number != 2:
            return None
        nursery.kill()
        return True, JSONResponse({})

    api.on_create = on_create
    kill_at_each(nursery, desk, api, "batch", [("never", 1)])
    assert_whole(desk, api)
    assert set(api.charged.values()) == {1}
    assert api.creates == 3
