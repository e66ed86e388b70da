"""Verdicts that are not given yet: marked, changed and taken back on a screen, and written together when saved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from reverse_etl.approve import approve, reject
from reverse_etl.reviews import note
from reverse_etl.select import Selection
from reverse_etl.store import Clock, NewId, new_id

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy

Verdict = Literal["approve", "reject"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What is to become of one operation: a verdict, or only a remark when `verdict` is None."""

    verdict: Verdict | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving wrote."""

    approved: int = 0
    rejected: int = 0
    notes: int = 0


@dataclass(slots=True)
class Marks:
    """The marks of one session; each change of them can be taken back."""

    marks: dict[str, Mark] = field(default_factory=dict[str, Mark])
    _past: list[dict[str, Mark | None]] = field(default_factory=list["dict[str, Mark | None]"])

    def set(self, op_ids: Iterable[str], verdict: Verdict) -> None:
        """Mark operations; a second time the same verdict takes the mark away. Reasons stay."""
        ids = list(op_ids)
        again = bool(ids) and all((mark := self.marks.get(op)) is not None and mark.verdict == verdict for op in ids)
        self._change({op: Mark(None if again else verdict, self.marks.get(op, Mark()).reason) for op in ids})

    def explain(self, op_ids: Iterable[str], reason: str) -> None:
        """Give the marks of these operations a reason; without a verdict it is saved as a remark."""
        self._change({op: Mark(self.marks.get(op, Mark()).verdict, reason.strip()) for op in op_ids})

    def undo(self) -> bool:
        """Take the last change back; False when there is none."""
        if not self._past:
            return False
        for op, mark in self._past.pop().items():
            if mark is None:
                self.marks.pop(op, None)
            else:
                self.marks[op] = mark
        return True

    def _change(self, new: dict[str, Mark]) -> None:
        self._past.append({op: self.marks.get(op) for op in new})
        for op, mark in new.items():
            if mark == Mark():
                self.marks.pop(op, None)
            else:
                self.marks[op] = mark

    def count(self, verdict: Verdict | None) -> int:
        """Marks of a kind."""
        return sum(1 for mark in self.marks.values() if mark.verdict == verdict)

    def save(
        self,
        ledger: Path | duckdb.DuckDBPyConnection,
        plan_id: str,
        person: str,
        role: str,
        policy: Policy,
        clock: Clock,
        *,
        ids: NewId = new_id,
    ) -> Saved:
        """Write the marks: one verdict per word and reason, and the remarks. What is written is unmarked.

        Raises:
            NightdeskError: A verdict may not be given; marks not written yet stay.
        """
        groups: dict[tuple[Verdict, str], list[str]] = {}
        for op, mark in self.marks.items():
            if mark.verdict:
                groups.setdefault((mark.verdict, mark.reason), []).append(op)
        counts = {"approve": 0, "reject": 0}
        for (verdict, reason), ops in sorted(groups.items()):
            give = approve if verdict == "approve" else reject
            give(ledger, plan_id, Selection.ops(ops), person, role, policy, clock, note=reason or None, ids=ids)
            counts[verdict] += len(ops)
            self._forget(ops)
        remarks = list(self.marks.items())
        for op, mark in remarks:
            note(ledger, op, mark.reason, person, clock, plan_id=plan_id, ids=ids)
            self._forget([op])
        return Saved(counts["approve"], counts["reject"], len(remarks))

    def _forget(self, ops: Iterable[str]) -> None:
        for op in ops:
            self.marks.pop(op, None)
        self._past.clear()


__all__ = ["Mark", "Marks", "Saved"]
