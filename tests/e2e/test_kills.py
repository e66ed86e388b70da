"""A night killed at any moment and started again ends like one nobody disturbed."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.world import World


# Minutes each, so in the soak. What a kill between any two steps does to a part of the night is shown where it costs
# less: loads, imports, drains, batches, erasures, and each commit of an apply (docs/invariants.md).
@pytest.mark.soak
@pytest.mark.parametrize(
    ("seed", "kills"),
    [(5, 1), (1, 2), (2, 2), (4, 3)],
)
def test_kill_at_any_moment_then_refresh_ends_like_an_undisturbed_night(
    company: World, after_first_night: World, tmp_path: Path, seed: int, kills: int
) -> None:
    world = company.copy(tmp_path / "world")
    undisturbed = after_first_night.end_state()
    seconds = after_first_night.one("ledger", "select epoch(max(occurred_at) - min(occurred_at)) from run_events")
    rng = random.Random(seed)
    with world.serving():
        for _ in range(kills):
            process = world.start("refresh")
            time.sleep(2 + seconds * rng.uniform(0.1, 0.9))
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
    assert attempts - answers <= kills * 2 * 200  # at most two chunks in flight at each kill
