"""Apply a plan: exactly the operations that were reviewed, each checked against the CRM at that moment, and read back.

Dry by default. With `dry_run=False` one applier at a time (lease with fencing token) writes through the journal;
killed at any moment, the same command resumes the same apply run and ends where it would have ended.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl import audit, autonomy, consent, quarantine
from reverse_etl.crms.protocol import NotOurProperty
from reverse_etl.gate import VERDICTS_SQL, Header, accepted_guards, require_guards, require_valid
from reverse_etl.journal import Earlier, Journal
from reverse_etl.judge import ApplyOp
from reverse_etl.lease import Lease, acquire
from reverse_etl.plan import resolve
from reverse_etl.settle import counts_of, native, settle
from reverse_etl.store import Clock, NewId, new_id, opened, rows, transaction, utc
from reverse_etl.writing import Writer, batches

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from reverse_etl.crms.protocol import CrmAdapter

NEEDS_APPROVAL, DENIED, PARTLY_FAILED, UNKNOWN = 3, 5, 6, 7
Progress = Callable[[int, int], None]
_SAMPLE = 20


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """What an apply did, or would do.

    `counts` are operations per result and add up to the plan's. A dry run counts `would_write` instead of `applied`,
    and `requests` then holds exactly what would be sent: one entry per record with its values. `lowered` are the
    autonomy levels that were lost over it.
    """

    apply_run_id: str
    plan_id: str
    dry_run: bool
    resumed: bool
    counts: Mapping[str, int]
    problems: tuple[Mapping[str, Any], ...]
    seconds: float
    requests: tuple[Mapping[str, Any], ...] = ()
    lowered: tuple[autonomy.Change, ...] = ()

    @property
    def total(self) -> int:
        """All operations of the plan."""
        return sum(self.counts.values())

    @property
    def exit_code(self) -> int:
        """0 done, 3 nothing was approved, 5 everything denied, 6 partly failed, 7 unknown outcomes."""
        get = self.counts.get
        if get("unknown", 0):
            return UNKNOWN
        if get("refused", 0) + get("ignored", 0) + get("altered", 0):
            return PARTLY_FAILED
        if get("not_approved", 0) and self.total == get("not_approved", 0) + get("denied", 0):
            return NEEDS_APPROVAL
        return DENIED if self.total and self.total == get("denied", 0) else 0


def apply(
    ledger: Path | duckdb.DuckDBPyConnection,
    plan_id: str | None,
    adapter: CrmAdapter,
    policy: Policy,
    actor: str,
    dry_run: bool = True,
    clock: Clock | None = None,
    *,
    run_id: str | None = None,
    on_progress: Progress | None = None,
    observe: Callable[[str, int], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    ids: NewId = new_id,
) -> ApplyReport:
    """Apply a plan (the newest one unless named).

    Args:
        ledger: The ledger.
        plan_id: The plan, or a beginning of its id.
        adapter: The CRM.
        policy: The policy as it is now; must be the plan's.
        actor: Who applies; recorded.
        dry_run: Read and compare only; write nothing to the CRM.
        clock: Now, in UTC.
        run_id: The run this belongs to; the plan's own unless given.
        on_progress: Called with operations done and all.
        observe: Called after every commit of the journal with its label and size (for tests and progress).
        sleep: Waiting.
        ids: New ids.

    Raises:
        NightdeskError: Exit 4 for a plan no longer valid, or decided at an autonomy level that was lost since; 3 for
            brakes nobody accepted; 5 for a property that is not ours; 7 when the CRM went away after a write; 8 when
            the audit chain is broken; 1 when the CRM cannot be reached or another apply runs.
    """
    from datetime import UTC, datetime

    clock = clock or (lambda: datetime.now(UTC))
    started = time.monotonic()
    with opened(ledger) as con:
        plan_id = resolve(con, plan_id, adapter.crm)
        if dry_run:
            header = _require_appliable(con, plan_id, policy, clock, adapter)
            said_no = consent.of_now(con, adapter.crm, policy)
            return _dry(con, header, adapter, said_no, actor, clock, run_id or header.run_id, on_progress, ids, started)
        audit.require_whole(con)
        lease = acquire(con, f"apply:{adapter.crm}", clock)
        try:
            watch = observe or _unobserved
            settle(con, adapter, actor, lease, clock, watch, sleep, except_plan=plan_id)
            try:
                header = _require_appliable(con, plan_id, policy, clock, adapter)
            except NightdeskError:
                # What an interrupted run has sent is looked up even if nothing more of it may be written.
                settle(con, adapter, actor, lease, clock, watch, sleep, except_plan=None)
                raise
            report = _execute(
                con,
                header,
                adapter,
                policy,
                actor,
                lease,
                clock,
                run_id or header.run_id,
                on_progress,
                watch,
                sleep,
                ids,
                started,
            )
        finally:
            lease.release()
        audit.anchor(con, clock)
        return report


def _require_appliable(
    con: duckdb.DuckDBPyConnection, plan_id: str, policy: Policy, clock: Clock, adapter: CrmAdapter
) -> Header:
    header = require_valid(con, plan_id, policy, clock, adapter)
    require_guards(header, accepted_guards(con, header, clock))
    return header


def _unobserved(label: str, count: int) -> None:
    """Nobody watches the journal."""


# what the plan's operations are allowed to do now
# -----------------------------------------------------------------------

_STANDING_SQL = f"""
select
    plan_ops.*,
    case
        when decision = 'denied' then 'denied'
        when op_id in (
            select op_results.op_id from op_results inner join apply_runs using (apply_run_id)
            where apply_runs.plan_id = $plan and result in ('applied', 'already_there') and apply_run_id <> $run
        ) then 'done'
        when decision = 'auto' or coalesce(is_approved, false) then 'allowed'
        else 'not_approved'
    end as standing
