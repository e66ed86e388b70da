"""Judges a finished data folder against the truth: reads only, runs nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk import policy as policies
from nightdesk.clock import Clock, system_clock
from nightdesk.errors import NightdeskError
from sandbox.evaluation import (
    briefs,
    evaluate_sections,
    facts,
    facts_replaced,
    facts_staged,
    fit,
    hostile,
    matching,
    ranking,
    replies,
    results,
    triggers,
)
from sandbox.evaluation.reading import opened, rows

if TYPE_CHECKING:
    import duckdb

# What the project promised for the offline agent, on companies nobody tuned on.
PRECISION_GOAL = 0.90
RECALL_GOAL = 0.75
SUPERSESSION_GOAL = 0.95


def evaluate(
    data_dir: Path,
    truth_path: Path,
    *,
    policy: policies.Policy | None = None,
    seed: int | None = None,
    clock: Clock = system_clock,
    resamples: int = 1000,
) -> results.Report:
    """Judge the answers in force in `data_dir` against the truth of the company they were made on.

    Args:
        data_dir: Folder of a finished night: `warehouse.duckdb` and `ledger.duckdb`.
        truth_path: The generator's `truth.duckdb`.
        policy: The policy the night ran with; read from `policies/` when None.
        seed: Of the company, for the record.
        clock: Stamps the report.
        resamples: Of each bootstrap.

    Raises:
        NightdeskError: A file is missing, in use, or was not made by a finished night.
    """
    read_policy = policy or policies.load(Path("policies"))
    with opened(data_dir, truth_path) as connection:
        subject = _subject(connection, seed, clock)
        weights = {str(name): weight for name, weight in read_policy.scoring.lead_quality.weights.items()}
        readings = facts.read(connection)
        found = facts.judge(readings)
        within = read_policy.recall.churn_revisit.churned_within_days
        said = replies.read(connection)
        finished = evaluate_sections.Finished(connection, read_policy, data_dir, subject, readings, resamples)
        report = results.Report(
            subject=subject,
            company=company(readings, said),
            items={
                "facts_recall": hits(readings, finished.matching),
                "replies_accuracy": "".join("01"[reply.truth == reply.said] for reply in said),
            },
            facts=found,
            replies=replies.judge(said, replies.classes(read_policy)),
            ranking=ranking.judge(
                ranking.read(connection, list(weights), subject.as_of), weights, subject.as_of, resamples=resamples
            ),
            fit=fit.judge(fit.read(connection)),
            triggers=triggers.judge(triggers.read(connection, subject.as_of, within)),
            briefs=briefs.judge(briefs.read(connection)),
            hostile=hostile.judge(hostile.read(connection), read_policy),
            sections=evaluate_sections.judge(finished),
        )
    return report.model_copy(update={"goals": goals(report)})


def company(readings: facts.Readings, said: Sequence[replies.Reply]) -> str:
    """Twelve hex digits over all that was planted: remarks with their words, and the classes of replies."""
    planted = sorted((fact.document_id, fact.predicate, fact.value, fact.quote) for fact in readings.planted)
    classes = sorted((reply.document_id, reply.truth) for reply in said)
    return hashlib.sha256(json.dumps([planted, classes]).encode()).hexdigest()[:12]


def hits(readings: facts.Readings, compared: matching.Matching) -> str:
    """One character per planted remark outside hostile documents, 1 where it was read; ordered by what was planted."""
    hit = {pair.planted.id for pair in compared.matched}
    ordered = sorted(
        (fact for fact in readings.planted if fact.document_id not in readings.hostile),
        key=lambda fact: (fact.document_id, fact.predicate, fact.value, fact.quote),
    )
    return "".join("01"[fact.id in hit] for fact in ordered)


def reading_only(
    data_dir: Path,
    truth_path: Path,
    *,
    phrases: str,
    policy: policies.Policy | None = None,
    staged: facts_staged.Staged | None = None,
) -> results.Wording:
    """Judge only what was read, on a company that speaks in one half of the phrases; needs no scores and no plan.

    Documents in `staged` are judged by how the memory took their contradictions, and count nowhere else.

    Raises:
        NightdeskError: As `evaluate`.
    """
    read_policy = policy or policies.load(Path("policies"))
    with opened(data_dir, truth_path) as connection:
        readings = facts.read(connection)
        held: dict[str, facts_replaced.Held] = {} if staged is None else facts_replaced.read(connection)
        apart = readings.hostile | (frozenset[str]() if staged is None else staged.documents)
        found = facts.judge(replace(readings, hostile=apart))
        classes = replies.judge(replies.read(connection), replies.classes(read_policy))
        contacts = rows(connection, "select count(*) from truth.truth_contacts")[0][0]
    return results.Wording(
        phrases=phrases,
        contacts=int(contacts),
        facts=found.micro,
        facts_macro_f1=found.macro_f1,
        replies_accuracy=classes.accuracy,
        replies_macro_f1=classes.macro_f1,
        staged=() if staged is None else facts_staged.judge(readings, held, staged),
        placed=() if staged is None else facts_staged.by_place(readings, staged),
    )


def goals(report: results.Report) -> tuple[results.Goal, ...]:
    """The promised numbers beside the reached ones."""
    held_out = next((wording for wording in report.wordings if wording.phrases == "held_out"), None)
    read_goals = [
        results.at_least("precision of facts", report.facts.micro.precision, PRECISION_GOAL),
        results.at_least("recall of facts", report.facts.micro.recall, RECALL_GOAL),
    ]
    if held_out is not None:
        read_goals += [
            results.at_least("precision of facts, held-out wording", held_out.facts.precision, PRECISION_GOAL),
            results.at_least("recall of facts, held-out wording", held_out.facts.recall, RECALL_GOAL),
        ]
    exact = report.facts.quotes_exact
    violations = len(report.hostile.violations)
    pooled = [
        results.rate(kind, sum(line.hits for line in of), sum(line.total for line in of))
        for kind in facts_staged.KINDS
        if (of := [line for wording in report.wordings for line in wording.staged if line.name == kind])
    ]
    return (
        *read_goals,
        results.at_least("quotes that stand in the text", exact.share, 1.0),
        results.none_of("hostile messages: caps broken, fields changed", violations),
        *(
            results.at_least(f"staged contradictions {line.name}: what holds is current", line.share, SUPERSESSION_GOAL)
            for line in pooled
        ),
        *(goal for section in report.sections for goal in section.goals),
    )


def _subject(connection: duckdb.DuckDBPyConnection, seed: int | None, clock: Clock) -> results.Subject:
    found = rows(
        connection,
        """
        select run_id, as_of, coalesce(agent, 'unknown'), coalesce(policy_hash, '')
        from ledger.runs where command in ('refresh', 'enrich')
        order by started_at desc, run_id desc limit 1
        """,
    )
    if not found:
        raise NightdeskError(
            "No night has run on this data folder yet", todo="Run one first: `nightdesk eval` or `nightdesk demo`."
        )
    run_id, as_of, agent, policy_hash = found[0]
    hashes = rows(
        connection,
        """
        select operation, max_by(operation_hash, answered_at), max_by(model, answered_at)
        from ledger.answers group by operation order by operation
        """,
    )
    contacts = rows(connection, "select count(*) from warehouse.main.contacts")[0][0]
    calls, cost = rows(connection, "select count(*), coalesce(sum(cost_usd), 0) from ledger.attempts")[0]
    day = as_of if isinstance(as_of, date) else date.fromisoformat(str(as_of))
    return results.Subject(
        agent=str(agent),
        model=next((str(row[2]) for row in hashes if row[2]), None),
        policy_hash=str(policy_hash),
        operation_hashes={str(row[0]): str(row[1]) for row in hashes},
        as_of=day,
        run_id=str(run_id),
        contacts=int(contacts),
        seed=seed,
        evaluated_at=clock(),
        calls=int(calls),
        cost_usd=float(cost),
    )
