"""Whatever a text looks like: spans lie in it, in order, apart from each other, and the same every time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from enrich import context as contexts
from enrich import spans

PIECES = st.sampled_from(
    [
        "We have no budget until July.", "\n", "\n\n", "> quoted", "On Fri, Tom wrote:", "-- ", "Best regards", "From: Tom", "Sent: today", "To: me", "Subject: x",  # noqa: E501
        "[00:01:02] Dana Reyes (Acme): yes", "[00:01:03] Tom (Harbourline): no", "Am 24. November schrieb Tom:", "-----Original Message-----", "PS: one more", "e.g. ", "... ", "!?",  # noqa: E501
        "\r\n", "\u2028", "\u200b", "\u00a0", "\t", "Ünïcödé", "😀", "\x0b", "\x85", "a" * 700, " ",
    ]
)  # fmt: skip
BODIES = st.one_of(st.text(max_size=400), st.lists(PIECES, max_size=30).map("".join))


def cut(body: str, kind: str) -> tuple[spans.Span, ...]:
    head = f"[document.type] {kind}\n[document.date] 2026-08-03\n[document.author_side] theirs\n\n"
    return spans.segment(contexts.parse(head + body), "Harbourline")


@settings(max_examples=300, deadline=None)
@given(BODIES, st.sampled_from(["email", "call", "note"]))
def test_spans_are_pieces_of_the_text_in_order(body: str, kind: str) -> None:
    found = cut(body, kind)
    last = 0
    for number, span in enumerate(found, start=1):
        assert span.id == f"s{number}"
        assert body[span.start : span.end] == span.text
        assert span.start >= last and span.end > span.start
        assert span.text.strip(" \t\r\n") == span.text
        assert span.end - span.start <= spans.MAX_SPAN_CHARS
        last = span.end
    assert cut(body, kind) == found


@settings(max_examples=200, deadline=None)
@given(BODIES)
def test_zones_cover_the_text_without_gaps(body: str) -> None:
    position = 0
    for zone in spans.zones(body):
        assert zone.start == position and zone.end > zone.start
        position = zone.end
    assert position == len(body)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="abc XYZ.,!?\n", max_size=200), st.text(max_size=100))
def test_what_is_quoted_below_never_changes_what_is_new(new: str, old: str) -> None:
    quoted = "\n".join(f"> {line}" for line in old.splitlines()) or "> "
    alone = [span.text for span in cut(f"{new}\n", "email")]
    assert [span.text for span in cut(f"{new}\n{quoted}\n", "email")] == alone
