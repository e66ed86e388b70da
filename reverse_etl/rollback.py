"""Undo what was written: a compensating plan through the same gates, for fields that still hold what we wrote.

Every field goes back to what the CRM held just before our (first) write. A field somebody changed since is left alone;
nothing is ever restored on a person who has opted out meanwhile. A task or note that we created is archived, unless
somebody has touched it. The plan waits for a person like any other.
"""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.erasure.tombstones import MASK
from nightdesk.errors import NightdeskError
from reverse_etl import consent, decide, schema
from reverse_etl.arrow import pyarrow
from reverse_etl.canonical import lenient, same
from reverse_etl.crms.protocol import RECORD
from reverse_etl.digest import OP_ID_COLUMNS, row_hash_sql
from reverse_etl.plan import PlanSummary, store_plan
from reverse_etl.select import Selection
from reverse_etl.settle import settle_interrupted
from reverse_etl.staging import conflict_class
from reverse_etl.store import Clock, attached_warehouse, find_table, first_event, opened, transaction

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from reverse_etl.crms.protocol import CrmAdapter, ReadResult

RULE = "rollback_needs_approval"
# What a plan says it undoes when it undoes more than one apply.
EVERYTHING = "everything"

# Per field: what the CRM held before our first write of the run, and what it held after our last one. Applies follow
# one another by their fencing tokens; a clock can be set back.
_WRITTEN_SQL = """
select
    arg_max(plan_ops, apply_runs.fencing_token) as op,
    arg_min(struct_pack(v := op_results.crm_before), apply_runs.fencing_token)['v'] as restored,
    -- of an unknown outcome nothing was seen in the CRM: it may have come late
    arg_max(
        struct_pack(v := if(op_results.result = 'unknown', plan_ops.desired_value, op_results.crm_after)),
            apply_runs.fencing_token
    )['v'] as left_behind,
    arg_max(op_results.apply_run_id, apply_runs.fencing_token) as apply_run_id
from op_results
inner join apply_runs using (apply_run_id)
inner join plan_ops on plan_ops.plan_id = apply_runs.plan_id and plan_ops.op_id = op_results.op_id
where op_results.result in ('applied', 'altered', 'unknown') and not apply_runs.dry_run
    and list_contains(?::varchar[], apply_runs.apply_run_id)
group by plan_ops.object_type, plan_ops.record_id, plan_ops.property
"""


def find_runs(con: duckdb.DuckDBPyConnection, name: str | None, crm: str, *, every: bool = False) -> list[str]:
    """Apply runs of a CRM meant by an apply run's id, a plan's id or a run's id; when not named, every one that wrote
    something or only the newest.

    Raises:
        NightdeskError: Nothing of that name has written anything.
    """
    wrote = (
        "exists (select 1 from op_results where op_results.apply_run_id = apply_runs.apply_run_id "
        "and result in ('applied', 'altered', 'unknown')) "
        f"and plan_id in (select plan_id from plans where crm = '{crm}')"
    )
    if name is None and every:
        found = con.execute(
            f"select apply_run_id from apply_runs where not dry_run and {wrote} "
            f"order by {first_event('apply_runs.apply_run_id')}"
        ).fetchall()
    elif name is None:
        found = con.execute(
            f"select apply_run_id from apply_runs where not dry_run and {wrote} "
            f"order by {first_event('apply_runs.apply_run_id')} desc limit 1"
        ).fetchall()
    else:
        found = con.execute(
            f"select apply_run_id from apply_runs where not dry_run and {wrote} "
            "and $name in (apply_run_id, plan_id, run_id) order by started_at",
            {"name": name},
        ).fetchall()
    if not found:
        raise NightdeskError(
            "Nothing to roll back: no apply of that name has written anything",
            where=name or "ledger",
            todo="Name an apply run, a plan or a run; `nightdesk audit export` lists them.",
        )
    return [str(row[0]) for row in found]


