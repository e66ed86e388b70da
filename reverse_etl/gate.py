"""What stands between a stored plan and any approval or write of it: seal, expiry, policy, mapping, schema, guards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl import autonomy, border, guards, plan, schema
from reverse_etl.audit import event_hash
from reverse_etl.store import Clock, first_event, iso, rows, utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from reverse_etl.crms.protocol import CrmAdapter

STALE = 4
GUARD_PREFIX = "accepted guards: "

# Verdicts on exactly this digest that the audit trail bears out: a row that somebody put into the table, or changed
# there, is no approval.
_HEARD_SQL = """
select approvals.*, event.sequence as heard, event.body as heard_body
from approvals
inner join audit_events as event
    on event.subject = approvals.plan_id
    and event.action = approvals.verdict
    and event.actor = approvals.approver
    and json_extract_string(event.body, '$.approval_id') = approvals.approval_id
    and json_extract_string(event.body, '$.digest') = approvals.digest
    and json_extract_string(event.body, '$.role') = approvals.role
    and json_extract_string(event.body, '$.via') is not distinct from approvals.via
    and json_extract_string(event.body, '$.expires_at')::timestamptz = approvals.expires_at
    and from_json(json_extract(event.body, '$.op_ids'), '["varchar"]')
        is not distinct from from_json(approvals.op_ids, '["varchar"]')
where approvals.plan_id = $plan and approvals.digest = $digest
"""

# What stands about each operation, in the trail's order: a rejection takes back what was approved before it, an
# approval ends with its expiry, and an operation is approved when as many different people approve it as it needs, none
# of them its proposer. How many that is comes from `approvals.yml` through `require_valid`, on the same connection:
# without it nothing here is approved.
VERDICTS_SQL = f"""
with
heard as (select * from ({_HEARD_SQL})),
each_op as (
    select plan_ops.op_id, heard.*
    from plan_ops
    cross join heard
    where plan_ops.plan_id = $plan and heard.op_ids is null
    union all
    select unnest(from_json(op_ids, '["varchar"]')) as op_id, heard.* from heard where op_ids is not null
),
taken_back as (
    select *, coalesce(max(heard) filter (verdict = 'rejected') over (partition by op_id), 0) as last_rejection
    from each_op
),
judged as (
    select
        taken_back.*,
        verdict = 'approved' and heard > last_rejection and expires_at > $now
            and lower(trim(approver)) <> (select lower(trim(created_by)) from plans where plan_id = $plan) as counts
    from taken_back
)
select
    judged.op_id,
    coalesce(count(distinct lower(trim(approver))) filter (counts) >= max(needed.approvers), false) as is_approved,
    arg_max(approval_id, heard) as approval_id,
    arg_max(approver, heard) as approver,
    arg_max(role, heard) as role,
    arg_max(approved_at, heard) as approved_at,
    arg_max(verdict, heard) as verdict,
    arg_max(via, heard) as via,
    count(distinct lower(trim(approver))) filter (counts) as approver_count,
    max(needed.approvers) as approvers_needed
