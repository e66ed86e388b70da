"""Invariants 1, 12, 18, 20 and 27, each by itself, where the machine of `test_invariants_machine` may not go.

The machine tries anything in any order and is long; these go straight to one promise, for any input.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nightdesk.errors import NightdeskError
from reverse_etl import lease
from reverse_etl.rollback import plan_rollback
from tests.memory_crm import CONTACTS, OPT_OUT, REFUSALS
from tests.write_back_machine import AS_OF, PEOPLE, PLACES, REASON, SCORE, TIER, WANTED, Made, World, shown

WHOLE: Any = {
    "deadline": None, "derandomize": True, "phases": [Phase.generate],
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}  # fmt: skip
SOME = st.sets(st.sampled_from(PLACES), min_size=1)


@pytest.fixture(scope="module")
def planner() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@settings(max_examples=2, **WHOLE)
@given(places=SOME, data=st.data())
def test_the_same_inputs_in_any_order_make_the_same_plan(planner: World, places: set[Any], data: st.DataObject) -> None:
    """1: and where the CRM holds everything already, the plan is empty."""
    planner.wanted = {place: WANTED[place[2]][0] for place in places}
    rows = planner.sync_rows()
    first = planner.plan(rows)
    again = planner.plan(data.draw(st.permutations(rows)))
    assert again.summary.digest == first.summary.digest and len(first.ops) == len(places)
    planner.clock.now += timedelta(days=4)  # it has expired: a new one is stored, and it is the same
    later = planner.plan(list(reversed(rows)))
    assert later is not first and (later.summary.digest, set(later.ops)) == (first.summary.digest, set(first.ops))
    equal = [{**row, "crm_value": row["desired_value"]} for row in rows]
    assert planner.plan(equal).summary.operation_count == 0
    # One of them wants something else: it is another plan.
    other = {**rows[0], "desired_value": "61.5" if rows[0]["property"] == SCORE else rows[0]["desired_value"]}
    if other != rows[0]:
        assert planner.plan([other, *rows[1:]]).summary.digest != first.summary.digest


@settings(max_examples=3, **WHOLE)
@given(
    fates=st.dictionaries(
        st.sampled_from(PEOPLE),
        st.sampled_from(["refused", "ignored", "lost before", "locked", "altered", "edited after"]),
        min_size=1,
    ),
    refusal=st.sampled_from(REFUSALS),
)
def test_what_failed_is_in_the_next_plan_and_nothing_else(fates: dict[str, str], refusal: str) -> None:
    """12: every end that is not success is planned again; a success never is."""
    world = World()
    try:
        world.wanted = {(CONTACTS, one, TIER): "A" for one in PEOPLE}
        world.crm.struck, world.crm.refusal = dict(fates), refusal
        made = world.plan()
        world.approve(made)
        end = world.apply(made)
        assert end.report is not None
        failed = set(fates)
        assert end.report.counts.get("applied", 0) == len(PEOPLE) - len(failed)
        world.crm.struck = {}
        world.load()
        again = world.plan()
        assert {op["record_id"] for op in again.ops.values()} == failed
        world.approve(again)
        world.apply(again)
        assert all(world.crm.holds(place, "A") for place in world.wanted)
    finally:
        world.close()


def test_what_keeps_failing_is_set_aside_and_comes_back_when_released() -> None:
    """12: quarantined, it is still in every plan, as denied."""
    from reverse_etl import quarantine
    from reverse_etl.select import Selection

    world = World()
    try:
        world.wanted = {(CONTACTS, "1", TIER): "A", (CONTACTS, "2", TIER): "A"}
        world.crm.struck = {"1": "refused"}
        for _ in range(quarantine.AFTER_REFUSALS):
            world.load()
            made = world.plan()
            world.approve(made)
            world.apply(made)
        world.load()
        made = world.plan()
        assert [(op["record_id"], op["deciding_rule"]) for op in made.ops.values()] == [("1", "quarantined")]
        with world.process() as con:
            quarantine.release(con, Selection.parse(["record:contact:1"]), "Dana", world.clock)
        world.crm.struck = {}
        world.quiet_night()
        assert world.crm.holds((CONTACTS, "1", TIER), "A")
    finally:
        world.close()


@settings(max_examples=3, **WHOLE)
@given(before=st.sets(st.sampled_from(PEOPLE)), after=st.sets(st.sampled_from(PEOPLE)), in_crm=st.booleans())
def test_an_undo_brings_nothing_back_about_people_who_said_no(before: set[str], after: set[str], in_crm: bool) -> None:
    """18: whether they said it before the undo was planned or after it was approved, in the CRM or elsewhere."""
    world = World()
    try:
        for one in PEOPLE:
            world.crm.values[CONTACTS, one, REASON] = f"An old note about {one}"
        world.load()
        world.wanted = {(CONTACTS, one, REASON): "Asked for a date" for one in PEOPLE}
        made = world.plan()
        world.approve(made)
        world.apply(made)

        def says_no(one: str) -> None:
            if in_crm:
                world.crm.edit(CONTACTS, one, OPT_OUT, "true")
            elif one not in world.listed:
                world.listed.add(one)
                world.con.execute(
                    "insert into suppression values (?, 'reply', null, null, 'r', ?)",
                    [f"hubspot:contact:{one}", world.clock()],
                )

        for one in before:
            says_no(one)
        undo = undo_of(world)
        world.approve(undo)
        for one in after:
            says_no(one)
        world.apply(undo)
        for one in PEOPLE:
            expected = "Asked for a date" if one in before | after else f"An old note about {one}"
            assert world.crm.values[CONTACTS, one, REASON] == expected
    finally:
        world.close()


def undo_of(world: World, *, every: bool = False) -> Made:
    with world.process() as con:
        made = plan_rollback(con, None, world.crm, world.policy, "undo", AS_OF, "nightdesk", world.clock, every=every)
    return world._keep(made)


@settings(max_examples=3, **WHOLE)
@given(merges=st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(PEOPLE)), min_size=1, max_size=4))
def test_a_merged_record_is_followed_to_its_survivor_once(merges: list[tuple[str, str]]) -> None:
    """27: however long the chain; no record appears, and the survivor's own change is not written over."""
    world = World()
    try:
        world.wanted = {(CONTACTS, one, TIER): "A" for one in ("1", "2", "3")}
        made = world.plan()
        world.approve(made)
        for gone, survivor in merges:
            if gone != survivor and {(CONTACTS, gone), (CONTACTS, survivor)} <= world.crm.alive:
                world.crm.merge(gone, survivor)
        alive = set(world.crm.alive)
        end = world.apply(made)
        assert end.report is not None and world.crm.alive == alive
        survivors = [world.crm.survivor(one) for one in ("1", "2", "3")]
        ours = [entry.record for entry in world.crm.log if entry.by == "us"]
        assert sorted(ours) == sorted(set(survivors)), "each survivor once"
        assert end.report.counts.get("applied", 0) == len(ours)
        assert end.report.counts.get("refused", 0) == 3 - len(ours)
        assert shown(world.crm.values) == {(CONTACTS, one, TIER): "A" for one in set(survivors)}
    finally:
        world.close()


