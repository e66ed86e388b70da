"""The commands of a night: init, load, build, enrich, refresh, status, demo, eval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

# As in the settings, whose import takes half a second; a test holds both equal.
AgentName = Literal["rules", "claude", "claude_batch", "recorded"]
SUMMARY_OUTPUT = typer.Option("--output", help="text or json.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (init, load, build, enrich, refresh, status, demo, evaluate):
        app.command(name="eval" if command is evaluate else None)(command)


def init() -> None:
    """Prepare the folder: profile, databases, policy tables. Changes nothing that is there already."""
    from nightdesk.cli.common import console, prepared

    project = prepared()
    out = console()
    out.print(
        f"Ready: policies are valid (hash {project.policy.hash[:12]}), databases are in {project.settings.data_dir}/"
    )
    settings, crms = project.settings, project.sources.crms
    app = settings.salesforce_client_id and settings.salesforce_client_secret.get_secret_value()
    given = {
        "hubspot": {"NIGHTDESK_HUBSPOT_TOKEN": settings.hubspot_token.get_secret_value()},
        "salesforce": {
            "NIGHTDESK_SALESFORCE_URL": settings.salesforce_url,
            "NIGHTDESK_SALESFORCE_TOKEN": settings.salesforce_token.get_secret_value() or app,
        },
    }
    missing = [name for crm in crms for name, value in given[crm].items() if not value]
    if missing:
        out.print(
            f"Next: put {' and '.join(missing)} into .env, or try everything on a sample CRM with `nightdesk demo`"
        )
    else:
        out.print("Next: `nightdesk refresh`")


def load() -> None:
    """Load what is new in every source of sources.yml, and check it at the border."""
    from nightdesk import lock
    from nightdesk.cli.common import console, prepared, progress_line
    from nightdesk.clock import system_clock
    from nightdesk.loading import load as load_sources

    project, out = prepared(), console()
    with lock.exclusive(project.settings.data_dir, "nightdesk load", system_clock), progress_line(out) as progress:
        loaded = load_sources(project, progress)
    moved = {name: count for name, count in loaded.moved.items() if count and not name.endswith(".load_watermarks")}
    out.print("Loaded: " + (", ".join(f"{count:,} {name}" for name, count in moved.items()) or "nothing new"))
    if loaded.erased:
        out.print(f"Kept out: {loaded.erased:,} records of people who were erased")
    if loaded.problems:
        out.print(f"Not readable: {len(loaded.problems):,}, the rest is loaded (tables `problems` of raw.duckdb)")
    if loaded.failed:
        out.print(f"Failed: {', '.join(loaded.failed)}; what was loaded before counts")
    raise typer.Exit(6 if loaded.failed else 0)


def build(
    select: Annotated[list[str] | None, typer.Option("--select", "-s", help="dbt selection, as in dbt build.")] = None,
) -> None:
    """Run `dbt build`. It never calls a model and never costs money."""
    from enrich.memory import similarity
    from nightdesk import lock
    from nightdesk.cli.common import console, prepared, progress_line
    from nightdesk.clock import system_clock
    from nightdesk.dbt import Dbt

    project, out = prepared(), console()
    settings = project.settings
    with lock.exclusive(settings.data_dir, "nightdesk build", system_clock), progress_line(out) as progress:
        if semantic := similarity.switched_on(project.policy, project.folder):
            semantic.update(settings.ledger, system_clock)
        dbt = Dbt(project.folder, settings.data_dir, settings.as_of)
        report = dbt.build(extra=["--select", *select] if select else [], progress=lambda node: progress("build", node))
    out.print("dbt build: " + ", ".join(f"{count} {status}" for status, count in sorted(report.statuses.items())))


def enrich(
    select: Annotated[list[str] | None, typer.Option("--select", "-s", help="Operations; all when left out.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what is due and estimate its cost; ask nothing.")
    ] = False,
) -> None:
    """Ask the agents what is due, in the order dbt's manifest gives, building what each wave needs."""
    from nightdesk.cli.common import console, prepared, progress_line
    from nightdesk.clock import system_clock
    from nightdesk.morning import outcomes_table
    from nightdesk.refresh import refresh as run_refresh
    from nightdesk.steps import due

    project, out = prepared(may_be_unfinished=True), console()
    if dry_run:
        out.print(due(project, select))
        return
    from nightdesk import agents

    with progress_line(out) as progress:
        night = run_refresh(
            project,
            agent=agents.make(project),
            clock=system_clock,
            progress=progress,
            command="enrich",
            load_crm=False,
            operations=select,
            write_plan=False,
        )
    out.print(outcomes_table(project.settings.ledger, night.run_id))
    raise typer.Exit(6 if night.failed else 0)


