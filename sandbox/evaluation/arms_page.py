"""The comparison of the arms for a terminal and as one page with its picture inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sandbox.evaluation import charts

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sandbox.evaluation.arms_results import RatioLine, TokensReport
    from sandbox.evaluation.metrics import Interval

TEMPLATE = Path(__file__).parent / "tokens.html.j2"
_SHOWN_PER_QUESTION = ("curated", "dump", "dump_relevant", "dump_full", "loop", "loop_relevant")


def parts(report: TokensReport) -> Iterator[RenderableType]:
    """Everything to print, in order."""
    goals = _table("", "goal", "reached", "")
    for goal in report.goals:
        mark = Text("met", style="green") if goal.is_met else Text("NOT MET", style="bold red")
        goals.add_row(goal.name, goal.goal, times(goal.reached), mark)
    models = ", ".join(f"{name} {model}" for name, model in report.models.items())
    yield Group(
        Text(
            f"{report.contacts_asked:,} of {report.contacts:,} contacts are asked about"
            + (f", seed {report.seed}" if report.seed is not None else ""),
            style="bold",
        ),
        Text(f"Tokens: {report.tokenizer}"),
        Text(f"Models: {models}"),
        Text(),
        Text("What was promised (tokens in all, equal coverage)", style="bold"),
        goals,
    )
    table = _table("", "calls", "tokens", "95 % interval", "of the record", "USD", "USD, cached")
    for arm in report.arms:
        table.add_row(
            arm.about, f"{arm.calls:.1f}", f"{arm.tokens:,.0f}", _interval(arm.interval), f"{arm.own_tokens:,.0f}",
            f"{arm.usd:.5f}", f"{arm.usd_cached:.5f}",
        )  # fmt: skip
    yield Group(Text("First night, per contact", style="bold"), table)
    table = _table("", "times", "95 % interval", "in USD", "goal", "")
    for ratio in report.ratios:
        table.add_row(
            ratio.name, times(ratio.tokens), _interval(ratio.interval, 1), times(ratio.usd),
            "" if ratio.goal is None else f">= {ratio.goal:.0f}", _mark(ratio),
        )  # fmt: skip
    yield Group(Text("How many times the curated arm's tokens", style="bold"), table)
    for title, whole in (("By question, all tokens", True), ("By question, tokens of the record alone", False)):
        table = _table("", "n", "facts", "covered", "asked for", "covered", *_SHOWN_PER_QUESTION)
        for line in report.questions:
            numbers = line.tokens if whole else line.own
            table.add_row(
                line.operation, f"{line.questions:,}", f"{line.known:.1f}", share(line.coverage),
                f"{line.relevant:.1f}", share(line.relevant_coverage),
                *(f"{numbers.get(arm, 0):,.0f}" for arm in _SHOWN_PER_QUESTION),
            )  # fmt: skip
        yield Group(Text(title, style="bold"), table)
    if len(report.nights) > 1:
        table = _table(
            "", "documents read", "questions", "curated", "dump", "loop", "curated USD", "dump USD", "loop USD"
        )
        for night in report.nights:
            table.add_row(
                night.night, f"{night.documents_read:,}", f"{night.questions:,}", f"{night.curated:,.0f}",
                f"{night.dump:,.0f}", f"{night.loop:,.0f}", f"{night.curated_usd:.5f}", f"{night.dump_usd:.5f}",
                f"{night.loop_usd:.5f}",
            )  # fmt: skip
        yield Group(
            Text("By night, per contact; dump and loop answer only the questions that night asked", style="bold"), table
        )


def render(report: TokensReport) -> str:
    """The whole page."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["times"] = times
    environment.filters["share"] = share
    environment.filters["interval"] = _interval
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        shown=_SHOWN_PER_QUESTION,
        # Drawn by our own process from numbers and our own words, already escaped as SVG text.
        chart=Markup(_chart(report)),
    )


def times(value: float | None) -> str:
    """A ratio with as many digits as it deserves."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def share(value: float | None) -> str:
    """A share in per cent; a dash where it does not exist."""
    return "-" if value is None else f"{value:.0%}"


def _interval(interval: Interval | None, digits: int = 0) -> str:
    return "" if interval is None else f"{interval.low:,.{digits}f}-{interval.high:,.{digits}f}"


def _mark(ratio: RatioLine) -> Text:
    if ratio.is_met is None:
        return Text("")
    return Text("met", style="green") if ratio.is_met else Text("not met", style="red")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index > 0)
    return table


def _chart(report: TokensReport) -> str:
    import altair as alt

    rows: list[dict[str, Any]] = [
        {
            "arm": line.about,
            "tokens": line.tokens,
            "low": line.interval.low if line.interval else line.tokens,
            "high": line.interval.high if line.interval else line.tokens,
            "kind": "curated" if line.arm.startswith("curated") else "loop" if line.arm.startswith("loop") else "dump",
        }
        for line in report.arms
    ]
    order = [str(row["arm"]) for row in rows]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("arm:N", sort=order, title=None, axis=alt.Axis(labelLimit=360)),
    )
    scale = alt.Scale(type="log")
    points = base.mark_point(filled=True, size=80, opacity=1).encode(
        x=alt.X(
            "tokens:Q",
            title="tokens per contact, first night (logarithmic)",
            scale=scale,
            axis=alt.Axis(values=[10**power for power in range(2, 8)], format=","),
        ),
        color=alt.Color(
            "kind:N", scale=alt.Scale(domain=["loop", "dump", "curated"], range=["#b3372f", "#d9822b", "#1f5fa8"])
        ),
    )
    spans = base.mark_rule(color="#8a94a0", strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    labels = base.mark_text(align="left", dx=8, fontSize=11).encode(
        x=alt.X("high:Q", scale=scale), text=alt.Text("tokens:Q", format=",.0f")
    )
    return charts.svg((spans + points + labels).properties(width=300, height=alt.Step(22)))
