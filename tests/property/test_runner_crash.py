"""kill -9 at any point of a drain, then the same command again: the same ledger, and only calls in flight repeated.

The process under test is a real one and dies a real death; the journal of the fake agent is a file and survives it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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

NURSERY = f"""
import os, signal, sys, time
from pathlib import Path
import anyio._backends._asyncio, duckdb, numpy, pandas, pyarrow
import enrich.answer, enrich.runner_pipeline, enrich.runner_replay
from enrich.agents.protocol import AgentResponse
from enrich.runner import Limits
from tests.runner_kit import Desk, good_answer

def run(folder, point, occurrence, pause):
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
        nonlocal seen
        if reached == point:
            seen += 1
            if seen == occurrence:
                os.kill(os.getpid(), signal.SIGKILL)

    desk = Desk(Path(folder))
    desk.drain(
        desk.agent(answer=answer, chunk_size={CHUNK}, concurrency={CONCURRENCY}),
        limits=Limits(max_tries={MAX_TRIES}, backoff_seconds=0.001, commit_rows=4, commit_seconds=0.01),
        checkpoint=checkpoint,
    )

for line in sys.stdin:
    folder, point, occurrence, pause = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        try:
            run(folder, point, int(occurrence), float(pause))
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    print(child, flush=True)
    sys.stdin.readline()  # until then a dead child stays a zombie, and its id nobody else's
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Drain:
    """One drain in a process of its own, forked off a nursery that has done the imports once."""

    folder: Path
    _nursery: subprocess.Popen[str] | None = None

    def __init__(self, desk: Desk, point: str = "never", occurrence: int = 1, pause: float = 0.0) -> None:
        if Drain._nursery is None:
            Drain._nursery = subprocess.Popen(
                [sys.executable, "-c", NURSERY], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        self._say = Drain._nursery.stdin
        self._hear = Drain._nursery.stdout
        assert self._say is not None
        self._say.write(f"{desk.folder}\t{point}\t{occurrence}\t{pause}\n")
        self._say.flush()
        self._pid = int(self._line())

    def kill(self) -> None:
        """kill -9; works on one that has ended too, because nobody has waited for it yet."""
        os.kill(self._pid, signal.SIGKILL)

    def finish(self) -> int:
        """Wait; 0 or -9, and nothing else."""
        assert self._say is not None
        self._say.write("wait\n")
        self._say.flush()
        code = int(self._line())
        assert code in (0, -signal.SIGKILL), "the drain failed: see its error above"
        return code

    def _line(self) -> str:
        assert self._hear is not None
        return self._hear.readline()

    @classmethod
    def end(cls) -> None:
        """Close the nursery."""
        if cls._nursery is not None:
            cls._nursery.communicate(timeout=10)
            cls._nursery = None


@pytest.fixture(scope="module", autouse=True)
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    Drain.folder = tmp_path_factory.mktemp("crash")
    yield
    Drain.end()


def make_desk() -> Desk:
    desk = Desk(Path(mkdtemp(dir=Drain.folder)))
    twins = [Row("hubspot:contact:100", "Word1 of a context"), Row("hubspot:contact:101", "Word2 of a context")]
    others = [Row("hubspot:contact:200", gate="freemail"), Row("hubspot:contact:201", missing="nothing said")]
    write_warehouse(desk.warehouse, [*some_rows(20), *twins, *others])
    return desk


@cache
def undisturbed() -> tuple[Desk, int]:
    """A desk whose drain nobody killed, and how many calls that took."""
    desk = make_desk()
    assert Drain(desk).finish() == 0
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
    assert Drain(desk, point, occurrence=1 if point == "answered" else 2).finish() == -signal.SIGKILL
    before = len(desk.agent().calls)
    assert desk.rows("select count(*) from outcomes") == [(0,)]
    assert Drain(desk).finish() == 0
    assert_same_end(desk, kills=1)
    if point == "answered":
        assert len(desk.agent().calls) == before, "all was in the ledger, nothing is asked again"


def test_what_was_spooled_is_not_asked_again() -> None:
    desk = make_desk()
    Drain(desk, "checked").finish()
    spooled = sum(len(path.read_text().splitlines()) for path in desk.spool.rglob("*.jsonl"))
    calls = len(desk.agent().calls)
    assert desk.rows("select count(*) from attempts") == [(0,)]
    assert spooled > 0
    assert Drain(desk).finish() == 0
    _, undisturbed_calls = undisturbed()
    assert len(desk.agent().calls) == undisturbed_calls + calls - spooled


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(kills=st.lists(st.tuples(st.sampled_from(POINTS), st.integers(1, 6)), min_size=2, max_size=3))
def test_any_series_of_kills_changes_nothing(kills: list[tuple[str, int]]) -> None:
    desk = make_desk()
    died = sum(Drain(desk, point, occurrence).finish() != 0 for point, occurrence in kills)
    assert Drain(desk).finish() == 0
    assert_same_end(desk, kills=died)


def test_kills_at_moments_nobody_chose_change_nothing() -> None:
    desk = make_desk()
    moments = random.Random(20261117)
    died = 0
    for _ in range(8):
        drain = Drain(desk, pause=0.01)
        time.sleep(moments.uniform(0.02, 0.3))
        drain.kill()
        died += drain.finish() != 0
    assert Drain(desk).finish() == 0
    assert_same_end(desk, kills=died)
    assert died > 0
