"""Canonical values, digests and halving hold for anything thrown at them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reverse_etl.canonical import VALUE_TYPES, InvalidValue, lenient, same, strict
from reverse_etl.crms.halving import WholeBatchRejected, isolate
from reverse_etl.digest import OP_COLUMNS, encode, plan_digest, row_hash, row_hash_sql

TEXT = st.text(max_size=60)


@given(st.sampled_from(VALUE_TYPES), TEXT)
def test_canonical_is_idempotent(kind: str, raw: str) -> None:
    once = lenient(kind, raw)
    assert lenient(kind, once) == once


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_a_number_keeps_its_value_in_any_spelling(number: Decimal) -> None:
    texts = {str(number), format(number, "f"), f" {number} ", f"{number:E}"}
    assert len({strict("number", text) for text in texts}) == 1
    assert Decimal(strict("number", str(number))) == number


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "-inf", "1e999", "", "twelve", "1,5", "0x10"])
def test_what_is_no_number_is_refused(raw: str) -> None:
    with pytest.raises(InvalidValue):
        strict("number", raw)


@given(st.dates())
def test_a_date_is_the_same_in_every_form_a_crm_sends(day: Any) -> None:
    from datetime import UTC, datetime

    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    forms = [day.isoformat(), f"{day}T00:00:00Z", f"{day}T00:00:00.000Z", f"{day}T00:00:00+00:00"]
    milliseconds = str(int(midnight.timestamp()) * 1000)
    if len(milliseconds.lstrip("-")) >= 9:
        forms.append(milliseconds)
    assert {lenient("date", form) for form in forms} == {day.isoformat()}


@pytest.mark.parametrize("raw", ["2026-11-17T05:00:00Z", "2026-13-01", "20261117", "17.11.2026", "1731801600001"])
def test_what_is_no_day_is_refused(raw: str) -> None:
    with pytest.raises(InvalidValue):
        strict("date", raw)


@given(TEXT)
def test_text_is_sent_as_it_is_stored(raw: str) -> None:
    kept = lenient("text", raw)
    assert kept is not None and kept == kept.strip() and "\r" not in kept


def test_limits_and_options() -> None:
    assert strict("text", "x" * 10, max_chars=10) == "x" * 10
    with pytest.raises(InvalidValue):
        strict("text", "x" * 11, max_chars=10)
    with pytest.raises(InvalidValue):
        strict("enumeration", "🙂", options=["A"])
    with pytest.raises(InvalidValue):
        strict("text", " \n ")
    assert not same(None, "0") and same(None, "") and not same("", "a")


# digests --------------------------------------------------------------------------------------------------------------

SCALARS = st.none() | TEXT.filter(lambda text: "\x00" not in text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(SCALARS, min_size=3, max_size=3), min_size=1, max_size=8))
def test_sql_and_python_hash_a_row_alike(table: list[list[str | None]]) -> None:
    names = ("one", "two", "three")
    con = duckdb.connect()
    columns = {name: pa.array([line[i] for line in table], pa.string()) for i, name in enumerate(names)}
    con.register("t", pa.table({"n": list(range(len(table))), **columns}))
    in_sql = [row[0] for row in con.execute(f"select {row_hash_sql(names)} from t order by n").fetchall()]
    con.close()
    assert in_sql == [row_hash(dict(zip(names, line, strict=True)), names) for line in table]


@given(st.lists(SCALARS, min_size=2, max_size=5), st.lists(SCALARS, min_size=2, max_size=5))
def test_no_two_rows_share_an_encoding(left: list[str | None], right: list[str | None]) -> None:
    assert ("".join(map(encode, left)) == "".join(map(encode, right))) == (left == right)


@given(st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), max_size=8), st.randoms(use_true_random=False))
def test_the_digest_ignores_the_order_of_operations(hashes: list[str], random: Any) -> None:
    shuffled = list(hashes)
    random.shuffle(shuffled)
    header = ("plan", "hubspot", "m", "p", "s")
    assert plan_digest(header, hashes) == plan_digest(header, shuffled)
    assert plan_digest(header, [*hashes, "ffff"]) != plan_digest(header, hashes)
    assert plan_digest(("plan", "hubspot", "m", "p", "t"), hashes) != plan_digest(header, hashes)


def test_every_column_of_an_operation_is_sealed() -> None:
    ddl = duckdb.connect()
    from nightdesk.ledger.migrate import migrations

    for migration in migrations():
        ddl.execute(migration.sql)
    columns = [row[0] for row in ddl.execute("describe plan_ops").fetchall()]
    ddl.close()
    assert sorted(columns) == sorted(["plan_id", *OP_COLUMNS])


# halving --------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 100).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=6))))
def test_halving_finds_exactly_the_bad_ones_within_the_bound(case: tuple[int, set[int]]) -> None:
    n, bad = case
    calls: list[int] = []

    def send(batch: Sequence[int]) -> Mapping[str, str]:
        calls.append(len(batch))
        if any(item in bad for item in batch):
            raise WholeBatchRejected("bad value")
        return {str(item): "ok" for item in batch}

    answers = isolate(range(n), str, send, lambda item, error: f"refused: {error}")
    assert {int(key) for key, answer in answers.items() if answer != "ok"} == bad
    assert len(answers) == n
    assert len(calls) <= 2 * len(bad) * math.ceil(math.log2(n)) + 1 if n > 1 else len(calls) == 1
