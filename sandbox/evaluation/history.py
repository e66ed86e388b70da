"""Key numbers of every evaluation, one line each, so that a regression shows, and chance is not taken for one.

Two files hold such lines: `history.jsonl` in the evaluation's folder keeps every run, `docs/evaluation-history.jsonl`
is committed and keeps what was measured for a release. A run is compared with the last line of each that judged the
same agent on the same company, letter for letter the same (`company` is a hash of what was planted).

Worse beyond noise is

* of numbers over remarks or replies that are the same in both runs: more lost than won by an exact test of the pairs
  (McNemar's, 5 %);
* of others with an interval: outside the earlier run's;
* of the rest: further off than the number's tolerance, which is zero for what must never happen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.evaluation import results
from sandbox.evaluation.metrics import Interval, wilson
from sandbox.evaluation.results import Measured

FILE = "history.jsonl"
RELEASES = Path("docs") / "evaluation-history.jsonl"
NOTABLE = 0.01  # a smaller change of a share is not worth a line, unless it is beyond noise
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Change:
    """A key number that moved since an earlier evaluation.

    Attributes:
        is_beyond_noise: Chance alone does not explain it.
        why: What says so, or what does not.
    """

    name: str
    before: float
    after: float
    is_worse: bool
    is_beyond_noise: bool
    why: str

    @property
    def is_regression(self) -> bool:
        """Worse, and not by chance."""
        return self.is_worse and self.is_beyond_noise


@dataclass(frozen=True, slots=True)
class Comparison:
    """This evaluation beside an earlier one of the same agent on the same company."""

    title: str
    changes: tuple[Change, ...]


def version(subject: results.Subject) -> str:
    """Twelve hex digits over everything an answer depends on: agent, model, policy, prompts and schemas."""
    parts = [subject.agent, subject.model or "", subject.policy_hash, *sorted(subject.operation_hashes.values())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def key_numbers(report: results.Report) -> dict[str, Measured]:
    """The numbers that are compared from version to version, all 0..1 but for counts."""
    facts, replies, briefs = report.facts, report.replies, report.briefs
    fallen = sum(trap.hits for trap in facts.traps)
    laid = sum(trap.total for trap in facts.traps)
    numbers = {
        "facts_precision": _share(facts.micro.matched, facts.micro.found),
        "facts_recall": _share(facts.micro.matched, facts.micro.planted),
        "facts_macro_f1": Measured(value=facts.macro_f1),
        "quotes_exact": Measured(value=facts.quotes_exact.share, n=facts.quotes_exact.total, tolerance=0),
        "quotes_overlap": _rate(facts.quotes_overlap),
        "traps_read": _share(fallen, laid).model_copy(update={"fewer_is_better": True}),
        "replies_accuracy": _share(sum(line.matched for line in replies.classes), replies.total),
        "replies_macro_f1": Measured(value=replies.macro_f1),
        "stop_recall": _rate(replies.stop_recall),
        "false_stops": _rate(replies.false_stops).model_copy(update={"fewer_is_better": True}),
        "lead_auc": Measured(value=report.ranking.auc, n=report.ranking.scored, interval=report.ranking.interval),
        "icp_auc": Measured(value=report.fit.auc_high, n=report.fit.scored),
        "trigger_precision": _share(report.triggers.score.matched, report.triggers.score.found),
        "trigger_recall": _share(report.triggers.score.matched, report.triggers.score.planted),
        "brief_coverage": _rate(briefs.cited),
        "hostile_violations": Measured(value=float(len(report.hostile.violations)), fewer_is_better=True, tolerance=0),
    }
    for wording in report.wordings:
        numbers[f"{wording.phrases}_facts_precision"] = _share(wording.facts.matched, wording.facts.found)
        numbers[f"{wording.phrases}_facts_recall"] = _share(wording.facts.matched, wording.facts.planted)
        numbers[f"{wording.phrases}_replies_accuracy"] = Measured(value=wording.replies_accuracy)
    for section in report.sections:
        numbers |= {f"{section.name}_{name}": number for name, number in section.numbers.items()}
    return numbers


def line(report: results.Report, release: str | None = None) -> dict[str, Any]:
    """What is appended for one evaluation; `release` names the version it is kept for."""
    subject = report.subject
    numbers = key_numbers(report)
    return {
        "evaluated_at": subject.evaluated_at.isoformat(timespec="seconds"),
        "version": version(subject),
        "release": release,
        "agent": subject.agent,
        "model": subject.model,
        "contacts": subject.contacts,
        "seed": subject.seed,
        "company": report.company,
        "numbers": {name: _rounded(number.value) for name, number in numbers.items()},
        "intervals": {
            name: [_rounded(number.interval.low), _rounded(number.interval.high)]
            for name, number in numbers.items()
            if number.interval is not None
        },
        "items": {name: packed(bits) for name, bits in report.items.items()},
    }


def packed(bits: str) -> str:
    """A string of 0 and 1 as `<length>:<hex>`, so that thousands of remarks fit into one line."""
    return f"{len(bits)}:{int(bits or '0', 2):x}"


def unpacked(text: str) -> str:
    """The string of 0 and 1 that `packed` was given."""
    length, _, digits = text.partition(":")
    return f"{int(digits, 16):b}".zfill(int(length))[-int(length) :] if int(length) else ""


def read(path: Path) -> list[dict[str, Any]]:
    """All earlier evaluations, oldest first; `path` is a folder of evaluations or a file of lines."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        return []
    return [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines() if text.strip()]


