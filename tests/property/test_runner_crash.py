"""kill -9 at any point of a drain, then the same command again: the same ledger, and only calls in flight repeated.

The process under test is a real one and dies a real death; the journal of the fake agent is a file and survives it.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runner_kit import Desk, Row, some_rows, write_warehouse

ROOT = Path(__file__).parents[2]
CHUNK, CONCURRENCY, MAX_TRIES = 3, 2, 2
IN_FLIGHT = CHUNK * CONCURRENCY
POINTS = ("asked", "spooled", "checked", "committed", "answered")

CHILD = f"""
import os, signal, sys, time
from pathlib import Path
from enrich.agents.protocol import AgentResponse
from enrich.runner import Limits
from tests.runner_kit import Desk, good_answer

folder, point, occurrence, pause = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
seen = 0

def answer(request):
    time.sleep(pause)
    number = int(request.record_id.rsplit(":", 1)[1])
    if number == 3:
        return AgentResponse(request.input_hash, "ok", "not json")
    if number == 5:
        return AgentResponse(request.input_hash, "refused", "no", error="no")
    if number == 7:
        return AgentResponse(request.input_hash, "provider_error", error="500", is_retryable=True)
    return good_answer(request)

def checkpoint(reached):
    global seen
    if reached == point:
        seen += 1
        if seen == occurrence:
            os.kill(os.getpid(), signal.SIGKILL)

desk = Desk(folder)
desk.drain(
    desk.agent(answer=answer, chunk_size={CHUNK}, concurrency={CONCURRENCY}),
    limits=Limits(max_tries={MAX_TRIES}, backoff_seconds=0.001, commit_rows=4, commit_seconds=0.01),
    checkpoint=checkpoint,
)
"""


def make_desk() -> Desk:
    desk = Desk(Path(mkdtemp(prefix="nightdesk-crash-")))
    twins = [Row("hubspot:contact:100", "Word1 of a context"), Row("hubspot:contact:101", "Word2 of a context")]
    others = [Row("hubspot:contact:200", gate="freemail"), Row("hubspot:contact:201", missing="nothing said")]
    write_warehouse(desk.warehouse, [*some_rows(20), *twins, *others])
    return desk


def start(desk: Desk, point: str = "never", occurrence: int = 1, pause: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(desk.folder), point, str(occurrence), str(pause)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> int:
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode


@cache
def undisturbed() -> tuple[Desk, int]:
    """A desk whose drain nobody killed, and how many calls that took."""
    desk = make_desk()
    assert finish(start(desk)) == 0
    return desk, len(desk.agent().calls)


def assert_same_end(desk: Desk, kills: int) -> None:
    expected, calls = undisturbed()
    assert desk.state() == expected.state()
    assert len(desk.agent().calls) <= calls + kills * IN_FLIGHT
    assert not [path for path in desk.spool.rglob("*.jsonl") if not path.with_name(path.name + ".committed").exists()]


def test_what_an_undisturbed_drain_leaves() -> None:
    desk, calls = undisturbed()
    outcomes = [outcome for outcome, _ in desk.outcomes().values()]
    assert {outcome: outcomes.count(outcome) for outcome in outcomes} == {
        "enriched": 19,
        "rejected": 2,
        "failed": 1,
        "gated": 1,
        "insufficient_data": 1,
    }
    assert calls == 20 + MAX_TRIES - 1


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_each_point_changes_nothing(point: str) -> None:
    desk = make_desk()
    assert finish(start(desk, point, occurrence=1 if point == "answered" else 2)) == -signal.SIGKILL
    before = len(desk.agent().calls)
    assert desk.rows("select count(*) from outcomes") == [(0,)]
    assert finish(start(desk)) == 0
    assert_same_end(desk, kills=1)
    if point == "answered":
        assert len(desk.agent().calls) == before, "all was in the ledger, nothing is asked again"


def test_what_was_spooled_is_not_asked_again() -> None:
    desk = make_desk()
    finish(start(desk, "checked", occurrence=1))
    spooled = sum(len(path.read_text().splitlines()) for path in desk.spool.rglob("*.jsonl"))
    calls = len(desk.agent().calls)
    assert desk.rows("select count(*) from attempts") == [(0,)]
    assert spooled > 0
    assert finish(start(desk)) == 0
    _, undisturbed_calls = undisturbed()
    assert len(desk.agent().calls) == undisturbed_calls + calls - spooled


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(kills=st.lists(st.tuples(st.sampled_from(POINTS), st.integers(1, 6)), min_size=2, max_size=3))
def test_any_series_of_kills_changes_nothing(kills: list[tuple[str, int]]) -> None:
    desk = make_desk()
    died = sum(finish(start(desk, point, occurrence)) != 0 for point, occurrence in kills)
    assert finish(start(desk)) == 0
    assert_same_end(desk, kills=died)


def test_kills_at_moments_nobody_chose_change_nothing() -> None:
    desk = make_desk()
    moments = random.Random(20261117)
    died = 0
    for _ in range(4):
        process = start(desk, pause=0.01)
        asked = len(desk.agent().calls)
        while process.poll() is None and len(desk.agent().calls) == asked:
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.15))
        if process.poll() is None:
            process.kill()
        died += finish(process) != 0
    assert finish(start(desk)) == 0
    assert_same_end(desk, kills=died)
    assert died > 0
