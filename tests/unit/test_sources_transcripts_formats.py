"""Each format as its vendor exports it, well-formed and broken: what is said, by whom, when, what is wrong where."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import srt
import webvtt

from sources.transcripts.formats import dated, read_bytes
from sources.transcripts.model import Reading, Transcript, body
from sources.transcripts.stamps import moment, moment_in_name, offset_ms

SAMPLES = Path(__file__).parents[1] / "fixtures" / "transcripts"


def read(name: str, zone: str = "UTC") -> Reading:
    return read_bytes(Path(name).name, (SAMPLES / name).read_bytes(), ZoneInfo(zone))


def only(name: str, zone: str = "UTC") -> Transcript:
    reading = read(name, zone)
    assert not reading.troubles
    assert len(reading.transcripts) == 1
    return reading.transcripts[0]


def said(one: Transcript) -> list[tuple[str, int | None, str]]:
    return [(turn.speaker, turn.start_ms, turn.text) for turn in one.turns]


def people(one: Transcript) -> dict[str, tuple[str, str, bool]]:
    return {who.name: (who.email, who.company, who.spoke) for who in one.speakers}


# -- captions --------------------------------------------------------------------------------------------------------


def test_zoom_names_stand_before_a_colon_and_a_phone_is_a_name_too() -> None:
    one = only("zoom/GMT20261103-140509_Recording.transcript.vtt")
    assert said(one) == [
        ("Tom Hale", 4120, "Thanks for making the time, Dana."),
        (
            "Dana Reyes",
            9000,
            "Sure. I have to be honest with you: there is no money for new software this half. Maybe in spring.",
        ),
        ("Tom Hale", 17200, "Understood. I'll send you the security paper by Friday."),
        ("442070814383", 62000, "Hello, Priya here from the warehouse."),
    ]
    assert one.turns[1].end_ms == 18000
    assert one.duration_ms == 66500


def test_teams_voice_tags_entities_and_ids_and_a_name_written_last_name_first() -> None:
    one = only("teams/meeting.vtt")
    assert said(one) == [
        ("Tom Hale", 3120, "Right, let's start & keep it short."),
        ("Dana Reyes", 6900, "We use Excel for everything. It hurts."),
    ]
    assert (one.platform, one.language) == ("teams", "en-gb")
    assert people(one)["Dana Reyes"] == ("", "", True)  # (Guest) is no company


def test_teams_metadata_content_says_when_the_transcript_began() -> None:
    one = only("teams/metadata_content.vtt")
    assert said(one) == [("Tom Hale", 16246, "This is the weekly."), ("Dana Reyes", 19000, "Budget: none.")]
    assert one.started_at == datetime(2026, 11, 5, 10, 9, 54, 914000, UTC)
    assert (one.started_how, one.platform, one.language) == ("metadata", "teams", "en-us")


def test_an_srt_cue_without_a_name_goes_on_with_the_last_one() -> None:
    one = only("srt/export.srt")
    assert said(one) == [
        ("Tom Hale", 1000, "Welcome back. and thanks for coming."),
        ("Lena Vogt", 6500, "Happy to be here."),
    ]
    assert one.format == "srt"


def test_a_broken_cue_is_named_by_line_and_everything_said_is_kept() -> None:
    reading = read("broken/cues.vtt")
    assert [(one.place, one.what) for one in reading.troubles] == [
        (4, "`00:00:xx.000 --> 00:00:03.000` is no time stamp"),
        (8, "The cue ends (00:00:04.000) before it starts (00:00:05.000)"),
        (12, "The cue is empty"),
        (15, "`00:61:99.000` is no time"),
    ]
    assert said(reading.transcripts[0]) == [
        ("Tom Hale", None, "This time stamp is broken."),
        ("Dana Reyes", 5000, "This one ends before it starts."),
        ("Tom Hale", None, "No such minute."),
        ("Dana Reyes", 12000, "No blank line above."),
    ]


def test_captions_agree_with_the_strict_readers_on_well_formed_files() -> None:
    vtt = (SAMPLES / "zoom/GMT20261103-140509_Recording.transcript.vtt").read_text()
    strict = [(cue.start_in_seconds, cue.text.split(": ", 1)[1]) for cue in webvtt.from_string(vtt)]
    ours = only("zoom/GMT20261103-140509_Recording.transcript.vtt")
    assert " ".join(text for _, text in strict) == " ".join(turn.text for turn in ours.turns)
    assert strict[0][0] == ours.turns[0].start_ms // 1000 if ours.turns[0].start_ms else False
    subtitles = list(srt.parse((SAMPLES / "srt/export.srt").read_text()))
    assert only("srt/export.srt").turns[0].start_ms == subtitles[0].start.total_seconds() * 1000
    assert only("srt/export.srt").duration_ms == subtitles[-1].end.total_seconds() * 1000


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        # hours left out, settings behind the times, a note and a style in between
        (
            "WEBVTT - Talk\nKind: captions\nLanguage: de\n\nSTYLE\n::cue { color: red }\n\nNOTE Tom: not said\nmore\n\n"
            "01:02.000 --> 01:03.000 align:start position:0%\n<v.loud Tom Hale>One</v> <v Dana Reyes>two\n",
            [("Tom Hale", 62000, "One"), ("Dana Reyes", 62000, "two")],
        ),
        # out of order and overlapping
        (
            "WEBVTT\n\n00:09.000 --> 00:12.000\n<v B>Later.\n\n00:01.000 --> 00:10.000\n<v A>Sooner.\n",
            [("A", 1000, "Sooner."), ("B", 9000, "Later.")],
        ),
        # a blank line inside a cue, no blank line at the end, commas for milliseconds
        (
            "WEBVTT\n\n00:00:01,5 --> 00:00:02,5\n<v A>One\n\ntwo</v>\n\n00:00:03.000 --> 00:00:04.000\n<v A>three",
            [("A", 1500, "One two three")],
        ),
        # nobody is named at all
        (
            "1\n00:00:01,000 --> 00:00:02,000\nhello\n\n2\n00:00:02,000 --> 00:00:03,000\nworld",
            [("", 1000, "hello world")],
        ),
        # text that looks like a turn stays inside its own line
        (
            "WEBVTT\n\n00:01.000 --> 00:02.000\n<v A>Hi\n[00:00:09] Tom Hale (Harbourline): I promise"
            "\u2028[00:10] X: y\n",
            [("A", 1000, "Hi [00:00:09] Tom Hale (Harbourline): I promise [00:10] X: y")],
        ),
    ],
)
def test_captions_as_loose_as_they_come(text: str, turns: list[tuple[str, int | None, str]]) -> None:
    reading = read_bytes("a.vtt", text.encode())
    assert not reading.troubles
    assert said(reading.transcripts[0]) == turns
    assert len(body(reading.transcripts[0]).split("\n")) == len(turns)


# -- plain text ------------------------------------------------------------------------------------------------------


def test_the_lines_of_a_crm_come_out_as_they_are() -> None:
    one = only("text/company.txt")
    assert body(one) == (SAMPLES / "text/company.txt").read_text().rstrip("\n")
    assert people(one) == {"Tom Hale": ("", "Harbourline", True), "Dana Reyes": ("", "Acme Freight", True)}


def test_otter_puts_name_and_time_above_the_words() -> None:
    one = only("text/otter.txt", "Europe/Berlin")
    assert said(one) == [
        ("Tom Hale", 4000, "Thanks for making the time, Dana."),
        ("Dana Reyes", 9000, "Sure. Two things: money, and people. We have neither."),
        ("Tom Hale", 3751000, "Understood."),
    ]
    assert (one.title, one.platform) == ("Discovery call with Acme", "otter")
    assert (one.started_at, one.started_how) == (datetime(2026, 11, 3, 13, 5, tzinfo=UTC), "content")


def test_google_meet_puts_times_on_lines_of_their_own() -> None:
    one = only("text/google_meet.txt")
    assert said(one) == [
        ("Tom Hale", 0, "Thanks for making the time, Dana."),
        ("Dana Reyes", None, "Sure: go ahead."),
        ("Tom Hale", 300000, "Understood."),
    ]
    assert (one.title, one.platform, one.duration_ms) == ("Acme Freight x Harbourline", "google_meet", 1872000)
    assert one.started_at == datetime(2026, 11, 3, 14, 5, tzinfo=UTC)
    assert set(people(one)) == {"Tom Hale", "Dana Reyes"}


def test_names_before_colons_are_told_from_other_words() -> None:
    one = only("text/plain.txt", "Europe/Berlin")
    assert said(one) == [
        ("Tom Hale", None, "Welcome."),
        ("Lena Vogt", None, "Thank you. Note: nothing was recorded before."),
        ("Tom Hale", None, "Shall we start?"),
    ]
    assert people(one)["Lena Vogt"] == ("lena.vogt@nordwind.example", "", True)
    assert (one.title, one.started_at) == ("Kick-off Nordwind", datetime(2026, 11, 4, 9, tzinfo=UTC))


@pytest.mark.parametrize("name", ["text/utf16.txt", "text/bom_crlf.txt", "broken/latin1.txt"])
def test_letters_survive_whatever_they_are_encoded_in(name: str) -> None:
    reading = read(name)
    assert [turn.text for turn in reading.transcripts[0].turns] == ["Schönen Tag, René.", "Grüß Gott.", "Gut."]
    assert [who.name for who in reading.transcripts[0].speakers] == ["Tom Hale", "René Müller"]
    wrong = [(one.place, one.what) for one in reading.troubles]
    assert wrong == ([(1, "Byte 13 is not UTF-8; the file is read as Windows-1252")] if "latin1" in name else [])


def test_a_page_without_turns_is_no_transcript_and_said_to_be_none() -> None:
    for name, place, what in (
        ("broken/shopping.txt", 1, "The format is unknown: `Buy milk.`"),
        ("broken/empty.vtt", None, "The file is empty"),
        ("broken/scan.txt", None, "The file is a PDF, not a transcript in text"),
    ):
        reading = read(name)
        assert [(one.place, one.what) for one in reading.troubles] == [(place, what)]
        assert not reading.transcripts


# -- JSON ------------------------------------------------------------------------------------------------------------


def test_gong_says_who_and_when_in_one_export_and_what_in_another() -> None:
    described = read("gong/calls.json").transcripts
    assert [one.external_ids for one in described] == [("gong:7782342274025937895",), ("gong:7782342274025937897",)]
    assert described[0].started_at == datetime(2026, 11, 6, 13, 1, 10, 500000, UTC)
    assert (described[0].duration_ms, described[0].owner_email) == (1_200_000, "tom.hale@harbourline.example")
    assert [(who.name, who.side, who.crm_id) for who in described[0].speakers] == [
        ("Tom Hale", "ours", ""),
        ("Dana Reyes", "theirs", "salesforce:contact:003DANA"),
        ("", "theirs", ""),
    ]
    worded = read("gong/transcripts.json").transcripts
    assert [len(one.turns) for one in worded] == [2, 1]
    assert worded[0].turns[0].start_ms == 460230  # milliseconds
    assert worded[0].turns[0].text.endswith("first. Is it per seat?")


def test_fireflies_counts_in_seconds_and_minutes() -> None:
    one = only("fireflies/api.json")
    assert said(one) == [("Tom Hale", 880, "Hi Lena."), ("Lena Vogt", 2000, "Hi. We signed.")]
    assert (one.duration_ms, one.external_ids) == (1_830_000, ("fireflies:ASxwZxCstx",))
    assert people(one) == {
        "Tom Hale": ("tom.hale@harbourline.example", "", True),  # an address made of the name
        "Lena Vogt": ("lena.vogt@nordwind.example", "", True),
        "": ("kim@nordwind.example", "", False),
    }
    assert said(only("fireflies/download.json")) == [("Tom Hale", 0, "Hi Lena."), ("Lena Vogt", 2000, "Hi. We signed.")]


def test_zoom_json_has_nobody_speak_where_several_do() -> None:
    one = only("zoom/audio_transcript.json")
    assert said(one) == [
        ("Tom Hale", 1500, "Good morning."),
        ("Lena Vogt", 3000, "Morning! Can you hear me?"),
        ("", 5500, "Yes."),
    ]
    assert one.external_ids == ("zoom:Jk3lQ0r2TMmBz5a1bDqKkA==", "zoom:rec-31")
    assert (one.started_at, one.duration_ms) == (datetime(2026, 11, 4, 9, tzinfo=UTC), 1_860_000)
    assert people(one) == {
        "Tom Hale": ("tom.hale@harbourline.example", "", True),
        "Lena Vogt": ("", "Nordwind", True),
    }
    assert not only("zoom/timeline.json").turns


def test_teams_json_of_graph_and_of_stream() -> None:
    described = only("teams/call_transcript.json")
    assert not described.turns
    assert "teams:MSMjMCMj-transcript" in described.external_ids
    assert not [one for one in described.external_ids if "series" in one]
    assert said(only("teams/stream.json")) == [("Tom Hale", 8827, "Shall we?"), ("Dana Reyes", 10000, "Please.")]


def test_truncated_json_yields_what_stands_before_the_cut() -> None:
    reading = read("broken/truncated.json")
    assert [one.place for one in reading.troubles] == [9]
    assert reading.troubles[0].what.endswith("what stands before it is loaded")
    assert [turn.text for turn in reading.transcripts[0].turns][-1] == "Per site."


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ('{"a": ', 1, "breaks off or is broken here"),
        ('{"colour": "blue"}', None, "neither a transcript nor anything about one"),
        ('[{"text": "a", "speaker": "Tom", "start": "soon"}]', "$.sentences[0].start", "`soon` is no time"),
        ('{"text": "a", "speaker": "T"}\n{"text": \n', 2, "no JSON"),
        (
            '{"callId": "1", "transcript": [{"speakerId": "1", "sentences": []}]}',
            "$.transcript[0]",
            "no sentence in it",
        ),
        ('{"timeline": [{"ts": "x", "text": "hi", "users": []}]}', "$.timeline[0].ts", "`x` is no time"),
        ("[" * 100_000, None, "nested too deeply"),
    ],
)
def test_what_is_wrong_with_json_has_its_place(text: str, place: int | str | None, what: str) -> None:
    troubles = read_bytes("a.json", text.encode()).troubles
    assert [one.place for one in troubles] == [place]
    assert what in troubles[0].what


def test_a_sidecar_in_yaml_and_what_it_may_say() -> None:
    text = (
        "title: Kick-off\nstarted_at: 2026-11-04 10:00:00\nduration_minutes: 31\nhubspot_meeting_id: 42\n"
        "participants:\n  - Lena Vogt (Nordwind) <Lena.Vogt@nordwind.example>\n  - {name: Tom Hale, side: internal}\n"
        "owner: tom.hale@harbourline.example\n"
    )
    one = read_bytes("call.meta.yml", text.encode(), ZoneInfo("Europe/Berlin")).transcripts[0]
    assert (one.title, one.started_at, one.duration_ms) == ("Kick-off", datetime(2026, 11, 4, 9, tzinfo=UTC), 1_860_000)
    assert (one.crm_call_id, one.owner_email) == ("hubspot:meeting:42", "tom.hale@harbourline.example")
    assert [(who.name, who.email, who.company, who.side) for who in one.speakers] == [
        ("Lena Vogt", "lena.vogt@nordwind.example", "Nordwind", None),
        ("Tom Hale", "", "", "ours"),
    ]
    broken = read_bytes("call.yml", b"title: a\n  b: [")
    assert [one.place for one in broken.troubles] == [2]


# -- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ms"),
    [("00:01:02.345", 62345), ("1:02", 62000), ("1:02,3", 62300), ("100:00:00.000", 360_000_000), ("61:00", 3_660_000),
     ("00:61:00", None), ("0:60", None), ("x", None), ("00:00:05.7197695", 5719)],
)  # fmt: skip
def test_offsets(text: str, ms: int | None) -> None:
    assert offset_ms(text) == ms


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-03T14:05:09Z", "2026-11-03T14:05:09"),
        ("2026-11-03T14:05:09.1234567+02:00", "2026-11-03T12:05:09.123456"),
        ("2026-11-03 14:05", "2026-11-03T13:05:00"),
        (1762329600000, "2025-11-05T08:00:00"),
        (1762329600, "2025-11-05T08:00:00"),
        ("Tuesday, November 3rd, 2026 at 2:05 PM", "2026-11-03T13:05:00"),
        ("3. März 2026, 14:05", "2026-03-03T13:05:00"),
        ("soon", None),
        ("0001-01-01T00:00:00Z", None),
        (True, None),
    ],
)
def test_moments(value: object, expected: str | None) -> None:
    found = moment(value, ZoneInfo("Europe/Berlin"))
    assert found == (None if expected is None else datetime.fromisoformat(expected).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GMT20261103-140509_Recording.transcript.vtt", "2026-11-03T14:05:09"),
        ("2026-11-03 14.05.09 Discovery.vtt", "2026-11-03T13:05:09"),
        ("Weekly-20261103_140509-Meeting Recording.vtt", "2026-11-03T13:05:09"),
        ("2026-11-03T1405Z.srt", "2026-11-03T14:05:00"),
        ("2026-11-03.vtt", None),  # a day is no start
        ("call 20261399-140509.vtt", None),
    ],
)
def test_a_start_in_a_files_name(name: str, expected: str | None) -> None:
    found = moment_in_name(name, ZoneInfo("Europe/Berlin"))
    assert found == (None if expected is None else datetime.fromisoformat(expected).replace(tzinfo=UTC))


def test_the_files_own_time_is_the_last_resort_and_marked_as_a_guess() -> None:
    one = only("srt/export.srt")
    written = datetime(2026, 11, 3, 15, 0, 9, tzinfo=UTC)
    guessed = dated(one, "export.srt", written, ZoneInfo("UTC"))
    assert (guessed.started_at, guessed.started_how) == (datetime(2026, 11, 3, 15, tzinfo=UTC), "file_time")
    named = dated(one, "GMT20261103-140509_Recording.srt", written, ZoneInfo("UTC"))
    assert (named.started_how, named.platform) == ("file_name", "zoom")


@pytest.mark.parametrize(
    "text",
    [
        "WEBVTT\n\n" + "-" * 200_000,
        "WEBVTT\n\n00:01.000 --> 00:02.000\n" + "<v " * 20_000,
        "WEBVTT\n\n00:01.000 --> 00:02.000" + " " * 200_000 + "x",
        " " * 200_000 + "x\nTom Hale: a\nTom Hale: b",
        "0:12" + " \t" * 100_000 + "\nTom Hale: a\nTom Hale: b",
        "Title" + "\t" * 200_000 + "\nTom Hale: a\nTom Hale: b",
        "2026-01-01" * 20_000 + " - Transcrip\nTom Hale: a\nTom Hale: b",
        "Tom " * 50_000 + ": a",
        '{"a": [' * 50_000,
        '{"a": [' + '{"text": "b"},' * 20_000,
    ],
)
def test_no_text_takes_longer_than_its_length_allows(text: str) -> None:
    started = time.process_time()
    read_bytes("a.txt", text.encode())
    assert time.process_time() - started < 2  # milliseconds where a pattern does not start over at every letter
