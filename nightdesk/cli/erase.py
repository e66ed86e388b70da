"""The command that takes one person out of everything: a dry run unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from nightdesk.erasure.run import Report
    from nightdesk.prepare import Project

_WORDS = {
    "contact_records": "contact and lead records (merged and converted ones included)",
    "addresses": "email addresses",
    "emails": "emails",
    "calls": "calls",
    "meetings": "meetings",
    "notes": "notes",
    "tasks": "tasks",
    "documents_shared_with_others": "of these, shared with other contacts",
    "facts": "facts",
    "quotes": "quotes shown as evidence",
    "answers_about_them": "answers about them and their documents",
    "answers_of_others": "answers about others that rest on them (asked again)",
    "sentences": "sentences",
    "rejections": "rejected items",
    "recall_log": "entries of the recall log",
    "planned_changes_of_theirs": "planned changes of their record",
    "planned_changes_of_others_emptied": "planned changes of others, emptied of their texts",
    "plans_that_end": "plans that may not be applied any more",
    "suppression_entries": "entries of the suppression list (the tombstone takes their place)",
    "raw_rows": "rows of the raw tables",
    "spool_and_recorded_lines": "lines of the spool and of recordings",
}


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(erase)


def erase(
    person: Annotated[
        str | None, typer.Argument(help="An email address, or a record id: 123, contact:123, salesforce:lead:00Q1.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, without naming the person; kept with the proof.")] = "request",
    apply: Annotated[bool, typer.Option("--apply", help="Really erase; without it only numbers are shown.")] = False,
    no_build: Annotated[
        bool, typer.Option("--no-build", help="Leave warehouse and published files to the next refresh.")
    ] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Go on with an erasure that was interrupted.")] = False,
) -> None:
    """Erase a person from every file of the data directory and keep out what the CRM still sends. Dry run by default.

    Exit codes: 0 erased, or nothing of them is here; 1 unknown person; 2 dry run with something to remove.
    """
    from nightdesk import lock
    from nightdesk.cli.common import console, prepared, progress_line
    from nightdesk.clock import system_clock
    from nightdesk.erasure import run
    from nightdesk.errors import NightdeskError

    if (person is None) == (not finish):
        raise NightdeskError("Name one person, or say --finish", todo="nightdesk erase ADDRESS")
    project, out = prepared(may_be_unfinished=True), console()
    settings = project.settings
    if person is not None and not apply:
        run.require_none_pending(settings)
        report = run.look(settings, person)
        _show(out, report, is_dry=True)
        raise typer.Exit(0 if report.is_empty else 2)
    with lock.exclusive(settings.data_dir, "nightdesk erase", system_clock):
        with progress_line(out) as progress:
            ended = run.finish(project, clock=system_clock, progress=progress)
            report = (
                run.erase(project, person, reason=reason, clock=system_clock, progress=progress) if person else None
            )
        for erasure_id in ended:
            out.print(f"Finished what was begun: {erasure_id}")
        if report is not None:
            _show(out, report, is_dry=False)
        if person is None and not ended:
            out.print("No erasure is unfinished")
        elif not no_build and (ended or (report is not None and not report.is_empty)):
            _rebuild(out, project)


def _show(out: Console, report: Report, *, is_dry: bool) -> None:
    if report.person.erased_before:
        out.print(f"Nothing of this person is here: erased before, as {report.erasure_id}")
        return
    out.print("Would be erased (dry run; --apply does it):" if is_dry else f"Erased as {report.erasure_id}:")
    for name, number in report.numbers.items():
        if number:
            out.print(f"{number:>9,}  {_WORDS.get(name, name)}")
    if report.in_crm:
        out.print(
            "In the CRM, values of ours remain that hold or show them. Nothing is written there now: delete the "
            "contact with the CRM's own GDPR delete, or clear these fields; the next plan writes those of others anew:"
        )
        for object_type, record_id, properties in report.in_crm[:20]:
            out.print(f"  {object_type} {record_id}: {', '.join(properties)}")
        if len(report.in_crm) > 20:
            out.print(f"  and {len(report.in_crm) - 20:,} more records")
    for path in report.strangers:
        out.print(f"Not ours, and it shows them: {path}; delete it by hand")
    for name in report.named_files:
        out.print(f"The name of a file or folder you have read shows them: {name}; rename it")
    for record in report.person.suggested:
        out.print(f"Look at {record}: it may be the same person (nightdesk identity list); it is not erased with them")
    if not is_dry:
        out.print("Outside of Nightdesk's reach: the CRM itself, backups, the model provider (docs/erasure.md)")


def _rebuild(out: Console, project: Project) -> None:
    """Make the warehouse and the published files anew: their readers should not wait for the night."""
    from nightdesk import publish
    from nightdesk.cli.common import progress_line
    from nightdesk.dbt import Dbt
    from nightdesk.errors import NightdeskError

    settings = project.settings
    try:
        with progress_line(out) as progress:
            dbt = Dbt(project.folder, settings.data_dir, settings.as_of)
            dbt.build(progress=lambda node: progress("build", node))
            publish.publish(settings.warehouse, settings.published, publish.public_models(dbt.manifest()))
    except NightdeskError as error:
        raise NightdeskError(
            f"The person is erased, but the warehouse could not be made anew: {error.what}",
            where=error.where,
            todo=error.todo or "Run `nightdesk refresh`.",
        ) from error
