"""What a person reads before approving: counts, brakes, and a page of differences; and everything as JSON.

Values are customers' words: they are shown as plain text, never as markup, and without control characters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from reverse_etl.plan import BREAKDOWNS, Plan, PlanSummary
from reverse_etl.records import SINGULARS
from reverse_etl.select import Selection
from reverse_etl.staging import builtin_rules
from reverse_etl.store import iso

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from nightdesk.policy import Policy
    from reverse_etl.apply import ApplyReport
    from reverse_etl.setup import SetupDifference

_TITLES = {
    "object_type": "Records",
    "property": "Property",
    "operation": "Operation",
    "decision": "Decision",
    "deciding_rule": "Rule",
    "conflict_class": "Conflict",
}
_DECISIONS = {"auto": "green", "require_approval": "yellow", "denied": "red"}
_SHOWN_CHARS = 140
_NOT_BESIDE = {"conflict_class", "deciding_rule"}


def chosen(plan: Plan, select: Selection, limit: int | None = None) -> tuple[list[dict[str, Any]], int]:
    """Operations of a plan that match, and how many there are in all.

    With a limit, all matching operations of that many records, of each kind of record and decision in turn, so that a
    short page shows something of everything.
    """
    import duckdb

    where, parameters = select.where()
    ops = plan.ops
    con = duckdb.connect()
    try:
        con.register("ops", ops)
        total = con.execute(f"select count(*) from ops where {where}", parameters).fetchone()
        sql = f"select * from ops where {where} order by object_type, length(record_id), record_id, operation, property"
        if limit is not None:
            within = "partition by object_type, operation, decision"
            turn = f"row_number() over ({within} order by length(record_id), record_id)"
            sql = f"""
                with matching as (select * from ops where {where}),
                records as (
                    select object_type, record_id, min(turn) as turn, min(decision = 'denied') as is_denied
                    from (select object_type, record_id, decision, {turn} as turn from matching)
                    group by object_type, record_id
                    order by turn, is_denied, object_type, length(record_id), record_id
                    limit {int(limit)}
                )
                select matching.* from matching inner join records using (object_type, record_id)
                order by is_denied, turn, object_type, length(record_id), record_id, operation, property
            """
        cursor = con.execute(sql, parameters)
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()], int(total[0]) if total else 0
    finally:
        con.close()


def plain(value: object, limit: int = _SHOWN_CHARS) -> str:
    """One line of harmless text, shortened."""
    text = " ".join("".join(c if c.isprintable() or c == " " else " " for c in str(value)).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def terminal(
    plan: Plan,
    select: Selection | None = None,
    limit: int = 12,
    *,
    reasons: Mapping[str, str] | None = None,
    record: Callable[[Sequence[Mapping[str, Any]]], RenderableType] | None = None,
) -> RenderableType:
    """Render a plan: what it is, its counts, its brakes, and a page of differences.

    Args:
        plan: The plan.
        select: Which operations the page shows; the counts are always of the whole plan.
        limit: How many records the page shows.
        reasons: Rule id to reason (see `rule_reasons`).
        record: How to show one record's operations, instead of in short.
    """
    from rich.console import Group
    from rich.text import Text

    summary, select = plan.summary, select or Selection()
    parts: list[RenderableType] = [_headline(summary)]
    if not summary.operation_count:
        return Group(*parts, Text("Nothing to do: the CRM holds what it should.", style="green"))
    parts += [*_breakdowns(summary, reasons or {}), _brakes(summary)]
    ops, total = chosen(plan, select, limit)
    shown = f"{len(ops)} of {total:,}" + ("" if select.is_everything else " selected")
    parts.append(Text(f"Changes, by record ({shown})", style="bold"))
    if record is not None:
        for _, group in groupby(ops, key=lambda op: (op["object_type"], op["record_id"])):
            parts += [record(list(group)), Text()]
    else:
        for _, group in groupby(ops, key=lambda op: (op["object_type"], op["record_id"], op["operation"])):
            parts.append(_record(list(group), reasons or {}))
    parts.append(_next_step(summary))
    return Group(*parts)


def summary(made: PlanSummary, *, reasons: Mapping[str, str] | None = None) -> RenderableType:
    """Render a plan's numbers only: what it is, its counts, its brakes, and what to do next."""
    from rich.console import Group
    from rich.text import Text

    if not made.operation_count:
        return Group(_headline(made), Text("Nothing to do: the CRM holds what it should.", style="green"))
    return Group(_headline(made), *_breakdowns(made, reasons or {}), _brakes(made), _next_step(made))


def _headline(summary: PlanSummary) -> RenderableType:
    from rich.text import Text

    line = Text()
    line.append(summary.plan_id, style="bold cyan")
    what = {"rollback": f"undoes {summary.rolls_back}", "review": f"asks people about {summary.rolls_back}"}.get(
        summary.kind, f"for {summary.as_of}"
    )
    line.append(
        f"  {what}: {summary.operation_count:,} changes on {summary.record_count:,} records, proposed by "
        f"{plain(summary.created_by)}, "
        f"valid until {iso(summary.expires_at)}\n"
    )
    line.append(f"digest {summary.digest}", style="dim")
    for reason, number in summary.left_out.items():
        line.append(f"\n{number:,} left out: {reason}", style="dim")
    for said in summary.border:
        line.append(f"\n{plain(said)}", style="yellow")
    return line


