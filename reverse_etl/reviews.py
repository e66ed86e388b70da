"""Where each change of a plan stands with the people who decide, and the remarks they leave beside it.

A remark explains; it never changes what is written: the plan's operations are sealed, remarks are kept apart from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nightdesk.errors import NightdeskError
from reverse_etl import audit
from reverse_etl.digest import sha256
from reverse_etl.gate import VERDICTS_SQL, count_needed
from reverse_etl.plan import resolve
from reverse_etl.store import Clock, NewId, first_event, new_id, opened, rows, transaction, utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy

State = Literal["auto", "denied", "waiting", "one_of_two", "approved", "rejected", "ended"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one operation stands.

    `waiting` nobody has decided, `one_of_two` it needs another person, `ended` its approval has expired; `people` are
    those whose approval counts now.
    """

    state: State
    people: tuple[str, ...] = ()
    needed: int = 1
    last_by: str = ""
    role: str = ""
    via: str = ""
    approval_id: str = ""

    @property
    def words(self) -> str:
        """In a few words, for tables."""
        match self.state:
            case "one_of_two":
                return f"1 of {self.needed}: {', '.join(self.people)}"
            case "approved" | "rejected":
                by = ", ".join(self.people) or self.last_by
                return f"{self.state} by {by}" + (f" ({self.via})" if self.via in ("file", "crm") else "")
            case "ended":
                return f"approval of {self.last_by} ended"
            case "waiting":
                return "waiting" if self.needed == 1 else f"waiting, needs {self.needed}"
            case _:
                return self.state

    @property
    def is_open(self) -> bool:
        """Whether a person can still decide something about it."""
        return self.state in ("waiting", "one_of_two", "ended")


@dataclass(frozen=True, slots=True)
class Note:
    """A remark of a person."""

    note_id: str
    plan_id: str
    op_id: str | None
    approval_id: str | None
    body: str
    author: str
    noted_at: datetime


_PEOPLE_SQL = """
select unnest(coalesce(from_json(approvals.op_ids, '["varchar"]'), all_ops.op_ids)) as op_id, approvals.approver,
    approvals.verdict, approvals.expires_at, event.sequence
from approvals
inner join audit_events as event on event.subject = approvals.plan_id and event.action = approvals.verdict
    and json_extract_string(event.body, '$.approval_id') = approvals.approval_id
cross join (select list(op_id) as op_ids from plan_ops where plan_id = $plan) as all_ops
where approvals.plan_id = $plan and approvals.digest = $digest
order by event.sequence
"""


def standings(con: duckdb.DuckDBPyConnection, plan_id: str, policy: Policy, clock: Clock) -> dict[str, Standing]:
    """Where every operation of a plan stands, whether or not the plan is still valid."""
    count_needed(con, plan_id, policy)
    digest = con.execute("select digest from plans where plan_id = ?", [plan_id]).fetchone()
    if digest is None:
        return {}
    parameters = {"plan": plan_id, "digest": digest[0], "now": utc(clock())}
    found: dict[str, Standing] = {}
    people = _people(con, plan_id, str(digest[0]), utc(clock()))
    for row in rows(
        con,
        "select plan_ops.op_id, plan_ops.decision, needed_approvers.approvers, verdicts.* exclude (op_id) "
        f"from plan_ops left join ({VERDICTS_SQL}) as verdicts using (op_id) "
        "left join needed_approvers using (plan_id, op_id) where plan_ops.plan_id = $plan",
        parameters,
    ):
        needed = int(row["approvers"] or 1)
        names = people.get(row["op_id"], ())
        last = tuple(str(row[name] or "") for name in ("approver", "role", "via", "approval_id"))
        state: State
        if row["decision"] != "require_approval":
            state = "auto" if row["decision"] == "auto" else "denied"
        elif row["verdict"] is None:
            state = "waiting"
        elif row["verdict"] == "rejected":
            state = "rejected"
        elif row["is_approved"]:
            state = "approved"
        else:
            state = "one_of_two" if row["approver_count"] else "ended"
        found[row["op_id"]] = Standing(state, names if state != "rejected" else (), needed, *last)
    return found


