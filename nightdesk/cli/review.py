"""The commands of people who decide: review, approve, reject, note, ask."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightdesk.cli.common import chosen_changes, chosen_crm, selection

if TYPE_CHECKING:
    from rich.console import Console

    from nightdesk.prepare import Project
    from reverse_etl.plan import Plan
    from reverse_etl.reviews import Note, Standing
    from reverse_etl.select import Selection

SELECT = typer.Option(
    "--select",
    "-s",
    help="KEY:VALUE[,VALUE], e.g. property:nightdesk_lead_tier, record:contact:123, confidence:<0.6; may be repeated.",
)
PLAN = typer.Argument(help="A plan, or the beginning of its id; the newest when left out.")
CRM = typer.Option("--crm", help="Whose newest plan, when none is named; the first CRM in sources.yml's.")
WHO = typer.Option("--as", help="Who decides; NIGHTDESK_ACTOR or your user name when left out.")
ROLE = typer.Option("--role", help="In which role; policies/approvals.yml lists the roles.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (review, approve, reject, note, ask):
        app.command()(command)


def review(
    plan_id: Annotated[str | None, PLAN] = None,
    select: Annotated[list[str] | None, SELECT] = None,
    crm_name: Annotated[str | None, CRM] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Records shown: 6, with --table 40 changes.")] = None,
    table: Annotated[bool, typer.Option("--table", help="One line per change.")] = False,
    columns: Annotated[str | None, typer.Option(help="Columns of --table, like op,record,to,rule.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Texts word by word, old against new.")] = False,
    evidence: Annotated[bool, typer.Option("--evidence", help="Every quote, with its link.")] = False,
    ask_: Annotated[bool, typer.Option("--ask", help="One record at a time; approve or reject as you go.")] = False,
    full_screen: Annotated[bool, typer.Option("--full-screen", help="Table, filter and detail on one screen.")] = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write the review as a YAML file, for a pull request.")
    ] = None,
    as_: Annotated[str, WHO] = "",
    role: Annotated[str, ROLE] = "revops",
    output: Annotated[str, typer.Option("--output", help="text or json.")] = "text",
) -> None:
    """Read a plan: old value, new value, reason, evidence, who decides and who has. Changes nothing by itself."""
    from nightdesk.cli.common import console, prepared
    from reverse_etl import review_view, reviews, view

    project, out = prepared(), console()
    found, standings, notes = _load(project, plan_id, crm_name)
    chosen, reasons, url = selection(select), view.rule_reasons(project.policy), _link_base(project, found)
    if to is not None:
        _write_file(project, found, chosen, standings, to, out)
    elif ask_:
        _walk(project, found, chosen, standings, notes, reasons, as_ or project.settings.actor, role, out)
    elif full_screen:
        _full_screen(project, found, chosen, as_ or project.settings.actor, role, out)
    elif output == "json":
        shown = view.as_json(found, chosen)
        for op in shown["operations"]:
            op |= reviews.as_json(standings.get(op["op_id"]), notes.get(op["op_id"], []))
        print(json.dumps(shown, indent=2, default=str))
    elif table or columns:
        names = review_view.columns(columns)
        ops, total = view.chosen(found, chosen)
        out.print(review_view.table(ops[: limit or 40], total, names, standings))
    elif diff or evidence or notes:

        def in_full(ops: Sequence[Mapping[str, Any]]) -> Any:
            return review_view.detail(
                ops, standings, notes, reasons, base_url=url, sources=50 if evidence else 1, with_diff=diff
            )

        out.print(view.terminal(found, chosen, limit=limit or 6, reasons=reasons, record=in_full))
    else:
        out.print(view.terminal(found, chosen, limit=limit or 6, reasons=reasons))


def approve(
    plan_id: Annotated[str | None, PLAN] = None,
    select: Annotated[list[str] | None, SELECT] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every change of the plan that waits for approval.")
    ] = False,
    file: Annotated[Path | None, typer.Option("--file", help="A filled-in review file (`review --to`).")] = None,
    from_crm: Annotated[
        bool, typer.Option("--from-crm", help="Read what people answered inside the CRM (`ask`).")
    ] = False,
    crm_name: Annotated[str | None, CRM] = None,
    as_: Annotated[str, WHO] = "",
    role: Annotated[str, ROLE] = "revops",
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
    accept_guard: Annotated[
        list[str] | None, typer.Option("--accept-guard", help="A guard that tripped and is fine.")
    ] = None,
) -> None:
    """Approve changes; bound to the plan as it was reviewed. Say which (--select), --all, --file or --from-crm."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from nightdesk.errors import NightdeskError
    from reverse_etl import approve as approving

    if sum((bool(select), everything, file is not None, from_crm)) > 1:
        raise NightdeskError(
            "Say which changes in one way only", todo="One of --select, --all, --file FILE and --from-crm."
        )
    project, out = prepared(), console()
    if from_crm:
        _from_crm(project, chosen_crm(project, crm_name), out)
        return
    if file is not None:
        _from_file(project, file, as_ or project.settings.actor, role, out)
        return
    chosen = chosen_changes(select, everything)
    report = approving.approve(
        project.settings.ledger,
        _plan_id(project, plan_id, crm_name),
        chosen,
        as_ or project.settings.actor,
        role,
        project.policy,
        system_clock,
        note=note,
        accept_guards=accept_guard or (),
    )
    second = f", {report.need_another:,} of them for a second person" if report.need_another else ""
    out.print(
        f"Approved {report.operation_count:,} changes of plan {report.plan_id}, valid until "
        f"{report.expires_at:%Y-%m-%d %H:%M} UTC; {report.still_waiting:,} still wait{second}. Next: nightdesk apply"
    )


