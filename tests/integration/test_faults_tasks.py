"""Records that we make ourselves, under faults: however the request for a task ends, there is one task in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightdesk.errors import NightdeskError
from reverse_etl.apply import apply
from sandbox.crm.scripted import FaultRunner
from sandbox.faults import FaultFile, parse
from tests.integration.test_delivery_apply import KEYS, task, tasks
from tests.reverse_kit import Desk, desk

WRITE, READ, BACK = {"kind": "write"}, {"kind": "read"}, {"kind": "read", "after": "write"}
FAULTS: dict[str, list[dict[str, Any]]] = {
    "the answer is lost": [{"fault": "drop", "when": WRITE}],
    "502 after the work, twice": [
        {"fault": "server_error", "status": 502, "committed": True, "when": {**WRITE, "times": 2}}
    ],
    "503 before the work": [{"fault": "server_error", "when": WRITE}],
    "reset in the middle of the answer": [{"fault": "cut", "when": WRITE}],
    "empty, and done": [{"fault": "empty_answer", "when": WRITE}],
    "empty, and not done": [{"fault": "empty_answer", "committed": False, "when": WRITE}],
    "left out of the answer": [{"fault": "omit_results", "when": WRITE}],
    "trace ids all the same": [{"fault": "trace_ids", "mode": "duplicated", "when": WRITE}],
    "results twice": [{"fault": "extra_results", "when": WRITE}],
    "429": [{"fault": "rate_limit", "retry_after": 9, "when": WRITE}],
    "401 at the read-back": [{"fault": "unauthorised", "when": {**BACK, "times": None}}],
    "the read-back fails, and the next look says nothing": [
        {"fault": "server_error", "when": {**BACK, "times": 6}},
        {"fault": "empty_answer", "when": {**BACK, "kth": 7}},
    ],
    "the first look says nothing": [{"fault": "empty_answer", "when": READ}],
}
QUICK = ("the answer is lost",)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[tuple[Desk, FaultRunner]]:
    runner = FaultRunner(FaultFile())
    with desk(tmp_path, faults=runner, contacts=3, companies=1) as made:
        yield made, runner


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.soak) for name in FAULTS]
)
def test_there_is_one_task_in_the_end(room: tuple[Desk, FaultRunner], name: str) -> None:
    it, runner = room
    it.plan([*task(), *task(KEYS[1], contact="2")])
    it.approve()
    runner.replace(parse({"faults": FAULTS[name]}))
    outcome: Any = None
    for _ in range(2):
        try:
            report = apply(it.ledger, None, it.adapter, it.policy, "Dana", False, it.clock, sleep=it.clock.sleep)
        except NightdeskError as error:
            outcome = error.exit_code
            runner.replace(FaultFile())
            continue
        outcome = report.counts
        assert set(outcome) <= {"applied", "already_there"} and report.total == 22, outcome
    assert isinstance(outcome, dict)
    made = it.sandbox.store.connection.execute(
        "select count(*) from journal where action = 'create' and object_type = 'tasks'"
    ).fetchone()
    assert made == (2,) and sorted((t["key"], t["contacts"]) for t in tasks(it)) == [(KEYS[0], "1"), (KEYS[1], "2")]
