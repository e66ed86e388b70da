"""Approvals: bound to a plan's digest, given by a person in a role who did not propose it, with an end.

Who may is said in `policies/approvals.yml`. A verdict comes from the terminal, from a reviewed file or from inside the
CRM; all three end here, and the audit trail says which it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nightdesk.errors import NightdeskError
from reverse_etl import audit
from reverse_etl.gate import GUARD_PREFIX, VERDICTS_SQL, accepted_guards, require_guards, require_valid
from reverse_etl.plan import resolve
from reverse_etl.select import Selection
from reverse_etl.store import Clock, NewId, new_id, opened, transaction, utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy

DENIED = 5
Via = Literal["terminal", "file", "crm"]


@dataclass(frozen=True, slots=True)
class ApprovalReport:
    """What one verdict covered.

    `still_waiting` operations of the plan are not approved after it; `need_another` of them have one of two approvals.
    """

    approval_id: str
    plan_id: str
    verdict: str
    operation_count: int
    still_waiting: int
    accepted_guards: tuple[str, ...]
    expires_at: datetime
    approver: str = ""
    need_another: int = 0


def approve(
    ledger: Path | duckdb.DuckDBPyConnection,
    plan_id: str | None,
    select: Selection,
    approver: str,
    role: str,
    policy: Policy,
    clock: Clock,
    *,
    note: str | None = None,
    accept_guards: Sequence[str] = (),
    ids: NewId = new_id,
    via: Via = "terminal",
    answers: Sequence[Sequence[str]] = (),
) -> ApprovalReport:
    """Approve the operations of a plan that wait for it and match the selection.

    `via` says where the verdict was given; `answers` names the answers inside the CRM that it rests on (`answers.py`).

    Raises:
        NightdeskError: Exit 4 for a plan no longer valid, 5 for an approver who may not, 3 for brakes not accepted by
        name.
    """
    return _decide(
        "approved",
        ledger,
        plan_id,
        select,
        approver,
        role,
        policy,
        clock,
        note,
        tuple(accept_guards),
        ids,
        via,
        answers,
    )


def reject(
    ledger: Path | duckdb.DuckDBPyConnection,
    plan_id: str | None,
    select: Selection,
    approver: str,
    role: str,
    policy: Policy,
    clock: Clock,
    *,
    note: str | None = None,
    ids: NewId = new_id,
    via: Via = "terminal",
    answers: Sequence[Sequence[str]] = (),
) -> ApprovalReport:
    """Reject operations of a plan; takes back an earlier approval of them."""
    return _decide("rejected", ledger, plan_id, select, approver, role, policy, clock, note, (), ids, via, answers)


def _decide(
    verdict: Literal["approved", "rejected"],
    ledger: Path | duckdb.DuckDBPyConnection,
    plan_id: str | None,
    select: Selection,
    approver: str,
    role: str,
    policy: Policy,
    clock: Clock,
    note: str | None,
    accept: tuple[str, ...],
    ids: NewId,
    via: Via,
    answers: Sequence[Sequence[str]],
) -> ApprovalReport:
    with opened(ledger) as con:
        plan_id = resolve(con, plan_id)
        header = require_valid(con, plan_id, policy, clock)
        approver = require_right(verdict, approver, role, header.created_by, policy, plan_id)
        if note and note.startswith(GUARD_PREFIX):
            raise NightdeskError("A note cannot accept guards", todo="Use --accept-guard NAME.")
        if verdict == "approved":
            tripped = {reading.guard for reading in header.guards if reading.tripped}
            unknown = sorted(set(accept) - tripped)
            if unknown:
                raise NightdeskError(f"The guard `{unknown[0]}` does not stop this plan", where=plan_id)
            require_guards(header, accepted_guards(con, header, clock) | set(accept))
        where, parameters = select.where()
        op_ids = [
            str(row[0])
            for row in con.execute(
                f"select op_id from plan_ops where plan_id = ? and decision = 'require_approval' and {where} "
                "order by op_id",
                [plan_id, *parameters],
            ).fetchall()
        ]
        if not op_ids and not (accept and select.is_everything):
            raise NightdeskError(
                "No operation that waits for approval is selected", where=plan_id, todo="Look at `nightdesk review`."
            )
        approval_id, now = ids("approval"), utc(clock())
        plan_end = con.execute("select expires_at from plans where plan_id = ?", [plan_id]).fetchone()
        ends = now + timedelta(hours=policy.approvals.expires_after_hours)
        expires = min(ends, utc(plan_end[0])) if plan_end else ends
        full_note = "\n".join(part for part in (GUARD_PREFIX + ", ".join(accept) if accept else "", note or "") if part)
        with transaction(con):
            audit.append(
                con,
                clock,
                approver,
                verdict,
                plan_id,
                {
                    "approval_id": approval_id,
                    "digest": header.digest,
                    "role": role,
                    "via": via,
                    "operations": len(op_ids),
                    "op_ids": None if select.is_everything else op_ids,
                    "accepted_guards": list(accept),
                    **({"answers": [list(one) for one in answers]} if answers else {}),
                    "expires_at": expires.isoformat(),
                },
            )
            con.execute(
                "insert into approvals values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    approval_id,
                    plan_id,
                    header.digest,
                    verdict,
                    None if select.is_everything else json.dumps(op_ids),
                    approver,
                    role,
                    full_note or None,
                    now,
                    expires,
                    via,
                ],
            )
        audit.anchor(con, clock)
        waiting, need_another = waiting_counts(con, plan_id, header.digest, now)
        return ApprovalReport(
            approval_id, plan_id, verdict, len(op_ids), waiting, accept, expires, approver, need_another
        )


def waiting_counts(con: duckdb.DuckDBPyConnection, plan_id: str, digest: str, now: datetime) -> tuple[int, int]:
    """Operations of a plan that need an approval and are not approved, and those of them that have one of two.

    `gate.require_valid` must have looked at the plan on this connection.
    """
    row = con.execute(
        f"""
        select count(*), count(*) filter (approver_count > 0)
        from plan_ops left join ({VERDICTS_SQL}) as verdicts using (op_id)
        where plan_id = $plan and decision = 'require_approval' and not coalesce(is_approved, false)
        """,
        {"plan": plan_id, "digest": digest, "now": now},
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def require_right(verdict: str, approver: str, role: str, created_by: str, policy: Policy, plan_id: str) -> str:
    """Check that this person may give this verdict in this role; returns the name to record.

    Raises:
        NightdeskError: Exit 5. Not an approver, not in that role, a role that decides nothing, or the proposer.
    """
    policies = policy.approvals
    if not approver.strip():
        raise NightdeskError("An approval needs a name", where=plan_id, exit_code=DENIED)
    if role not in policies.roles:
        raise NightdeskError(
            f"The role `{role}` may not decide about plans",
            where=plan_id,
            todo=f"Roles in policy: {', '.join(policies.roles)}.",
            exit_code=DENIED,
        )
    name = approver.strip()
    if policies.approvers:
        found = policies.find(name)
        if found is None:
            raise NightdeskError(
                f"`{name}` is not among the approvers",
                where=f"{plan_id}; policies/approvals.yml",
                todo="Say who you are with --as, or have somebody add you to the file.",
                exit_code=DENIED,
            )
        if role not in found.roles:
            raise NightdeskError(
                f"`{found.name}` does not have the role `{role}`",
                where=f"{plan_id}; policies/approvals.yml",
                todo=f"Roles of {found.name}: {', '.join(found.roles)}.",
                exit_code=DENIED,
            )
        name = created_by if verdict == "approved" and found.is_called(created_by) else found.name
    if verdict == "approved" and name.casefold() == created_by.strip().casefold():
        raise NightdeskError(
            f"`{approver}` proposed this plan and cannot approve it",
            where=plan_id,
            todo="Ask somebody else.",
            exit_code=DENIED,
        )
    return name