def _breakdowns(summary: PlanSummary, reasons: Mapping[str, str]) -> list[RenderableType]:
    """Counts by record, property, operation and decision side by side; rules below, with room for what they mean."""
    from rich.columns import Columns

    beside = [_counts(summary, column, reasons) for column in BREAKDOWNS if column not in _NOT_BESIDE]
    return [Columns(beside, padding=(0, 3)), _counts(summary, "deciding_rule", reasons)]


def _counts(summary: PlanSummary, column: str, reasons: Mapping[str, str]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1), title=None, show_edge=False)
    table.add_column(_TITLES[column], style="none")
    table.add_column("", justify="right")
    for value, number in summary.counts.get(column, {}).items():
        name = Text(value, style=_DECISIONS.get(value, "") if column == "decision" else "")
        if column == "deciding_rule" and value in reasons:
            name.append(f"  {reasons[value]}", style="dim")
        table.add_row(name, f"{number:,}")
    return table


def _brakes(summary: PlanSummary) -> RenderableType:
    from rich.text import Text

    if not summary.tripped:
        return Text(f"Brakes: {len(summary.guards)} checked, none on.\n", style="dim")
    line = Text()
    for reading in summary.guards:
        if reading.tripped:
            measured = "could not be measured" if reading.measured is None else f"{reading.measured:g}"
            line.append(f"Brake on: {reading.guard} is {measured}, limit {reading.limit:g}. ", style="bold red")
            line.append(f"{reading.about}\n")
    return line


def _record(ops: Sequence[Mapping[str, Any]], reasons: Mapping[str, str]) -> RenderableType:
    """What one operation would change on one record: a line per field, the reason and the first source once."""
    from rich.padding import Padding
    from rich.text import Text

    first = ops[0]
    kind = SINGULARS.get(str(first["object_type"]), str(first["object_type"]))
    text = Text()
    text.append(f"{kind}:{first['record_id']} ", style="cyan")
    text.append(plain(first["record_label"] or "", 40), style="bold")
    confidence = f", confidence {float(first['confidence']):.2f}" if first["confidence"] is not None else ""
    text.append(f"  {first['operation']}{confidence}", style="dim")
    width = max(len(str(op["property"])) for op in ops)
    for op in ops:
        text.append("\n  ")
        _field(text, op, width)
    rules = sorted({str(op["deciding_rule"]) for op in ops})
    told = ", ".join(f"{rule} ({reasons[rule]})" if rule in reasons else rule for rule in rules)
    text.append(f"\n  decided by {told}", style="dim")
    why = plain(first["reason"] or "", _SHOWN_CHARS)
    if why:
        text.append(f"\n  why: {why}", style="dim")
    sources = json.loads(first["evidence"])
    if sources:
        more = f" (+{len(sources) - 1} more)" if len(sources) > 1 else ""
        text.append(
            f"\n  from: “{plain(sources[0].get('quote') or '')}” "
            f"{plain(sources[0].get('url') or sources[0].get('id') or '', 80)}{more}",
            style="dim",
        )
    return Padding(text, (0, 0, 0, 2), expand=False)


def _field(text: Text, op: Mapping[str, Any], width: int) -> None:
    before, desired = op["before_value"], op["desired_value"]
    text.append(f"{op['property']:<{width}}  ", style="bold")
    text.append("(never set)" if before is None else "(empty)" if before == "" else plain(before, 60), style="red")
    text.append(" → ")
    text.append("(cleared)" if desired is None else plain(desired, 60), style="green")
    if op["decision"] != "require_approval":
        text.append(f"  {op['decision']}", style=_DECISIONS[str(op["decision"])])
    if op["conflict_class"] == "changed_by_other":
        ours = op["last_written_value"]
        text.append(f"  somebody changed it; we had written {plain(ours, 40) if ours else 'nothing'}", style="magenta")


def _next_step(summary: PlanSummary) -> RenderableType:
    from rich.text import Text

    decisions = summary.counts.get("decision", {})
    if summary.exit_code == 3:
        waiting = decisions.get("require_approval", 0)
        what = f"{waiting:,} wait for a person: nightdesk approve {summary.plan_id} --all (or --select)"
    elif summary.exit_code == 2:
        what = f"{decisions.get('auto', 0):,} may be written: nightdesk apply {summary.plan_id} --execute"
    else:
        what = "Nothing here may be written."
    return Text("\n" + what, style="bold")


def as_json(plan: Plan, select: Selection | None = None) -> dict[str, Any]:
    """Everything about a plan: header, counts, guards, and every matching operation with evidence."""
    ops, total = chosen(plan, select or Selection())
    for op in ops:
        op["evidence"] = json.loads(op["evidence"])
        op["confidence"] = None if op["confidence"] is None else float(op["confidence"])
    return {
        **summary_json(plan.summary),
        "mapping_hash": plan.mapping_hash,
        "policy_hash": plan.policy_hash,
        "schema_hash": plan.schema_hash,
        "selected_count": total,
        "operations": ops,
    }


