"""Invariants 8 and 21: whatever is changed in what was reviewed or in what was recorded is noticed, and where.

8: one cell of a plan, an operation or an approval, one byte of a policy file, one trait of a property in the CRM: no
request goes out any more. 21: an event that is edited, taken away, put in, moved or cut off is the first bad one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nightdesk.errors import NightdeskError
from nightdesk.policy import load
from nightdesk.prepare import project_hash
from reverse_etl import audit
from reverse_etl.digest import OP_COLUMNS
from tests.memory_crm import CONTACTS
from tests.reverse_kit import POLICIES
from tests.write_back_machine import PLACES, REASON, REPLY, ROLE, ROOT, SCORE, TIER, WANTED, Made, World

# Most examples run an apply: nothing is made smaller when one fails.
QUICK: Any = {
    "deadline": None,
    "derandomize": True,
    "phases": [Phase.generate],
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
CHOICES = {
    "decision": ("auto", "require_approval", "denied"),
    "kind": ("sync", "rollback", "review"),
    "verdict": ("approved", "rejected"),
}
APPROVAL_COLUMNS = ("approval_id", "plan_id", "digest", "verdict", "op_ids", "approver", "role", "expires_at", "via")


def another(value: Any, column: str, draw: Any) -> Any:
    """A value of the same kind that is not this one, as close to it as can be."""
    if column in CHOICES:
        return draw(st.sampled_from([choice for choice in CHOICES[column] if choice != value]))
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, Decimal)):
        return value + draw(st.sampled_from([1, -1]))
    if isinstance(value, datetime):
        return value + timedelta(microseconds=draw(st.sampled_from([1, -1, 3_600_000_000])))
    if isinstance(value, date):
        return value + timedelta(days=1)
    if value is None:
        return {
            "confidence": Decimal("0.5"), "evidence": "[]", "op_ids": "[]", "rolls_back_run_id": "x",
        }.get(column, "x")  # fmt: skip
    if column == "evidence":
        return value.replace("July", "June")
    if column in ("guards", "op_ids"):
        entries = json.loads(value)
        if column == "op_ids":
            return json.dumps(entries[:-1])
        one = draw(st.sampled_from(entries))
        name = draw(st.sampled_from(["limit", "measured", "tripped", "about"]))
        one[name] = {"limit": one["limit"] + 1, "measured": 0.123, "tripped": True, "about": "something else"}[name]
        return json.dumps(entries)
    at = draw(st.integers(0, max(0, len(value) - 1)))
    letter = draw(st.sampled_from("0fX "))
    changed = value[:at] + (letter if value[at : at + 1] != letter else "y") + value[at + 1 :]
    return changed if changed != value else value + "y"


@pytest.fixture(scope="module")
def sealed() -> Iterator[tuple[World, Made]]:
    """A plan that is approved for a part, and nothing of it applied. Every operation asks a person."""
    world = World(strict=True)
    for place in PLACES[:6]:
        world.wanted[place] = WANTED[place[2]][0]
    made = world.plan()
    world.approve(made, [op_id for op_id, op in made.ops.items() if op["property"] == TIER])
    yield world, made
    world.close()


def refuses(world: World, made: Made, codes: tuple[int, ...] = (4, 8)) -> None:
    requests = world.crm.requests
    with world.process() as con:
        from reverse_etl.apply import apply

        inspect, world.crm.inspect = world.crm.inspect, lambda *_: None
        try:
            report = apply(con, made.summary.plan_id, world.crm, world.policy, "Dana", False, world.clock)
        except NightdeskError as error:
            assert error.exit_code in codes, error
        else:
            assert "applied" not in report.counts and 0 in codes, report.counts
        finally:
            world.crm.inspect = inspect
    assert world.crm.requests == requests, "written all the same"


def test_untouched_it_is_written() -> None:
    """The other tests of this page mean something only because of this one."""
    world = World(strict=True)
    world.wanted = {(CONTACTS, "1", TIER): "A"}
    made = world.plan()
    world.approve(made)
    end = world.apply(made)
    assert end.report is not None and end.report.counts == {"applied": 1}
    world.close()


@settings(max_examples=25, **QUICK)
@given(data=st.data())
def test_a_plan_with_one_cell_changed_is_refused(sealed: tuple[World, Made], data: st.DataObject) -> None:
    world, made = sealed
    table = data.draw(st.sampled_from(["plan_ops", "plan_ops", "plans"]), label="table")
    columns = sorted(row[0] for row in world.con.execute(f"describe {table}").fetchall() if row[0] != "plan_id")
    assert table != "plan_ops" or columns == sorted(OP_COLUMNS)
    column = data.draw(st.sampled_from(columns), label="column")
    where, key = "plan_id = ?", [made.summary.plan_id]
    if table == "plan_ops":
        where, key = f"{where} and op_id = ?", [*key, data.draw(st.sampled_from(sorted(made.ops)), label="operation")]
    text = f"{column}::varchar" if column in ("evidence", "guards") else column
    (value,) = world.con.execute(f"select {text} from {table} where {where}", key).fetchone() or (None,)
    changed = another(value, column, data.draw)
    world.con.execute(f"update {table} set {column} = ? where {where}", [changed, *key])
    try:
        refuses(world, made)
    finally:
        if table == "plan_ops" and column == "op_id":
            key = [key[0], changed]
        world.con.execute(f"update {table} set {column} = ? where {where}", [value, *key])


@pytest.mark.parametrize("change", ["taken away", "put in"])
def test_a_plan_with_an_operation_more_or_less_is_refused(sealed: tuple[World, Made], change: str) -> None:
    world, made = sealed
    world.con.execute("create or replace temp table kept as select * from plan_ops")
    one = sorted(made.ops)[0]
    if change == "taken away":
        world.con.execute("delete from plan_ops where op_id = ?", [one])
    else:
        world.con.execute("insert into plan_ops select * replace ('new' as op_id) from kept where op_id = ?", [one])
    try:
        refuses(world, made)
    finally:
        world.con.execute("delete from plan_ops; insert into plan_ops select * from kept")


@settings(max_examples=10, **QUICK)
@given(data=st.data())
def test_an_approval_with_one_cell_changed_is_none(sealed: tuple[World, Made], data: st.DataObject) -> None:
    world, made = sealed
    column = data.draw(st.sampled_from(APPROVAL_COLUMNS), label="column")
    text = f"{column}::varchar" if column == "op_ids" else column
    (value,) = world.con.execute(f"select {text} from approvals").fetchone() or (None,)
    world.con.execute(f"update approvals set {column} = ?", [another(value, column, data.draw)])
    try:
        refuses(world, made, (0, 4, 8))
    finally:
        world.con.execute(f"update approvals set {column} = ?", [value])


@settings(max_examples=3, **QUICK)
@given(data=st.data())
def test_a_policy_with_one_byte_changed_is_another_policy(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Every file but the golden cases: it is another policy, or none; `apply` refuses plans of another policy."""
    original = load(POLICIES)
    files = sorted(path for path in POLICIES.rglob("*") if path.is_file() and "decisions" not in path.parts)
    path = data.draw(st.sampled_from(files), label="file")
    text = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(text) - 1), label="byte")
    text[at] = data.draw(st.sampled_from([byte for byte in b"a7 #\n" if byte != text[at]]))
    folder = tmp_path_factory.mktemp("policies") / "policies"
    shutil.copytree(POLICIES, folder)
    (folder / path.relative_to(POLICIES)).write_bytes(bytes(text))
    try:
        changed = load(folder)
    except (NightdeskError, UnicodeDecodeError):
        return
    finally:
        shutil.rmtree(folder)
    assert changed.hash != original.hash