def append(path: Path, report: results.Report, release: str | None = None) -> None:
    """Add this evaluation at the end of a file, or of a folder's history."""
    file = path / FILE if path.is_dir() else path
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(line(report, release), sort_keys=True) + "\n")


def comparable(history: Sequence[Mapping[str, Any]], report: results.Report) -> list[Mapping[str, Any]]:
    """Earlier evaluations of the same agent on the same company, oldest first."""
    return [entry for entry in history if _same_size(entry, report) and entry.get("company") == report.company]


def other_companies(history: Sequence[Mapping[str, Any]], report: results.Report) -> int:
    """Earlier evaluations of this agent, size and seed whose company was another: the generator has changed since."""
    return sum(_same_size(entry, report) and entry.get("company") != report.company for entry in history)


def _same_size(entry: Mapping[str, Any], report: results.Report) -> bool:
    subject = report.subject
    same = ("agent", subject.agent), ("contacts", subject.contacts), ("seed", subject.seed)
    return all(entry.get(name) == value for name, value in same)


def compared(title: str, before: Mapping[str, Any] | None, report: results.Report) -> Comparison | None:
    """This evaluation beside `before`; None without one."""
    return None if before is None else Comparison(title, tuple(changes(before, report)))


def changes(before: Mapping[str, Any], report: results.Report) -> list[Change]:
    """Key numbers that moved notably or beyond noise since `before`: regressions first, then by size."""
    found: list[Change] = []
    for name, number in key_numbers(report).items():
        earlier, after = before["numbers"].get(name), number.value
        if earlier is None or after is None or _rounded(after) == _rounded(float(earlier)):
            continue
        is_beyond, why = _beyond_noise(name, float(earlier), number, before, report)
        if not is_beyond and abs(after - earlier) < NOTABLE:
            continue
        is_worse = (after > earlier) if number.fewer_is_better else (after < earlier)
        found.append(Change(name, float(earlier), after, is_worse, is_beyond, why))
    return sorted(
        found, key=lambda one: (not one.is_regression, not one.is_worse, -abs(one.after - one.before), one.name)
    )


def _beyond_noise(
    name: str, earlier: float, number: Measured, before: Mapping[str, Any], report: results.Report
) -> tuple[bool, str]:
    after = number.value or 0.0
    kept, now = before.get("items", {}).get(name), report.items.get(name)
    if kept is not None and now is not None and len(then := unpacked(kept)) == len(now):
        lost = sum(one == "1" and other == "0" for one, other in zip(then, now, strict=True))
        won = sum(one == "0" and other == "1" for one, other in zip(then, now, strict=True))
        chance = paired(lost, won)
        return chance < SIGNIFICANT, f"{lost} lost, {won} won, p {chance:.2g}"
    interval = before.get("intervals", {}).get(name)
    if interval is not None:
        low, high = interval
        return not low <= after <= high, f"was within {low:.3f}-{high:.3f}"
    return abs(after - earlier) > number.tolerance, f"tolerance {number.tolerance:g}"


def paired(lost: int, won: int) -> float:
    """McNemar's exact test: how often chance alone splits the pairs that changed at least so unevenly."""
    if not lost + won:
        return 1.0
    from scipy import stats

    test: Any = stats.binomtest(lost, lost + won)  # pyright: ignore[reportUnknownMemberType]
    return float(test.pvalue)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _share(hits: int, total: int) -> Measured:
    interval: Interval | None = wilson(hits, total)
    return Measured(value=hits / total if total else None, n=total, interval=interval)


def _rate(rate: results.Rate) -> Measured:
    return _share(rate.hits, rate.total)
