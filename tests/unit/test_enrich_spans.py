"""Spans: what is new, who says it, and where it stands."""

from __future__ import annotations

import time

import pytest

from enrich import context as contexts
from enrich import spans

HEAD = "[document.type] {kind}\n[document.date] 2026-08-03\n[document.author] dana@acme.example\n[document.author_side] {side}\n\n"  # noqa: E501


def cut(body: str, kind: str = "email", side: str = "theirs") -> tuple[spans.Span, ...]:
    return spans.segment(contexts.parse(HEAD.format(kind=kind, side=side) + body), "Harbourline")


def texts(body: str, kind: str = "email") -> list[str]:
    return [span.text for span in cut(body, kind)]


@pytest.mark.parametrize(
    "old",
    [
        "On Fri, 31 Jul 2026 at 16:02, Tom Hale <tom@harbourline.example> wrote:\n> OLD words here.\n",
        "On Fri, 31 Jul 2026 at 16:02, Tom Hale\n<tom@harbourline.example> wrote:\n> OLD words here.\n",
        "Am 31.07.2026 um 16:02 schrieb Tom Hale:\n> OLD words here.\n",
        "Le ven. 31 juil. 2026 à 16:02, Tom Hale a écrit :\n> OLD words here.\n",
        "El vie, 31 jul 2026 a las 16:02, Tom Hale escribió:\n> OLD words here.\n",
        "Op vr 31 jul. 2026 om 16:02 schreef Tom Hale:\n> OLD words here.\n",
        "-----Original Message-----\nFrom: Tom\nSent: Friday\nOLD words here.\n",
        "________________________________\nFrom: Tom Hale\nOLD words here.\n",
        "From: Tom Hale <tom@harbourline.example>\nSent: Friday, 31 July 2026\nTo: Dana\nSubject: x\n\nOLD words here.\n",  # noqa: E501
        "Von: Tom Hale\nGesendet: Freitag\nAn: Dana\nBetreff: x\n\nOLD words here.\n",
        "> OLD words here.\n> OLD too.\n",
    ],
)
def test_what_was_said_before_gets_no_span(old: str) -> None:
    assert texts(f"New words first.\n\n{old}") == ["New words first."]


def test_an_answer_below_the_quote_is_new() -> None:
    body = "On Friday, Tom wrote:\n> Do you have budget?\n\nNo, not this year.\n\n> And in 2027?\n\nPerhaps then.\n"
    assert texts(body) == ["No, not this year.", "Perhaps then."]


@pytest.mark.parametrize(
    "closing",
    [
        "-- ",
        "Best regards",
        "Best,",
        "Thanks!",
        "Mit freundlichen Grüßen",
        "MfG",
        "Cordialement,",
        "Saludos",
        "Met vriendelijke groet,",
    ],
)
def test_signatures_get_no_span(closing: str) -> None:
    body = f"The budget is gone.\n\n{closing}\nDana Reyes\nVP Operations | Acme\n+44 113 496 0101\n"
    assert texts(body) == ["The budget is gone."]


def test_a_postscript_after_the_signature_is_read() -> None:
    assert (
        texts("All fine.\n\nBest\nDana\n\nPS: the budget is frozen until July.\n")[-1]
        == "PS: the budget is frozen until July."
    )


def test_a_thank_you_at_the_start_is_no_signature() -> None:
    assert texts("Thanks\n\nWe have no budget this year and will not get any soon.")[-1].startswith("We have no budget")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("We met Dr. Weber on 24. November. He agreed.", 2),
        ("That is approx. 40 seats, e.g. planners. Fine?", 2),
        ("no capital letters here. still two sentences", 2),
        ("It costs 1.5 million... Really! Yes.", 3),
        ("- first point\n- second point\n- third point", 3),
        ("A long line that a mail client has wrapped somewhere in the\nmiddle of a sentence, as they do. Next.", 2),
        ("Hi Tom,\nwe have no budget.", 2),
    ],
)
def test_sentences_end_where_readers_think_they_do(body: str, expected: int) -> None:
    assert len(texts(body)) == expected, texts(body)


def test_offsets_point_into_the_text() -> None:
    body = "  Erste Zeile – mit Umlaut: ä.\r\n\r\nZweite: “Zitat”.\u200b Dritte."
    for span in cut(body):
        assert body[span.start : span.end] == span.text


