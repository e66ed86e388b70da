"""A night killed at any moment and started again ends like one nobody disturbed."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.world import World


@pytest.mark.parametrize("seed", [1, 2, pytest.param(3, marks=pytest.mark.soak)])
def test_kill_at_any_moment_then_refresh_ends_like_an_undisturbed_night(
    company: World, after_first_night: World, tmp_path: Path, seed: int
) -> None:
    world = company.copy(tmp_path / "world")
    undisturbed = after_first_night.end_state()
    rng = random.Random(seed)
    with world.serving():
        for _ in range(2):
            process = world.start("refresh")
            time.sleep(rng.uniform(2, 25))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        world.run("refresh")
    assert world.end_state() == undisturbed
    # One answer per input, and hardly more questions than answers: only what was in flight is asked again.
    doubled = world.rows(
        "ledger", "select operation, record_id, input_hash from answers group by all having count(*) > 1"
    )
    assert doubled == []
    answers = world.one("ledger", "select count(*) from answers")
    attempts = world.one("ledger", "select count(*) from attempts")
    assert attempts - answers <= 2 * 2 * 200  # two kills, at most two chunks in flight each