def plan_rollback(
    ledger: Path | duckdb.DuckDBPyConnection,
    run: str | None,
    adapter: CrmAdapter,
    policy: Policy,
    run_id: str,
    as_of: date,
    created_by: str,
    clock: Clock,
    *,
    warehouse: Path | str | None = None,
    select: Selection | None = None,
    every: bool = False,
) -> PlanSummary:
    """Make the plan that undoes an apply; nothing is written before it is approved and applied.

    Args:
        ledger: The ledger.
        run: Apply run, plan or run to undo; the newest apply when None.
        adapter: The CRM; every field is read now.
        policy: The policy; its forbids hold here too.
        run_id: The run that plans this.
        as_of: The day the plan is for.
        created_by: Who proposes it, and therefore may not approve it.
        clock: Now, in UTC.
        warehouse: dbt's file, for opt-outs known there; those in the ledger are always looked at.
        select: Only these operations: of a record, an operation, an agent, a field.
        every: Undo all that was ever written (and is selected), not only the newest apply.

    Returns:
        The plan; `left_out` counts fields not touched: changed since, restored already, record gone.
    """
    with opened(ledger) as con:
        # An apply that was killed may have written what it has no result of yet: that is to be undone too.
        settle_interrupted(con, adapter, created_by, clock)
        runs = find_runs(con, run, adapter.crm, every=every)
        where, parameters = (select or Selection()).where()
        written = con.execute(
            f"select unnest(op), restored, left_behind, apply_run_id from ({_WRITTEN_SQL}) where true", [runs]
        )
        names = [column[0] for column in written.description or []]
        found = [dict(zip(names, row, strict=True)) for row in written.fetchall()]
        if not (select or Selection()).is_everything:
            chosen = {
                str(row[0])
                for row in con.execute(
                    "select op_id from plan_ops where plan_id in (select plan_id from apply_runs where "
                    f"list_contains(?::varchar[], apply_run_id)) and {where}",
                    [runs, *parameters],
                ).fetchall()
            }
            found = [op for op in found if op["op_id"] in chosen]
        suppressed = _suppressed(con, adapter.crm, policy, warehouse)
        staged, left_out = _compare(found, adapter, suppressed)
        _stage(con, staged)
        with transaction(con):
            snapshot = schema.save(con, adapter.crm, schema.take(adapter, policy), clock)
        # Same forbids; whatever a permit would let pass by itself waits for a person here.
        rules = [rule for rule in decide.rules_from_policy(policy.write_rules.rules) if rule.effect == "forbid"]
        decided = f"""
            select * replace (
                case when deciding_rule = '{decide.DEFAULT_DENY}' then '{RULE}' else deciding_rule end as deciding_rule,
                case when deciding_rule = '{decide.DEFAULT_DENY}' then 'require_approval' else 'denied' end as decision
            )
            from ({decide.statement(rules, "staged")})
        """
        return store_plan(
            con,
            decided,
            crm=adapter.crm,
            kind="rollback",
            policy=policy,
            schema_hash=snapshot,
            run_id=run_id,
            as_of=as_of,
            created_by=created_by,
            clock=clock,
            source_rows=None,
            left_out=left_out,
            rolls_back=runs[0] if len(runs) == 1 else run or EVERYTHING,
        )


def _suppressed(con: duckdb.DuckDBPyConnection, crm: str, policy: Policy, warehouse: Path | str | None) -> set[str]:
    """Our ids of the people who have opted out by now; not of those whose no a person has lifted."""
    said_no = consent.of_now(con, crm, policy)
    ids = set(said_no.listed)
    with attached_warehouse(con, warehouse) as alias:
        table = find_table(con, alias, "opt_outs") if alias else None
        if table:
            ids |= {str(row[0]) for row in con.execute(f"select distinct contact_id from {table}").fetchall()}
    return ids - said_no.lifted


