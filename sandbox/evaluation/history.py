"""Key numbers of every evaluation, one line each, so that a regression shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.evaluation import results

FILE = "history.jsonl"
NOTABLE = 0.01  # a smaller change is not worth a line

_FEWER_IS_BETTER = frozenset({"hostile_violations", "traps_read", "false_stops"})


@dataclass(frozen=True, slots=True)
class Change:
    """A key number that moved since the last comparable evaluation."""

    name: str
    before: float
    after: float
    is_worse: bool


def version(subject: results.Subject) -> str:
    """Twelve hex digits over everything an answer depends on: agent, model, policy, prompts and schemas."""
    parts = [subject.agent, subject.model or "", subject.policy_hash, *sorted(subject.operation_hashes.values())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def key_numbers(report: results.Report) -> dict[str, float | None]:
    """The numbers that are compared from version to version, all 0..1 but for counts."""
    fallen = sum(trap.hits for trap in report.facts.traps)
    laid = sum(trap.total for trap in report.facts.traps)
    numbers: dict[str, float | None] = {
        "facts_precision": report.facts.micro.precision,
        "facts_recall": report.facts.micro.recall,
        "facts_macro_f1": report.facts.macro_f1,
        "quotes_exact": report.facts.quotes_exact.share,
        "quotes_overlap": report.facts.quotes_overlap.share,
        "supersession": report.facts.superseded.share,
        "traps_read": fallen / laid if laid else None,
        "replies_accuracy": report.replies.accuracy,
        "replies_macro_f1": report.replies.macro_f1,
        "stop_recall": report.replies.stop_recall.share,
        "false_stops": report.replies.false_stops.share,
        "lead_auc": report.ranking.auc,
        "icp_auc": report.fit.auc_high,
        "trigger_precision": report.triggers.score.precision,
        "trigger_recall": report.triggers.score.recall,
        "brief_coverage": report.briefs.cited.share,
        "hostile_violations": float(len(report.hostile.violations)),
    }
    for wording in report.wordings:
        numbers[f"{wording.phrases}_facts_precision"] = wording.facts.precision
        numbers[f"{wording.phrases}_facts_recall"] = wording.facts.recall
        numbers[f"{wording.phrases}_replies_accuracy"] = wording.replies_accuracy
    return numbers


def line(report: results.Report) -> dict[str, Any]:
    """What is appended for one evaluation."""
    subject = report.subject
    return {
        "evaluated_at": subject.evaluated_at.isoformat(timespec="seconds"),
        "version": version(subject),
        "agent": subject.agent,
        "model": subject.model,
        "contacts": subject.contacts,
        "seed": subject.seed,
        "numbers": key_numbers(report),
    }


def read(folder: Path) -> list[dict[str, Any]]:
    """All earlier evaluations, oldest first."""
    path = folder / FILE
    if not path.exists():
        return []
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines() if text.strip()]


def append(folder: Path, report: results.Report) -> None:
    """Add this evaluation at the end."""
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line(report), sort_keys=True) + "\n")


def comparable(history: Sequence[Mapping[str, Any]], report: results.Report) -> list[Mapping[str, Any]]:
    """Earlier evaluations of the same agent on the same company, oldest first."""
    subject = report.subject
    same = ("agent", subject.agent), ("contacts", subject.contacts), ("seed", subject.seed)
    return [entry for entry in history if all(entry.get(name) == value for name, value in same)]


def changes(before: Mapping[str, Any] | None, report: results.Report) -> list[Change]:
    """Key numbers that moved notably since `before`, worst first."""
    if before is None:
        return []
    found: list[Change] = []
    for name, after in key_numbers(report).items():
        earlier = before["numbers"].get(name)
        if earlier is None or after is None or abs(after - earlier) < NOTABLE:
            continue
        is_worse = (after > earlier) if name in _FEWER_IS_BETTER else (after < earlier)
        found.append(Change(name, float(earlier), after, is_worse))
    return sorted(found, key=lambda change: (not change.is_worse, -abs(change.after - change.before), change.name))
