"""Freeze what would be written: one operation per field, decided by policy, sealed by a digest, kept in the ledger.

dbt's `sync_*` models say which fields differ; nothing is looked up again here. Values are made canonical, compared
three ways, decided by one SQL statement made from the write rules, and stored in sets: 46,000 operations take a few
seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl import audit, border, decide, guards, schema
from reverse_etl.digest import FIRST_SEAL, OP_COLUMNS, SEAL, SEALED_FIRST, plan_digest, row_hash_sql
from reverse_etl.freshen import freshen, know_own_writes, require_read, route
from reverse_etl.staging import stage_sync
from reverse_etl.store import Clock, attached_warehouse, first_event, opened, rows, transaction, utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from reverse_etl.crms.protocol import CrmAdapter

NOTHING, WAITING, NEEDS_APPROVAL = 0, 2, 3
BREAKDOWNS = ("object_type", "property", "operation", "decision", "deciding_rule", "conflict_class")


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan in numbers. `counts[column][value]` are operations; each column's counts add up to `operation_count`."""

    plan_id: str
    kind: str
    crm: str
    run_id: str
    as_of: date
    digest: str
    operation_count: int
    record_count: int
    counts: Mapping[str, Mapping[str, int]]
    guards: tuple[guards.GuardReading, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime
    rolls_back: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    is_new: bool = True
    border: tuple[str, ...] = ()  # what the border said of it, one line each; empty when it passed without a word

    @property
    def tripped(self) -> tuple[str, ...]:
        """Names of the guards that stop the plan until a person accepts them."""
        return tuple(reading.guard for reading in self.guards if reading.tripped)

    @property
    def exit_code(self) -> int:
        """0 nothing to write, 2 changes waiting for `apply`, 3 changes waiting for a person."""
        decisions = self.counts.get("decision", {})
        writable = decisions.get("auto", 0) + decisions.get("require_approval", 0)
        if decisions.get("require_approval", 0) or (self.tripped and writable):
            return NEEDS_APPROVAL
        return WAITING if decisions.get("auto", 0) else NOTHING


@dataclass(frozen=True, slots=True)
class Plan:
    """A stored plan: its numbers and its operations as an Arrow table (columns of `plan_ops` but `plan_id`)."""

    summary: PlanSummary
    mapping_hash: str
    policy_hash: str
    schema_hash: str
    ops: Any

    @property
    def plan_id(self) -> str:
        """The plan's id."""
        return self.summary.plan_id


def mapping_hash(policy: Policy, crm: str) -> str:
    """Hash of a CRM's field mapping, whatever the order of its keys."""
    text = json.dumps(policy.mapping(crm).model_dump(mode="json", by_alias=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def make(
    warehouse: Path | str | None,
    ledger: Path | duckdb.DuckDBPyConnection,
    adapter: CrmAdapter | None,
    policy: Policy,
    run_id: str,
    as_of: date,
    created_by: str,
    clock: Clock,
    *,
    source_rows: int | None = None,
    crm: str = "hubspot",
    hold: bool = False,
) -> PlanSummary:
    """Make and store the plan of a night.

    The same inputs make the same digest, in any row order; when the newest plan has this digest, has not been applied
    and has not expired, it is returned as it is and nothing is stored twice.

    Args:
        warehouse: dbt's file (None when it is attached to `ledger` as `warehouse` already).
        ledger: The ledger.
        adapter: The CRM, to look at its properties; None uses the newest snapshot of them.
        policy: The loaded policy.
        run_id: The run that plans.
        as_of: The day the plan is for.
        created_by: Who proposes; the same person may not approve (`nightdesk` for the scheduler).
        clock: Now, in UTC.
        source_rows: Rows of the source for the shrinking guard; counted in the warehouse unless given.
        crm: Which CRM the plan is for, when there is no adapter to say so.
        hold: Keep a new plan from being approved or applied until `border.check` has let it pass.

    Raises:
        NightdeskError: A sync model is missing or breaks its contract, or the CRM cannot take the properties.
    """
    crm = adapter.crm if adapter is not None else crm
    with opened(ledger) as con:
        with attached_warehouse(con, warehouse) as alias:
            if alias is None:
                raise NightdeskError("No warehouse to plan from", todo="Run `nightdesk build` first.")
            left_out = stage_sync(con, alias, policy, crm, as_of)
            counted = guards.count_source_rows(con, alias)
            source_rows = counted if source_rows is None else source_rows
        know_own_writes(con, crm)
        if adapter is not None:
            left_out["the record it became has its own"] = route(con, adapter, policy.mapping(crm))
            left_out["equal already"] += freshen(con, adapter)
            schemas = schema.take(adapter, policy)
            used = {
                (str(o), str(p))
                for o, p in con.execute(
                    "select distinct object_type, property from staged where value_error is null"
                ).fetchall()
            }
            schema.require_ready(schemas, policy, crm, used)
            with transaction(con):
                snapshot = schema.save(con, crm, schemas, clock)
        else:
            require_read(con)
            snapshot = schema.latest_hash(con, crm) or ""
            if not snapshot:
                raise NightdeskError(
                    "The CRM's properties have never been looked at", todo="Run `nightdesk crm setup --apply` first."
                )
        rules = decide.rules_from_policy(policy.write_rules.rules)
        decided = f"""
            select * replace (
                coalesce(builtin_rule, deciding_rule) as deciding_rule,
                case when builtin_rule is null then decision else 'denied' end as decision
            )
            from ({decide.statement(rules, "staged")})
        """
        return store_plan(
            con,
            decided,
            crm=crm,
            kind="sync",
            policy=policy,
            schema_hash=snapshot,
            run_id=run_id,
            as_of=as_of,
            created_by=created_by,
            clock=clock,
            source_rows=source_rows,
            left_out=left_out,
            hold=hold,
        )


def store_plan(
    con: duckdb.DuckDBPyConnection,
    decided_sql: str,
    *,
    crm: str,
    kind: str,
    policy: Policy,
    schema_hash: str,
    run_id: str,
    as_of: date,
    created_by: str,
    clock: Clock,
    source_rows: int | None,
    left_out: Mapping[str, int],
    rolls_back: str | None = None,
    hold: bool = False,
) -> PlanSummary:
    """Seal and store decided operations as one plan (or find the same plan stored already).

    Args:
        con: The ledger.
        decided_sql: A query that gives every column of `plan_ops` but `plan_id` (`digest.OP_COLUMNS`).
        crm: The CRM the plan is for.
        kind: `sync`, `rollback` or `review` (a question to people inside the CRM).
        policy, schema_hash: What the operations were decided under.
        run_id, as_of, created_by, clock: See `make`.
        source_rows: For the shrinking guard.
        left_out: What was not planned, by reason; only shown.
        rolls_back: The run a rollback undoes.
        hold: See `make`.
    """
    columns = ", ".join(OP_COLUMNS)
    con.execute(
        f"create or replace temp table decided as select {columns} from "
        f"(select * replace (confidence::decimal(6, 4) as confidence, evidence::json as evidence) from ({decided_sql}))"
    )
    now = utc(clock())
    readings = guards.measure(con, "decided", policy, kind=kind, source_rows=source_rows, now=now, crm=crm)
    hashes = (mapping_hash(policy, crm), policy.hash, schema_hash, policy.project_hash)
    digest = _digest(con, "decided", kind, crm, rolls_back, hashes, readings)
    existing = con.execute(
        f"""
        select plan_id, digest, expires_at, created_by,
               exists (select 1 from apply_runs where apply_runs.plan_id = plans.plan_id and not dry_run)
        from plans where kind = ? and crm = ? and rolls_back_run_id is not distinct from ?
            and plan_id not in (select plan_id from redacted_plans)
            and plan_id = (
                select newest.plan_id from plans as newest
                -- a question to people in between changes nothing of what is proposed
                where newest.crm = plans.crm and (newest.kind <> 'review' or plans.kind = 'review')
                order by {first_event("newest.plan_id")} desc limit 1
            )
        """,
        [kind, crm, rolls_back],
    ).fetchone()
    if existing and existing[1] == digest and existing[2] > now and existing[3] == created_by and not existing[4]:
        return _summary(con, str(existing[0]), left_out=left_out, is_new=False)

    plan_id = _plan_id(con, kind, now, digest)
    expires = now + timedelta(hours=policy.approvals.expires_after_hours)
    with transaction(con):
        con.execute(f"insert into plan_ops (plan_id, {columns}) select ?, {columns} from decided", [plan_id])
        count = int((con.execute("select count(*) from decided").fetchone() or (0,))[0])
        con.execute(
            "insert into plans values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                plan_id,
                run_id,
                crm,
                kind,
                rolls_back,
                as_of,
                digest,
                policy.hash,
                hashes[0],
                schema_hash,
                count,
                guards.to_json(readings),
                created_by,
                now,
                expires,
                policy.project_hash,
            ],
        )
        if hold:
            border.hold(con, plan_id, digest, run_id, clock)
        audit.append(
            con,
            clock,
            created_by,
            "plan_created",
            plan_id,
            header_of(
                plan_id,
                kind,
                digest,
                count,
                created_by,
                now,
                expires,
                rolls_back,
                run_id=run_id,
                as_of=as_of,
                guards_json=guards.to_json(readings),
            ),
        )
    audit.anchor(con, clock)
    return _summary(con, plan_id, left_out=left_out)


def header_of(
    plan_id: str,
    kind: str,
    digest: str,
    count: int,
    created_by: str,
    created_at: datetime,
    expires_at: datetime,
    rolls_back: str | None,
    *,
    run_id: str,
    as_of: date,
    guards_json: str,
) -> dict[str, Any]:
    """What the audit trail keeps of a plan; `apply` compares the stored plan with it.

    The digest seals what the brakes decided; what they had measured, and the rows that later plans are measured
    against, are kept as they were by the hash here.
    """
    return {
        "plan_id": plan_id,
        "kind": kind,
        "digest": digest,
        "operations": count,
        "created_by": created_by,
        "created_at": utc(created_at).isoformat(),
        "expires_at": utc(expires_at).isoformat(),
        "rolls_back": rolls_back,
        "run_id": run_id,
        "as_of": as_of.isoformat(),
        "guards": hashlib.sha256(guards_json.encode()).hexdigest(),
    }


def _plan_id(con: duckdb.DuckDBPyConnection, kind: str, now: datetime, digest: str) -> str:
    base = f"{'plan' if kind == 'sync' else kind}-{now:%Y%m%d-%H%M%S}-{digest[:6]}"
    candidate, number = base, 1
    while con.execute("select 1 from plans where plan_id = ?", [candidate]).fetchone():
        number += 1
        candidate = f"{base}-{number}"
    return candidate


def _digest(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    kind: str,
    crm: str,
    rolls_back: str | None,
    hashes: tuple[str | None, ...],
    readings: tuple[guards.GuardReading, ...],
    parameters: list[Any] | None = None,
    where: str = "true",
    seal: str = SEAL,
) -> str:
    columns = OP_COLUMNS if seal == SEAL else SEALED_FIRST
    row_hashes = [
        str(row[0])
        for row in con.execute(
            f"select {row_hash_sql(columns)} from {relation} where {where}", parameters or []
        ).fetchall()
    ]
    return plan_digest((seal, kind, crm, rolls_back, *hashes, guards.sealed(readings)), row_hashes)


def stored_digest(con: duckdb.DuckDBPyConnection, plan_id: str) -> str:
    """Compute a stored plan's digest again, from what is stored now.

    A plan made before plans knew their project, and operations a segment and a subject, was sealed without them, and
    has none.
    """
    header = rows(
        con,
        "select kind, crm, rolls_back_run_id, mapping_hash, policy_hash, schema_hash, project_hash, "
        "guards::varchar as guards from plans where plan_id = ?",
        [plan_id],
    )[0]
    newer = con.execute(
        "select $project is not null or count(*) = 0 or bool_or(coalesce(segment, subject_id) is not null) "
        "from plan_ops where plan_id = $plan",
        {"plan": plan_id, "project": header["project_hash"]},
    ).fetchone()
    sealed = con.execute("select digest from plans where plan_id = ?", [plan_id]).fetchone()
    found = ""
    for seal in (SEAL,) if newer and newer[0] else (SEAL, FIRST_SEAL):
        found = _stored(con, plan_id, header, seal)
        if sealed and found == sealed[0]:
            break
    return found


def _stored(con: duckdb.DuckDBPyConnection, plan_id: str, header: dict[str, Any], seal: str) -> str:
    project = (header["project_hash"],) if seal == SEAL else ()
    return _digest(
        con,
        "plan_ops",
        header["kind"],
        header["crm"],
        header["rolls_back_run_id"],
        (header["mapping_hash"], header["policy_hash"], header["schema_hash"], *project),
        guards.from_json(header["guards"]),
        [plan_id],
        "plan_id = ?",
        seal,
    )


def _summary(
    con: duckdb.DuckDBPyConnection, plan_id: str, *, left_out: Mapping[str, int] | None = None, is_new: bool = True
) -> PlanSummary:
    header = rows(con, "select * replace (guards::varchar as guards) from plans where plan_id = ?", [plan_id])[0]
    grouped = con.execute(
        " union all ".join(
            f"select '{column}', {column}, count(*) from plan_ops where plan_id = $plan group by 2"
            for column in BREAKDOWNS
        ),
        {"plan": plan_id},
    ).fetchall()
    counts: dict[str, dict[str, int]] = {column: {} for column in BREAKDOWNS}
    for column, value, number in sorted(grouped, key=lambda row: (row[0], -row[2], row[1])):
        counts[column][str(value)] = int(number)
    records = con.execute(
        "select count(distinct (object_type, record_id)) from plan_ops where plan_id = ?", [plan_id]
    ).fetchone()
    return PlanSummary(
        plan_id=plan_id,
        kind=header["kind"],
        crm=header["crm"],
        run_id=header["run_id"],
        as_of=header["as_of"],
        digest=header["digest"],
        operation_count=header["operation_count"],
        record_count=int(records[0]) if records else 0,
        counts=counts,
        guards=guards.from_json(header["guards"]),
        created_by=header["created_by"],
        created_at=utc(header["created_at"]),
        expires_at=utc(header["expires_at"]),
        rolls_back=header["rolls_back_run_id"],
        left_out={reason: number for reason, number in (left_out or {}).items() if number},
        is_new=is_new,
        border=border.said_of(con, plan_id),
    )


def resolve(con: duckdb.DuckDBPyConnection, plan_id: str | None, crm: str | None = None) -> str:
    """Return the id of a plan by its id, an unambiguous beginning of it, or the newest one (of a CRM).

    A question that has been asked inside the CRM is not the plan that anybody means without naming it.

    Raises:
        NightdeskError: There is no such plan, or several.
    """
    if plan_id is None:
        found = con.execute(
            "select plan_id from plans where ($crm is null or crm = $crm) and not (kind = 'review' and exists "
            "(select 1 from apply_runs where apply_runs.plan_id = plans.plan_id and not dry_run)) "
            f"order by {first_event('plans.plan_id')} desc, plan_id desc limit 1",
            {"crm": crm},
        ).fetchall()
    else:
        found = con.execute(
            "select plan_id from plans where plan_id = $id or starts_with(plan_id, $id) or starts_with(digest, $id) "
            "order by plan_id <> $id, created_at desc limit 2",
            {"id": plan_id},
        ).fetchall()
    if not found:
        raise NightdeskError("There is no such plan", where=plan_id or "ledger", todo="Run `nightdesk plan` first.")
    if len(found) > 1 and found[0][0] != plan_id:
        raise NightdeskError(f"`{plan_id}` is the beginning of several plans", todo="Write more of the id.")
    return str(found[0][0])


def summarize(
    ledger: Path | duckdb.DuckDBPyConnection, plan_id: str | None = None, crm: str | None = None
) -> PlanSummary:
    """Load only the numbers of a plan (the newest one, of a CRM, unless named)."""
    with opened(ledger) as con:
        return _summary(con, resolve(con, plan_id, crm))


def load(ledger: Path | duckdb.DuckDBPyConnection, plan_id: str | None = None) -> Plan:
    """Load a plan with its operations (the newest one unless named)."""
    with opened(ledger) as con:
        plan_id = resolve(con, plan_id)
        header = rows(con, "select mapping_hash, policy_hash, schema_hash from plans where plan_id = ?", [plan_id])[0]
        cursor: Any = con.execute(
            f"select {', '.join(OP_COLUMNS).replace('evidence,', 'evidence::varchar as evidence,', 1)} from plan_ops "
            "where plan_id = ? order by object_type, record_id, property",
            [plan_id],
        )
        ops = cursor.to_arrow_table()
        return Plan(_summary(con, plan_id), header["mapping_hash"], header["policy_hash"], header["schema_hash"], ops)
