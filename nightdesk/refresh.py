"""The night: load, curate, enrich wave by wave, publish, plan. One process, resumable, numbers that add up."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk import crms, lineage_send, loading, lock, logs, prepare, publish, runs, settled, steps, waves
from nightdesk.clock import Clock
from nightdesk.dbt import Dbt
from nightdesk.erasure import run as erasure
from nightdesk.errors import NightdeskError
from nightdesk.notices import Notice

if TYPE_CHECKING:
    from enrich.agents.protocol import Agent
    from enrich.runner import DrainReport
    from reverse_etl.plan import PlanSummary

# Tables that a drain appends to when an agent has said something new; `outcomes` grows every night.
_ANSWER_TABLES = ("attempts", "answers", "judgements", "sentences", "facts", "evidence", "rejections")

Progress = Callable[[str, str], None]  # step, what it is doing


@dataclass(slots=True)
class Night:
    """What a refresh did, for the summary and the exit code."""

    run_id: str
    resumed: bool
    loaded: loading.Loaded = field(default_factory=loading.Loaded)
    drains: list[DrainReport] = field(default_factory=list["DrainReport"])
    plans: list[PlanSummary] = field(default_factory=list["PlanSummary"])
    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def failed(self) -> int:
        """Records whose agent could not answer."""
        return sum(drain.counts.get("failed", 0) for drain in self.drains)


def refresh(
    project: prepare.Project,
    *,
    agent: Agent,
    clock: Clock,
    progress: Progress,
    command: str = "refresh",
    load_crm: bool = True,
    operations: Sequence[str] | None = None,
    write_plan: bool = True,
) -> Night:
    """Run a whole night, or go on with the one that was interrupted.

    Every step may be repeated without harm: the load is incremental, dbt rebuilds, answers are asked for once per
    input, outcomes are recorded once per run and record, and a plan is a pure function of what it reads.

    Args:
        project: The prepared project.
        agent: Who answers the questions.
        clock: Wall clock, UTC.
        progress: Told what is happening, as (step, text).
        command: Name of the run in the ledger; an unfinished run of the same name is gone on with.
        load_crm: Whether to load from the CRM first; False works on what is in `raw.duckdb`.
        operations: The operations to drain; all when None.
        write_plan: Whether to build the marts, plan and publish after the agents.

    Raises:
        NightdeskError: A step failed. The run is recorded as failed; what was loaded and answered is kept.
    """
    settings = project.settings
    with lock.exclusive(settings.data_dir, "nightdesk refresh", clock):
        run = runs.start_or_resume(
            settings.ledger,
            "refresh",
            as_of=settings.as_of,
            agent=agent.name,
            policy_hash=project.policy.hash,
            clock=clock,
        )
        night = Night(run.run_id, run.resumed)
        for erasure_id in erasure.finish(project, clock=clock, progress=progress):
            progress("erase", f"finished what was begun: {erasure_id}")
        logs.log("refresh started", run_id=run.run_id, resumed=run.resumed, as_of=settings.as_of, agent=agent.name)
        try:
            _night(project, night, run, agent, clock, progress, load_crm, operations, write_plan)
        except NightdeskError as error:
            run.event("run", "failed", message=str(error))
            logs.log("refresh failed", run_id=run.run_id, error=str(error))
            lineage_send.after_run(settings, run.run_id, manifest_path=_manifest_path(project))
            raise
        run.event("run", "finished", {"failed_records": night.failed})
        logs.log("refresh finished", run_id=run.run_id, failed_records=night.failed, seconds=night.seconds)
        if problem := lineage_send.after_run(settings, run.run_id, manifest_path=_manifest_path(project)):
            progress("lineage", Notice(problem))
    return night


def _identity(
    project: prepare.Project, run: runs.Run, dbt: Dbt, fresh: waves.Freshness, clock: Clock, progress: Progress
) -> None:
    """Weigh who is who among records of several sources, before anything rests on it."""
    from nightdesk.identity import step

    with run.step("build_identity") as numbers:
        names = fresh.needed_to_build(step.NODES)
        progress("build", f"who is who: {len(names)} nodes")
        numbers |= dbt.build(names, progress=lambda node: progress("build", node)).statuses
        fresh.built(names)
    with run.step("identity") as numbers:
        report = step.run(project, clock=clock, run_id=run.run_id, progress=progress)
        numbers |= report.numbers()
    if report.suggested:
        links = "link" if report.suggested == 1 else "links"
        progress("identity", Notice(f"{report.suggested:,} {links} to look at: nightdesk identity list"))
    if report.appended:
        fresh.ledger_grew(step.LEDGER_TABLES)


def _manifest_path(project: prepare.Project) -> Path:
    return project.folder / os.environ.get("DBT_TARGET_PATH", "target") / "manifest.json"


def _night(
    project: prepare.Project,
    night: Night,
    run: runs.Run,
    agent: Agent,
    clock: Clock,
    progress: Progress,
    load_crm: bool,
    selected: Sequence[str] | None,
    write_plan: bool,
) -> None:
    from enrich.memory import similarity
    from reverse_etl import autonomy_review

    settings = project.settings
    # What the policy asks for and nobody can give must show before anything is loaded or asked.
    semantic = similarity.switched_on(project.policy, project.folder)

    def timed(name: str, started_at: float) -> None:
        night.seconds[name] = round(night.seconds.get(name, 0.0) + clock().timestamp() - started_at, 1)

    if load_crm:
        began = clock().timestamp()
        with run.step("load") as numbers:
            loaded = loading.load(project, progress)
            numbers |= loaded.numbers()
            night.loaded = loaded
        timed("load", began)

        # Before a newer plan takes the place of the one people were asked about.
        with run.step("answers") as numbers:
            for crm in crms.planned(project):
                for name, count in steps.read_answers(project, clock, crm).items():
                    numbers[name] = numbers.get(name, 0) + count

    from enrich.budget import NightBudget
    from enrich.runner import drain

    dbt = Dbt(project.folder, settings.data_dir, settings.as_of)
    began = clock().timestamp()
    manifest = dbt.manifest()
    graph = waves.read(manifest)
    fresh = waves.Freshness(graph, settled.models(project, graph))
    timed("build", began)
    order = waves.waves(graph)
    if project.sources.has_several:
        _identity(project, run, dbt, fresh, clock, progress)
        timed("identity", began)
    for name in selected or ():
        if name not in graph.queues:
            raise NightdeskError(
                f"There is no operation `{name}`", todo=f"Choose from {', '.join(sorted(graph.queues))}."
            )

    def compare() -> None:
        """Bring similarities up to date with the facts, before recall may be built."""
        if semantic is not None and (written := semantic.update(settings.ledger, clock)):
            progress("build", f"nearness to the questions: {written:,} new rows")
            logs.log("similarities computed", run_id=run.run_id, rows=written)
            fresh.ledger_grew(similarity.TABLES)

    budget = NightBudget.from_policy(project.policy.budget)
    for number, wave in enumerate(order, 1):
        operations = [name for name in wave if selected is None or name in selected]
        if not operations:
            continue
        began = clock().timestamp()
        with run.step(f"build_wave_{number}") as numbers:
            compare()
            names = fresh.needed_for(operations)
            progress("build", f"wave {number}: {len(names)} nodes before {', '.join(operations)}")
            numbers |= dbt.build(names, progress=lambda node: progress("build", node)).statuses
            fresh.built(names)
        if "opt_outs" in names:
            # At once, not only before the plan: a night that dies here must not leave an older, approved plan free to
            # write to somebody whose no has been read.
            steps.keep_opt_outs(project, run.run_id, clock)
        timed("build", began)
        for operation in operations:
            began = clock().timestamp()
            with run.step(f"enrich_{operation}") as numbers:
                report = drain(
                    operation,
                    warehouse=settings.warehouse,
                    ledger=settings.ledger,
                    spool_dir=settings.spool,
                    agent=agent,
                    policy=project.policy,
                    run_id=run.run_id,
                    as_of=settings.as_of,
                    budget=budget,
                    clock=clock,
                    on_progress=lambda done, due, name=operation: progress("enrich", f"{name}: {done:,} of {due:,}"),
                )
                numbers |= {"selected": report.selected, "asked": report.asked, **report.counts}
            night.drains.append(report)
            for warning in report.warnings:
                progress("enrich", Notice(f"{operation}: {warning}"))
                logs.log("warning", run_id=run.run_id, operation=operation, warning=warning)
            logs.log(
                "operation drained", run_id=run.run_id, operation=operation, selected=report.selected, **report.counts
            )
            fresh.ledger_grew(_ANSWER_TABLES if report.answers_written else ())
            fresh.ledger_grew(("questions",) if report.asks_anew else ())
            timed("enrich", began)
    fresh.ledger_grew(("outcomes", "runs", "run_events"))
    if not write_plan:
        return
    began = clock().timestamp()
    with run.step("build_rest") as numbers:
        compare()
        names = fresh.rest()
        progress("build", f"publishing: {len(names)} nodes")
        numbers |= dbt.build(names, progress=lambda node: progress("build", node)).statuses
    for said in steps.unknown_lifecycle_words(project):
        progress("build", Notice(said))
        logs.log("warning", run_id=run.run_id, warning=said)
    settled.remember(project)
    timed("build", began)

    began = clock().timestamp()
    with run.step("opt_outs") as numbers:
        numbers["new"] = steps.keep_opt_outs(project, run.run_id, clock)
    for crm in crms.planned(project):
        with run.step("plan" if crm == crms.HUBSPOT else f"plan_{crm}") as numbers:
            progress("plan", f"comparing with {crm}")
            made = steps.make_plan(project, run.run_id, clock, crm)
            night.plans.append(made)
            for said in made.border:
                progress("plan", Notice(said))
            numbers |= {"operations": made.operation_count}
    autonomy_review.review_if_due(settings.ledger, project.policy, clock)
    timed("plan", began)

    began = clock().timestamp()
    with run.step("publish") as numbers:
        progress("publish", "snapshot and Parquet for BI")
        numbers |= publish.publish(settings.warehouse, settings.published, publish.public_models(manifest))
    timed("publish", began)