def _compare(
    found: list[dict[str, Any]], adapter: CrmAdapter, suppressed: set[str]
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Keep the fields that still hold our value, as compensating operations."""
    left_out: Counter[str] = Counter()
    staged: list[dict[str, Any]] = []
    by_type: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for op in _without_parts(found, adapter.keyed_types, left_out):
        by_type.setdefault(op["object_type"], {}).setdefault(op["record_id"], []).append(op)
    for object_type, records in sorted(by_type.items()):
        ids = sorted(records)
        properties = sorted({op["property"] for ops in records.values() for op in ops})
        for start in range(0, len(ids), adapter.batch_size):
            part = ids[start : start + adapter.batch_size]
            read = adapter.read(object_type, part, properties)
            touched = _touched(part, records, read) if object_type in adapter.keyed_types else set[str]()
            for op in (op for record_id in part for op in records[record_id]):
                record = read.found.get(op["record_id"])
                current = lenient(op["value_type"], record.values.get(op["property"])) if record else None
                if record is None:
                    left_out["record gone"] += 1
                elif same(current, op["restored"]):
                    left_out["restored already"] += 1
                elif (op["restored"] or "").startswith(MASK):
                    left_out["erased since"] += 1
                elif not same(current, op["left_behind"]) or op["record_id"] in touched:
                    left_out["changed since"] += 1
                else:
                    subject = op["subject_id"] or (
                        f"{op['crm']}:contact:{op['record_id']}" if object_type == consent.CONTACTS else ""
                    )
                    # A task about somebody who opted out may go: archiving restores nothing.
                    gone = op["property"] == RECORD
                    staged.append(_compensate(op, current, subject in suppressed and not gone))
    # Archiving a record undoes all of its fields.
    archived = {(op["object_type"], op["record_id"]) for op in staged if op["property"] == RECORD}
    return [
        op for op in staged if op["property"] == RECORD or (op["object_type"], op["record_id"]) not in archived
    ], dict(left_out)


def _touched(ids: list[str], records: dict[str, list[dict[str, Any]]], read: ReadResult) -> set[str]:
    """Records we created of which somebody has changed a field since: they stay."""
    return {
        one
        for one in ids
        if one in read.found
        and any(
            not same(lenient(op["value_type"], read.found[one].values.get(op["property"])), op["left_behind"])
            for op in records[one]
        )
    }


def _without_parts(found: list[dict[str, Any]], keyed: frozenset[str], left_out: Counter[str]) -> list[dict[str, Any]]:
    """A record we created is undone as a whole: its fields cannot be undone without it."""
    whole = {(op["object_type"], op["record_id"]) for op in found if op["property"] == RECORD}
    kept: list[dict[str, Any]] = []
    for op in found:
        if op["object_type"] in keyed and op["restored"] is None and (op["object_type"], op["record_id"]) not in whole:
            left_out["part of a record that stays"] += 1
        else:
            kept.append(op)
    return kept


def _compensate(op: dict[str, Any], current: str | None, is_suppressed: bool) -> dict[str, Any]:
    restored = op["restored"] or None
    return {
        **{
            name: op[name]
            for name in (
                "crm",
                "object_type",
                "record_id",
                "record_label",
                "property",
                "value_type",
                "operation",
                "field_class",
                "risk",
                "autonomy_level",
                "is_namespaced",
                "answer_id",
                "segment",
                "subject_id",
            )
        },
        "before_value": current,
        "last_written_value": op["left_behind"],
        "desired_value": restored,
        "wire_value": restored or "",
        "conflict_class": conflict_class(current, op["left_behind"]),
        "reason": f"Undo of {op['apply_run_id']}" + ("" if restored else ": the field was empty before"),
        "confidence": None,
        "evidence": f'[{{"id": "{op["apply_run_id"]}", "quote": "before-image of {op["op_id"]}", "url": null}}]',
        "evidence_count": 1,
        "is_stale": False,
        "is_suppressed": is_suppressed,
    }


_TYPES = {
    "crm": "varchar",
    "object_type": "varchar",
    "record_id": "varchar",
    "record_label": "varchar",
    "property": "varchar",
    "value_type": "varchar",
    "before_value": "varchar",
    "last_written_value": "varchar",
    "desired_value": "varchar",
    "wire_value": "varchar",
    "conflict_class": "varchar",
    "reason": "varchar",
    "confidence": "decimal(6, 4)",
    "evidence": "varchar",
    "evidence_count": "bigint",
    "answer_id": "varchar",
    "operation": "varchar",
    "field_class": "varchar",
    "risk": "varchar",
    "autonomy_level": "integer",
    "is_stale": "boolean",
    "is_suppressed": "boolean",
    "is_namespaced": "boolean",
    "segment": "varchar",
    "subject_id": "varchar",
}


def _stage(con: duckdb.DuckDBPyConnection, staged: list[dict[str, Any]]) -> None:
    pa = pyarrow()
    columns = ", ".join(f"{name}::{kind} as {name}" for name, kind in _TYPES.items())
    con.register("_undo", pa.table({name: pa.array([row[name] for row in staged]) for name in _TYPES}))
    try:
        con.execute(
            f"create or replace temp table staged as select {row_hash_sql(OP_ID_COLUMNS)} as op_id, * from "
            f"(select {columns} from _undo)"
        )
    finally:
        con.unregister("_undo")


__all__ = ["RULE", "find_runs", "plan_rollback"]