def reject(
    plan_id: Annotated[str | None, PLAN] = None,
    select: Annotated[list[str] | None, SELECT] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every change of the plan.")] = False,
    crm_name: Annotated[str | None, CRM] = None,
    as_: Annotated[str, WHO] = "",
    role: Annotated[str, ROLE] = "revops",
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
) -> None:
    """Reject changes; takes back an earlier approval of them."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from reverse_etl import approve as approving

    project = prepared()
    chosen = chosen_changes(select, everything)
    report = approving.reject(
        project.settings.ledger,
        _plan_id(project, plan_id, crm_name),
        chosen,
        as_ or project.settings.actor,
        role,
        project.policy,
        system_clock,
        note=note,
    )
    console().print(f"Rejected {report.operation_count:,} changes of plan {report.plan_id}")


def note(
    target: Annotated[str, typer.Argument(help="An operation's id (or its beginning), or a verdict's id.")],
    text: Annotated[str, typer.Argument(help="The remark.")],
    plan_id: Annotated[str | None, typer.Option("--plan", help="In which plan; the newest that has it.")] = None,
    as_: Annotated[str, WHO] = "",
) -> None:
    """Put a remark beside a change or a verdict. It is shown and audited; it never changes what is written."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from reverse_etl import reviews

    project = prepared()
    settings = project.settings
    made = reviews.note(settings.ledger, target, text, as_ or settings.actor, system_clock, plan_id=plan_id)
    console().print(f"Noted on {made.op_id or made.approval_id} of plan {made.plan_id}; what is written stays as it is")


def ask(
    plan_id: Annotated[str | None, PLAN] = None,
    select: Annotated[list[str] | None, SELECT] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every change that waits for approval.")] = False,
    crm_name: Annotated[
        str | None, typer.Option("--crm", help="Inside which CRM; the first in sources.yml when left out.")
    ] = None,
    output: Annotated[str, typer.Option("--output", help="text or json.")] = "text",
) -> None:
    """Plan questions on the records themselves, for people to answer inside the CRM; apply writes them."""
    from nightdesk import lock, runs
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from nightdesk.crms import open_crm
    from reverse_etl import asking, view
    from reverse_etl.plan import load

    project, out = prepared(), console()
    settings = project.settings
    chosen, name = chosen_changes(select, everything), chosen_crm(project, crm_name)
    with lock.exclusive(settings.data_dir, "nightdesk ask", system_clock), open_crm(project, name) as crm:
        run = runs.start(
            settings.ledger,
            "ask",
            as_of=settings.as_of,
            agent=None,
            policy_hash=project.policy.hash,
            clock=system_clock,
        )
        made = asking.ask(
            settings.ledger,
            plan_id,
            chosen,
            crm,
            project.policy,
            run.run_id,
            settings.as_of,
            settings.actor,
            system_clock,
        )
        run.event("run", "finished", {"operations": made.operation_count})
    if output == "json":
        print(json.dumps(view.as_json(load(settings.ledger, made.plan_id)), indent=2, default=str))
    else:
        out.print(view.summary(made, reasons=view.rule_reasons(project.policy)))
    raise typer.Exit(made.exit_code)


# what the commands share ----------------------------------------------------------------------------------------------


def _load(
    project: Project, plan_id: str | None, crm: str | None
) -> tuple[Plan, dict[str, Standing], dict[str, list[Note]]]:
    from nightdesk import ledger
    from nightdesk.clock import system_clock
    from reverse_etl import reviews
    from reverse_etl.plan import load

    with ledger.connect(project.settings.ledger) as con:
        found = load(con, _plan_id_on(con, plan_id, chosen_crm(project, crm)))
        return (
            found,
            reviews.standings(con, found.plan_id, project.policy, system_clock),
            reviews.notes(con, found.plan_id),
        )


def _plan_id(project: Project, plan_id: str | None, crm: str | None) -> str:
    from nightdesk import ledger

    with ledger.connect(project.settings.ledger) as con:
        return _plan_id_on(con, plan_id, chosen_crm(project, crm))


