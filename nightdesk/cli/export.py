"""The command that takes in the export files of a CRM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("import")(import_export)


def import_export(
    folder: Annotated[
        Path, typer.Argument(help="Files called by their table or object: contacts.csv, EmailMessage.csv.")
    ],
    crm: Annotated[
        str | None,
        typer.Option("--crm", help="Who wrote them: hubspot or salesforce; the first in sources.yml when left out."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="contacts.language=Preferred language: a file's own name for one."),
    ] = None,
) -> None:
    """Load the files a CRM exported (CSV, JSON lines, Parquet). Its API is asked for what is newer only.

    Exit codes: 0 all of it is loaded, 6 some rows or files could not be read and are named.
    """
    from pydantic import ValidationError
    from rich.markup import escape

    from nightdesk import lock
    from nightdesk.cli.common import console, prepared, progress_line
    from nightdesk.clock import system_clock
    from nightdesk.erasure import tombstones
    from nightdesk.errors import NightdeskError
    from sources import export

    project, out = prepared(), console()
    try:
        columns = dict(_renamed(one) for one in column or ())
        crm = crm or project.sources.crms[0]
        settings = export.ExportSettings.model_validate({"crm": crm, "path": folder, "columns": columns})
    except ValidationError as error:
        raise NightdeskError(
            f"There is no CRM `{crm}` to import from", todo="Say --crm hubspot or salesforce."
        ) from error
    data = project.settings
    erased = tombstones.read_file(data.ledger)
    with lock.exclusive(data.data_dir, "nightdesk import", system_clock), progress_line(out) as progress:
        report = export.load(
            settings,
            data.raw,
            data.pipelines,
            lambda table, rows: progress("import", f"{table}: {rows:,} rows"),
            tombstones=erased,
            # So that what is theirs stays out by its id, whatever a later load says of it.
            on_learned=lambda: erased and tombstones.keep(data.ledger, erased, system_clock),
        )
    moved = {name: count for name, count in report.rows_moved.items() if count}
    out.print("Loaded: " + (", ".join(f"{count:,} {name}" for name, count in moved.items()) or "nothing new"))
    if kept_out := sum(report.erased.values()):
        out.print(f"Kept out: {kept_out:,} records of people who were erased")
    for change in report.schema_changes:
        out.print(escape(change))
    for problem in report.problems:
        out.print(f"[yellow]not read[/yellow]  {escape(str(problem))}")
    raise typer.Exit(6 if report.problems else 0)


def _renamed(text: str) -> tuple[str, str]:
    from nightdesk.errors import NightdeskError

    place, _, name = text.partition("=")
    if "." not in place or not name:
        raise NightdeskError(
            f"`{text}` renames no column", todo="Write --column contacts.language='Preferred language'."
        )
    return place, name