@pytest.mark.parametrize("what", ["policy", "dbt project"])
def test_a_plan_of_another_policy_or_project_is_refused(sealed: tuple[World, Made], what: str) -> None:
    world, made = sealed
    world.strict, world.project = (False, world.project) if what == "policy" else (True, "another project")
    try:
        refuses(world, made, (4,))
    finally:
        world.strict, world.project = True, World.project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the dbt project's files."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "dbt_project.yml", folder)
    for name in ("models", "macros", "seeds"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


@settings(max_examples=20, **QUICK)
@given(data=st.data())
def test_a_project_with_one_byte_changed_is_another_project(project: Path, data: st.DataObject) -> None:
    before = project_hash(project)
    files = sorted(path for path in project.rglob("*") if path.is_file() and path.stat().st_size)
    path = data.draw(st.sampled_from(files), label="file")
    text = path.read_bytes()
    how = data.draw(st.sampled_from(["byte", "gone", "renamed"]), label="change")
    moved = path.with_name(f"another_{path.name}")
    if how == "byte":
        at = data.draw(st.integers(0, len(text) - 1), label="byte")
        path.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
    elif path.name == "dbt_project.yml":
        return
    else:
        path.unlink()
        if how == "renamed":
            moved.write_bytes(text)
    try:
        assert project_hash(project) != before
    finally:
        path.write_bytes(text)
        moved.unlink(missing_ok=True)


@pytest.mark.parametrize("trait", ["value_type", "crm_type", "options", "is_read_only", "is_archived", "gone"])
@settings(max_examples=2, **QUICK)
@given(name=st.sampled_from([SCORE, TIER, REASON, ROLE, REPLY]))
def test_a_plan_is_refused_when_a_property_changes_in_the_crm(
    sealed: tuple[World, Made], name: str, trait: str
) -> None:
    world, made = sealed
    there = world.crm.schema[CONTACTS][name]
    changed = {
        "value_type": {"value_type": "other"}, "crm_type": {"crm_type": "string"}, "options": {"options": ("Z",)},
        "is_read_only": {"is_read_only": True}, "is_archived": {"is_archived": True}, "gone": {},
    }[trait]  # fmt: skip
    if trait == "gone":
        del world.crm.schema[CONTACTS][name]
    else:
        world.crm.schema[CONTACTS][name] = replace(there, **changed)  # type: ignore[arg-type]
    try:
        refuses(world, made, (4,))
    finally:
        world.crm.schema[CONTACTS][name] = there


# the chain ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chained() -> Iterator[tuple[World, Path]]:
    """A night's events, with an anchor in the middle and one at the end."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        world, anchors = World(), Path(folder) / "anchors.jsonl"
        world.wanted = {place: WANTED[place[2]][0] for place in PLACES[:8]}
        made = world.plan()
        audit.anchor(world.con, world.clock, anchors)
        world.approve(made)
        world.apply(made)
        audit.anchor(world.con, world.clock, anchors)
        world.con.execute("delete from audit_anchors")  # only the file counts: it is what an attacker cannot reach
        yield world, anchors
        world.close()


DAMAGE = ("edit", "delete", "insert", "swap", "truncate", "rehash", "rewrite")


@pytest.mark.parametrize("how", DAMAGE)
@settings(max_examples=6, **QUICK)
@given(data=st.data())
def test_any_damage_is_found_at_the_first_bad_event(chained: tuple[World, Path], how: str, data: st.DataObject) -> None:
    world, anchors = chained
    con = world.con
    assert audit.verify(con, anchors).ok
    columns = ["sequence", "occurred_at", "actor", "action", "subject", "body", "prev_hash", "hash"]
    events = [
        dict(zip(columns, row, strict=True))
        for row in con.execute(
            "select sequence, occurred_at, actor, action, subject, body::varchar, prev_hash, hash "
            "from audit_events order by sequence"
        ).fetchall()
    ]
    last = len(events)
    anchored = [json.loads(line)["sequence"] for line in anchors.read_text().splitlines()]
    assert anchored[-1] == last and len(anchored) == 2
    at = data.draw(st.integers(1, last), label="event")
    event = events[at - 1]
    column = data.draw(st.sampled_from(columns[1:]), label="column")
    first_bad = at
    match how:
        case "edit" | "rehash" | "rewrite":
            before = event[column]
            event[column] = (
                another(before, column, data.draw) if column != "body" else before.replace("{", '{"x":1,', 1)
            )
            if how == "rehash":  # it fits itself again; the next one, or the anchor, still knows the old hash
                event["hash"] = audit.event_hash(event["prev_hash"], *(event[name] for name in columns[:6]))
                if column == "hash":
                    return
                first_bad = at if column == "prev_hash" or at == last else at + 1
            if how == "rewrite":  # and everything after it is made to fit: only an anchor tells
                prev = events[at - 2]["hash"] if at > 1 else audit.GENESIS
                for one in events[at - 1 :]:
                    one["prev_hash"] = prev
                    prev = one["hash"] = audit.event_hash(prev, *(one[name] for name in columns[:6]))
                if column in ("prev_hash", "hash"):
                    return  # made to fit again, it is what it was
                first_bad = min(one for one in anchored if one >= at)
        case "delete":
            events.pop(at - 1)
        case "insert":
            copied = {**event, "sequence": last + 1}
            events.append(copied)
            first_bad = last + 1
        case "swap":
            other = data.draw(st.integers(1, last).filter(lambda one: one != at), label="other event")
            events[at - 1]["sequence"], events[other - 1]["sequence"] = other, at
            first_bad = min(at, other)
        case _:
            events = events[: at - 1]
    con.begin()
    try:
        con.execute("create or replace temp table kept_events as from audit_events")
        con.execute(
            "create or replace temp table damaged as select * replace (body::varchar as body) from kept_events limit 0"
        )
        for one in sorted(events, key=lambda one: one["sequence"]):
            con.execute("insert into damaged values (?, ?, ?, ?, ?, ?, ?, ?)", [one[name] for name in columns])
        report = _verify(con, anchors)
    finally:
        con.rollback()
    assert not report.ok and report.exit_code == 8
    assert report.first_bad == first_bad, report.problem


def _verify(con: Any, anchors: Path) -> audit.AuditReport:
    """The damaged events stand where the ledger's own would: a temporary table of the name hides them."""
    con.execute("create or replace temp view audit_events as select * replace (body::json as body) from damaged")
    try:
        return audit.verify(con, anchors)
    finally:
        con.execute("drop view temp.audit_events")
