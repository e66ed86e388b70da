"""The report for a terminal: one table a topic, the worst named, nothing rounded in anybody's favour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from sandbox.evaluation import history, results
from sandbox.evaluation.metrics import wilson

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sandbox.evaluation.metrics import Interval

WORST = 5


def percent(value: float | None) -> str:
    """A share as per cent with one decimal, cut rather than rounded up to 100; a dash where it does not exist."""
    if value is None:
        return "-"
    return "99.9" if 0.9995 <= value < 1 else f"{value * 100:.1f}"


def number(value: float | None) -> str:
    """A ranking quality with three decimals."""
    return "-" if value is None else f"{value:.3f}"


def between(interval: Interval | None, scale: float = 1.0, digits: int = 3) -> str:
    """An interval as low-high."""
    return "-" if interval is None else f"{interval.low * scale:.{digits}f}-{interval.high * scale:.{digits}f}"


def worst_predicates(found: results.Facts) -> list[results.PredicateScore]:
    """Predicates with the lowest F1 among those that occur, worst first."""
    rated = [line for line in found.by_predicate if line.planted and line.f1 is not None]
    return sorted(rated, key=lambda line: (line.f1 or 0.0, line.name))[:WORST]


def with_intervals(line: results.Score) -> str:
    """Precision and recall of a group with Wilson's 95 % intervals, in per cent."""
    precision, recall = wilson(line.matched, line.found), wilson(line.matched, line.planted)
    return (
        f"{line.name} F1 {percent(line.f1)}, precision {percent(line.precision)} ({between(precision, 100, 1)}), "
        f"recall {percent(line.recall)} ({between(recall, 100, 1)})"
    )


def parts(report: results.Report, comparisons: Sequence[history.Comparison] = ()) -> Iterator[RenderableType]:
    """Everything to print, in order."""
    yield _head(report, comparisons)
    yield _facts(report.facts)
    yield _reading(report)
    yield _replies(report.replies)
    yield _ranking(report.ranking, report.fit)
    yield _rest(report)
    for section in report.sections:
        yield _section(section)


def _title(text: str) -> Text:
    return Text(text, style="bold")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _head(report: results.Report, comparisons: Sequence[history.Comparison]) -> RenderableType:
    subject = report.subject
    who = subject.agent if subject.model is None else f"{subject.agent} ({subject.model})"
    seed = f", seed {subject.seed}" if subject.seed is not None else ""
    goals = _table("", "goal", "reached", "")
    for goal in report.goals:
        mark = "-" if goal.is_met is None else "met" if goal.is_met else "NOT MET"
        value = "-" if goal.reached is None else f"{goal.reached:.3f}"
        goals.add_row(goal.name, goal.goal, value, Text(mark, style="bold red" if goal.is_met is False else "green"))
    lines: list[RenderableType] = [
        Text(
            f"Agent {who} on {subject.contacts:,} contacts{seed}, today {subject.as_of}, "
            f"version {history.version(subject)}",
            style="bold",
        ),
        Text(f"{subject.calls:,} questions asked, {subject.cost_usd:,.2f} USD"),
        Text(),
        _title("What was promised"),
        goals,
    ]
    for comparison in comparisons:
        lines.append(Text())
        if not comparison.changes:
            lines.append(Text(f"{comparison.title}: nothing moved by {history.NOTABLE:.2f} or more"))
            continue
        table = _table(comparison.title, "before", "now", "", "")
        for change in comparison.changes:
            mark = Text("WORSE", style="bold red") if change.is_worse else Text("better", style="green")
            doubt = Text(change.why if change.is_beyond_noise else f"{change.why}: may be chance", style="dim")
            table.add_row(change.name.replace("_", " "), f"{change.before:.3f}", f"{change.after:.3f}", mark, doubt)
        lines.append(table)
    return Group(*lines)


def _facts(found: results.Facts) -> RenderableType:
    table = _table(
        "predicate", "planted", "found", "matched", "precision", "recall", "F1", "quote",
        "value", "polarity", "missed", "spurious",
    )  # fmt: skip
    for line in sorted(found.by_predicate, key=lambda line: (line.f1 is None, -(line.f1 or 0), line.name)):
        table.add_row(
            line.name, f"{line.planted:,}", f"{line.found:,}", f"{line.matched:,}", percent(line.precision),
            percent(line.recall), percent(line.f1), percent(line.quote_overlap), f"{line.wrong_value:,}",
            f"{line.wrong_polarity:,}", f"{line.missed:,}", f"{line.spurious:,}",
        )  # fmt: skip
    total = found.micro
    table.add_section()
    table.add_row(
        "all (micro)", f"{total.planted:,}", f"{total.found:,}", f"{total.matched:,}", percent(total.precision),
        percent(total.recall), percent(total.f1), percent(found.quotes_overlap.share), "", "", "", "", style="bold",
    )  # fmt: skip
    table.add_row("mean of predicates (macro)", "", "", "", "", "", percent(found.macro_f1), style="bold")
    worst = "; ".join(with_intervals(line) for line in worst_predicates(found))
    return Group(
        _title(f"extract_facts: {found.documents_answered:,} of {found.documents_selected:,} documents read"),
        table,
        Text(
            "In per cent. matched: same document, predicate, value and polarity, one to one. quote: matched and cited "
            "where it was planted. value, polarity: found there, misread."
        ),
        Text(f"All: {with_intervals(total)}."),
        Text(f"Worst: {worst or 'none'}."),
    )


