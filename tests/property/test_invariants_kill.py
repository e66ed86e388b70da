"""Invariant 19: killed at any state of the journal, the same command ends where an undisturbed apply ends.

One plan brings every state about: written, refused, ignored, altered, edited in between, of unknown fate, without an
answer, denied, not approved, there already, and a task that must not be made twice. The process dies at one of its
commits, or just before or after a request reaches the CRM; nothing is tidied up after it, not even its lease.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reverse_etl import audit
from reverse_etl.apply import apply
from tests.memory_crm import CONTACTS, TASKS, Killed
from tests.write_back_machine import KEYS, REASON, REPLY, ROLE, SCORE, TIER, Made, World

# What becomes of every write to a record, in every attempt.
FATES = {"2": "edited after", "3": "refused", "4": "lost before", "6": "ignored", "7": "altered", "8": "lost after"}


def prepared() -> tuple[World, Made]:
    """A plan that is approved in part, and a CRM in which each record has its own fate."""
    world = World()
    crm = world.crm
    crm.batch_size = 3
    crm.alive |= {(CONTACTS, record) for record in (*FATES, "5", "9")}
    crm._change((CONTACTS, "5", SCORE), "62", "workflow")
    world.load()
    world.wanted = {
        (CONTACTS, "1", SCORE): "61", (CONTACTS, "1", TIER): "A", (CONTACTS, "1", ROLE): "champion",
        (CONTACTS, "2", TIER): "B", (CONTACTS, "3", TIER): "A", (CONTACTS, "4", SCORE): "62",
        (CONTACTS, "5", SCORE): "61", (CONTACTS, "6", REASON): "Asked for a date", (CONTACTS, "7", TIER): "A",
        (CONTACTS, "8", SCORE): "75.5", (CONTACTS, "9", REPLY): "positive", (CONTACTS, "9", TIER): "A",
    }  # fmt: skip
    world.tasks = {KEYS[0]: "Call"}
    made = world.plan()
    left_out = {
        op_id for op_id, op in made.ops.items() if (op["record_id"], op["property"]) in {("9", REPLY), ("5", SCORE)}
    }
    world.approve(made, made.ops.keys() - left_out)
    crm.edit(CONTACTS, "9", TIER)
    crm.struck = dict(FATES)
    return world, made


def run(world: World, made: Made, kill_at: int = 0, kill_request: tuple[int, str] = (0, "")) -> list[str]:
    """Apply until it is done, dying once; returns the labels of the first process' commits."""
    labels: list[str] = []
    send, requests = world.crm.write, 0

    def write(object_type: str, writes: Any) -> Any:
        nonlocal requests
        requests += 1
        if (requests, "before") == kill_request:
            raise Killed
        answer = send(object_type, writes)
        if (requests, "after") == kill_request:
            raise Killed
        return answer

    def watch(label: str, _: int) -> None:
        labels.append(label)
        if len(labels) == kill_at:
            raise Killed

    world.crm.write = write  # type: ignore[method-assign]
    with world.process() as con:
        try:
            apply(con, made.summary.plan_id, world.crm, world.policy, "Dana", False, world.clock, observe=watch,
                  sleep=world.clock.sleep)  # fmt: skip
        except Killed:
            con.die()
    world.crm.write = send  # type: ignore[method-assign]
    assert audit.verify(world.con).ok
    return labels


def end_of(world: World, made: Made) -> dict[str, Any]:
    """What must not depend on where the process died."""
    results = {
        (made.ops[op_id]["record_id"], made.ops[op_id]["property"]): (
            # After an interruption nobody can say whether it was a workflow or somebody: both are "not ours any more".
            "conflict" if result == "altered" else result, before, after,
        )
        for op_id, result, before, after in world.rows(
            "select op_id, result, crm_before, crm_after from op_results inner join apply_runs using (apply_run_id) "
            "where plan_id = ? and not dry_run qualify row_number() over (partition by op_id order by recorded_at) = 1",
            made.summary.plan_id,
        )
    }  # fmt: skip
    return {
        "results": results,
        "values": dict(world.crm.values),
        "tasks": sorted(key for kind, key in world.crm.alive if kind == TASKS),
        "ours": sorted((e.record, e.name, e.before, e.after) for e in world.crm.log if e.by == "us"),
    }  # fmt: skip


@cache
def undisturbed() -> tuple[list[str], int, dict[str, Any]]:
    world, made = prepared()
    labels = run(world, made)
    end = end_of(world, made)
    requests = world.crm.requests
    world.close()
    found = {result for result, *_ in end["results"].values()}
    assert found == {"applied", "denied", "not_approved", "refused", "conflict", "unknown", "ignored"}, found
    assert {"started", "ended", "intent", "sent", "answered", "verified", "finished"} == set(labels)
    return labels, requests, end


def resumed_after(kill_at: int = 0, kill_request: tuple[int, str] = (0, "")) -> None:
    world, made = prepared()
    try:
        run(world, made, kill_at, kill_request)
        report = world.apply(made).report
        assert report is not None
        end, expected = end_of(world, made), undisturbed()[2]
        assert end == expected
        # Of unknown fate after three attempts: the next apply looks first, and then sends again.
        assert report.counts.get("unknown", 0) <= 1
    finally:
        world.close()


# Each kind of commit once, and both sides of a request; `soak` takes all of them.
MOMENTS = [
    ("started", "first"), ("ended", "last"), ("intent", "first"), ("sent", "last"), ("answered", "first"),
    ("verified", "last"), ("finished", "first"),
]  # fmt: skip


@pytest.mark.parametrize(("label", "place"), MOMENTS)
def test_killed_at_a_commit_it_ends_as_if_undisturbed(label: str, place: str) -> None:
    labels = undisturbed()[0]
    where = labels.index(label) if place == "first" else len(labels) - 1 - labels[::-1].index(label)
    resumed_after(where + 1)


@pytest.mark.parametrize(("request_number", "side"), [(1, "before"), (5, "after")])
def test_killed_at_a_request_it_ends_as_if_undisturbed(request_number: int, side: str) -> None:
    assert undisturbed()[1] >= 5
    resumed_after(kill_request=(request_number, side))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_killed_at_every_commit_and_every_request_it_ends_as_if_undisturbed() -> None:
    labels, requests, _ = undisturbed()
    for number in range(1, len(labels) + 1):
        resumed_after(number)
    for number in range(1, requests + 1):
        for side in ("before", "after"):
            resumed_after(kill_request=(number, side))


@pytest.mark.soak
@pytest.mark.timeout(0)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(1, 25), min_size=2, max_size=5))
def test_killed_again_and_again_it_ends_as_if_undisturbed(kills: list[int]) -> None:
    world, made = prepared()
    try:
        for kill_at in kills:
            run(world, made, kill_at)
        assert world.apply(made).report is not None
        assert end_of(world, made) == undisturbed()[2]
    finally:
        world.close()
