"""The commands of the write-back: crm setup, plan, apply, rollback, audit, why; what people decide is in review.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightdesk.cli.common import chosen_changes, chosen_crm, selection

if TYPE_CHECKING:
    from nightdesk.prepare import Project

SELECT = typer.Option(
    "--select",
    "-s",
    help="KEY:VALUE[,VALUE], e.g. property:nightdesk_lead_tier or record:contact:123; may be repeated.",
)
OUTPUT = typer.Option("--output", help="text or json.")
CRM = typer.Option("--crm", help="hubspot, salesforce or tryton; the first in sources.yml when left out.")
PLAN = typer.Argument(help="A plan, or the beginning of its id; the newest when left out.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (plan, apply, verify, drift, retry, quarantine, rollback, why, lineage):
        app.command()(command)
    crm = typer.Typer(help="The CRM itself: the properties Nightdesk writes to.", no_args_is_help=True)
    crm.command(name="setup")(crm_setup)
    app.add_typer(crm, name="crm")
    audit = typer.Typer(help="The audit chain: verify, anchor, export.", no_args_is_help=True)
    for command in (audit_verify, audit_anchor, audit_export):
        audit.command(name=command.__name__.removeprefix("audit_"))(command)
    app.add_typer(audit, name="audit")


def crm_setup(
    apply: Annotated[
        bool, typer.Option("--apply", help="Create what is missing; without it only the difference is shown.")
    ] = False,
    crm_name: Annotated[str | None, CRM] = None,
    output: Annotated[str, OUTPUT] = "text",
) -> None:
    """Create the namespaced properties; shows the difference first. Exit 2: something is missing."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from nightdesk.crms import open_crm
    from reverse_etl import setup, view

    project, out = prepared(), console()
    with open_crm(project, chosen_crm(project, crm_name)) as crm:
        if apply:
            settings = project.settings
            found = setup.apply(crm, project.policy, ledger=settings.ledger, actor=settings.actor, clock=system_clock)
        else:
            found = setup.difference(crm, project.policy)
    if output == "json":
        print(json.dumps(found.as_json(), indent=2))
    else:
        out.print(view.setup_difference(found, applied=apply))
    raise typer.Exit(0 if apply else found.exit_code)


def plan(
    crm_name: Annotated[str | None, CRM] = None,
    output: Annotated[str, OUTPUT] = "text",
) -> None:
    """Freeze what the CRM should be told, decided by policy. Exit 0 nothing, 2 changes waiting, 3 needs approval."""
    from nightdesk import lock, runs, steps
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from reverse_etl import view
    from reverse_etl.plan import load

    project, out = prepared(), console()
    settings, name = project.settings, chosen_crm(project, crm_name)
    with lock.exclusive(settings.data_dir, "nightdesk plan", system_clock):
        run = runs.start(
            settings.ledger,
            "plan",
            as_of=settings.as_of,
            agent=None,
            policy_hash=project.policy.hash,
            clock=system_clock,
        )
        with run.step("plan") as numbers:
            made = steps.make_plan(project, run.run_id, system_clock, name)
            numbers["operations"] = made.operation_count
        run.event("run", "finished")
    if output == "json":
        print(json.dumps(view.as_json(load(settings.ledger, made.plan_id)), indent=2, default=str))
    else:
        out.print(view.summary(made, reasons=view.rule_reasons(project.policy)))
    raise typer.Exit(made.exit_code)