def _reading(report: results.Report) -> RenderableType:
    found = report.facts
    table = _table("", "planted", "recall", "found", "precision")
    for line in found.by_document_type:
        table.add_row(
            f"in a {line.name}", f"{line.planted:,}", percent(line.recall), f"{line.found:,}", percent(line.precision)
        )
    for line in (*found.by_position, *found.by_side):
        where = f"transcripts, {line.name[2:]}" if line.name[:1].isdigit() else f"said by {line.name}"
        table.add_row(where, f"{line.total:,}", percent(line.share), "", "")
    for wording in report.wordings:
        table.add_row(
            f"{wording.phrases.replace('_', '-')} wording ({wording.contacts:,} contacts)",
            f"{wording.facts.planted:,}", percent(wording.facts.recall),
            f"{wording.facts.found:,}", percent(wording.facts.precision),
        )  # fmt: skip
    apart = found.hostile
    lines: list[RenderableType] = [_title("extract_facts, looked at from other sides"), table, Text()]
    checks = _table("", "of", "share")
    for line in (found.quotes_exact, found.dates, found.supersession, found.superseded):
        checks.add_row(line.name, f"{line.total:,}", percent(line.share))
    for wording in report.wordings:
        for line in wording.staged:
            name = f"staged contradictions {line.name}, {wording.phrases.replace('_', '-')} wording: right"
            checks.add_row(name, f"{line.total:,}", percent(line.share))
        for line in wording.placed:
            name = f"staged in the {line.name}, {wording.phrases.replace('_', '-')} wording: read"
            checks.add_row(name, f"{line.total:,}", percent(line.share))
    for line in found.traps:
        checks.add_row(f"traps read as a fact: {line.name.replace('_', ' ')}", f"{line.total:,}", percent(line.share))
    places = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in found.spurious_where.items())
    lines += [
        checks,
        Text(
            f"Spurious facts stood in: {places or 'nothing'}. "
            f"Denials read as denials (not counted): {found.denials_read:,}."
        ),
        Text(
            f"Hostile documents, counted apart: {apart.documents}; {apart.planted} planted, {apart.matched} matched, "
            f"{apart.spurious} spurious."
        ),
    ]
    return Group(*lines)


def _replies(found: results.Replies) -> RenderableType:
    table = _table(
        "truth \\ said", *(_short(name) for name in found.columns), "n", "precision", "recall",
    )  # fmt: skip
    for line, row in zip(found.classes, found.matrix, strict=True):
        cells = [
            Text(f"{count:,}" if count else ".", style="bold" if name == line.name else "red" if count else "dim")
            for name, count in zip(found.columns, row, strict=True)
        ]
        table.add_row(line.name, *cells, f"{line.planted:,}", percent(line.precision), percent(line.recall))
    return Group(
        _title(
            f"reply_class: {found.answered:,} of {found.total:,} answered; accuracy {percent(found.accuracy)}, "
            f"macro F1 {percent(found.macro_f1)} (per cent)"
        ),
        table,
        Text(
            f"Stop or never, heard as one of both: {percent(found.stop_recall.share)} of {found.stop_recall.total:,}. "
            f"Silenced though they said neither: {percent(found.false_stops.share)} of {found.false_stops.total:,}."
        ),
    )


def _short(name: str) -> str:
    return {"out_of_office": "away", "unsubscribe": "unsub", "objection": "object", "no answer": "none"}.get(name, name)