def _plan_id_on(con: Any, plan_id: str | None, crm: str) -> str:
    from reverse_etl.asking import newest_for_people
    from reverse_etl.plan import resolve

    return newest_for_people(con, crm) if plan_id is None else resolve(con, plan_id)


def _link_base(project: Project, plan: Plan) -> str:
    return project.settings.hubspot_url if plan.summary.crm == "hubspot" else ""


def _write_file(
    project: Project, plan: Plan, chosen: Selection, standings: Mapping[str, Standing], to: Path, out: Console
) -> None:
    from nightdesk.errors import NightdeskError
    from reverse_etl import review_file, view

    ops, _ = view.chosen(plan, chosen)
    text = review_file.compose(plan, ops, standings, to.name)
    try:
        to.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NightdeskError(f"The review cannot be written: {error.strerror}", where=str(to)) from None
    count = text.count("\n    - change: ") + text.count("\n  - change: ")
    out.print(f"Wrote {count:,} changes of plan {plan.plan_id} that wait for a person to {to}", soft_wrap=True)


def _walk(
    project: Project,
    plan: Plan,
    chosen: Selection,
    standings: Mapping[str, Standing],
    notes: Mapping[str, list[Note]],
    reasons: Mapping[str, str],
    person: str,
    role: str,
    out: Console,
) -> None:
    from rich.text import Text

    from nightdesk.clock import system_clock
    from reverse_etl import review_view, view, walk

    ops, _ = view.chosen(plan, chosen)
    url = _link_base(project, plan)

    def show(record: Sequence[Mapping[str, Any]], number: int, total: int) -> None:
        out.print(Text(f"\n{number} of {total}", style="bold"))
        out.print(review_view.detail(record, standings, notes, reasons, base_url=url))

    def ask_line() -> str | None:
        out.print(Text("a/r/s/q [reason]> ", style="bold"), end="")
        line = sys.stdin.readline()
        return line if line else None

    report = walk.walk(
        project.settings.ledger,
        plan.plan_id,
        walk.records_to_decide(ops, standings, person),
        person,
        role,
        project.policy,
        system_clock,
        show=show,
        ask=ask_line,
        say=lambda text: out.print(text, markup=False),
    )
    out.print(
        f"\nApproved {report.approved:,} records, rejected {report.rejected:,}, skipped {report.skipped:,}; "
        f"{report.left:,} left. Next: nightdesk apply"
    )


def _full_screen(project: Project, plan: Plan, chosen: Selection, person: str, role: str, out: Console) -> None:
    from nightdesk.clock import system_clock
    from nightdesk.errors import NightdeskError

    try:
        from nightdesk.cli import review_screen
    except ModuleNotFoundError as error:
        raise NightdeskError(
            "The full-screen review needs the extra `review`",
            where=error.name or "",
            todo="Install it with `pip install 'nightdesk[review]'`, or use `nightdesk review --ask`.",
        ) from None

    saved = review_screen.run(
        project.settings.ledger,
        plan,
        chosen,
        person,
        role,
        project.policy,
        system_clock,
        base_url=_link_base(project, plan),
    )
    out.print(f"Saved: {saved.approved:,} changes approved, {saved.rejected:,} rejected, {saved.notes:,} remarks")


def _from_file(project: Project, file: Path, person: str, role: str, out: Console) -> None:
    from nightdesk.clock import system_clock
    from reverse_etl import review_file

    report = review_file.decide(project.settings.ledger, file, person, role, project.policy, system_clock)
    waiting = report.reports[-1].still_waiting
    out.print(
        f"Took in {file}: {report.approved:,} changes of plan {report.plan_id} approved, {report.rejected:,} rejected, "
        f"{report.undecided:,} undecided; {waiting:,} still wait. Next: nightdesk apply",
        soft_wrap=True,
    )


def _from_crm(project: Project, crm_name: str, out: Console) -> None:
    from nightdesk import lock
    from nightdesk.clock import system_clock
    from nightdesk.crms import open_crm
    from reverse_etl import answers, view

    settings = project.settings
    with lock.exclusive(settings.data_dir, "nightdesk approve", system_clock), open_crm(project, crm_name) as crm:
        report = answers.read_answers(settings.ledger, crm, project.policy, system_clock)
    told = [f"{number:,} {outcome.replace('_', ' ')}" for outcome, number in report.counts.items()]
    if report.known:
        told.append(f"{report.known:,} counted before")
    out.print(f"{report.questions:,} open questions" + (f": {', '.join(told)}" if told else ""))
    for one in report.answers:
        if one.message and one.outcome != "unanswered":
            where = f"{one.question.object_type} {one.question.record_id}"
            out.print(f"  {where}: {one.outcome.replace('_', ' ')}: {view.plain(one.message, 200)}", markup=False)
