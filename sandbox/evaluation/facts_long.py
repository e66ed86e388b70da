"""Whether long documents are read to their end: recall by the length of the document and by the place in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox.evaluation import charts, results
from sandbox.evaluation.metrics import Interval, wilson
from sandbox.evaluation.terminal import between, percent

if TYPE_CHECKING:
    from sandbox.evaluation.evaluate_sections import Finished
    from sandbox.evaluation.matching import Fact

# Characters; an hour of talk is 45,000 to 60,000, and an email rarely more than 3,000.
LENGTHS = ((0, 1_000), (1_000, 4_000), (4_000, 12_000), (12_000, 40_000), (40_000, 1_000_000))
LONG = 12_000
THIRDS = ("first third", "middle third", "last third")


def section(night: Finished) -> results.Section | None:
    """Recall by length of the document, and by third of the transcripts that are longer than 12,000 characters."""
    documents = night.readings.documents
    hit = {pair.planted.id for pair in night.matching.matched}
    planted = [
        fact
        for fact in night.readings.planted
        if fact.document_id not in night.readings.hostile and fact.start >= 0 and documents[fact.document_id].length
    ]
    if not planted:
        return None
    by_length = [
        (
            f"{low:,} to {high:,} characters" if high < 1_000_000 else f"{low:,} characters and more",
            [fact for fact in planted if low <= documents[fact.document_id].length < high],
        )
        for low, high in LENGTHS
    ]
    long = [fact for fact in planted if documents[fact.document_id].length >= LONG]
    hours = [fact for fact in long if documents[fact.document_id].length >= LENGTHS[-1][0]]
    thirds = [(name, [fact for fact in long if _third(fact, night) == n]) for n, name in enumerate(THIRDS)]
    of_hours = [(name, [fact for fact in hours if _third(fact, night) == n]) for n, name in enumerate(THIRDS)]
    texts = {fact.document_id for fact in long}
    middle = [fact for fact in long if _third(fact, night) == 1]
    ends = [fact for fact in long if _third(fact, night) != 1]
    return results.Section(
        name="long",
        title=f"Long documents: {len(long):,} remarks in {len(texts):,} documents of {LONG:,} characters and more",
        tables=(
            _table("documents of", by_length, hit),
            _table(f"place, in {LONG:,} characters and more", thirds, hit),
            _table(f"place, in {LENGTHS[-1][0]:,} characters and more (an hour)", of_hours, hit),
        ),
        notes=(f"Lost in the middle: recall {_recall(middle, hit)} there, {_recall(ends, hit)} in the other thirds.",),
        drawings=(results.Drawing(svg=_chart(thirds, hit), caption="Recall by place in long documents, 95 %."),),
        numbers={
            "recall": _measured(long, hit),
            "recall_middle": _measured(middle, hit),
        },
    )


def _third(fact: Fact, night: Finished) -> int:
    return min(2, fact.start * 3 // max(1, night.readings.documents[fact.document_id].length))


def _rate(facts: Sequence[Fact], hit: set[str]) -> tuple[int, int, float | None, Interval | None]:
    hits = sum(fact.id in hit for fact in facts)
    return hits, len(facts), hits / len(facts) if facts else None, wilson(hits, len(facts))


def _recall(facts: Sequence[Fact], hit: set[str]) -> str:
    _, total, share, interval = _rate(facts, hit)
    return f"{percent(share)} % ({between(interval, 100, 1)}) of {total:,}"


def _measured(facts: Sequence[Fact], hit: set[str]) -> results.Measured:
    _, total, share, interval = _rate(facts, hit)
    return results.Measured(value=share, n=total, interval=interval)


def _table(title: str, groups: Sequence[tuple[str, Sequence[Fact]]], hit: set[str]) -> results.Table:
    lines: list[tuple[str, ...]] = []
    for name, facts in groups:
        hits, total, share, interval = _rate(facts, hit)
        lines.append((name, f"{total:,}", f"{hits:,}", percent(share), between(interval, 100, 1)))
    return results.Table(title=title, columns=("", "planted", "read", "recall, %", "95 % interval"), rows=tuple(lines))


def _chart(groups: Sequence[tuple[str, Sequence[Fact]]], hit: set[str]) -> str:
    import altair as alt

    lines = [
        {"place": name, "recall": share, "low": interval.low, "high": interval.high}
        for name, facts in groups
        for _, _, share, interval in [_rate(facts, hit)]
        if interval is not None
    ]
    base = alt.Chart(alt.Data(values=lines)).encode(
        x=alt.X("place:N", sort=list(THIRDS), title=None, axis=alt.Axis(labelAngle=0))
    )
    scale = alt.Scale(domain=[0, 1])
    bars = base.mark_bar(color="#1f5fa8", size=60).encode(
        y=alt.Y("recall:Q", title="recall", axis=alt.Axis(format="%"), scale=scale)
    )
    spans = base.mark_rule(color="#1d2730").encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    return charts.svg((bars + spans).properties(width=320, height=200))