def _ranking(found: results.Ranking, fit: results.Fit) -> RenderableType:
    title = _title(
        f"lead_quality: {found.scored:,} scored contacts, {found.converted:,} bought in the 100 days after "
        f"({found.excluded_converted_before:,} had bought before and are left out)"
    )
    head = _table("who buys", "at risk", "bought", "AUC", "95 % interval")
    head.add_row(
        "within 100 days", f"{found.scored:,}", f"{found.converted:,}", number(found.auc), between(found.interval)
    )
    for window in found.windows:
        head.add_row(
            window.name, f"{window.at_risk:,}", f"{window.converted:,}", number(window.auc), between(window.interval)
        )
    head.add_row("for comparison: latent score", "", "", number(found.ceiling_auc), "")
    for baseline in found.baselines:
        head.add_row(f"for comparison: {baseline.name}", "", "", number(baseline.share), "")
    parts_table = _table("component", "weight", "AUC alone", "AUC of the rest")
    for component in found.components:
        parts_table.add_row(
            component.name, f"{component.weight:g}", number(component.auc_alone), number(component.auc_without)
        )
    tiers = _table("tier", "contacts", "bought", "per cent", "95 % interval", "lift")
    for tier in found.tiers:
        lift = "-" if tier.lift is None else f"{tier.lift:.2f}"
        tiers.add_row(
            tier.name,
            f"{tier.contacts:,}",
            f"{tier.converted:,}",
            percent(tier.rate),
            between(tier.interval, 100, 1),
            lift,
        )
    icp = _table("true level", "accounts", "mean score", *"ABCD")
    for level in fit.levels:
        mean = "-" if level.mean_score is None else f"{level.mean_score:.1f}"
        icp.add_row(level.level, f"{level.accounts:,}", mean, *(f"{level.tiers.get(tier, 0):,}" for tier in "ABCD"))
    fit_title = _title(f"icp_fit: AUC of true level `high` {number(fit.auc_high)}")
    return Group(title, head, Text(), parts_table, Text(), tiers, Text(), fit_title, icp)


def _rest(report: results.Report) -> RenderableType:
    triggers, briefs, hostile = report.triggers, report.briefs, report.hostile
    table = _table("", "n", "per cent")
    table.add_row(
        f"trigger: precision ({triggers.churned:,} churned customers)",
        f"{triggers.score.found:,}",
        percent(triggers.score.precision),
    )
    table.add_row("trigger: recall", f"{triggers.score.planted:,}", percent(triggers.score.recall))
    for line in (triggers.spoken, triggers.waiting):
        table.add_row(f"trigger: {line.name}", f"{line.total:,}", percent(line.share))
    table.add_section()
    table.add_row("briefs written, of meetings", f"{briefs.meetings:,}", percent(_of(briefs.briefed, briefs.meetings)))
    for line in (briefs.extracted, briefs.shown, briefs.cited, briefs.cited_of_shown):
        table.add_row(f"what a brief should cover: {line.name}", f"{line.total:,}", percent(line.share))
    caps = _table("moved by one of them", "most", "allowed")
    caps.add_row("signal points", f"{hostile.max_points:.2f}", f"{hostile.cap:g}")
    caps.add_row(
        "signal points of unknown authors", f"{hostile.max_points_untrusted:.2f}", f"{hostile.cap_untrusted:g}"
    )
    caps.add_row("points of an ICP score", f"{hostile.max_icp_movement:.2f}", f"{hostile.max_icp_movement_allowed:g}")
    for what, count in (
        ("planned writes outside our properties", hostile.unnamespaced_operations),
        ("planned writes to protected fields", hostile.protected_operations),
        ("planned writes to people who opted out", hostile.suppressed_writes),
    ):
        caps.add_row(what, f"{count}", "0")
    citing = ", ".join(f"{count} {name}" for name, count in hostile.values_citing.items()) or "none"
    lines: list[RenderableType] = [
        _title("churn_revisit and meeting_brief"),
        table,
        *_named("Wrong triggers", triggers.wrong),
        Text(),
        _title(f"Hostile messages: {hostile.documents} documents, {hostile.read} read, {hostile.facts} facts in them"),
        caps,
    ]
    lines.append(Text(f"Published answers that cite one: {citing}."))
    lines += _named(
        "Violations",
        (f"{item.document_id}: {item.what} {item.measured:g}, allowed {item.limit:g}" for item in hostile.violations),
    )
    return Group(*lines)


def _section(section: results.Section) -> RenderableType:
    lines: list[RenderableType] = [_title(section.title)]
    for index, shown in enumerate(section.tables):
        table = _table(shown.title, *shown.columns[1:]) if shown.title else _table(*shown.columns)
        for row in shown.rows:
            table.add_row(*row)
        lines += [table] if index == 0 else [Text(), table]
    lines += [Text(note) for note in section.notes]
    return Group(*lines)


def _named(title: str, items: Iterable[str], most: int = WORST) -> list[Text]:
    listed = list(items)
    if not listed:
        return [Text(f"{title}: none")]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return [Text(f"{title}: {'; '.join(listed[:most])}{more}")]


def _of(part: int, whole: int) -> float | None:
    return part / whole if whole else None