@pytest.mark.parametrize("commit", [1, 2, 5])
def test_of_two_appliers_only_the_one_with_the_newest_token_writes(commit: int) -> None:
    """20: overtaken after its n-th commit, the first one sends nothing more; together they write everything once."""
    world = World()
    try:
        world.wanted = {(CONTACTS, one, SCORE): "61" for one in PEOPLE}
        made = world.plan()
        end = world.apply(made, second_at=commit)
        assert end.error is not None and "taken over" in end.error.what
        ours = [entry.record for entry in world.crm.log if entry.by == "us"]
        assert sorted(ours) == sorted(PEOPLE)
        assert len(world.rows("select distinct fencing_token from leases")) == 2
    finally:
        world.close()


def test_while_one_applies_another_is_told_so() -> None:
    """20: a lease of a process on another host that may still be alive is respected until it ends."""
    world = World()
    try:
        world.wanted = {(CONTACTS, "1", SCORE): "61"}
        made = world.plan()
        with world.process() as con:
            lease.acquire(con, "apply:hubspot", world.clock, "elsewhere:1")  # type: ignore[arg-type]
        end = world.apply(made)
        assert isinstance(end.error, NightdeskError) and end.error.exit_code == 1 and world.crm.requests == 0
        world.clock.now += timedelta(seconds=lease.LEASE_SECONDS + 1)
        assert world.apply(made).report is not None and world.crm.requests == 1
    finally:
        world.close()


def test_a_clock_that_was_set_back_changes_nothing_about_what_was_written_last() -> None:
    """16, 17: two nights on either side of the change: our own value is known as ours, and an undo goes all the way."""
    from reverse_etl.verify import verify

    world = World()
    try:
        place = (CONTACTS, "1", SCORE)
        world.crm.values[place] = "50"
        for value in ("61", "62"):
            world.load()
            world.wanted = {place: value}
            made = world.plan()
            world.approve(made)
            world.apply(made)
            world.clock.now -= timedelta(hours=10)
        assert world.crm.holds(place, "62")
        with world.process() as con:
            assert verify(con, world.crm, None, world.clock).counts == {"holds": 1}  # type: ignore[arg-type]
        world.load()
        world.wanted = {place: "75.5"}
        assert [row["last_written_value"] for row in world.sync_rows()] == ["62"]
        assert [op["conflict_class"] for op in world.plan().ops.values()] == ["ours"]
        undo = undo_of(world, every=True)
        assert [(op["before_value"], op["desired_value"]) for op in undo.ops.values()] == [("62", "50")]
    finally:
        world.close()