def _people(con: duckdb.DuckDBPyConnection, plan_id: str, digest: str, now: datetime) -> dict[str, tuple[str, ...]]:
    """Per operation, who has approved it since it was last rejected."""
    found: dict[str, dict[str, str]] = {}
    for op_id, approver, verdict, expires_at, _ in con.execute(
        _PEOPLE_SQL, {"plan": plan_id, "digest": digest}
    ).fetchall():
        names = found.setdefault(op_id, {})
        if verdict == "rejected":
            names.clear()
        elif utc(expires_at) > now:
            names[str(approver).casefold()] = str(approver)
    return {op_id: tuple(names.values()) for op_id, names in found.items()}


# remarks --------------------------------------------------------------------------------------------------------------


def note(
    ledger: Path | duckdb.DuckDBPyConnection,
    target: str,
    body: str,
    author: str,
    clock: Clock,
    *,
    plan_id: str | None = None,
    ids: NewId = new_id,
) -> Note:
    """Put a remark beside an operation or a verdict; nothing that is written changes.

    Args:
        ledger: The ledger.
        target: An operation's id, an unambiguous beginning of it, or a verdict's id (`approval-...`).
        body: The remark.
        author: Whose it is.
        clock: Now, in UTC.
        plan_id: In which plan the operation is looked for; the newest that has it when None.
        ids: New ids.

    Raises:
        NightdeskError: Nothing, or more than one operation, is meant; or the remark is empty.
    """
    text = body.strip()
    if not text:
        raise NightdeskError("The remark is empty", where=target)
    with opened(ledger) as con:
        found_plan, op_id, approval_id = _target(con, target, plan_id)
        made = Note(ids("note"), found_plan, op_id, approval_id, text, author, utc(clock()))
        with transaction(con):
            audit.append(
                con,
                clock,
                author,
                "noted",
                found_plan,
                {"note_id": made.note_id, "op_id": op_id, "approval_id": approval_id, "body_hash": sha256(text)},
            )
            con.execute(
                "insert into review_notes values (?, ?, ?, ?, ?, ?, ?)",
                [made.note_id, found_plan, op_id, approval_id, text, author, made.noted_at],
            )
        audit.anchor(con, clock)
        return made


def _target(con: duckdb.DuckDBPyConnection, target: str, plan_id: str | None) -> tuple[str, str | None, str | None]:
    verdict = con.execute("select plan_id from approvals where approval_id = ?", [target]).fetchone()
    if verdict:
        return str(verdict[0]), None, target
    within = resolve(con, plan_id) if plan_id else None
    found = con.execute(
        "select plan_id, op_id from plan_ops where starts_with(op_id, $target) and ($within is null or "
        f"plan_id = $within) order by {first_event('plan_ops.plan_id')} desc, op_id",
        {"target": target, "within": within},
    ).fetchall()
    if not found or not target:
        raise NightdeskError(
            f"There is no operation or verdict `{target}`",
            where=within or "ledger",
            todo="`nightdesk review --table` shows the ids of operations.",
        )
    if len({op_id for _, op_id in found}) > 1:
        raise NightdeskError(f"`{target}` is the beginning of several operations", todo="Write more of the id.")
    return str(found[0][0]), str(found[0][1]), None


def notes(con: duckdb.DuckDBPyConnection, plan_id: str) -> dict[str, list[Note]]:
    """Remarks of a plan by operation id or verdict id, the oldest first; those emptied by an erasure are left out."""
    found: dict[str, list[Note]] = {}
    for row in rows(
        con, "select * from review_notes where plan_id = ? and body is not null order by noted_at, note_id", [plan_id]
    ):
        found.setdefault(row["op_id"] or row["approval_id"], []).append(Note(**row))
    return found


def as_json(standing: Standing | None, remarks: list[Note]) -> dict[str, Any]:
    """What `review --output json` adds to an operation."""
    return {
        "standing": standing.state if standing else None,
        "approvals": len(standing.people) if standing else 0,
        "approvals_needed": standing.needed if standing else 1,
        "approved_by": list(standing.people) if standing else [],
        "notes": [{"body": n.body, "author": n.author, "noted_at": n.noted_at.isoformat()} for n in remarks],
    }


__all__ = ["Note", "Standing", "as_json", "note", "notes", "standings"]
