"""Writes `report.html`: one file, charts inside, nothing fetched when it is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.evaluation import charts, history, results, terminal

WORST_PREDICATES = 8
ERRORS_SHOWN = 4  # of each kind; all of them are in report.json
TEMPLATE = Path(__file__).parent / "page.html.j2"


def render(
    report: results.Report, comparable: Sequence[Mapping[str, Any]], comparisons: Sequence[history.Comparison] = ()
) -> str:
    """The whole page.

    Args:
        report: What to show.
        comparable: Lines of the history for the same agent and company, this one last.
        comparisons: This evaluation beside earlier ones.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = terminal.percent
    environment.filters["number"] = terminal.number
    environment.filters["with_intervals"] = terminal.with_intervals
    environment.filters["drawn"] = Markup  # of a section's own charts, as below
    costly = _costly(report.facts)
    confused = Counter((error.planted, error.found) for error in report.replies.errors)
    drawn = {
        "facts": charts.facts(report.facts),
        "confusion": charts.confusion(report.replies),
        "tiers": charts.tiers(report.ranking),
        "deciles": charts.deciles(report.ranking),
        "ranking": charts.ranking(report.ranking),
        "funnel": charts.funnel(report.briefs),
        "over_time": charts.over_time(comparable),
    }
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        version=history.version(report.subject),
        comparisons=comparisons,
        worst=terminal.worst_predicates(report.facts),
        fact_errors=_first(
            sorted(
                (error for error in report.facts.errors if error.predicate in costly),
                key=lambda error: (costly.index(error.predicate), error.kind),
            ),
            lambda error: f"{error.predicate} {error.kind}",
        ),
        reply_errors=_first(
            sorted(report.replies.errors, key=lambda error: -confused[error.planted, error.found]),
            lambda error: f"{error.planted} {error.found}",
        ),
        # Drawn by our own process from numbers and policy words, already escaped as SVG text.
        charts={name: Markup(drawing) for name, drawing in drawn.items()},
    )


def _costly(found: results.Facts) -> list[str]:
    """The predicates with most errors, most first."""
    worst = sorted(found.by_predicate, key=lambda line: (2 * line.matched - line.planted - line.found, line.name))
    return [line.name for line in worst[:WORST_PREDICATES]]


def _first(errors: Iterable[results.Error], kind: Callable[[results.Error], str]) -> list[results.Error]:
    seen: Counter[str] = Counter()
    kept: list[results.Error] = []
    for error in errors:
        seen[kind(error)] += 1
        if seen[kind(error)] <= ERRORS_SHOWN:
            kept.append(error)
    return kept