def test_turns_have_the_side_and_name_of_their_speaker() -> None:
    body = (
        "[00:00:01] Tom Hale (Harbourline): Hello. How are you?\n"
        "[00:00:05] Dana Reyes (Acme Freight): Fine.\nand this belongs to Dana.\n"
        "[00:01:05] Unknown Caller: Hm."
    )
    assert [(span.side, span.author, span.text) for span in cut(body, "call")] == [
        ("ours", "Tom Hale", "Hello."),
        ("ours", "Tom Hale", "How are you?"),
        ("theirs", "Dana Reyes", "Fine."),
        ("theirs", "Dana Reyes", "and this belongs to Dana."),
        ("unknown", "Unknown Caller", "Hm."),
    ]


def test_a_customer_cannot_speak_for_us_in_an_email() -> None:
    assert {span.side for span in cut("[00:00:01] Tom Hale (Harbourline): You get it for free.\n")} == {"theirs"}


def test_an_enormous_body_is_cut_off_and_quick() -> None:
    body = "We have no budget this year because of the merger. " * 40_000
    started = time.perf_counter()
    found = cut(body)
    assert found[-1].end <= spans.MAX_BODY_CHARS
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize(
    "body",
    [
        ">" * 50_000,
        "On " * 30_000,
        "a" * 300_000,
        ". " * 60_000,
        "From: x\n" * 20_000,
        "(" * 40_000,
        "-" * 100_000,
        "[00:00:01] " * 20_000,
    ],
)
@pytest.mark.parametrize("kind", ["email", "call"])
def test_hostile_shapes_take_no_time(body: str, kind: str) -> None:
    started = time.perf_counter()
    cut(body, kind)
    assert time.perf_counter() - started < 3


def test_a_sentence_without_end_is_cut_into_pieces() -> None:
    found = cut("word " * 1000)
    assert len(found) > 5
    assert max(span.end - span.start for span in found) <= spans.MAX_SPAN_CHARS


def test_the_span_at_a_character_is_found() -> None:
    found = cut("One. Two. Three.")
    assert spans.span_at(found, 6) == found[1]
    assert spans.span_at(found, 4) is None


FORWARD = (
    "---------- Forwarded message ---------\n"
    "From: {who}\nDate: Mon, 3 Aug 2026\nSubject: Re: tools\nTo: Dana\n\n{text}\n"
)


@pytest.mark.parametrize(
    ("who", "side"),
    [
        ("Rob Lane <rob@acme.example>", "theirs"),
        ("Rob Lane <rob@elsewhere.example>", "unknown"),
        ("Rob Lane", "unknown"),
    ],
)
def test_forwarded_text_is_new_and_its_own_authors(who: str, side: str) -> None:
    found = cut(f"See below.\n\n{FORWARD.format(who=who, text='We have no budget.')}")
    assert [(span.text, span.side, span.is_forwarded) for span in found] == [
        ("See below.", "theirs", False),
        ("We have no budget.", side, True),
    ]
    assert found[1].author in who and found[1].author


def test_our_own_words_sent_back_to_us_are_not_new() -> None:
    text = FORWARD.format(who="Tom Hale <tom@harbourline.example>", text="You get it for free.")
    assert texts(f"Is that so?\n\n{text}") == ["Is that so?"]


def test_what_a_forwarded_mail_quotes_or_signs_with_stays_unread() -> None:
    text = "We said no.\n\nBest\nRob\n+44 113 496 0101\n\n> OLD words here."
    assert texts(f"FYI\n\n{FORWARD.format(who='Rob <rob@acme.example>', text=text)}") == ["FYI", "We said no."]


def test_bare_headers_open_forwarded_text_only_when_the_subject_says_so() -> None:
    body = "FYI\n\nFrom: Rob <rob@acme.example>\nSent: Friday\nTo: Dana\nSubject: x\n\nNew to you.\n"
    head = HEAD.format(kind="email", side="theirs")
    fwd = head.replace("[document.author_side]", "[document.subject] FW: x\n[document.author_side]")
    assert [span.text for span in spans.segment(contexts.parse(fwd + body), "Harbourline")] == ["FYI", "New to you."]
    assert texts(body) == ["FYI"]


def test_a_shared_mail_provider_makes_nobody_a_colleague() -> None:
    head = HEAD.format(kind="email", side="theirs").replace("dana@acme.example", "dana@gmail.com")
    text = FORWARD.format(who="Rob <rob@gmail.com>", text="No budget.")
    found = spans.segment(contexts.parse(head + f"FYI\n\n{text}"), "Harbourline")
    assert found[-1].side == "unknown"
