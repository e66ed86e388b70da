"""Invariants 4, 13, 14, 15, 25: what is sent is what was meant, where it may be, and shows nobody what it must not.

Through the real HubSpot adapter into the sandbox (in one process, on virtual time), so that the claims are about what
arrives at a CRM: its own journal is asked.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st

from reverse_etl import setup
from reverse_etl.canonical import VALUE_TYPES, InvalidValue, lenient, same, strict
from reverse_etl.crms.hubspot import HubSpotAdapter
from reverse_etl.crms.protocol import NotOurProperty, RecordWrite
from sandbox.crm.app import Options, build_app
from sandbox.crm.limits import UNLIMITED
from sandbox.crm.store import Store
from sandbox.virtual import InProcess, VirtualTime
from tests.reverse_kit import AS_OF, project_policy, seed_store
from tests.write_back_machine import REASON, SCORE, TIER, Made, World

QUICK = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
WHOLE = {**QUICK, "phases": [Phase.generate]}  # a whole write-back for every example: nothing is made smaller
ASKS = "nightdesk_review"


@dataclass
class Room:
    store: Store
    adapter: HubSpotAdapter

    def requests(self) -> int:
        return self.store.connection.execute("select count(*) from requests").fetchone()[0]

    def set_names(self) -> set[str]:
        """Every property of a contact that was ever set through the API, by the CRM's own journal."""
        return {
            row[0]
            for row in self.store.connection.execute(
                "select distinct property from journal where action = 'set' and object_type = 'contacts'"
            )
        }


@contextmanager
def opened(folder: Path) -> Iterator[Room]:
    time = VirtualTime()
    with Store.open(seed_store(folder / "crm.sqlite", contacts=3, companies=1), clock=time) as store:
        app = build_app(store, Options(token="t", limits=UNLIMITED))
        adapter = HubSpotAdapter.connect(
            "http://crm.test", "t", project_policy(), AS_OF, transport=InProcess(app, time), sleep=time.sleep,
            now=time.monotonic,
            requests_per_10s=100_000,
        )  # fmt: skip
        setup.apply(adapter, project_policy())
        yield Room(store, adapter)
        adapter.close()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with opened(tmp_path_factory.mktemp("crm")) as made:
        yield made


# 4: only where it may be ----------------------------------------------------------------------------------------------

MAPPED = {item.property for item in project_policy().field_mapping.fields["contacts"]}
# Names that look as if they were ours, and names of properties that people own.
NEARLY = st.sampled_from(
    ["email", "lifecyclestage", "hs_lead_status", "hubspot_owner_id", "nightdesk", "nightdeskx_score",
     " nightdesk_lead_score", "Nightdesk_lead_score", "NIGHTDESK_LEAD_TIER", "hs_email_optout", "x_nightdesk"]
)  # fmt: skip
NAMES = NEARLY | st.text(min_size=1, max_size=30).filter(lambda name: not name.startswith("nightdesk_"))


@settings(max_examples=60, **QUICK)
@given(foreign=NAMES, ours=st.sets(st.sampled_from([SCORE, TIER, REASON]), max_size=2), at=st.integers(0, 2))
def test_nothing_outside_the_namespace_ever_reaches_the_crm(room: Room, foreign: str, ours: set[str], at: int) -> None:
    """One foreign name among many good ones: the CRM sees no request at all."""
    good = dict.fromkeys(ours, "1")
    writes = [RecordWrite(str(n + 1), f"t{n}", {**good, **({foreign: "x"} if n == at else {})}) for n in range(3)]
    writes = [write for write in writes if write.values]
    requests = room.requests()
    with pytest.raises(NotOurProperty) as refused:
        room.adapter.write("contacts", writes)
    assert refused.value.exit_code == 5
    assert room.requests() == requests
    assert room.set_names() <= MAPPED | {ASKS}


# 13: text arrives as it was meant -------------------------------------------------------------------------------------

# Everything JSON and UTF-8 can carry; half a surrogate pair is no text.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
HARD = st.sampled_from(
    ["O'Neill", 'say "yes"', "a\nb", "a\r\nb", "שלום world", "\u202eevil", "🙂" * 40, "a;b;c", "{{x}}", "\\u0041",
     "=1+1", "null", "None", "<b>bold</b>", "a\tb", "\u200bzero", "e\u0301", "%s %d", "' or 1=1 --", "x" * 59_999 + "é"]
)  # fmt: skip