def apply(
    plan_id: Annotated[str | None, PLAN] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Write. Without it nothing is sent (dry run).")] = False,
    crm_name: Annotated[
        str | None,
        typer.Option("--crm", help="Whose newest plan, when none is named; the first CRM in sources.yml's."),
    ] = None,
    output: Annotated[str, OUTPUT] = "text",
) -> None:
    """Write approved changes, each checked against the CRM before and read back after. Dry-run by default."""
    from nightdesk import lineage_send, lock
    from nightdesk.cli.common import console, prepared, progress_line
    from nightdesk.clock import system_clock
    from nightdesk.crms import open_crm
    from reverse_etl import apply as applying
    from reverse_etl import audit, view

    project, out = prepared(), console()
    settings = project.settings
    with (
        lock.exclusive(settings.data_dir, "nightdesk apply", system_clock),
        open_crm(project, _crm_of(project, plan_id, crm_name)) as crm,
        progress_line(out) as progress,
    ):
        run = _run(project, "apply")
        report = applying.apply(
            settings.ledger,
            plan_id,
            crm,
            project.policy,
            settings.actor,
            dry_run=not execute,
            clock=system_clock,
            run_id=run.run_id,
            on_progress=lambda done, total: progress("apply", f"{done:,} of {total:,} changes"),
        )
        run.event("run", "finished", dict(report.counts))
        if execute:
            audit.anchor(settings.ledger, system_clock, settings.anchor)
            lineage_send.after_run(settings, run.run_id)
    if output == "json":
        print(json.dumps(view.apply_json(report), indent=2, default=str))
    else:
        out.print(view.apply_report(report))
    raise typer.Exit(report.exit_code)


def drift(
    crm_name: Annotated[str | None, CRM] = None,
    output: Annotated[str, OUTPUT] = "text",
) -> None:
    """What no longer holds of all that was ever written, and who changed it. Changes nothing."""
    verify(None, crm_name, output)


def retry(
    run: Annotated[str | None, typer.Argument(help="An apply run; the newest one when left out.")] = None,
    execute: Annotated[bool, typer.Option("--execute", help="Write. Without it nothing is sent (dry run).")] = False,
    output: Annotated[str, OUTPUT] = "text",
) -> None:
    """Apply once more what an apply could not write, from the same plan; says first what to expect of it."""
    from nightdesk.cli.common import console, prepared
    from reverse_etl import retry as retrying

    project = prepared()
    failed = retrying.failed(project.settings.ledger, run)
    if output == "text":
        console().print(retrying.view(failed))
    apply(failed.plan_id, execute, failed.crm, output)


def verify(
    run: Annotated[
        str | None, typer.Argument(help="An apply run or a plan; every field ever written when left out.")
    ] = None,
    crm_name: Annotated[str | None, CRM] = None,
    output: Annotated[str, OUTPUT] = "text",
) -> None:
    """Read back what was written; say what no longer holds, and who changed it. Exit 6: nobody we know did."""
    from nightdesk import lock
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from nightdesk.crms import open_crm
    from reverse_etl import verify as verifying
    from reverse_etl import view

    project = prepared()
    settings = project.settings
    name = _crm_that_wrote(project, run, crm_name)
    with lock.exclusive(settings.data_dir, "nightdesk verify", system_clock), open_crm(project, name) as crm:
        report = verifying.verify(settings.ledger, crm, run, system_clock, settings.actor)
    if output == "json":
        print(json.dumps({"counts": dict(report.counts), "differences": list(report.differences)}, default=str))
    else:
        out = console()
        out.print(
            ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in report.counts.items())
            or "nothing was written"
        )
        for difference in report.differences[:20]:
            out.print("  " + view.plain(", ".join(f"{name} {value}" for name, value in difference.items()), 200))
    raise typer.Exit(report.exit_code)


