"""The commands of the policy: check the files, test the write rules, explain one decision."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from nightdesk.policy import Policy
    from reverse_etl.policy_explain import Explanation
    from reverse_etl.policy_tests import PolicyTestReport

OUTPUT = typer.Option("--output", help="text or json.")
_STYLES = {"auto": "green", "require_approval": "yellow", "denied": "red"}


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    policy = typer.Typer(help="The policy: check its files, test its write rules, explain a decision.")
    for command in (check, test, explain):
        policy.command()(command)
    app.add_typer(policy, name="policy", no_args_is_help=True)


def check(output: Annotated[str, OUTPUT] = "text") -> None:
    """Validate every policy file; show the hash, the rules, the ceilings and the brakes. Changes nothing."""
    from nightdesk import policy, settings
    from nightdesk.cli.common import console
    from nightdesk.policy import caps
    from nightdesk.policy.load import read_decisions
    from reverse_etl.policy_check import remarks

    read = settings.read()
    loaded = policy.load(read.policies)
    tables = read_decisions(read.policies)
    said = remarks(loaded, tables, read.as_of)
    if output == "json":
        found: dict[str, Any] = {
            "hash": loaded.hash,
            "files": loaded.file_hashes,
            "rules": [rule.model_dump(mode="json", exclude_none=True) for rule in loaded.write_rules.rules],
            "ceilings": {str(o): caps.operation_ceiling(loaded, o) for o in loaded.autonomy.operations},
            "guards": [guard.model_dump(mode="json") for guard in loaded.guards.guards],
            "golden_cases": {name: len(table.cases) for name, table in tables.items()},
            "remarks": list(said),
        }
        print(json.dumps(found, indent=2))
        return
    out = console()
    out.print(_checked(loaded))
    cases = sum(len(table.cases) for table in tables.values())
    out.print(f"{len(loaded.file_hashes)} policy files are valid (hash {loaded.hash[:12]}); {cases} golden cases")
    for remark in said:
        out.print(f"  note: {remark}", soft_wrap=True)


def _checked(policy: Policy) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from nightdesk.policy import caps
    from reverse_etl.decide import rules_from_policy
    from reverse_etl.policy_explain import wants

    rules = _table("Write rules", "rule", "what", "when")
    for rule in rules_from_policy(policy.write_rules.rules):
        what = "forbid" if rule.effect == "forbid" else str(rule.decision)
        when = ", ".join(f"{c.column} {wants(c)}" for c in rule.when)
        rules.add_row(rule.id, Text(what, style=_STYLES.get(what, "red")), when)
    ceilings = _table("Ceilings (what is in force: nightdesk autonomy)", "operation", "ceiling", "properties")
    for operation, entry in policy.autonomy.operations.items():
        own = ", ".join(f"{name} L{level}" for name, level in entry.properties.items())
        ceilings.add_row(str(operation), f"L{caps.operation_ceiling(policy, operation)}", own)
    brakes = _table("Brakes", "guard", "limit", "about")
    for guard in policy.guards.guards:
        brakes.add_row(guard.guard, f"{guard.limit:g}", guard.about)
    return Group(rules, ceilings, brakes)


def _table(title: str, *columns: str):
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name == columns[0])
    return table


def test(output: Annotated[str, OUTPUT] = "text") -> None:
    """Decide the golden cases in SQL and in Python, then break each rule: a case must notice. Exit 1: one did not."""
    from nightdesk import policy, settings
    from nightdesk.cli.common import console
    from nightdesk.policy.load import read_decisions
    from reverse_etl.policy_tests import run

    read = settings.read()
    report = run(policy.load(read.policies), read_decisions(read.policies))
    if output == "json":
        print(json.dumps(_test_json(report), indent=2))
    else:
        out = console()
        for line in _test_lines(report):
            out.print(line, soft_wrap=True, markup=False)
    raise typer.Exit(0 if report.ok else 1)


def _test_lines(report: PolicyTestReport) -> list[str]:
    passed = len(report.cases) - len(report.failures)
    lines = [f"{passed} of {len(report.cases)} golden cases are decided as expected, in SQL and in Python"]
    for failure in report.failures:
        case = failure.case
        lines.append(f"  {case.table}: {case.name}: expected {case.decision} by {case.rule}")
        lines.append(f"    SQL says {' by '.join(failure.by_sql)}, Python says {' by '.join(failure.by_python)}")
    lines += [f"  no case names the rule {rule}" for rule in report.rules_without_case]
    caught = report.mutants - len(report.missed) - len(report.unneeded)
    lines.append(
        f"{report.mutants} ways to break a rule: {caught} noticed by a case, {len(report.unneeded)} can decide nothing "
        f"differently, {len(report.missed)} noticed by none"
    )
    for escape in report.missed:
        lines.append(f"  {escape.mutant.rule_id} {escape.mutant.change}: no case notices. It would decide")
        lines.append(f"    {_op(escape.op or {})}")
        lines.append(f"    {' by '.join(escape.after)} instead of {' by '.join(escape.before)}")
    for escape in report.unneeded:
        sampled = " (not every combination was tried)" if escape.sampled else ""
        lines.append(f"  {escape.mutant.rule_id} {escape.mutant.change}: other rules decide all of it{sampled}")
    if not report.cases:
        lines.append("There are no golden cases: write some into policies/decisions/")
    return lines


def _op(op: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in op.items())


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _test_json(report: PolicyTestReport) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "cases": len(report.cases),
        "failures": [
            {
                "table": f.case.table,
                "case": f.case.name,
                "expected": [f.case.decision, f.case.rule],
                "sql": f.by_sql,
                "python": f.by_python,
            }
            for f in report.failures
        ],
        "rules_without_case": report.rules_without_case,
        "mutants": report.mutants,
        "missed": [
            {
                "rule": e.mutant.rule_id,
                "change": e.mutant.change,
                "op": {name: _shown(value) for name, value in (e.op or {}).items()},
                "before": e.before,
                "after": e.after,
            }
            for e in report.missed
        ],
        "cannot_matter": [
            {"rule": e.mutant.rule_id, "change": e.mutant.change, "sampled": e.sampled} for e in report.unneeded
        ],
    }


def explain(
    op: Annotated[str, typer.Argument(help="An operation's id, or the beginning of it.")],
    plan: Annotated[str | None, typer.Option("--plan", help="Its plan; the newest when left out.")] = None,
    output: Annotated[str, OUTPUT] = "text",
) -> None:
    """Show every rule against one operation: each condition, the operation's value, and which rule decided."""
    from nightdesk.cli.common import console, prepared
    from reverse_etl.policy_explain import explain as explained

    project = prepared()
    found = explained(project.settings.ledger, op, project.policy, plan)
    if output == "json":
        print(json.dumps(found.as_json(), indent=2, default=str))
    else:
        console().print(_explained(found))


