"""What holds for any bytes and any talk: nothing raises, order stands, not a word is lost, one line is one turn."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from enrich.spans import _TURN
from nightdesk.erasure.tombstones import speakers_in
from sources.transcripts.formats import read_bytes
from sources.transcripts.model import (
    Cue,
    Transcript,
    body,
    clean_company,
    clean_name,
    merged_turns,
    one_line,
    speakers_of,
)

_PIECES = st.sampled_from(
    ["WEBVTT", "\n\n", "\n", "00:00:01.000 --> 00:00:02.000", "00:01 --> ", "-->", "<v Tom>", "</v>", "NOTE", "{", "}",
     "Tom Hale: hi", "[00:00:04] A (B): c", "[", '"text"', '"speaker":', "\ufeff", "\x00", "1", " ", "é", "Dana  0:12",
     "\u2028"]
)  # fmt: skip
_KEYS = st.sampled_from(
    ["transcript", "sentences", "text", "speaker", "callTranscripts", "calls", "metaData", "parties", "timeline", "ts",
     "users", "start", "entries", "participants", "date", "duration", "recording_files", "meetingOrganizer", "data"]
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        _KEYS,
        inner,
        max_size=6,
    ),
    max_leaves=25,
)  # fmt: skip
_TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)
_WORD = st.text(alphabet=st.characters(categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=8)


@given(
    st.lists(_PIECES, max_size=30).map("".join) | st.text(max_size=200),
    st.sampled_from(["utf-8", "utf-16", "utf-16-le"]),
)
def test_no_text_raises_and_every_body_is_as_long_as_its_turns(text: str, encoding: str) -> None:
    reading = read_bytes("a.txt", text.encode(encoding, "ignore"))
    for one in reading.transcripts:
        _holds(one)
    assert reading.transcripts or reading.troubles


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    reading = read_bytes("a.vtt", data)
    assert reading.transcripts or reading.troubles


@given(_JSON)
def test_no_json_raises(data: object) -> None:
    reading = read_bytes("a.json", json.dumps(data).encode())
    for one in reading.transcripts:
        _holds(one)
    assert reading.transcripts or reading.troubles


@given(
    st.lists(st.tuples(_WORD, st.integers(0, 10**7), st.lists(_WORD, min_size=1, max_size=4)), min_size=1, max_size=12)
)
def test_every_word_of_captions_is_there_once_and_in_order_of_time(cues: list[tuple[str, int, list[str]]]) -> None:
    def stamp(ms: int) -> str:
        return f"{ms // 3600000:02d}:{ms // 60000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"

    text = "WEBVTT\n\n" + "\n\n".join(
        f"{stamp(ms)} --> {stamp(ms + 500)}\n<v {name}>{' '.join(words)}</v>" for name, ms, words in cues
    )
    reading = read_bytes("a.vtt", text.encode())
    one = reading.transcripts[0]
    assert not reading.troubles
    expected = [word for _, _, words in sorted(cues, key=lambda cue: cue[1]) for word in words]
    assert " ".join(turn.text for turn in one.turns).split() == expected
    starts = [turn.start_ms or 0 for turn in one.turns]
    assert starts == sorted(starts)
    assert all(first.speaker != second.speaker for first, second in pairwise(one.turns))


@given(st.lists(st.tuples(_TEXT, _TEXT, _TEXT), max_size=8))
def test_the_readers_of_lines_see_exactly_the_turns(cues: list[tuple[str, str, str]]) -> None:
    turns = merged_turns(Cue(clean_name(name), text, 1000 * n) for n, (name, _, text) in enumerate(cues))
    companies = {clean_name(name): clean_company(company) for name, company, _ in cues}
    speakers = tuple(type(who)(who.name, company=companies.get(who.name, "")) for who in speakers_of(turns))
    one = Transcript(turns=turns, speakers=speakers)
    _holds(one)
    voices = {(turn.speaker or "Speaker", companies.get(turn.speaker, "") if turn.speaker else "") for turn in turns}
    assert speakers_in(body(one)) == voices


def _holds(one: Transcript) -> None:
    lines = body(one)
    assert len(lines.split("\n")) == max(1, len(one.turns))
    found = list(_TURN.finditer(lines))
    assert [match[1].strip() for match in found] == [turn.speaker or "Speaker" for turn in one.turns]
    for turn in one.turns:
        assert turn.text == one_line(turn.text) != ""
    names = [who.name for who in one.speakers if who.name]
    assert len(names) == len(set(names))
    assert {turn.speaker for turn in one.turns} - {""} == {who.name for who in one.speakers if who.spoke}