def quarantine(
    release: Annotated[bool, typer.Option("--release", help="Let the selected fields be planned again.")] = False,
    select: Annotated[list[str] | None, SELECT] = None,
) -> None:
    """Fields set aside because the CRM keeps refusing them."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from reverse_etl import quarantine as keeping
    from reverse_etl import view

    settings, out = prepared().settings, console()
    if release:
        released = keeping.release(
            settings.ledger, chosen_changes(select, everything=False), settings.actor, system_clock
        )
        out.print(f"{released:,} fields may be planned again")
        return
    held = keeping.listing(settings.ledger)
    out.print(f"{len(held):,} fields are set aside" + (":" if held else ""))
    for entry in held:
        out.print(
            f"  {entry['object_type']} {entry['record_id']} {entry['property']}: {view.plain(entry['reason'], 160)}"
        )


def rollback(
    run: Annotated[str | None, typer.Argument(help="An apply run or a plan; the newest apply when left out.")] = None,
    select: Annotated[list[str] | None, SELECT] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Everything ever written (and selected), not only the newest apply.")
    ] = False,
    crm_name: Annotated[str | None, CRM] = None,
    output: Annotated[str, OUTPUT] = "text",
) -> None:
    """Plan the undoing of an apply. The plan goes through approve and apply like any other; later human edits stay."""
    from nightdesk import lock
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from nightdesk.crms import open_crm
    from reverse_etl import rollback as rolling
    from reverse_etl import view
    from reverse_etl.plan import load

    project, out = prepared(), console()
    settings = project.settings
    name = _crm_that_wrote(project, run, crm_name)
    with lock.exclusive(settings.data_dir, "nightdesk rollback", system_clock), open_crm(project, name) as crm:
        recorded = _run(project, "rollback")
        made = rolling.plan_rollback(
            settings.ledger,
            run,
            crm,
            project.policy,
            recorded.run_id,
            settings.as_of,
            "nightdesk",
            system_clock,
            warehouse=settings.warehouse if settings.warehouse.exists() else None,
            select=selection(select),
            every=everything,
        )
        recorded.event("run", "finished", {"operations": made.operation_count})
    if output == "json":
        print(json.dumps(view.as_json(load(settings.ledger, made.plan_id)), indent=2, default=str))
    else:
        out.print(view.summary(made, reasons=view.rule_reasons(project.policy)))
    raise typer.Exit(made.exit_code)


def why(
    record: Annotated[str, typer.Argument(help="123, contact:123, hubspot:contact:123 or an email address.")],
    field: Annotated[str, typer.Argument(help="A property, e.g. nightdesk_lead_score.")],
    output: Annotated[str, OUTPUT] = "text",
    format_: Annotated[str, typer.Option("--format", help="text, json, or prov: W3C PROV-JSON for machines.")] = "",
) -> None:
    """The whole story of one value: sentence, answer, policy, decision, approver, write, read-back."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.errors import NightdeskError
    from reverse_etl import why as asking

    shown = format_ or output
    if shown not in ("text", "json", "prov"):
        raise NightdeskError(f"There is no format `{shown}`", todo="One of: text, json, prov.")

    project = prepared()
    settings = project.settings
    story = asking.story(
        settings.ledger,
        settings.warehouse if settings.warehouse.exists() else None,
        record,
        field,
        policy=project.policy,
        base_url=settings.hubspot_url,
    )
    if shown == "prov":
        from reverse_etl import provenance

        print(json.dumps(provenance.document(settings.ledger, story), indent=2, ensure_ascii=False))
    elif shown == "json":
        print(json.dumps(story.as_json(), indent=2, default=str))
    else:
        console().print(asking.view(story))


def lineage(
    run: Annotated[
        str | None, typer.Argument(help="A run, or the beginning of its id; the last when left out.")
    ] = None,
    send: Annotated[bool, typer.Option("--send", help="Post the events to NIGHTDESK_OPENLINEAGE_URL as well.")] = False,
) -> None:
    """Write the OpenLineage events of a run: each step with what it read and wrote. Every night does this itself."""
    from nightdesk import lineage_send
    from nightdesk.cli.common import console, prepared
    from nightdesk.errors import NightdeskError
    from nightdesk.lineage import read_run

    settings = prepared().settings
    if send and not settings.openlineage_url:
        raise NightdeskError(
            "There is no receiver to send to",
            where="NIGHTDESK_OPENLINEAGE_URL in .env or the environment",
            todo="Set it, or leave --send out.",
        )
    run_id = read_run(settings.ledger, run)[0].run_id
    told = lineage_send.tell(settings, run_id)
    console().print(f"Wrote {len(told):,} events to {lineage_send.keep(settings, run_id, told)}", soft_wrap=True)
    if send:
        problem = lineage_send.send(settings.openlineage_url, told)
        if problem:
            raise NightdeskError(problem[0].upper() + problem[1:], where=settings.openlineage_url)
        console().print(f"Sent them to {settings.openlineage_url}", soft_wrap=True)


