"""Two files of one call are one call, and two calls are never one."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sources.transcripts.formats import read_bytes
from sources.transcripts.model import Cue, Speaker, Transcript, merged_turns, speakers_of
from sources.transcripts.same import Part, grouped, key_of, one_call

SAMPLES = Path(__file__).parents[1] / "fixtures" / "transcripts"
START = datetime(2026, 11, 3, 14, 5, 9, tzinfo=UTC)
WORDS = [
    "thanks for making the time today dana",
    "sure but there is honestly no money for new software this half",
    "understood so what would have to change before you look at it again",
    "our warehouse lead would have to stop loving his own spreadsheet",
    "let me send you the security paper by friday and we talk in spring",
]


def talk(texts: list[str] | None = None, *, names: tuple[str, str] = ("Tom Hale", "Dana Reyes")) -> Transcript:
    cues = [Cue(names[number % 2], text, 1000 * number) for number, text in enumerate(texts or WORDS)]
    turns = merged_turns(cues)
    return Transcript(turns=turns, speakers=speakers_of(turns), format="webvtt")


def at(one: Transcript, minutes: float = 0, how: str = "metadata") -> Transcript:
    return replace(one, started_at=START + timedelta(minutes=minutes), started_how=how)  # type: ignore[arg-type]


def calls(*parts: Part) -> list[set[str]]:
    found = [{part.file for part in group} for group in grouped(parts)]
    for _ in range(3):
        mixed = list(parts)
        random.Random(len(parts)).shuffle(mixed)
        again = grouped(mixed)
        assert [{part.file for part in group} for group in again] == found  # whatever the order
        assert [one_call(group) for group in again] == [one_call(group) for group in grouped(parts)]
    return found


def test_an_id_joins_what_nothing_else_would() -> None:
    first = Part("a", "1.json", replace(at(talk()), external_ids=("gong:7",)), alone=False)
    second = Part("b", "2.json", replace(at(talk(["entirely different words"]), 600), external_ids=("gong:7",)))
    assert calls(first, second) == [{"1.json", "2.json"}]


def test_different_ids_of_one_system_keep_equal_words_apart() -> None:
    first = Part("a", "1.json", replace(at(talk()), external_ids=("gong:7",)))
    second = Part("a", "2.json", replace(at(talk()), external_ids=("gong:8",)))
    without = Part("a", "3.vtt", at(talk()))
    assert calls(first, second) == [{"1.json"}, {"2.json"}]
    # A third one that is like both goes to one of them, and never makes them one.
    assert calls(first, second, without) == [{"1.json", "3.vtt"}, {"2.json"}]


def test_a_description_goes_with_the_words_beside_it() -> None:
    described = Transcript(title="Discovery", speakers=(Speaker("Tom Hale", "tom@ours.example", spoke=False),))
    words = Part("a", "x/GMT1_Recording.transcript.vtt", at(talk(), how="file_name"))
    beside = Part("a", "x/GMT1_Recording.meta.json", described)
    elsewhere = Part("a", "y/GMT1_Recording.meta.json", described)
    found = grouped([beside, words, elsewhere])
    assert [{part.file for part in group} for group in found] == [{words.file, beside.file}, {elsewhere.file}]
    one = one_call(found[0])
    assert (one.title, one.speakers[0].email, one.speakers[0].spoke) == ("Discovery", "tom@ours.example", True)


def test_two_wordings_of_one_name_are_one_call_only_if_they_are_alike() -> None:
    words = Part("a", "call.vtt", at(talk()))
    same = Part("a", "call.srt", at(talk(WORDS[:4]), 90, "file_time"))
    other = Part(
        "a", "call.txt", at(talk(["lunch was good and the weather is better than on monday"] * 3), 95, "file_time")
    )
    assert calls(words, same, other) == [{"call.txt"}, {"call.vtt", "call.srt"}]


def test_minutes_apart_the_same_people_and_much_the_same_words() -> None:
    heard = [text.replace("software", "soft wear").replace("spring", "string") for text in WORDS]
    first = Part("a", "zoom.vtt", at(talk()))
    assert calls(first, Part("b", "gong.json", at(talk(heard), 4))) == [{"zoom.vtt", "gong.json"}]
    assert calls(first, Part("b", "gong.json", at(talk(heard), 6))) == [{"zoom.vtt"}, {"gong.json"}]
    others = talk(heard, names=("Ida Berg", "Kim Ng"))
    assert calls(first, Part("b", "gong.json", at(others, 4))) == [{"zoom.vtt"}, {"gong.json"}]
    # The line broke and they began again: other words, another call.
    again = talk(["so where were we before the line broke", "you wanted to know who signs the order at our place"])
    assert calls(first, Part("a", "zoom2.vtt", at(again, 3))) == [{"zoom.vtt"}, {"zoom2.vtt"}]


def test_equal_words_are_one_call_unless_they_are_few_or_a_day_apart() -> None:
    first = Part("a", "call.vtt", at(talk(), how="file_time"))
    assert calls(first, Part("a", "copy/of call.vtt", at(talk(), 900, "file_time"))) == [
        {"call.vtt", "copy/of call.vtt"}
    ]
    assert len(calls(Part("a", "1.vtt", at(talk())), Part("a", "2.vtt", at(talk(), 24 * 60)))) == 2
    voicemail = talk(["please leave a message after the tone"])
    assert len(calls(Part("a", "1.vtt", at(voicemail)), Part("a", "2.vtt", at(voicemail, 300)))) == 2


def test_the_richer_wording_is_kept_and_the_best_of_all_else() -> None:
    nameless = replace(at(talk(names=("", "")), 0, "metadata"), title="From Gong", language="eng")
    named = at(talk(), 2, "file_name")
    one = one_call(grouped([Part("a", "a.json", nameless), Part("a", "b.vtt", named)])[0])
    assert [turn.speaker for turn in one.turns[:2]] == ["Tom Hale", "Dana Reyes"]
    assert (one.title, one.language, one.started_how) == ("From Gong", "eng", "metadata")
    assert one.started_at == START
    assert one.files == ("a/b.vtt", "a/a.json")


def test_gongs_numbers_get_their_names_from_its_other_export() -> None:
    parts = [
        Part("gong", f"{name}#{number}", one, alone=False)
        for name in ("calls.json", "transcripts.json")
        for number, one in enumerate(read_bytes(name, (SAMPLES / "gong" / name).read_bytes()).transcripts, start=1)
    ]
    found = [one_call(group) for group in grouped(parts)]
    call = next(one for one in found if "gong:7782342274025937895" in one.external_ids)
    assert [turn.speaker for turn in call.turns] == ["Dana Reyes", "Tom Hale"]
    assert [(who.name or who.email, who.spoke) for who in call.speakers] == [
        ("Dana Reyes", True),
        ("Tom Hale", True),
        ("pia@acme-freight.example", False),
    ]
    assert (call.title, call.duration_ms) == ("Acme pricing", 1_200_000)


def test_a_key_comes_from_an_id_else_from_the_first_file() -> None:
    plain = Part("a", "x.vtt", talk())
    assert key_of([plain]) == key_of([plain, Part("a", "y.vtt", talk())])
    assert key_of([plain]) != key_of([Part("b", "x.vtt", talk())])
    known = Part("a", "x.vtt", replace(talk(), external_ids=("zoom:1",)))
    assert key_of([known]) == key_of([Part("elsewhere", "z.json", known.whole)])