from judged
left join needed_approvers as needed on needed.plan_id = $plan and needed.op_id = judged.op_id
group by judged.op_id
"""


@dataclass(frozen=True, slots=True)
class Header:
    """The row of `plans`."""

    plan_id: str
    run_id: str
    crm: str
    kind: str
    rolls_back: str | None
    digest: str
    operation_count: int
    created_by: str
    guards: tuple[guards.GuardReading, ...]


def _stale(what: str, plan_id: str, todo: str = "Make a new plan with `nightdesk plan`.") -> NightdeskError:
    return NightdeskError(what, where=plan_id, todo=todo, exit_code=STALE)


def require_valid(
    con: duckdb.DuckDBPyConnection, plan_id: str, policy: Policy, clock: Clock, adapter: CrmAdapter | None = None
) -> Header:
    """Check that a plan is still what was made, under the same policy, mapping, models and (with an adapter) schema.

    Raises:
        NightdeskError: Exit code 4; nothing of the plan may be approved or written. So too for a plan that is held or
            was refused at the border (`border.check`).
    """
    header, row = _sealed(con, plan_id)
    border.require_passed(con, plan_id)
    count_needed(con, plan_id, policy)
    if utc(row["expires_at"]) <= utc(clock()):
        raise _stale(f"The plan expired at {iso(row['expires_at'])}", plan_id)
    if row["policy_hash"] != policy.hash or row["mapping_hash"] != plan.mapping_hash(policy, header.crm):
        raise _stale("The policy or the field mapping changed since the plan was made", plan_id)
    if row["project_hash"] is not None and row["project_hash"] != policy.project_hash:
        raise _stale("A dbt model, macro or seed changed since the plan was made", plan_id)
    if header.kind == "sync":
        autonomy.require_levels(con, plan_id, policy)
    undone = con.execute(
        """
        select undoing.plan_id
        from plans as undoing inner join apply_runs on apply_runs.plan_id = undoing.plan_id and not apply_runs.dry_run
        where undoing.kind = 'rollback' and undoing.rolls_back_run_id in (
            select $plan
            union all
            select unnest([apply_run_id, run_id]) from apply_runs where plan_id = $plan and not dry_run
        )
        limit 1
        """,
        {"plan": plan_id},
    ).fetchone()
    if undone:
        raise _stale(f"The plan was rolled back by {undone[0]}", plan_id)
    if header.kind == "sync":
        newer = con.execute(
            f"select plan_id from plans where kind = 'sync' and crm = ? and plan_id <> ? "
            f"and {first_event('plans.plan_id')} > {first_event('?')} "
            f"order by {first_event('plans.plan_id')} desc limit 1",
            [header.crm, plan_id, plan_id],
        ).fetchone()
        if newer:
            raise _stale(f"A newer plan replaces this one: {newer[0]}", plan_id, "Review and approve the newer plan.")
    if adapter is not None:
        if adapter.crm != header.crm:
            raise _stale(f"The plan is for {header.crm}, this is {adapter.crm}", plan_id)
        if schema.schema_hash(schema.take(adapter, policy)) != row["schema_hash"]:
            raise _stale("The CRM's properties changed since the plan was made (type, options or rights)", plan_id)
    return header


def require_sealed(con: duckdb.DuckDBPyConnection, plan_id: str) -> Header:
    """Check only that a plan is still what was made, however old it is and whatever policy says now.

    Raises:
        NightdeskError: Exit code 4: changed, emptied by an erasure, or not the plan the audit trail knows.
    """
    return _sealed(con, plan_id)[0]


def _sealed(con: duckdb.DuckDBPyConnection, plan_id: str) -> tuple[Header, dict[str, Any]]:
    row = rows(con, "select * replace (guards::varchar as guards) from plans where plan_id = ?", [plan_id])[0]
    header = Header(
        plan_id,
        row["run_id"],
        row["crm"],
        row["kind"],
        row["rolls_back_run_id"],
        row["digest"],
        row["operation_count"],
        row["created_by"],
        guards.from_json(row["guards"]),
    )
    redacted = con.execute("select min(redacted_at) from redacted_plans where plan_id = ?", [plan_id]).fetchone()
    if redacted and redacted[0]:
        raise _stale(f"The plan lost operations when a person was erased on {iso(redacted[0])}", plan_id)
    if plan.stored_digest(con, plan_id) != header.digest:
        raise _stale("The stored plan is not what was sealed: an operation or its header was changed", plan_id)
    _compare_with_audit(con, row)
    return header, row


def four_eyes_sql(policy: Policy) -> str:
    """SQL condition over plan_ops: whether an operation needs two different people (`four_eyes` in approvals.yml)."""
    entries: list[str] = []
    for entry in policy.approvals.four_eyes:
        lines = [
            f"{column} in ({', '.join(_quoted(value) for value in values)})"
            for column, values in entry.model_dump().items()
            if values
        ]
        entries.append(f"({' and '.join(lines)})")
    return " or ".join(entries) or "false"


def _quoted(value: str) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def count_needed(con: duckdb.DuckDBPyConnection, plan_id: str, policy: Policy) -> None:
    """Note for this connection how many people each operation of a plan needs; `VERDICTS_SQL` counts against it."""
    con.execute("create temp table if not exists needed_approvers (plan_id varchar, op_id varchar, approvers integer)")
    con.execute("delete from needed_approvers where plan_id = ?", [plan_id])
    con.execute(
        f"insert into needed_approvers select plan_id, op_id, if({four_eyes_sql(policy)}, 2, 1) "
        "from plan_ops where plan_id = ?",
        [plan_id],
    )


def _compare_with_audit(con: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> None:
    """The header's own columns (creator, times) are not in the digest; the audit trail has them."""
    event = con.execute(
        "select prev_hash, sequence, occurred_at, actor, action, subject, body::varchar, hash from audit_events "
        "where subject = ? and action in ('plan_created', 'rollback_planned') order by sequence limit 1",
        [row["plan_id"]],
    ).fetchone()
    expected = plan.header_of(
        row["plan_id"],
        row["kind"],
        row["digest"],
        row["operation_count"],
        row["created_by"],
        row["created_at"],
        row["expires_at"],
        row["rolls_back_run_id"],
        run_id=row["run_id"],
        as_of=row["as_of"],
        guards_json=row["guards"],
    )
    said: dict[str, Any] = json.loads(event[6]) if event else {}
    if "guards" not in said:  # a plan made before the trail kept these
        expected = {name: value for name, value in expected.items() if name not in ("run_id", "as_of", "guards")}
    if event is None or said != expected or event_hash(*event[:7]) != event[7]:
        raise _stale("The plan and the audit trail disagree about it", row["plan_id"], "Run `nightdesk audit verify`.")


def accepted_guards(con: duckdb.DuckDBPyConnection, header: Header, clock: Clock) -> set[str]:
    """Guards that a valid approval of exactly this plan has accepted by name."""
    heard = con.execute(
        f"select json_extract(heard_body, '$.accepted_guards')::varchar from ({_HEARD_SQL}) "
        "where verdict = 'approved' and expires_at > $now",
        {"plan": header.plan_id, "digest": header.digest, "now": utc(clock())},
    ).fetchall()
    return {name for (names,) in heard for name in json.loads(names or "[]")}


def require_guards(header: Header, accepted: set[str]) -> None:
    """Stop a plan whose brakes are on.

    Raises:
        NightdeskError: Exit code 3; names the guards that nobody has accepted.
    """
    tripped = [reading for reading in header.guards if reading.tripped and reading.guard not in accepted]
    if tripped:
        shown = "; ".join(
            f"{r.guard}: {'not measurable' if r.measured is None else format(r.measured, 'g')} against {r.limit:g}"
            for r in tripped
        )
        raise NightdeskError(
            f"The plan's brakes are on: {shown}",
            where=header.plan_id,
            todo=f"Look at the plan; to let it pass: nightdesk approve --accept-guard {tripped[0].guard}",
            exit_code=3,
        )