def refresh() -> None:
    """The whole night in one process, for a scheduler: lock, load, waves of agents, marts, plan, one summary.

    Exit codes: 0 the night is complete, 1 a step failed, 6 some records or a source failed. Run it again to go on.
    """
    from nightdesk import agents
    from nightdesk.cli.common import console, prepared, progress_line
    from nightdesk.clock import system_clock
    from nightdesk.morning import morning
    from nightdesk.refresh import refresh as run_refresh

    project, out = prepared(may_be_unfinished=True), console()
    with progress_line(out) as progress:
        night = run_refresh(project, agent=agents.make(project), clock=system_clock, progress=progress)
    out.print(morning(project, night.run_id))
    raise typer.Exit(6 if night.failed or night.loaded.failed else 0)


def status(
    output: Annotated[str, SUMMARY_OUTPUT] = "text",
) -> None:
    """The last night: outcomes, cost, what waits. Reads only."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.morning import morning
    from nightdesk.summary import last_run, numbers

    project = prepared(may_be_unfinished=True)
    run_id = last_run(project.settings.ledger)
    if output == "json":
        import json

        print(json.dumps(numbers(project, run_id), indent=2, default=str))
        return
    console().print(morning(project, run_id))


def demo(
    contacts: Annotated[int, typer.Option(min=20, help="Size of the sample company.")] = 8000,
    seed: Annotated[int, typer.Option(help="Another seed is another company.")] = 7,
    nights: Annotated[int, typer.Option(min=1, max=3, help="2 adds a quiet night, 3 one after a day of changes.")] = 1,
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its data; replaced at each start.")] = Path(
        "data/demo"
    ),
) -> None:
    """A whole night on the sample company: its own CRM, its own data, no key, no account."""
    from nightdesk.cli.common import console
    from nightdesk.demo import run

    run(console(), contacts=contacts, seed=seed, nights=nights, folder=folder)


def evaluate(
    contacts: Annotated[
        int | None,
        typer.Option(min=100, help="Size of the sample company; 2,000, or 120 for an agent that costs money."),
    ] = None,
    seed: Annotated[int, typer.Option(help="A seed nobody tuned on.")] = 31415,
    folder: Annotated[Path, typer.Option(help="Where the evaluation keeps its data and its report.")] = Path(
        "data/eval"
    ),
    reuse: Annotated[Path | None, typer.Option(help="Judge this finished data directory (data/demo) instead.")] = None,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="What it costs instead: three nights against agents on raw records.")
    ] = False,
    agent: Annotated[AgentName | None, typer.Option(help="Who is judged; otherwise the agent of the settings.")] = None,
    budget: Annotated[
        float | None, typer.Option(min=0.01, help="Most dollars an agent that costs money may spend; 5 when left out.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be asked and its price; ask nothing.")
    ] = False,
    recording: Annotated[
        Path | None, typer.Option(help="Keep what the agent says in this file, or play it back (`--agent recorded`).")
    ] = None,
    keep_as: Annotated[
        str | None, typer.Option(help="Also keep the numbers under this name in docs/evaluation-history.jsonl.")
    ] = None,
    fail_on_regression: Annotated[
        bool, typer.Option("--fail-on-regression", help="Exit with 9 when a number is worse beyond noise.")
    ] = False,
) -> None:
    """How good the agent is: precision, recall and ranking against the sample company's truth."""
    from nightdesk.cli.common import console

    if tokens:
        from sandbox.evaluation import arms_night

        if reuse is not None:
            arms_night.reuse(console(), data_dir=reuse, folder=folder)
        else:
            arms_night.run(console(), contacts=contacts or 2000, seed=seed, folder=folder)
        return
    from decimal import Decimal

    from sandbox.evaluation.report import Asked, run
    from sandbox.evaluation.report import reuse as judge

    asked = Asked(
        agent=agent,
        budget_usd=None if budget is None else Decimal(str(budget)),
        recording=recording,
        estimate_only=dry_run,
        release=keep_as,
        fail_on_regression=fail_on_regression,
    )
    if reuse is not None:
        judge(console(), data_dir=reuse, folder=folder, asked=asked)
    else:
        run(console(), contacts=contacts, seed=seed, folder=folder, asked=asked)
