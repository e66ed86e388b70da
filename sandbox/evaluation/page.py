"""Writes `report.html`: one file, charts inside, nothing fetched when it is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.evaluation import charts, history, results, terminal

TEMPLATE = Path(__file__).parent / "page.html.j2"


def render(report: results.Report, comparable: Sequence[Mapping[str, Any]]) -> str:
    """The whole page.

    Args:
        report: What to show.
        comparable: Lines of the history for the same agent and company, this one last.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = terminal.percent
    environment.filters["number"] = terminal.number
    before = comparable[-2] if len(comparable) > 1 else None
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
        before=before,
        changes=history.changes(before, report),
        worst=terminal.worst_predicates(report.facts),
        # Drawn by our own process from numbers and policy words, already escaped as SVG text.
        charts={name: Markup(drawing) for name, drawing in drawn.items()},
    )