def summary_json(summary: PlanSummary) -> dict[str, Any]:
    """The numbers of a plan as JSON values."""
    return {
        "plan_id": summary.plan_id,
        "kind": summary.kind,
        "crm": summary.crm,
        "run_id": summary.run_id,
        "as_of": summary.as_of.isoformat(),
        "digest": summary.digest,
        "operation_count": summary.operation_count,
        "record_count": summary.record_count,
        "counts": {k: dict(v) for k, v in summary.counts.items()},
        "guards": [
            {"guard": r.guard, "limit": r.limit, "measured": r.measured, "tripped": r.tripped, "about": r.about}
            for r in summary.guards
        ],
        "created_by": summary.created_by,
        "created_at": iso(summary.created_at),
        "expires_at": iso(summary.expires_at),
        "rolls_back": summary.rolls_back,
        "left_out": dict(summary.left_out),
        "border": list(summary.border),
        "exit_code": summary.exit_code,
    }


def rule_reasons(policy: Policy) -> dict[str, str]:
    """Rule id to reason, those no policy can lift included."""
    from reverse_etl.asking import RULES

    return {**builtin_rules(), **RULES, **{rule.id: rule.reason for rule in policy.write_rules.rules}}


# reports --------------------------------------------------------------------------------------------------------------


def apply_report(report: ApplyReport, limit: int = 20) -> RenderableType:
    """Render what an apply did or, for a dry run, exactly what it would send."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text()
    verb = "Dry run of" if report.dry_run else "Resumed" if report.resumed else "Applied"
    head.append(f"{verb} {report.plan_id}", style="bold cyan")
    head.append(f"  ({report.apply_run_id}, {report.seconds:.1f} s)")
    table = Table(box=None, padding=(0, 1), show_header=False)
    for result, number in sorted(report.counts.items(), key=lambda item: -item[1]):
        table.add_row(result, f"{number:,}")
    parts: list[RenderableType] = [head, table]
    if report.dry_run:
        parts.append(Text(f"Would be sent: {len(report.requests):,} records", style="bold"))
        for request in report.requests[:limit]:
            line = Text(f"  {request['object_type']} {request['record_id']}", style="cyan")
            for name, value in request["values"].items():
                line.append(f"\n    {name} = ", style="none")
                line.append(plain(value) if value else "(cleared)", style="green")
            parts.append(line)
        if len(report.requests) > limit:
            parts.append(
                Text(f"  … and {len(report.requests) - limit:,} more (all of them with --output json)", style="dim")
            )
    if report.problems:
        parts.append(Text("Not written as planned:", style="bold red"))
        for problem in report.problems:
            field = f"{problem['object_type']} {problem['record_id']} {problem['property']}"
            parts.append(Text(f"  {problem['result']}: {field}: {plain(problem['message'])}"))
    if report.lowered:
        parts.append(Text("Lost an autonomy level:", style="bold red"))
        parts += [
            Text(f"  {c.name()}: L{c.from_level} -> L{c.to_level}: {plain(c.reason, 300)}") for c in report.lowered
        ]
    return Group(*parts)


def apply_json(report: ApplyReport) -> dict[str, Any]:
    """An apply as JSON values; a dry run holds every request."""
    return {
        "apply_run_id": report.apply_run_id,
        "plan_id": report.plan_id,
        "dry_run": report.dry_run,
        "resumed": report.resumed,
        "counts": dict(report.counts),
        "total": report.total,
        "problems": [dict(p) for p in report.problems],
        "requests": [dict(r) for r in report.requests],
        "lowered": [
            {"target": c.name(), "from": c.from_level, "to": c.to_level, "why": c.reason} for c in report.lowered
        ],
        "seconds": round(report.seconds, 3),
        "exit_code": report.exit_code,
    }


def setup_difference(difference: SetupDifference, *, applied: bool = False) -> RenderableType:
    """Render what `crm setup` would create, or has created."""
    from rich.console import Group
    from rich.text import Text

    verb = "created" if applied else "to create"
    lines: list[RenderableType] = []
    lines += [Text(f"+ group {object_type}.{name} ({verb})", style="green") for object_type, name in difference.groups]
    for object_type, spec in difference.properties:
        options = f": {', '.join(spec.options)}" if spec.options else ""
        lines.append(
            Text(f"+ {object_type}.{spec.name}  “{spec.label}”  {spec.value_type}{options} ({verb})", style="green")
        )
    for object_type, name, values in difference.options:
        lines.append(
            Text(
                f"~ {object_type}.{name}: options {', '.join(values)} ({'added' if applied else 'to add'})",
                style="yellow",
            )
        )
    lines += [Text(f"! {problem}", style="bold red") for problem in difference.problems]
    if difference.is_empty:
        lines.append(Text(f"The CRM has all {difference.present} properties.", style="green"))
    elif not applied and not difference.problems:
        lines.append(Text("Create them with: nightdesk crm setup --apply", style="bold"))
    return Group(*lines)