def _explained(found: Explanation) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from reverse_etl.view import plain

    op = found.op
    parts: list[RenderableType] = [
        Text(f"{op['object_type']} {op['record_id']} {op['property']}", style="bold"),
        Text(f"  {plain(op['before_value'] or '(empty)')} -> {plain(op['desired_value'] or '(empty)')}"),
        Text(f"  operation {op['op_id'][:12]} of plan {found.plan_id}, proposed by {op['operation']}", style="dim"),
        Text(found.why, style=_STYLES[found.decision]),
    ]
    table = _table("", "rule", "condition", "the operation's value", "")
    marks = {"holds": "green", "does not hold": "dim", "missing": "yellow"}
    for rule in found.rules:
        what = "forbid" if rule.effect == "forbid" else str(rule.decision)
        style = "bold" if rule.id == found.deciding_rule else ("" if rule.outcome.startswith("applies") else "dim")
        table.add_row(Text(rule.id, style=style), Text(what), "", Text(rule.outcome, style=style))
        for condition in rule.conditions:
            table.add_row(
                "",
                f"  {condition.column} {condition.wants}",
                plain(_shown(condition.value)),
                Text(condition.outcome, style=marks[condition.outcome]),
            )
    parts.append(table)
    if found.policy_changed:
        parts.append(Text("The policy has changed since the plan was made: the rules are shown as they are now."))
    if found.now is not None and found.now != (found.decision, found.deciding_rule):
        parts.append(Text(f"Decided now, it would be {found.now[0]} by {found.now[1]}.", style="yellow"))
    return Group(*parts)