from plan_ops
left join ({VERDICTS_SQL}) as verdicts using (op_id)
where plan_ops.plan_id = $plan
"""


def _parameters(header: Header, run: str, clock: Clock) -> dict[str, Any]:
    return {"plan": header.plan_id, "digest": header.digest, "now": utc(clock()), "run": run}


def _operations(
    con: duckdb.DuckDBPyConnection, header: Header, run: str, clock: Clock, earlier: Mapping[str, Earlier]
) -> list[ApplyOp]:
    """The operations still to be brought to an end in this run, in the order of writing."""
    found = con.execute(
        f"""
        select op_id, object_type, record_id, property, value_type, before_value, last_written_value,
            desired_value, wire_value,
            conflict_class, subject_id, standing = 'allowed'
        from ({_STANDING_SQL})
        where op_id not in (select op_id from op_results where apply_run_id = $run)
        order by object_type, length(record_id), record_id, property
        """,
        _parameters(header, run, clock),
    ).fetchall()
    ops = [ApplyOp(*row, earlier=earlier.get(row[0])) for row in found]
    return [op for op in ops if op.may_write or op.earlier is not None]


# dry ------------------------------------------------------------------------------------------------------------------


def _dry(
    con: duckdb.DuckDBPyConnection,
    header: Header,
    adapter: CrmAdapter,
    said_no: consent.Consent,
    actor: str,
    clock: Clock,
    run_id: str,
    on_progress: Progress | None,
    ids: NewId,
    started: float,
) -> ApplyReport:
    run = ids("dry")
    counts: Counter[str] = Counter()
    for standing, number in con.execute(
        f"select standing, count(*) from ({_STANDING_SQL}) group by all", _parameters(header, run, clock)
    ).fetchall():
        if standing != "allowed":
            counts["already_there" if standing == "done" else standing] += int(number)
    ops = _operations(con, header, run, clock, {})
    journal = Journal(con, run, actor, Lease(con, "", 0, "", clock, utc(clock())), clock, _unobserved)
    writer = Writer(adapter, journal, {}, native(con, header.plan_id), lambda _: None, said_no)
    requests: dict[tuple[str, str], dict[str, str]] = {}
    problems: list[dict[str, Any]] = []
    done = 0
    for batch in batches(ops, adapter.write_batch):
        for op, verdict in writer.judge_all(batch):
            counts["would_write" if verdict.action == "write" else verdict.result] += 1
            if verdict.action == "write":
                requests.setdefault((op.object_type, verdict.target), {})[op.property] = op.wire
            elif verdict.result in ("conflict", "refused", "denied") and len(problems) < _SAMPLE:
                problems.append(
                    _problem(op.op_id, op.object_type, op.record_id, op.property, verdict.result, verdict.message)
                )
        done += len(batch)
        if on_progress:
            on_progress(done, len(ops))
    con.execute(
        "insert into apply_runs values (?, ?, ?, ?, true, ?, 0, ?)",
        [run, run_id, header.plan_id, header.digest, actor, utc(clock())],
    )
    sent = tuple({"object_type": o, "record_id": r, "values": values} for (o, r), values in requests.items())
    return ApplyReport(
        run, header.plan_id, True, False, dict(counts), tuple(problems), time.monotonic() - started, sent
    )


def _problem(
    op_id: str, object_type: str, record_id: str, name: str, result: str, message: str | None
) -> dict[str, Any]:
    return {
        "op_id": op_id,
        "object_type": object_type,
        "record_id": record_id,
        "property": name,
        "result": result,
        "message": message or "",
    }


# for real -------------------------------------------------------------------------------------------------------------


def _execute(
    con: duckdb.DuckDBPyConnection,
    header: Header,
    adapter: CrmAdapter,
    policy: Policy,
    actor: str,
    lease: Lease,
    clock: Clock,
    run_id: str,
    on_progress: Progress | None,
    observe: Callable[[str, int], None],
    sleep: Callable[[float], None],
    ids: NewId,
    started: float,
) -> ApplyReport:
    unfinished = con.execute(
        """
        select apply_run_id from apply_runs
        where plan_id = ? and not dry_run and not exists (
            select 1 from audit_events where action = 'apply_finished' and subject = apply_runs.apply_run_id
        )
        order by started_at desc limit 1
        """,
        [header.plan_id],
    ).fetchone()
    run = str(unfinished[0]) if unfinished else ids("apply")
    subject = {"plan_id": header.plan_id, "digest": header.digest, "fencing_token": lease.token}
    journal = Journal(con, run, actor, lease, clock, observe)
    if unfinished:
        with transaction(con):
            lease.check()
            audit.append(con, clock, actor, "apply_resumed", run, subject)
        observe("resumed", 0)
    else:
        _start(con, header, run, run_id, actor, lease, clock, subject)
        observe("started", header.operation_count)
    ops = _operations(con, header, run, clock, journal.load())
    said_no = consent.of_now(con, adapter.crm, policy)
    try:
        Writer(adapter, journal, subject, native(con, header.plan_id), sleep, said_no).run(ops, on_progress)
    except NotOurProperty as error:
        # Refused before any request; who proposed it proposes nothing more until a person lets it again.
        autonomy.outside_namespace(con, run, error.object_type, error.name, policy, clock, actor)
        raise
    _end_what_is_not_allowed(con, header, run, clock)
    counts = counts_of(con, run)
    lost = header.operation_count - sum(counts.values())
    if lost:
        raise NightdeskError(
            f"{lost} operations of the plan have no result", where=run, todo="Run `nightdesk apply` again."
        )
    with transaction(con):
        lease.check()
        audit.append(con, clock, actor, "apply_finished", run, {**subject, "counts": counts})
        quarantine.refresh(con, clock, actor)
    observe("finished", header.operation_count)
    lowered = autonomy.after_apply(con, run, policy, clock, actor)
    return ApplyReport(
        run,
        header.plan_id,
        False,
        bool(unfinished),
        counts,
        problems(con, run),
        time.monotonic() - started,
        lowered=lowered,
    )


def _start(
    con: duckdb.DuckDBPyConnection,
    header: Header,
    run: str,
    run_id: str,
    actor: str,
    lease: Lease,
    clock: Clock,
    subject: Mapping[str, Any],
) -> None:
    with transaction(con):
        lease.check()
        audit.append(con, clock, actor, "apply_started", run, subject)
        con.execute(
            "insert into apply_runs values (?, ?, ?, ?, false, ?, ?, ?)",
            [run, run_id, header.plan_id, header.digest, actor, lease.token, utc(clock())],
        )
        _end_standing(con, header, run, clock, "true")


def _end_what_is_not_allowed(con: duckdb.DuckDBPyConnection, header: Header, run: str, clock: Clock) -> None:
    """After a resume: approvals may have ended since, so operations that had none of it yet end here."""
    with transaction(con):
        _end_standing(con, header, run, clock, "op_id not in (select op_id from op_results where apply_run_id = $run)")


def _end_standing(con: duckdb.DuckDBPyConnection, header: Header, run: str, clock: Clock, where: str) -> None:
    con.execute(
        f"create or replace temp table standing as select * from ({_STANDING_SQL}) where standing <> 'allowed' "
        f"and {where}",
        _parameters(header, run, clock),
    )
    now = utc(clock())
    con.execute(
        """
        insert into write_attempts (apply_run_id, op_id, sequence, state, recorded_at)
        select ?, op_id,
            1 + coalesce((select max(sequence) from write_attempts as w where w.apply_run_id = ?
                and w.op_id = standing.op_id), 0),
            case standing
                when 'denied' then 'skipped_denied' when 'done' then 'skipped_done' else 'skipped_unapproved'
            end, ?
        from standing
        """,
        [run, run, now],
    )
    con.execute(
        """
        insert into op_results (apply_run_id, op_id, result, crm_before, crm_after, message, recorded_at)
        select ?, op_id, case standing when 'done' then 'already_there' else standing end, crm_before, crm_after,
            case standing
                when 'done' then 'written by an earlier apply of this plan' when 'denied' then deciding_rule
            end, ?
        from standing
        left join (
            select op_id, op_results.crm_before, op_results.crm_after
            from op_results inner join apply_runs using (apply_run_id)
            where plan_id = ? and result in ('applied', 'already_there')
            qualify row_number() over (partition by op_id order by op_results.recorded_at) = 1
        ) as earlier using (op_id)
        """,
        [run, now, header.plan_id],
    )


def problems(con: duckdb.DuckDBPyConnection, run: str, limit: int = _SAMPLE) -> tuple[Mapping[str, Any], ...]:
    """A sample of what did not go as planned in an apply run, the gravest first."""
    found: Sequence[dict[str, Any]] = rows(
        con,
        """
        select op_id, object_type, record_id, property, result, coalesce(message, '') as message
        from op_results inner join apply_runs using (apply_run_id) inner join plan_ops using (plan_id, op_id)
        where apply_run_id = ? and result in ('unknown', 'refused', 'altered', 'ignored', 'conflict')
        order by list_position(['unknown', 'refused', 'altered', 'ignored', 'conflict'], result), object_type,
            record_id, property
        limit ?
        """,
        [run, limit],
    )
    return tuple(found)


__all__ = ["ApplyReport", "apply", "problems"]
