"""Wire text to Tryton's JSON and back: what is encoded comes back as it was, what would change is refused."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reverse_etl.canonical import strict
from reverse_etl.crms.tryton.adapter import _number, _without
from reverse_etl.crms.tryton.wire import VALUE_TYPES, CannotHold, decode, encode

CANONICAL: dict[str, st.SearchStrategy[str]] = {
    "integer": st.integers(-(2**63) + 1, 2**63 - 1).map(str),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=6).map(
        lambda number: strict("number", str(number))
    ),
    "date": st.dates(min_value=date(1000, 1, 1)).map(date.isoformat),
    "datetime": st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)).map(
        lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    ),
    "boolean": st.sampled_from(["true", "false"]),
    "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1),
    "selection": st.sampled_from(["A", "out_of_office", "\U0001f984"]),
}


@pytest.mark.parametrize("kind", sorted(CANONICAL))
@given(data=st.data())
def test_canonical_values_survive_the_way_there_and_back(kind: str, data: st.DataObject) -> None:
    wire = data.draw(CANONICAL[kind])
    assert decode(kind, json.loads(json.dumps(encode(kind, wire)))) == wire


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15))
def test_a_float_field_keeps_what_is_sent_or_it_is_not_sent(number: float) -> None:
    assume(number == 0 or abs(number) > 1e-29)  # smaller ones are in no plan: `strict` refuses them
    wire = strict("number", repr(number))
    assert decode("float", json.loads(json.dumps(encode("float", wire)))) == wire


@pytest.mark.parametrize("kind", VALUE_TYPES)
def test_empty_clears_every_type(kind: str) -> None:
    assert encode(kind, "") is None and decode(kind, None) is None


@pytest.mark.parametrize(
    ("kind", "wire", "reason"),
    [
        ("integer", "62.5", "cut the fraction off"),
        ("integer", str(2**63), "larger than"),
        ("integer", "abc", "not a number"),
        ("numeric", "NaN", "not a finite number"),
        ("numeric", "Infinity", "not a finite number"),
        ("float", "0.1234567890123456789", "more digits"),
        ("date", "17.11.2026", "not a date"),
        ("date", "2026-02-30", "not a date"),
        ("date", "2026-11-17T05:00:00Z", "not a date"),
        ("datetime", "2026-11-17T05:00:00", "needs its zone"),
        ("datetime", "yesterday", "not a time"),
        ("boolean", "maybe", "not true or false"),
        ("boolean", "1", "not true or false"),
        ("text", "a\x00b", "NUL"),
        ("text", "a\ud800b", "not valid Unicode"),
        ("char", "two\nlines", "no line breaks"),
        ("many2one", "7", "are not written"),
    ],
)
def test_what_a_field_would_change_or_choke_on_is_refused_without_repeating_it(
    kind: str, wire: str, reason: str
) -> None:
    with pytest.raises(CannotHold, match=reason) as refused:
        encode(kind, wire)
    assert wire not in str(refused.value) or wire == "1"


@pytest.mark.parametrize(
    ("value", "kind", "wire"),
    [
        (0, "boolean", "false"),
        (1, "boolean", "true"),
        (True, "boolean", "true"),
        (62, "integer", "62"),
        ({"__class__": "Decimal", "decimal": "62.50"}, "numeric", "62.5"),
        (7, "many2one", "7"),
        ({"b": 1, "a": 2}, "dict", '{"a": 2, "b": 1}'),
        (["a", "b"], "multiselection", '["a", "b"]'),
    ],
)
def test_what_tryton_sends_is_read_as_one_text(value: Any, kind: str, wire: str) -> None:
    assert decode(kind, value) == wire


def test_a_time_with_a_zone_is_sent_in_utc() -> None:
    sent = encode("datetime", "2026-11-17T06:30:00+02:00")
    assert (sent["hour"], sent["minute"]) == (4, 30)


@pytest.mark.parametrize("record_id", ["", "0", "-1", "007", "1.0", "x", "٣", "2147483648", " 1", "9" * 5000])
def test_an_id_that_tryton_cannot_have_is_no_number(record_id: str) -> None:
    assert _number(record_id) is None
    assert _number("2147483647") == 2147483647


def test_messages_lose_the_values_and_names_tryton_quotes() -> None:
    said = 'The value "\'62.555\'" for field "Lead score" in record "Anna "X" Smith" of "Party" is too long.'
    assert _without(said, ["62.555", 'Anna "X" Smith', ""]) == (
        'The value “…” for field "Lead score" in record “…” of "Party" is too long.'
    )