@settings(max_examples=60, **QUICK)
@example("x" * 60_000)
@example("é" * 60_000)
@given(ANY_TEXT | HARD | st.tuples(ANY_TEXT, HARD).map("".join))
def test_text_arrives_in_the_crm_exactly_as_canonical(room: Room, raw: str) -> None:
    try:
        meant = strict("text", raw, max_chars=60_000)
    except InvalidValue as refused:
        assert not raw.strip() or "\x00" in raw or len(raw) > 60_000
        assert raw not in str(refused) or len(raw) < 4  # the message never repeats the value
        return
    answer = room.adapter.write("contacts", [RecordWrite("1", "t", {REASON: meant})])
    assert answer["t"].state == "acknowledged", answer
    held = room.store.get("contacts", 1)
    assert held is not None and held.properties[REASON] == meant
    read = room.adapter.read("contacts", ["1"], [REASON]).found["1"].values[REASON]
    assert read == meant and lenient("text", read) == meant


# 14: canonical forms --------------------------------------------------------------------------------------------------

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")


@settings(**QUICK)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)), st.sampled_from(ZONES), st.booleans())
def test_a_moment_is_one_text_in_every_zone_and_spelling(moment: datetime, zone: str, fold: bool) -> None:
    """Also in the hour that a zone has twice, and in the one that it leaves out."""
    local = moment.replace(microsecond=0, fold=int(fold), tzinfo=ZoneInfo(zone))
    utc = local.astimezone(UTC)
    forms = {
        local.isoformat(), utc.isoformat(), utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        str(int(utc.timestamp()) * 1000), utc.astimezone(timezone(timedelta(hours=5, minutes=45))).isoformat(),
    }  # fmt: skip
    canonical = {strict("datetime", form) for form in forms}
    assert len(canonical) == 1
    (text,) = canonical
    assert strict("datetime", text) == text and datetime.fromisoformat(text) == utc


@settings(**QUICK)
@given(st.dates(date(1971, 1, 1), date(2200, 1, 1)), st.integers(1, 86_399_999))
def test_a_date_is_midnight_and_nothing_else(day: date, later: int) -> None:
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    if len(str(midnight)) >= 9:
        assert strict("date", str(midnight)) == day.isoformat()
        with pytest.raises(InvalidValue):
            strict("date", str(midnight + later))
    moment = datetime.fromtimestamp(midnight / 1000, UTC) + timedelta(milliseconds=later)
    with pytest.raises(InvalidValue):
        strict("date", moment.isoformat())


@settings(max_examples=150, **QUICK)
@given(st.sampled_from(VALUE_TYPES), st.text(max_size=30) | st.decimals(allow_nan=True).map(str))
def test_what_is_written_reads_back_as_the_same(kind: str, raw: str) -> None:
    """Nothing that may be written ever shows up as a difference the night after."""
    try:
        value = strict(kind, raw)
    except InvalidValue:
        return
    assert lenient(kind, value) == value == strict(kind, value)
    assert same(lenient(kind, f" {value} "), value)
    if kind == "number":
        assert Decimal(value).is_finite() and lenient(kind, f"{value}.00" if "." not in value else f"{value}0") == value
    if kind == "boolean":
        assert lenient(kind, value.upper()) == value


# 15: never set, empty and no wish are three things --------------------------------------------------------------------

EMPTY = st.sampled_from([None, "", " ", "\n"])
HELD = st.sampled_from([None, "", "I know them"])


@settings(max_examples=2, **WHOLE)
@given(st.lists(st.tuples(EMPTY, HELD, st.sampled_from([None, "", "I know them"])), min_size=6, max_size=12))
def test_no_wish_never_empties_a_field(cases: list[tuple[str | None, str | None, str | None]]) -> None:
    """Only an undo clears: whatever a model gives for "nothing", nothing is written over what is there."""
    world = World()
    try:
        rows = []
        for n, (wish, held, last) in enumerate(cases):
            record = str(100 + n)
            world.crm.alive.add(("contacts", record))
            if held is not None:
                world.crm.values["contacts", record, REASON] = held
            world.wanted = {("contacts", record, REASON): "x"}
            world.load()
            (row,) = world.sync_rows()
            rows.append({**row, "desired_value": wish, "crm_value": held, "last_written_value": last})
        made = world.plan(rows)
        # Blanks are no value and no wish to clear: they are shown as what cannot be written.
        blank = {str(100 + n) for n, (wish, *_) in enumerate(cases) if wish is not None and wish != ""}
        assert {op["record_id"] for op in made.ops.values()} == blank
        assert {op["deciding_rule"] for op in made.ops.values()} <= {"invalid_value"}
        before = dict(world.crm.values)
        world.approve(made)
        world.apply(made)
        assert world.crm.values == before and world.crm.requests == 0
    finally:
        world.close()


