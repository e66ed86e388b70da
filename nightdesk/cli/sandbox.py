"""`nightdesk sandbox`: a CRM to try everything on, with a sample company in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nightdesk.errors import NightdeskError

app = typer.Typer(help="A HubSpot-shaped CRM on this machine, filled with a sample company.", no_args_is_help=True)


@app.command()
def generate(
    contacts: Annotated[int, typer.Option(min=20, help="How many contacts; everything else scales with it.")] = 8000,
    seed: Annotated[int, typer.Option(help="Another seed is another company.")] = 7,
    force: Annotated[bool, typer.Option("--force", help="Replace the sample company that is there.")] = False,
) -> None:
    """Make the sample company and put it into a new sandbox CRM."""
    from nightdesk import settings
    from nightdesk.cli.common import console
    from nightdesk.sample import make

    out = console()
    folder = settings.read().sandbox
    made = make(folder, contacts=contacts, seed=seed, force=force)
    out.print(f"The sample company is in {folder}: " + ", ".join(f"{count:,} {name}" for name, count in made.items()))
    out.print("Start it with: nightdesk sandbox serve")


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 8765,
    requests_per_10s: Annotated[int, typer.Option(min=1, help="The CRM's rate limit.")] = 190,
    faults: Annotated[
        Path | None, typer.Option("--faults", help="A file that says what goes wrong on which request.")
    ] = None,
    crm: Annotated[str, typer.Option("--crm", help="hubspot, or salesforce: the same company as an org.")] = "hubspot",
) -> None:
    """Serve the sandbox CRM until Ctrl-C: the API for Nightdesk, record pages for people."""
    from nightdesk import settings
    from nightdesk.cli.common import console
    from nightdesk.sample import serve_forever

    folder = settings.read().sandbox
    out = console()
    if crm == "salesforce":
        from nightdesk.cli.sandbox_salesforce import serve as serve_org

        serve_org(folder, out, port=port, faults=faults)
        return
    if crm != "hubspot":
        raise NightdeskError(f"There is no sandbox for `{crm}`", todo="One of: hubspot, salesforce.")
    trouble = None
    if faults is not None:
        from sandbox.crm.scripted import SUPPORTED, FaultRunner
        from sandbox.faults import load

        file = load(faults, SUPPORTED)
        trouble = FaultRunner(file, forgiving=True)
        for number, one in enumerate(file.faults, 1):
            out.print(f"{number}. {one.says()}", markup=False, highlight=False)
        out.print(f"What struck a request stands in the table `requests` of {folder / 'crm.sqlite'}, column `fault`.")
    serve_forever(
        folder,
        port=port,
        requests_per_10s=requests_per_10s,
        faults=trouble,
        on_start=lambda url: out.print(f"The sandbox CRM is at {url}/ (record pages) and {url}/crm/v3 (API)"),
    )


@app.command()
def change(
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of contacts that something happens to.")] = 0.10,
    seed: Annotated[int, typer.Option(help="Another seed is another day.")] = 1,
) -> None:
    """Let a day pass in the sample company: new emails, moved stages, changed titles."""
    from nightdesk import settings
    from nightdesk.cli.common import console
    from nightdesk.sample import change as change_company

    counts = change_company(settings.read().sandbox, share=share, seed=seed)
    console().print("A day has passed: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
