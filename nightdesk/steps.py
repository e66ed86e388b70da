"""The steps that a night and single commands share: count what is due, keep opt-outs, plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nightdesk import crms, ledger, logs
from nightdesk.clock import Clock
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from rich.table import Table

    from nightdesk.prepare import Project
    from reverse_etl.plan import PlanSummary


def due(project: Project, select: Sequence[str] | None) -> Table:
    """What each operation would ask now, with the estimated tokens; nothing is asked.

    Raises:
        NightdeskError: The warehouse has not been built yet, or an operation is unknown.
    """
    from rich.table import Table

    from enrich import runner
    from nightdesk import agents, waves
    from nightdesk.dbt import Dbt

    settings = project.settings
    if not settings.warehouse.exists():
        raise NightdeskError(
            "There is no warehouse yet", where=str(settings.warehouse), todo="Run `nightdesk build` first."
        )
    graph = waves.read(Dbt(project.folder, settings.data_dir, settings.as_of).manifest())
    agent = agents.make(project)
    table = Table(title="What would be asked now", title_justify="left")
    for name in ("operation", "selected", "due", "input tokens, about", "dollars, at most"):
        table.add_column(name, justify="left" if name == "operation" else "right")
    for wave in waves.waves(graph):
        for operation in wave:
            if select is None or operation in select:
                counts = runner.due(
                    operation, warehouse=settings.warehouse, ledger=settings.ledger, agent=agent, policy=project.policy
                )
                table.add_row(
                    operation,
                    f"{counts.selected:,}",
                    f"{counts.due:,}",
                    f"{counts.estimated_tokens:,}",
                    f"{counts.most_usd:,.2f}",
                )
    return table


def keep_opt_outs(project: Project, run_id: str, clock: Clock) -> int:
    """Write what was said in words ("stop writing to me") into the ledger's suppression list, for good.

    A no that the CRM itself holds (flag, subscription, lead status) stays the CRM's to lift. One that was only said
    must outlive an edited email, a deleted document and another extractor; a person lifts it in
    `policies/suppression.yml`.

    Returns:
        Opt-outs that were not on the list before.
    """
    settings = project.settings
    with ledger.connect(settings.ledger, warehouse=settings.warehouse) as connection:
        added = connection.execute(
            """
            insert into suppression
            select contact_id, source, evidence_id, evidence, ?, ?
            from warehouse.main.opt_outs
            where source in ('reply_class', 'fact')
            on conflict do nothing
            """,
            [run_id, clock()],
        ).fetchall()
    return int(added[0][0])


def unknown_lifecycle_words(project: Project, most: int = 3) -> list[str]:
    """Sentences about words for how far a record is that `policies/lifecycle.yml` does not know, the commonest first.

    Their records are in no stage: the gate for customers does not stop them, and no write rule knows their segment.
    """
    with ledger.connect(project.settings.ledger, read_only=True, warehouse=project.settings.warehouse) as connection:
        found = connection.execute(
            """
            select crm, source_object_type, source_lifecycle_stage, record_count, example_record_id
            from warehouse.main.unmapped_lifecycle_values
            order by record_count desc, crm, source_object_type, source_lifecycle_stage
            """
        ).fetchall()
    said = [
        f"lifecycle.yml does not know `{''.join(c for c in word if c.isprintable())[:60]}` of {crm}'s {kind}:"
        f" {count:,} records, such as {example}"
        for crm, kind, word, count, example in found[:most]
    ]
    return [*said, f"and {len(found) - most} words more: unmapped_lifecycle_values"] if len(found) > most else said


def read_answers(project: Project, clock: Clock, crm: str = crms.HUBSPOT) -> dict[str, int]:
    """Count what people answered inside the CRM since: open questions by what became of them.

    Nothing is asked of a CRM in which no question stands.
    """
    from reverse_etl import answers

    with ledger.connect(project.settings.ledger, read_only=True) as connection:
        asked = connection.execute("select 1 from plans where kind = 'review' and crm = ? limit 1", [crm]).fetchone()
    if asked is None:
        return {}
    with crms.open_crm(project, crm) as adapter:
        report = answers.read_answers(project.settings.ledger, adapter, project.policy, clock)
    return {"questions": report.questions, "counted_before": report.known, **report.counts}


def make_plan(project: Project, run_id: str, clock: Clock, crm: str = crms.HUBSPOT) -> PlanSummary:
    """Freeze what a CRM should be told, decided by policy, and check it before anybody can approve it.

    Raises:
        NightdeskError: Exit code 4: the plan was stored and refused at the border (`reverse_etl.border`).
    """
    from reverse_etl import border, plan

    settings = project.settings
    with crms.open_crm(project, crm) as adapter:
        made = plan.make(
            settings.warehouse,
            settings.ledger,
            adapter,
            project.policy,
            run_id=run_id,
            as_of=settings.as_of,
            created_by="nightdesk",
            clock=clock,
            hold=True,
        )
    report = border.check(
        settings.ledger,
        made,
        project.policy,
        warehouse=settings.warehouse,
        raw=settings.raw,
        docs_dir=settings.data_dir / "data_docs",
        run_id=run_id,
        clock=clock,
    )
    for warning in report.warnings:
        logs.log("border warning", border="plan", plan_id=made.plan_id, suite=warning.suite, what=warning.sentence)
    return replace(made, border=tuple(f"The border warns: {warning.sentence}" for warning in report.warnings))
