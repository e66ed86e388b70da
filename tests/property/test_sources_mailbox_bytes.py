"""Whatever bytes a mail store holds, reading them never stops a load, and nothing true is lost on the way."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.mailbox.direction import Place
from sources.mailbox.mbox import pieces
from sources.mailbox.parse import parse
from sources.mailbox.rows import COLUMNS, read
from sources.mailbox.stores import Item
from sources.mailbox.words import decoded, header_text

NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)
SAMPLES = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "fixtures" / "mail").glob("*.eml"))]
PLACE = Place("m", "m/INBOX", "INBOX", "tom@ours.example", frozenset({"tom@ours.example"}), is_export=True)

# Bytes that mean something to a parser, between bytes that do not.
FRAGMENTS = st.sampled_from(
    [
        b"From: ",
        b"=?utf-8?B?",
        b"=?x?Q?=FF?=",
        b"?=",
        b"Content-Type: multipart/mixed; boundary=b\n\n",
        b"--b\n",
        b"--b--\n",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n",
        b"Content-Type: message/rfc822\n\n",
        b"Content-Type: message/delivery-status\n\n",
        b"Content-Type: text/html; charset=utf-16\n\n<p style=",
        b"Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VEVENT\nUID:",
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Disposition: attachment; filename*0*=utf-8''%ZZ; filename*=x\n",
        b"Date: 99 Nov 99999999999 25:61:00 +9999\n",
        b"References: <a@b> <<>> <",
        b"Received: from x; Mon, 1 Jan 0001 00:00:00 +0000\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b">From ",
        b"\nFrom a@b Mon Nov 16 10:00:00 2026\nSubject: x\n\n",
    ]
)
BYTES = st.lists(FRAGMENTS | st.binary(max_size=30), max_size=25).map(b"".join)


def _is_storable(raw: bytes) -> None:
    rows, problems = read([Item(PLACE, "1", raw, None, ("file", "byte 1"))], NOW)
    columns = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
    assert len(columns) == len(COLUMNS)
    assert all(what for _, _, what in problems)


@settings(max_examples=50, deadline=None)
@given(BYTES)
def test_any_bytes_become_a_row(raw: bytes) -> None:
    _is_storable(raw)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SAMPLES), st.integers(0, 3_000), st.binary(max_size=6), st.integers(0, 3_000))
def test_a_damaged_message_becomes_a_row(raw: bytes, at: int, noise: bytes, end: int) -> None:
    _is_storable(raw[:at] + noise + raw[at + len(noise) : max(at, len(raw) - end)])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["utf-8", "utf-7", "utf-16", "gb18030"]))
def test_text_in_the_charset_it_declares_is_read_as_it_was_written(text: str, charset: str) -> None:
    try:
        data = text.encode(charset)
    except UnicodeEncodeError:
        return
    if charset == "gb18030":
        try:
            data.decode("utf-8")
            return  # by chance it is UTF-8 as well, which goes first
        except UnicodeDecodeError:
            pass
    assert decoded(data, charset)[0] == text


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_any_header_value_is_one_line_of_storable_text(value: str) -> None:
    shown = header_text(value)
    assert "\n" not in shown
    shown.encode("utf-8")


LINES = st.lists(st.sampled_from(["hello", "From here on", ">From old", "", "From: x", "From 12:00 it is"]), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=6), st.integers(1, 200), st.booleans())
def test_an_mbox_gives_back_the_messages_put_into_it(bodies: list[list[str]], block: int, crlf: bool) -> None:
    import sources.mailbox.mbox as mbox

    written = [f"Subject: {number}\n\n" + "\n".join(lines) + "\n" for number, lines in enumerate(bodies)]
    quoted = [
        "\n".join(f">{line}" if line.lstrip(">").startswith("From ") else line for line in one.split("\n"))
        for one in written
    ]
    text = "".join(f"From a@b.example Mon Nov 16 10:00:{number:02} 2026\n{one}\n" for number, one in enumerate(quoted))
    data = (text.replace("\n", "\r\n") if crlf else text).encode()
    usual, mbox._BLOCK = mbox._BLOCK, block
    try:
        found = list(pieces(io.BytesIO(data), most=100_000))
    finally:
        mbox._BLOCK = usual
    assert [one.raw.decode().replace("\r\n", "\n")[: -len("\n")] for one in found] == written
    assert [data[one.offset : one.offset + 5] for one in found] == [b"From "] * len(found)
    # Read on from any separator, the rest is the same.
    again = list(pieces(io.BytesIO(data), start=found[-1].offset, most=100_000))
    assert again == found[-1:]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SAMPLES))
def test_reading_twice_gives_the_same(raw: bytes) -> None:
    assert parse(raw, now=NOW) == parse(raw, now=NOW)
