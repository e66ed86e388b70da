"""The write-ahead journal: every state of every operation is committed, with its audit event, before the next step.

One commit per step of a batch: `intent` (with the audit event, before any request), `sent` (just before the request),
`acknowledged | rejected | unknown` (the answer), `verified | mismatch` with the end result (the read-back). A crash
between any two leaves a state from which `apply` knows what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reverse_etl import audit
from reverse_etl.lease import Lease
from reverse_etl.store import Clock, insert, rows, transaction, utc

if TYPE_CHECKING:
    import duckdb

# After one of these the CRM may hold our value although no result is recorded.
IN_FLIGHT = ("sent", "unknown", "acknowledged", "rejected")


@dataclass(frozen=True, slots=True)
class Step:
    """One new state of one operation."""

    op_id: str
    state: str
    crm_value: str | None = None
    trace_id: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The one end of an operation in this apply run."""

    op_id: str
    result: str
    crm_before: str | None = None
    crm_after: str | None = None
    message: str | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the journal says about an operation that has no result yet."""

    state: str
    first_crm_value: str | None


@dataclass(slots=True)
class Journal:
    """The journal of one apply run. `observe(state, operations)` is called after each commit."""

    con: duckdb.DuckDBPyConnection
    apply_run_id: str
    actor: str
    lease: Lease
    clock: Clock
    observe: Callable[[str, int], None]
    _next: dict[str, int] = field(default_factory=dict[str, int])

    def load(self) -> dict[str, Earlier]:
        """Read what an interrupted run left: per operation without a result, the gravest thing that may have happened.

        An operation that was ever sent counts as in flight, even if a second attempt had only been intended.
        """
        flying = ", ".join(f"'{state}'" for state in IN_FLIGHT)
        found = rows(
            self.con,
            f"""
            select op_id, max(sequence) as last,
                coalesce(arg_max(state, sequence) filter (state in ({flying})), arg_max(state, sequence)) as state,
                arg_min(struct_pack(v := crm_value), sequence) filter (state = 'intent') as first_intent,
                op_id in (select op_id from op_results where apply_run_id = $run) as is_done
            from write_attempts where apply_run_id = $run group by op_id
            """,
            {"run": self.apply_run_id},
        )
        self._next = {row["op_id"]: int(row["last"]) + 1 for row in found}
        return {
            row["op_id"]: Earlier(row["state"], row["first_intent"]["v"] if row["first_intent"] else None)
            for row in found
            if not row["is_done"]
        }

    def commit(
        self,
        label: str,
        steps: Sequence[Step],
        results: Sequence[Result] = (),
        event: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Write states, results and at most one audit event in one transaction, if the lease is still ours."""
        now = utc(self.clock())
        taken = dict(self._next)
        sequences: list[int] = []
        for step in steps:
            sequences.append(taken.get(step.op_id, 1))
            taken[step.op_id] = sequences[-1] + 1
        run = self.apply_run_id
        with transaction(self.con):
            self.lease.check()
            if event is not None:
                audit.append(self.con, self.clock, self.actor, event[0], run, event[1])
            insert(
                self.con,
                "write_attempts",
                {
                    "apply_run_id": [run] * len(steps),
                    "op_id": [s.op_id for s in steps],
                    "sequence": sequences,
                    "state": [s.state for s in steps],
                    "trace_id": [s.trace_id for s in steps],
                    "crm_value": [s.crm_value for s in steps],
                    "message": [s.message for s in steps],
                    "recorded_at": [now] * len(steps),
                },
            )
            insert(
                self.con,
                "op_results",
                {
                    "apply_run_id": [run] * len(results),
                    "op_id": [r.op_id for r in results],
                    "result": [r.result for r in results],
                    "crm_before": [r.crm_before for r in results],
                    "crm_after": [r.crm_after for r in results],
                    "message": [r.message for r in results],
                    "refusal": [r.refusal for r in results],
                    "recorded_at": [now] * len(results),
                },
            )
        self._next = taken
        self.observe(label, len(steps) or len(results))
