"""The fast path over whole columns gives what `canonical` gives for every single value."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from reverse_etl import canonical_sets
from reverse_etl.canonical import VALUE_TYPES, InvalidValue, lenient, strict
from reverse_etl.canonical_sets import Target

OPTIONS = ("A", "B", " C", "")
MOST = 8
NASTY = [
    "", " ", "\t", "0", "-0", "+1", "1.", ".5", "007", "1e3", "1E400", "-0.0", "0.10", "1_000", "١٢", "NaN", "-inf",
    "9" * 18, "9" * 19, "-1.50", "0.000000000001", "0.0000000000001", "1" + "0" * 31, "true", "TRUE", " false",
    "2026-11-17", "2026-11-17T00:00:00Z", "2026-11-17T05:00:00+01:00", "1763337600000", "2026-13-01", "2026-1-1",
    "A", " A", "a", "A\n", "\x00", "a\x00b", "a\rb", "a\r\nb", "a\nb", "\u00a0x", "x\u2028", "\ufeffx", "ü", "über",
    "12345678", "123456789", "äöüäöüäö", "👩‍👩‍👧", "it's", '"', "%s", "\x1fx", "x\x85", "\x7f", "x\x7fy", "~", "!",
]  # fmt: skip
RAW = (
    st.none()
    | st.sampled_from(NASTY)
    | st.text(max_size=12)
    | st.integers().map(str)
    | st.decimals(allow_nan=False).map(str)
)
KINDS = [*VALUE_TYPES, "unmapped"]
ROW = st.tuples(st.sampled_from(KINDS), RAW, RAW, RAW)


def slow(kind: str, want: str | None, have: str | None, last: str | None) -> tuple[Any, ...]:
    """One row, value by value."""
    known, error = kind if kind != "unmapped" else "text", None
    if want is not None and want != "":
        try:
            want = strict(known, want, options=OPTIONS if kind == "enumeration" else None, max_chars=MOST)
        except InvalidValue as problem:
            error = str(problem)
    return want, error, lenient(known, have), lenient(known, last)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(ROW, min_size=1, max_size=30))
@example([(kind, raw, raw, raw) for kind in KINDS for raw in NASTY])
def test_whole_columns_become_what_single_values_become(table: list[tuple[Any, ...]]) -> None:
    con = duckdb.connect()
    try:
        columns = [pa.array([row[place] for row in table], pa.string()) for place in range(4)]
        names = ["property", "desired_value", "crm_value", "last_written_value"]
        con.register("given_rows", pa.table({"n": list(range(len(table))), **dict(zip(names, columns, strict=True))}))
        con.execute(
            "create temp table sync_rows as select *, 'contacts' as object_type, "
            "if(property = 'unmapped', 'text', property) as value_type from given_rows"
        )
        known = {("contacts", kind): Target(kind, OPTIONS if kind == "enumeration" else ()) for kind in VALUE_TYPES}
        canonical_sets.look_up(con, "sync_rows", known, MOST)
        joined, select = canonical_sets.joined_sql("sync_rows", "rows")
        found = con.execute(
            f"select {select['desired_value']}, {select['value_error']}, {select['before_value']}, "
            f"{select['last_written_value']} from {joined} order by rows.n"
        ).fetchall()
    finally:
        con.close()
    assert found == [slow(*row) for row in table]


@cache
def dbt_canonical() -> str:
    """dbt's own macro, as SQL over the columns `raw` and `kind`."""
    macros = (Path(__file__).parents[2] / "macros" / "canonical.sql").read_text(encoding="utf-8")
    return Environment(autoescape=False).from_string(macros + "{{ canonical_value('raw', 'kind') }}").render()


SIX_PLACES = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20)


@settings(max_examples=60, deadline=None)
@given(st.lists(SIX_PLACES | st.integers(-(10**20), 10**20), min_size=1, max_size=20))
@example([0, -1, 10, 100, 10**17, 10**18, -(10**18), 10**19])
def test_dbt_and_the_plan_agree_on_every_number(numbers: list[Any]) -> None:
    raw = [
        text for number in numbers for text in (str(number), f"{number:f}", f"-{number}", f"{number}.0", f"0{number}")
    ]
    con = duckdb.connect()
    try:
        con.register("given_rows", pa.table({"n": list(range(len(raw))), "raw": raw, "kind": ["number"] * len(raw)}))
        found = [row[0] for row in con.execute(f"select {dbt_canonical()} from given_rows order by n").fetchall()]
    finally:
        con.close()
    assert found == [lenient("number", text) for text in raw]
