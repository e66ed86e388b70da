"""Look again at what was written: does the CRM still hold it, and if not, who changed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl import audit
from reverse_etl.canonical import lenient, same
from reverse_etl.store import Clock, opened, rows, transaction

if TYPE_CHECKING:
    import duckdb

    from reverse_etl.crms.protocol import CrmAdapter

# The last write of every field, in one run or in all of them.
_LAST_SQL = """
select plan_ops.object_type, plan_ops.record_id, plan_ops.property, plan_ops.value_type, op_results.crm_after,
    apply_runs.apply_run_id,
    plan_ops.op_id
from op_results
inner join apply_runs using (apply_run_id)
inner join plan_ops on plan_ops.plan_id = apply_runs.plan_id and plan_ops.op_id = op_results.op_id
inner join plans on apply_runs.plan_id = plans.plan_id
where op_results.result = 'applied' and plans.crm = ?
    and (? is null or ? in (apply_runs.apply_run_id, apply_runs.plan_id, apply_runs.run_id))
qualify row_number() over (
    -- applies follow one another by their fencing tokens; a clock can be set back
    partition by plan_ops.object_type, plan_ops.record_id, plan_ops.property order by apply_runs.fencing_token desc
) = 1
order by plan_ops.object_type, length(plan_ops.record_id), plan_ops.record_id, plan_ops.property
"""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Fields per state: `holds`, `changed_by_person`, `changed_otherwise`, `gone`; and those that do not hold, one by
    one."""

    counts: Mapping[str, int]
    differences: tuple[Mapping[str, Any], ...]

    @property
    def exit_code(self) -> int:
        """0 when every field holds or a person changed it, 6 otherwise."""
        return 6 if self.counts.get("changed_otherwise", 0) or self.counts.get("gone", 0) else 0


def verify(
    ledger: Path | duckdb.DuckDBPyConnection,
    adapter: CrmAdapter,
    run: str | None,
    clock: Clock,
    actor: str = "nightdesk",
) -> VerifyReport:
    """Read every field that was written and compare it with what was read back then; reads only, audited.

    Args:
        ledger: The ledger.
        adapter: The CRM.
        run: An apply run, plan or run; None looks at the last write of every field (drift).
        clock: Now, in UTC.
        actor: Who asks.
    """
    with opened(ledger) as con:
        written = rows(con, _LAST_SQL, [adapter.crm, run, run])
        if not written and run is not None:
            raise NightdeskError(
                f"Nothing was written to {adapter.crm} by that",
                where=run,
                todo="Name an apply run, a plan or a run; `nightdesk audit export` lists them.",
            )
        counts: Counter[str] = Counter()
        differences: list[dict[str, Any]] = []
        by_type: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for entry in written:
            by_type.setdefault(entry["object_type"], {}).setdefault(entry["record_id"], []).append(entry)
        for object_type, records in by_type.items():
            ids = list(records)
            for start in range(0, len(ids), adapter.batch_size):
                part = ids[start : start + adapter.batch_size]
                for entry, state, message in _look(adapter, object_type, {i: records[i] for i in part}):
                    counts[state] += 1
                    if state != "holds":
                        differences.append({**entry, "state": state, "message": message})
        with transaction(con):
            audit.append(con, clock, actor, "verified", run or "everything", {"counts": dict(counts)})
        audit.anchor(con, clock)
        return VerifyReport(dict(counts), tuple(differences))


def _look(
    adapter: CrmAdapter, object_type: str, records: Mapping[str, list[dict[str, Any]]]
) -> list[tuple[dict[str, Any], str, str]]:
    properties = sorted({entry["property"] for entries in records.values() for entry in entries})
    read = adapter.read(object_type, list(records), properties)
    found: list[tuple[dict[str, Any], str, str]] = []
    wrong: list[dict[str, Any]] = []
    for record_id, entries in records.items():
        for entry in entries:
            record = read.found.get(record_id)
            if record is None:
                found.append((entry, "gone", f"the record is {read.missing.get(record_id, 'not in the CRM')}"))
            elif same(lenient(entry["value_type"], record.values.get(entry["property"])), entry["crm_after"]):
                found.append((entry, "holds", ""))
            else:
                wrong.append(entry)
    if wrong:
        closer = adapter.read(object_type, sorted({e["record_id"] for e in wrong}), properties, history=True)
        for entry in wrong:
            record = closer.found.get(entry["record_id"])
            history = record.history.get(entry["property"], ()) if record else ()
            newest = history[0] if history else None
            state = "changed_by_person" if newest and newest.by_person else "changed_otherwise"
            found.append(
                (entry, state, f"{newest.source} {newest.user} at {newest.changed_at}" if newest else "no history")
            )
    return found
