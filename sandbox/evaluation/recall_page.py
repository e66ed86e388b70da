"""How the comparison of ways to choose is shown: one table an operation, one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.evaluation import charts, results
from sandbox.evaluation.metrics import Interval
from sandbox.evaluation.terminal import between, percent

NAMES = {
    "recall": "recall: most useful facts first",
    "plain": "recall without similarity",
    "lot": "facts by lot",
    "newest": "documents, newest first, cut off",
    "oldest": "documents, oldest first, cut off",
}
_COLOURS = {"recall": "#1f5fa8", "plain": "#6fa3dc", "lot": "#8a94a0", "newest": "#d9822b", "oldest": "#b3372f"}
COMPARED_AT = 300
"""Tokens at which the history keeps the numbers: little enough that choosing matters."""


@dataclass(frozen=True, slots=True)
class Line:
    """One way of choosing at one budget."""

    operation: str
    arm: str
    budget: int
    share: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Size:
    """What one operation was measured on; `read` of the `wanted` remarks were read as a fact at all."""

    records: int
    wanted: int
    read: int
    token_budget: int


def section(lines: Sequence[Line], sizes: Mapping[str, Size], budgets: Sequence[int]) -> results.Section:
    """Tables, picture and the numbers of the history."""
    share = {(line.operation, line.arm, line.budget): line for line in lines}
    numbers: dict[str, results.Measured] = {}
    for operation, size in sizes.items():
        for arm in ("recall", "lot"):
            line = share[operation, arm, COMPARED_AT]
            numbers[f"{operation}_{arm}_{COMPARED_AT}"] = results.Measured(
                value=line.share, n=size.wanted, interval=line.interval
            )
    return results.Section(
        name="recalled",
        title="Recall: planted remarks that still hold and bear on the question, and the share that reaches the agent",
        tables=tuple(_table(operation, size, share, budgets) for operation, size in sizes.items()),
        notes=(
            "In per cent, 95 % intervals (whole records drawn with replacement). Every way has the same budget in "
            "tokens for what was said; the last column is the budget the policy sets.",
            "Facts can reach no more than was read; documents can. By lot: the mean of 20 draws from all facts of "
            "the record.",
        ),
        drawings=(results.Drawing(svg=_chart(lines, budgets), caption=_CAPTION),),
        numbers=numbers,
    )


_CAPTION = "Share of the wanted remarks that reach the agent, by token budget."


def _table(
    operation: str, size: Size, share: Mapping[tuple[str, str, int], Line], budgets: Sequence[int]
) -> results.Table:
    columns = [*budgets, size.token_budget]
    read = size.read / size.wanted
    return results.Table(
        title=f"{operation} ({size.records:,} records, {size.wanted:,} remarks, {percent(read)} read)",
        columns=("tokens", *(f"{budget:,}" for budget in budgets), f"as set: {size.token_budget:,}"),
        rows=tuple(
            (
                name,
                *(
                    f"{percent(line.share)} ({between(line.interval, 100, 0)})"
                    for line in (share[operation, arm, budget] for budget in columns)
                ),
            )
            for arm, name in NAMES.items()
            if (operation, arm, size.token_budget) in share
        ),
    )


def _chart(lines: Sequence[Line], budgets: Sequence[int]) -> str:
    import altair as alt

    data: list[dict[str, Any]] = [
        {"operation": line.operation, "way": NAMES[line.arm], "tokens": line.budget, "share": line.share}
        for line in lines
        if line.budget in budgets
    ]
    arms = [arm for arm in NAMES if any(line.arm == arm for line in lines)]
    colours = alt.Scale(domain=[NAMES[arm] for arm in arms], range=[_COLOURS[arm] for arm in arms])
    base = alt.Chart(alt.Data(values=data)).encode(
        x=alt.X("tokens:Q", title="tokens", scale=alt.Scale(type="log"), axis=alt.Axis(values=list(budgets))),
        y=alt.Y("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
        color=alt.Color("way:N", scale=colours),
    )
    both: Any = (base.mark_line() + base.mark_point(filled=True, size=45)).properties(width=230, height=150)
    return charts.svg(both.facet(facet=alt.Facet("operation:N", title=None), columns=2))
