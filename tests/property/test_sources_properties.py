"""Invariants of sources/hubspot: paging never loses a record, limits are never passed, settling is a diff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sources.hubspot.api import SEARCH_PAGE, HubSpotApi, parse_time
from sources.hubspot.limiter import WindowLimiter
from sources.hubspot.settle import Settlement
from sources.hubspot.spool import spool_columns
from sources.kit.spool import Spool
from sources.registry import ensure_tables

START = datetime(2026, 11, 1, tzinfo=UTC)


class _Search:
    """A HubSpot search over (id, stamp in ms) pairs; some records are modified between pages."""

    def __init__(self, records: dict[int, int], edits: list[tuple[int, int]]) -> None:
        self.records = dict(records)
        self.edits = list(edits)
        self.client = self
        self.settings = type("Settings", (), {"base_path": "/crm/v3", "page_size": 100})()
        self.newest = max(records.values(), default=0)

    def post(self, path: str, body: dict[str, Any], search: bool = False) -> dict[str, Any]:
        found = sorted(self.records.items())
        for one in body["filterGroups"][0]["filters"]:
            bound = int(one["value"])
            index = 0 if one["propertyName"] == "hs_object_id" else 1
            compare = {"GTE": int.__ge__, "LT": int.__lt__, "GT": int.__gt__}[one["operator"]]
            found = [record for record in found if compare(record[index], bound)]
        by_id = body["sorts"][0]["propertyName"] == "hs_object_id"
        found.sort(key=lambda record: record[0] if by_id else (record[1], record[0]))
        if self.edits:
            record, _ = self.edits.pop()
            if record in self.records:
                self.newest += 1
                self.records[record] = self.newest
        results = [{"id": str(one), "properties": {"stamp": str(stamp)}} for one, stamp in found[: body["limit"]]]
        return {"results": results, "total": len(found)}


_EPOCH_MS = int(START.timestamp() * 1000)


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 450)), min_size=1, max_size=6),
    edits=st.lists(st.tuples(st.integers(1, 2000), st.just(0)), max_size=8),
)
def test_paging_by_stamp_finds_every_record_whatever_shares_a_stamp_or_moves(
    groups: list[tuple[int, int]], edits: list[tuple[int, int]]
) -> None:
    records: dict[int, int] = {}
    for stamp, count in groups:
        for _ in range(count):
            records[len(records) + 1] = stamp
    portal = _Search({one: stamp + _EPOCH_MS for one, stamp in records.items()}, edits)
    api = HubSpotApi(portal)  # type: ignore[arg-type]
    seen = {one for found in api.modified_since("contacts", "stamp", START) for one, _ in found.stamps}
    assert seen == {str(one) for one in records}
    assert SEARCH_PAGE == 200


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(1, 8),
    arrivals=st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=60),
    pauses=st.lists(st.integers(0, 59), max_size=3),
)
def test_no_window_ever_holds_more_starts_than_the_limit(limit: int, arrivals: list[float], pauses: list[int]) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds + 1e-9

    limiter = WindowLimiter(limit, 10.0, clock=lambda: now[0], sleep=sleep)
    starts: list[float] = []
    for number, gap in enumerate(arrivals):
        now[0] += gap
        if number in pauses:
            limiter.pause(2.5)
            resumed = now[0] + 2.5
            limiter.acquire()
            assert now[0] >= resumed
        else:
            limiter.acquire()
        starts.append(now[0])
    for early, late in zip(starts, starts[limit:], strict=False):
        assert late - early >= 10.0 - 1e-6


@given(st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-12, 14))
def test_times_in_any_notation_are_the_same_moment(moment: datetime, offset: int) -> None:
    from datetime import timezone

    moment = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    local = moment.astimezone(timezone(timedelta(hours=offset)))
    millis = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_time(local.isoformat()) == parse_time(moment.isoformat().replace("+00:00", "Z")) == moment
    assert parse_time(millis) == parse_time(str(millis)) == moment


_deal = st.tuples(st.sampled_from(["1", "2", "3"]), st.sampled_from(["", "5", "5.00", "7.125"]), st.sampled_from("abc"))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=st.lists(_deal, max_size=4), after=st.lists(_deal, max_size=4))
def test_settling_moves_exactly_what_differs_and_the_last_row_of_a_key_wins(
    before: list[tuple[str, str, str]], after: list[tuple[str, str, str]]
) -> None:
    def row(one: tuple[str, str, str]) -> tuple[str | None, ...]:
        names = {"id": one[0], "archived": "false", "amount": one[1], "dealname": one[2]}
        from sources.hubspot.tables import TABLES

        return tuple(names.get(name) for name in TABLES["deals"].names)

    def settled(rows: list[tuple[str, str, str]], folder: Path, raw: Path) -> dict[str, tuple[Any, ...]]:
        spool = Spool(folder, spool_columns())
        spool.add("deals", [row(one) for one in rows])
        spool.finish()
        with Settlement(spool.folder, raw) as settlement:
            settlement.check_values()
            counts = settlement.counts()
            moved = [one for table in settlement.batches("deals") for one in table.to_pylist()]
        assert counts["deals"] == len(moved)
        assert not [name for name, count in counts.items() if count and name != "deals"]
        return {one["id"]: (None if one["amount"] is None else str(one["amount"]), one["dealname"]) for one in moved}

    def expected(rows: list[tuple[str, str, str]]) -> dict[str, tuple[Any, ...]]:
        money = {"": None, "5": "5.00", "5.00": "5.00", "7.125": "7.13"}
        return {one: (money[amount], name) for one, amount, name in rows}

    with TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.duckdb"
        ensure_tables(raw)
        first = settled(before, Path(folder) / "one", raw)
        assert first == expected(before)
        with duckdb.connect(str(raw)) as connection:
            for one, (amount, name) in first.items():
                connection.execute(
                    "insert into hubspot.deals (id, archived, amount, dealname, _dlt_load_id) values (?, ?, ?, ?, ?)",
                    [one, False, amount, name, "1"],
                )
        second = settled(after, Path(folder) / "two", raw)
        assert second == {one: value for one, value in expected(after).items() if first.get(one) != value}
