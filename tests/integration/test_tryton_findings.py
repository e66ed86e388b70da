"""What Tryton does with values it should not get, measured again on every run and held equal to docs/tryton.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reverse_etl.canonical import lenient
from reverse_etl.crms.protocol import RecordWrite
from reverse_etl.crms.tryton import TrytonAdapter
from reverse_etl.crms.tryton.wire import VALUE_TYPES, decode
from tests.tryton_kit import DATABASE, PARTY, US, tryton

DOCS = Path(__file__).parents[2] / "docs" / "tryton.md"
NUMERIC, INTEGER, FLOAT, FREE = (
    "nightdesk_lead_score",
    "nightdesk_icp_score",
    "nightdesk_test_float",
    "nightdesk_test_numeric",
)
TEXT, LINE, CHOICE = "nightdesk_lead_reason", "nightdesk_test_short", "nightdesk_lead_tier"
DATE, BOX = "nightdesk_lead_scored_on", "nightdesk_test_boolean"


def decimal(text: str) -> dict[str, str]:
    return {"__class__": "Decimal", "decimal": text}


def day(year: int, month: int, number: int) -> dict[str, Any]:
    return {"__class__": "date", "year": year, "month": month, "day": number}


AT_FIVE = day(2026, 11, 17) | {"__class__": "datetime", "hour": 5, "minute": 0, "second": 0, "microsecond": 0}
LONG = "x" * 65_537
# what it is, field, the JSON value somebody could send, our wire text for the same
CASES: list[tuple[str, str, Any, str]] = [
    ("text in a number", NUMERIC, "abc", "abc"),
    ("a number as text", NUMERIC, "62.5", "62.5"),
    ("more decimals than the field has digits", NUMERIC, decimal("62.555"), "62.555"),
    ("NaN", NUMERIC, decimal("NaN"), "NaN"),
    ("37 digits in a decimal without limits", FREE, decimal("1" * 19 + "." + "2" * 18), "1" * 19 + "." + "2" * 18),
    ("62.7 in an integer", INTEGER, 62.7, "62.7"),
    ("2^70 in an integer", INTEGER, 2**70, str(2**70)),
    ("0.1 + 0.2 in a float", FLOAT, 0.1 + 0.2, "0.30000000000000004"),
    ("20 digits in a float", FLOAT, float("0.12345678901234567891"), "0.12345678901234567891"),
    ("not an option", CHOICE, "Z", "Z"),
    ("an option in lower case", CHOICE, "a", "a"),
    ("an emoji as an option", CHOICE, "\U0001f984", "\U0001f984"),
    ("a date as text", DATE, "2026-11-17", "2026-11-17"),
    ("a date as people write it", DATE, "17.11.2026", "17.11.2026"),
    ("30 February", DATE, day(2026, 2, 30), "2026-02-30"),
    ("a time in a date", DATE, AT_FIVE, "2026-11-17T05:00:00Z"),
    ("`maybe` in a boolean", BOX, "maybe", "maybe"),
    ("emoji, Hebrew, quotes, line breaks", TEXT, "\U0001f984 שלום 'x' \"y\"\nz", "\U0001f984 שלום 'x' \"y\"\nz"),
    ("65,537 characters", TEXT, LONG, LONG),
    ("spaces around a text", TEXT, "  a  ", "  a  "),
    ("NUL in a text", TEXT, "a\x00b", "a\x00b"),
    ("half a surrogate pair", TEXT, "a\ud800b", "a\ud800b"),
    ("more characters than the field's size", LINE, "x" * 21, "x" * 21),
    ("a line break in a one-line field", LINE, "a\nb", "a\nb"),
    ("a field that does not exist", "nightdesk_nobody_made_this", "x", "x"),
]


@pytest.fixture(scope="module")
def adapter() -> Iterator[TrytonAdapter]:
    made = tryton().adapter()
    made.describe(PARTY)
    yield made
    made.close()


def stored(party: str, name: str, sent: str) -> str:
    """What is in the field now, in words."""
    raw = tryton().rows()[party].get(name)
    if raw is None:
        return "nothing"
    kind = next(kind for field, kind in KINDS.items() if field == name)
    value = lenient(VALUE_TYPES[kind], decode(kind, raw.decode() if isinstance(raw, bytes) else raw))
    return "the value" if value == lenient(VALUE_TYPES[kind], sent) else f"`{value}`"


KINDS = {NUMERIC: "numeric", INTEGER: "integer", FLOAT: "float", FREE: "numeric", TEXT: "text", LINE: "char"} | {
    CHOICE: "selection",
    DATE: "date",
    BOX: "boolean",
}


def directly(party: str, name: str, value: Any) -> str:
    """What Tryton answers to somebody who sends the value as it is."""
    session = tryton().as_(US)
    body = {"id": 1, "method": f"model.{PARTY}.write", "params": [[int(party)], {name: value}, {}]}
    answer = session.http.post(
        f"{session.url}/{DATABASE}/rpc/", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    if answer.status_code != 200:
        return f"HTTP {answer.status_code}"
    error = answer.json().get("error")
    return "accepts" if error is None else "refuses" if error[0] == "UserError" else "fails"


def through_us(adapter: TrytonAdapter, party: str, name: str, wire: str) -> str:
    sent = adapter.client.requests_sent
    outcome = adapter.write(PARTY, [RecordWrite(party, "t", {name: wire})])["t"]
    if outcome.state == "acknowledged":
        return "writes it"
    return f"{'does not send it' if adapter.client.requests_sent == sent else 'is refused'}: `{outcome.refusal}`"


@pytest.mark.parametrize(("label", "name", "value", "wire"), CASES, ids=[case[0] for case in CASES])
def test_tryton_does_what_the_page_says(adapter: TrytonAdapter, label: str, name: str, value: Any, wire: str) -> None:
    theirs, ours = tryton().create("Theirs", "Ours")
    before = stored(ours, name, wire)
    answer = directly(theirs, name, value)
    holds = stored(theirs, name, wire)
    us = through_us(adapter, ours, name, wire)
    row = f"| {label} | {answer} | {holds} | {us} |"
    assert row in DOCS.read_text(encoding="utf-8").splitlines()
    # Whatever happens, a field holds what we meant or what it held before.
    assert stored(ours, name, wire) == ("the value" if us == "writes it" else before)


def test_the_page_says_nothing_else() -> None:
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    start = rows.index("| sent | Tryton | then the field holds | Nightdesk |")
    assert {row.split(" | ")[0].removeprefix("| ") for row in rows[start + 1 : start + 1 + len(CASES)]} == {
        label for label, *_ in CASES
    }
