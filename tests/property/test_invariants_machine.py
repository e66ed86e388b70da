"""Any series of nights, verdicts, faults, kills, edits and undos: what was promised holds between any two steps.

Every request is looked at where the CRM would receive it (`World._inspect`): nothing goes out without its audit event,
without a decision or a valid approval, over a value the plan has not seen, to somebody who said no, outside our
properties, or from an apply that was overtaken. Invariants 2, 3, 5, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21, 22, 24, 27.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nightdesk.errors import NightdeskError
from reverse_etl.rollback import plan_rollback
from reverse_etl.select import Selection
from tests.memory_crm import CONTACTS, OPT_OUT, REFUSALS, TASKS, TROUBLES
from tests.write_back_machine import AS_OF, KEYS, PEOPLE, PLACES, SUBJECT, WANTED, Made, World, shown

FIELDS = st.sampled_from(PLACES)
SOME = st.sets(FIELDS, min_size=1, max_size=6)
SCRIPT = st.lists(st.sampled_from(TROUBLES), min_size=1, max_size=4)
HOW_TO_UNDO = ("run", "record", "operation", "agent", "everything")


class WriteBack(RuleBasedStateMachine):
    """The world of one company, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.world: Any = None

    @initialize(conditional=st.booleans(), wanted=SOME)
    def begin(self, conditional: bool, wanted: set[Any]) -> None:
        self.world = World(conditional)
        self._want(wanted, 0)

    def teardown(self) -> None:
        if self.world is not None:
            self.world.close()

    def _want(self, places: set[Any], which: int) -> None:
        for place in places:
            self.world.wanted[place] = WANTED[place[2]][which % len(WANTED[place[2]])]

    @invariant()
    def promises_hold(self) -> None:
        if self.world is not None:
            self.world.check()

    # nights -----------------------------------------------------------------------------------------------------------

    @rule(places=SOME, which=st.integers(0, 2), with_load=st.booleans(), task=st.sampled_from([*KEYS, "", ""]))
    def night(self, places: set[Any], which: int, with_load: bool, task: str) -> None:
        world: World = self.world
        self._want(places, which)
        if task:
            world.tasks[task] = f"Call about {which}"
        if with_load:
            world.load()
        made = world.plan()
        if with_load:
            self._plan_is_complete(made)

    def _plan_is_complete(self, made: Made) -> None:
        """Exactly what differs is planned: what failed before is there again, what is equal is not."""
        world: World = self.world
        planned = {
            (op["object_type"], op["record_id"], op["property"])
            for op in made.ops.values()
            if op["object_type"] == CONTACTS
        }
        differs = {
            place
            for place, value in world.wanted.items()
            if place[1] in world.loaded_alive and not world.crm.holds(place, value)
        }
        assert planned == differs

    @precondition(lambda self: self.world.plans)
    @rule()
    def plan_again(self) -> None:
        """The same inputs make the same plan: nothing is stored twice."""
        world: World = self.world
        rows = world.sync_rows()
        first = world.plan(rows)
        again = world.plan(list(reversed(rows)))
        assert again.summary.digest == first.summary.digest

    @precondition(lambda self: self.world.plans)
    @rule(data=st.data(), everything=st.booleans(), verdict=st.sampled_from(["approved", "approved", "rejected"]))
    def decide(self, data: st.DataObject, everything: bool, verdict: str) -> None:
        made = self.world.newest()
        waiting = sorted(op_id for op_id, op in made.ops.items() if op["decision"] == "require_approval")
        if waiting:
            some = None if everything else data.draw(st.sets(st.sampled_from(waiting), min_size=1))
            self.world.approve(made, some, verdict=verdict)

    # writes -----------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.plans)
    @rule(dry=st.booleans())
    def write(self, dry: bool) -> None:
        self.world.apply(self.world.newest(), dry=dry)

    @precondition(lambda self: self.world.plans)
    @rule(script=SCRIPT, kill_at=st.integers(0, 12), down_at=st.integers(0, 6), refusal=st.sampled_from(REFUSALS))
    def write_with_trouble(self, script: list[str], kill_at: int, down_at: int, refusal: str) -> None:
        self.world.crm.refusal = refusal
        self.world.apply(self.world.newest(), script=script, kill_at=kill_at, down_at=down_at)

    @precondition(lambda self: self.world.plans)
    @rule(script=SCRIPT, second_at=st.integers(1, 8))
    def two_write_at_once(self, script: list[str], second_at: int) -> None:
        self.world.apply(self.world.newest(), script=script, second_at=second_at)

    @precondition(lambda self: len(self.world.plans) > 1)
    @rule(data=st.data())
    def write_an_old_plan(self, data: st.DataObject) -> None:
        made = data.draw(st.sampled_from(list(self.world.plans.values())[:-1]), label="plan")
        self.world.apply(made)

    @precondition(lambda self: self.world.plans)
    @rule()
    def write_twice(self) -> None:
        """The second time nothing is sent, unless something of it failed."""
        world: World = self.world
        made = world.newest()
        assert made is not None
        end = world.apply(made)
        if end.report is not None and not set(end.report.counts) - {
            "applied",
            "already_there",
            "denied",
            "not_approved",
        }:
            requests, values = world.crm.requests, dict(world.crm.values)
            again = world.apply(made)
            if not world.crm.late:
                assert again.report is not None and "applied" not in again.report.counts
                assert (world.crm.requests, world.crm.values) == (requests, values)

    # the world goes on ------------------------------------------------------------------------------------------------

    @rule(place=FIELDS, empty=st.booleans())
    def a_person_edits(self, place: Any, empty: bool) -> None:
        if place[:2] in self.world.crm.alive:
            self.world.crm.edit(*place, value="" if empty else None)

    @rule(key=st.sampled_from(KEYS), deletes=st.booleans())
    def a_person_handles_a_task(self, key: str, deletes: bool) -> None:
        crm = self.world.crm
        if (TASKS, key) in crm.alive:
            crm.delete(TASKS, key) if deletes else crm.edit(TASKS, key, SUBJECT)

    @rule(one=st.sampled_from(PEOPLE), in_crm=st.booleans())
    def a_person_opts_out(self, one: str, in_crm: bool) -> None:
        world: World = self.world
        if in_crm and (CONTACTS, one) in world.crm.alive:
            world.crm.edit(CONTACTS, one, OPT_OUT, "true")
        elif not in_crm and one not in world.listed:
            world.listed.add(one)
            now = world.clock()
            world.con.execute(
                "insert into suppression values (?, 'reply', null, null, 'r', ?)", [f"hubspot:contact:{one}", now]
            )

    @rule(one=st.sampled_from(PEOPLE), other=st.sampled_from(PEOPLE))
    def records_are_merged(self, one: str, other: str) -> None:
        crm = self.world.crm
        if one != other and {(CONTACTS, one), (CONTACTS, other)} <= crm.alive:
            crm.merge(one, other)

    @rule(one=st.sampled_from(PEOPLE))
    def a_record_is_archived(self, one: str) -> None:
        if (CONTACTS, one) in self.world.crm.alive:
            self.world.crm.delete(CONTACTS, one)

    @rule()
    def lost_requests_arrive(self) -> None:
        self.world.crm.deliver()

    @rule(minutes=st.sampled_from([-600, -1, 5, 600, 73 * 60]))
    def the_clock_moves(self, minutes: int) -> None:
        self.world.clock.now += timedelta(minutes=minutes)

    @rule()
    def the_policy_changes(self) -> None:
        self.world.strict = not self.world.strict

    # undo -------------------------------------------------------------------------------------------------------------

    def _runs(self) -> list[str]:
        return list(dict.fromkeys(entry.run for entry in self.world.crm.log if entry.run))

    def _undo(self, run: str | None, terms: list[str], every: bool) -> Made | None:
        world: World = self.world
        try:
            with world.process() as con:
                made = plan_rollback(
                    con, run, world.crm, world.policy, "undo", AS_OF, "nightdesk", world.clock,
                    select=Selection.parse(terms), every=every,
                )  # fmt: skip
        except NightdeskError as error:
            assert "Nothing to roll back" in error.what or "Another apply" in error.what, error
            return None
        return world._keep(made)

    @precondition(lambda self: self._runs())
    @rule(data=st.data(), how=st.sampled_from(HOW_TO_UNDO), script=SCRIPT, kill_at=st.integers(0, 9))
    def undo_with_trouble(self, data: st.DataObject, how: str, script: list[str], kill_at: int) -> None:
        run = data.draw(st.sampled_from(self._runs()), label="run") if how == "run" else None
        term = {
            "record": [f"record:contact:{data.draw(st.sampled_from(PEOPLE))}"],
            "operation": ["operation:lead_quality"],
            "agent": ["operation:lead_*"],
        }.get(how, [])
        made = self._undo(run, term, how != "run")
        if made is not None:
            self.world.approve(made)
            self.world.apply(made, script=script, kill_at=kill_at)

    @precondition(lambda self: self._runs() and not self.world.crm.merged and not self.world.crm.late_landed)
    @rule(data=st.data(), every=st.booleans())
    def undo_exactly(self, data: st.DataObject, every: bool) -> None:
        """Every field that still holds our value has what it held before; nothing else is touched."""
        world: World = self.world
        run = None if every else data.draw(st.sampled_from(self._runs()), label="run")
        made = self._undo(run, [], every)
        if made is None:
            return
        expected = world.expected_undone(set(self._runs()) if run is None else {run})
        world.approve(made)
        end = world.apply(made)
        assert end.report is not None or made.summary.operation_count == 0 or end.error is not None
        if end.report is not None:
            assert shown(world.crm.values) == shown(expected)

    # the end of every story -------------------------------------------------------------------------------------------

    @rule()
    def a_quiet_night(self) -> None:
        self.world.quiet_night()


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_whatever_happens_the_promises_hold() -> None:
    run_state_machine_as_test(
        WriteBack,
        settings=settings(
            max_examples=3, stateful_step_count=12, deadline=None, derandomize=True, database=None,
            suppress_health_check=QUIET, phases=[Phase.generate],
        ),
    )  # fmt: skip


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_whatever_happens_for_long_the_promises_hold() -> None:
    import os

    run_state_machine_as_test(
        WriteBack,
        settings=settings(
            max_examples=int(os.environ.get("NIGHTDESK_SOAK_EXAMPLES", "150")), stateful_step_count=40, deadline=None,
            database=None, suppress_health_check=QUIET,
        ),
    )  # fmt: skip