def audit_verify(
    anchor: Annotated[
        Path | None, typer.Option("--anchor", help="Another anchor file: from a backup, or out of a git history.")
    ] = None,
) -> None:
    """Check the whole chain and its anchors in one query. Exit 8: broken, with the first bad event named."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.errors import NightdeskError
    from reverse_etl import audit

    settings = prepared().settings
    if anchor is not None and not anchor.is_file():
        raise NightdeskError("There is no such anchor file", where=str(anchor))
    report = audit.verify(settings.ledger, anchor or settings.anchor)
    if not report.ok:
        raise NightdeskError(
            f"The audit chain is broken: {report.problem}",
            where=f"{settings.ledger}, event {report.first_bad}",
            todo="Stop writing; compare with the last backup and with the anchor file.",
            exit_code=report.exit_code,
        )
    console().print(
        f"The audit chain is whole: {report.events:,} events, {report.anchors:,} anchors, last {report.last_hash[:12]}"
    )


def audit_anchor(
    git: Annotated[
        Path | None, typer.Option("--git", help="A git working copy: the anchor is committed there as well.")
    ] = None,
) -> None:
    """Write the chain's last hash outside the database: beside the ledger, and into a git history where told."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from reverse_etl import anchors, audit

    settings, out = prepared().settings, console()
    anchored = audit.anchor(settings.ledger, system_clock, settings.anchor)
    out.print("Nothing new to anchor" if anchored is None else f"Anchored event {anchored[0]:,} in {settings.anchor}")
    if git is not None:
        committed = anchors.commit(settings.ledger, git, system_clock)
        out.print(f"Committed event {committed[0]:,} to {git}" if committed else f"{git} holds the last event already")


def audit_export(
    target: Annotated[Path, typer.Argument(help="File to write; one JSON object a line.")],
) -> None:
    """Write every event with its hashes, for an auditor to check without Nightdesk."""
    from nightdesk.cli.common import console, prepared
    from reverse_etl import audit

    written = audit.export(prepared().settings.ledger, target)
    console().print(f"Wrote {written:,} events to {target}")


def _crm_of(project: Project, plan_id: str | None, given: str | None) -> str:
    """The CRM of a plan that was named; without one, what was asked for."""
    from reverse_etl.plan import summarize

    name = chosen_crm(project, given)
    return name if plan_id is None else summarize(project.settings.ledger, plan_id).crm


def _crm_that_wrote(project: Project, run: str | None, given: str | None) -> str:
    """The CRM that an apply run or plan of that name wrote to, unless one was asked for."""
    from nightdesk import ledger

    name = chosen_crm(project, given)
    if given is not None or run is None:
        return name
    with ledger.connect(project.settings.ledger, read_only=True) as connection:
        found = connection.execute(
            "select plans.crm from apply_runs inner join plans using (plan_id) "
            "where not apply_runs.dry_run and $run in (apply_runs.apply_run_id, apply_runs.plan_id, apply_runs.run_id) "
            "limit 1",
            {"run": run},
        ).fetchone()
    return str(found[0]) if found else name


def _run(project: Project, command: str):
    from nightdesk import runs
    from nightdesk.clock import system_clock

    settings = project.settings
    return runs.start(
        settings.ledger, command, as_of=settings.as_of, agent=None, policy_hash=project.policy.hash, clock=system_clock
    )