def test_never_set_and_empty_are_kept_apart_in_the_plan_and_cleared_alike() -> None:
    world = World()
    try:
        world.crm.values["contacts", "2", REASON] = ""
        world.load()
        world.wanted = {("contacts", one, REASON): "Asked for a date" for one in ("1", "2")}
        made = world.plan()
        assert {op["record_id"]: op["before_value"] for op in made.ops.values()} == {"1": None, "2": ""}
        world.approve(made)
        world.apply(made)
        undo = _undo(world)
        assert [(op["desired_value"], op["wire_value"]) for op in undo.ops.values()] == [(None, "")] * 2
        world.approve(undo)
        world.apply(undo)
        assert [world.crm.values["contacts", one, REASON] for one in ("1", "2")] == ["", ""]
    finally:
        world.close()


def _undo(world: World) -> Made:
    from reverse_etl.rollback import plan_rollback

    with world.process() as con:
        made = plan_rollback(con, None, world.door or world.crm, world.policy, "undo", AS_OF, "nightdesk", world.clock)
    return world._keep(made)


# 25: who sees what ----------------------------------------------------------------------------------------------------


def everything_in(world: World, tables: list[str] | None = None) -> str:
    """All of the ledger (or some tables of it) as text."""
    names = tables or [
        name for (name,) in world.rows("select table_name from duckdb_tables() where database_name = 'ledger'")
    ]
    return "\n".join(str(value) for name in names for row in world.rows(f'from "{name}"') for value in row)


def rendered(thing: Any) -> str:
    from rich.console import Console

    paper = io.StringIO()
    Console(file=paper, width=400, no_color=True).print(thing)
    return paper.getvalue()


WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=14, max_size=60)


@settings(max_examples=2, **WHOLE)
@given(theirs=WORDS, ours=WORDS)
def test_the_words_of_an_erased_person_are_nowhere_although_the_crm_still_holds_them(theirs: str, ours: str) -> None:
    """Read from the CRM they are a mask: in the plan, its rendering, the journal, the results, an error, an undo."""
    from nightdesk.erasure.tombstones import Tombstones
    from reverse_etl import view
    from reverse_etl.crms.masked import Masked
    from reverse_etl.plan import load
    from reverse_etl.select import Selection

    assume(theirs not in ours and ours not in theirs)
    world = World()
    try:
        stones = Tombstones(b"k" * 32)
        stones.learn("value", theirs, "erasure-1")
        world.crm.values |= {("contacts", one, REASON): theirs for one in ("1", "2")}
        world.load()
        world.wanted = {("contacts", one, REASON): ours for one in ("1", "2")}
        rows = [{**row, "crm_value": stones.masked(theirs)} for row in world.sync_rows()]
        world.door = Masked(world.crm, stones)
        world.crm.inspect = lambda *_: None  # it compares with the bare CRM; here the plan has seen masks
        made = world.plan(rows)
        world.approve(made)
        world.crm.edit("contacts", "2", REASON, theirs + "!")
        world.crm.edit("contacts", "2", REASON, theirs)  # somebody put it there again since the plan
        report = world.apply(made).report
        assert report is not None
        with world.process() as con:
            shown = load(con, made.summary.plan_id)
        assert [world.crm.values["contacts", one, REASON] for one in ("1", "2")] == [ours, ours]
        pages = [
            rendered(view.terminal(shown, Selection())), str(view.as_json(shown)), rendered(view.apply_report(report)),
            str(view.apply_json(report)), everything_in(world),
        ]  # fmt: skip
        assert all(theirs not in page for page in pages)
        assert "erased:" in pages[-1]
        assert not _undo(world).ops  # and an undo brings nothing of it back
        assert theirs not in everything_in(world)
    finally:
        world.close()


@settings(max_examples=2, **WHOLE)
@given(value=WORDS, held=WORDS)
def test_the_audit_trail_holds_no_value(value: str, held: str) -> None:
    """Events hold hashes: a person can be erased later without breaking the proof of what was written."""
    assume(value != held)
    world = World()
    try:
        world.crm.values["contacts", "1", REASON] = held
        world.load()
        world.wanted = {("contacts", one, REASON): value for one in ("1", "2")}
        made = world.plan()
        world.approve(made)
        world.apply(made, script=["edited after", "none"])
        undo = _undo(world)
        world.approve(undo)
        world.apply(undo)
        assert value in everything_in(world, ["plan_ops"])
        trail = everything_in(world, ["audit_events", "audit_anchors"])
        assert value not in trail and held not in trail and "I know them" not in trail
    finally:
        world.close()
