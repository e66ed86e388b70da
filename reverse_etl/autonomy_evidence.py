"""What the ledger knows about an operation's work: verdicts, read-backs, rollbacks, other people's edits. Reads only.

Every count is of an operation (or one property of it) and of what happened after a point in time. Verdicts count only
when the audit trail bears them out, a change that was proposed on several nights counts once, and of one approval only
so many changes count as looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reverse_etl.store import utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy.autonomy_models import Demotion, Promotion
    from reverse_etl.autonomy import Target

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MINE = "plan_ops.operation = $operation and ($property is null or plan_ops.property = $property)"

# What stands about each different change: its last rejection, or the first approval after it. Undoing something is no
# verdict on what was proposed.
_DECISIONS_SQL = f"""
with verdicts as (
    select approvals.*, event.sequence as heard
    from approvals
    inner join audit_events as event
        on event.subject = approvals.plan_id
        and event.action = approvals.verdict
        and event.actor = approvals.approver
        and json_extract_string(event.body, '$.approval_id') = approvals.approval_id
        and from_json(json_extract(event.body, '$.op_ids'), '["varchar"]')
            is not distinct from from_json(approvals.op_ids, '["varchar"]')
    where approvals.approved_at > $since
),
said as (
    select plan_ops.op_id, verdicts.approval_id, verdicts.verdict, verdicts.heard,
        coalesce(max(verdicts.heard) filter (verdicts.verdict = 'rejected') over (partition by plan_ops.op_id), 0)
            as rejected_last
    from verdicts
    inner join plans on plans.plan_id = verdicts.plan_id and plans.kind = 'sync'
    inner join plan_ops on plan_ops.plan_id = verdicts.plan_id
    where plan_ops.decision = 'require_approval' and {_MINE}
        and (verdicts.op_ids is null or list_contains(from_json(verdicts.op_ids, '["varchar"]'), plan_ops.op_id))
),
-- Whoever approved it first looked at it; that somebody approved everything later takes nothing from that.
latest as (
    select * from said where heard >= rejected_last
    qualify row_number() over (partition by op_id order by verdict = 'rejected', heard) = 1
),
per_verdict as (select approval_id, verdict, count(*) as changes from latest group by all)
select
    coalesce(sum(changes) filter (verdict = 'approved'), 0),
    coalesce(sum(changes) filter (verdict = 'rejected'), 0),
    coalesce(sum(least(changes, $counted)) filter (verdict = 'approved'), 0)
from per_verdict
"""

_FIELD = "(plan_ops.crm, plan_ops.object_type, plan_ops.record_id, plan_ops.property)"
_RESULTS = f"""
from op_results
inner join apply_runs using (apply_run_id)
inner join plans using (plan_id)
inner join plan_ops on plan_ops.plan_id = apply_runs.plan_id and plan_ops.op_id = op_results.op_id
where not apply_runs.dry_run and {_MINE}
"""

# Fields we ever wrote, and those of them in which somebody else's value was found since.
_OVERWRITTEN_SQL = f"""
with written as (
    select distinct {_FIELD} as written_field {_RESULTS} and plans.kind = 'sync' and op_results.result = 'applied'
),
found as (
    select {_FIELD} as found_field
    from plan_ops inner join plans using (plan_id)
    where plans.kind = 'sync' and plans.created_at > $since and plan_ops.conflict_class = 'changed_by_other'
        and plan_ops.last_written_value is not null and {_MINE}
    union
    select {_FIELD} {_RESULTS} and op_results.result = 'conflict' and op_results.recorded_at > $since
        and plan_ops.last_written_value is not null
)
select
    (select count(*) from written),
    (select count(*) from written where written_field in (select found_field from found))
"""

# Of each apply, what the CRM accepted and did not keep; the worst share of an apply with enough fields counts.
_NOT_KEPT_SQL = f"""
select
    op_results.apply_run_id,
    count(*) filter (op_results.result in ('ignored', 'altered')) as not_kept,
    count(*) filter (op_results.result in ('applied', 'ignored', 'altered')) as sent
{_RESULTS} and plans.kind = 'sync' and op_results.recorded_at > $since
group by op_results.apply_run_id
order by not_kept / nullif(sent, 0) desc nulls last, op_results.apply_run_id
"""

_ROLLED_BACK_SQL = f"""
select op_results.apply_run_id, count(*)
{_RESULTS} and plans.kind = 'rollback' and op_results.result = 'applied' and op_results.recorded_at > $since
group by op_results.apply_run_id order by 2 desc, 1 limit 1
"""

# A rollback of its writes that a person approved and that was then run, dry or for good.
_REHEARSED_SQL = f"""
select max(apply_runs.started_at)
from apply_runs
inner join plans on plans.plan_id = apply_runs.plan_id and plans.kind = 'rollback'
inner join plan_ops on plan_ops.plan_id = plans.plan_id and plan_ops.decision <> 'denied'
inner join approvals
    on approvals.plan_id = plans.plan_id and approvals.digest = plans.digest and approvals.verdict = 'approved'
    and approvals.approved_at <= apply_runs.started_at
    and (approvals.op_ids is null or list_contains(from_json(approvals.op_ids, '["varchar"]'), plan_ops.op_id))
inner join audit_events as event
    on event.subject = approvals.plan_id and event.action = approvals.verdict and event.actor = approvals.approver
    and json_extract_string(event.body, '$.approval_id') = approvals.approval_id
where {_MINE}
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What happened to an operation's work since a point in time.

    Attributes:
        since: The point in time.
        approved: Different changes that people approved.
        rejected: Different changes that people rejected.
        counted: Approved changes that count as looked at (`counted_per_verdict` of each approval at most).
        written: Fields that we ever wrote.
        overwritten: Those of them that were found to hold somebody else's value.
        not_kept: Fields of the worst apply that the CRM accepted and did not keep.
        sent: Fields of that apply that were sent.
        rolled_back: Fields that the largest rollback put back.
        outside: Writes to properties that are not ours that were attempted.
        auto_demotions: Times it lost a level by itself.
        rehearsed_at: When a rollback of its writes was last rehearsed.
    """

    since: datetime
    approved: int = 0
    rejected: int = 0
    counted: int = 0
    written: int = 0
    overwritten: int = 0
    not_kept: int = 0
    sent: int = 0
    rolled_back: int = 0
    outside: int = 0
    auto_demotions: int = 0
    rehearsed_at: datetime | None = None

    @property
    def reviewed(self) -> int:
        """Decisions that count: approvals as far as they were looked at, rejections all."""
        return self.counted + self.rejected

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Wilson's interval of the share of decisions that were approvals; None without decisions."""
        if not self.reviewed:
            return None
        from scipy import stats

        test: Any = stats.binomtest(self.counted, self.reviewed)  # pyright: ignore[reportUnknownMemberType]
        found = test.proportion_ci(confidence_level=confidence, method="wilson")
        return float(found.low), float(found.high)

    def as_json(self) -> dict[str, Any]:
        """All numbers, for the ledger."""
        return {
            "since": self.since.isoformat(),
            "approved": self.approved,
            "rejected": self.rejected,
            "reviewed": self.reviewed,
            "written": self.written,
            "overwritten": self.overwritten,
            "not_kept": self.not_kept,
            "sent": self.sent,
            "rolled_back": self.rolled_back,
            "outside": self.outside,
            "auto_demotions": self.auto_demotions,
            "rehearsed_at": self.rehearsed_at.isoformat() if self.rehearsed_at else None,
        }


def measure(
    con: duckdb.DuckDBPyConnection, target: Target, since: datetime, *, counted_per_verdict: int = 1_000_000_000
) -> Evidence:
    """Count everything about a target that happened after `since`."""
    operation, name = target
    mine = {"operation": operation, "property": name}
    timed = {**mine, "since": utc(since)}

    def one(sql: str, parameters: dict[str, Any]) -> Sequence[Any]:
        return con.execute(sql, parameters).fetchone() or ()

    if not one(f"select 1 from plan_ops where {_MINE} limit 1", mine):
        return Evidence(since=utc(since))  # it never proposed anything
    approved, rejected, counted = one(_DECISIONS_SQL, {**timed, "counted": counted_per_verdict})
    written, overwritten = one(_OVERWRITTEN_SQL, timed)
    applies = con.execute(_NOT_KEPT_SQL, timed).fetchall()
    rolled_back = one(_ROLLED_BACK_SQL, timed)
    outside = one(
        "select count(*) from audit_events where action = 'write_outside_namespace' and occurred_at > $since "
        "and json_extract_string(body, '$.operation') = $operation "
        "and ($property is null or json_extract_string(body, '$.property') = $property)",
        timed,
    )
    lost = one(
        "select count(*) from autonomy_changes where kind = 'auto_demoted' and changed_at > $since "
        "and operation = $operation and property is not distinct from $property",
        timed,
    )
    rehearsed = one(_REHEARSED_SQL, mine)
    worst = applies[0] if applies else ("", 0, 0)
    return Evidence(
        since=utc(since),
        approved=int(approved),
        rejected=int(rejected),
        counted=int(counted),
        written=int(written),
        overwritten=int(overwritten),
        not_kept=int(worst[1]),
        sent=int(worst[2]),
        rolled_back=int(rolled_back[1]) if rolled_back else 0,
        outside=int(outside[0]),
        auto_demotions=int(lost[0]),
        rehearsed_at=utc(rehearsed[0]) if rehearsed and rehearsed[0] else None,
    )


def breaches(found: Evidence, limits: Demotion) -> list[str]:
    """What of this is a violation, in words; empty when nothing is. Pure."""
    said: list[str] = []
    if found.outside:
        said.append(f"{found.outside} writes outside our properties were attempted")
    if found.rolled_back >= limits.rolled_back_at_least:
        said.append(f"a rollback put back {found.rolled_back} of its fields")
    if found.written >= limits.fields_at_least and found.overwritten / found.written > limits.overwritten_share_above:
        said.append(f"others changed {found.overwritten} of the {found.written} fields it wrote")
    if found.sent >= limits.fields_at_least and found.not_kept / found.sent > limits.not_kept_share_above:
        said.append(f"the CRM did not keep {found.not_kept} of the {found.sent} fields of one apply")
    return said


def judge(
    level: int,
    ceiling: int,
    at_level: Evidence,
    in_window: Evidence,
    now: datetime,
    promotion: Promotion,
    demotion: Demotion,
) -> tuple[str, int, list[str]]:
    """Propose what to do with a level. Pure.

    Args:
        level: In force.
        ceiling: The highest it may ever have.
        at_level: What happened since it entered the level (and within the window): its record, and what is held against
            it.
        in_window: What happened within the window, at whatever level: any violation in it stops a promotion.
        now: The time of the review.
        promotion: What a step up takes.
        demotion: What speaks for a step down.

    Returns:
        `promote`, `hold` or `demote`; the level proposed; and why, or what is lacking, in words.
    """
    interval = at_level.interval(promotion.confidence)
    against = breaches(at_level, demotion)
    if interval and at_level.reviewed >= demotion.fields_at_least and interval[1] < demotion.acceptance_below:
        against.append(f"at most {interval[1]:.3f} of its changes find approval, below {demotion.acceptance_below:g}")
    if against and level > demotion.floor:
        return "demote", level - 1, against
    if level >= ceiling:
        return "hold", level, [*against, f"at its ceiling, L{ceiling}"]
    lacking = [*against, *(said for said in breaches(in_window, demotion) if said not in against)]
    if in_window.auto_demotions:
        lacking.append(f"it lost a level by itself in the last {promotion.window_days} days")
    if level == 1:
        # At L1 nothing is proposed, so there is nothing to decide about; at L2 a person looks at every change.
        return ("hold", level, lacking) if lacking else ("promote", 2, ["no violations; at L2 a person decides all"])
    if at_level.reviewed < promotion.decisions_at_least:
        lacking.append(f"{at_level.reviewed} of {promotion.decisions_at_least} decisions")
    if interval and interval[0] < promotion.acceptance_at_least:
        lacking.append(f"acceptance at least {interval[0]:.3f}, needs {promotion.acceptance_at_least:g}")
    if at_level.rehearsed_at is None:
        lacking.append("no rollback rehearsed")
    elif (now - at_level.rehearsed_at).days >= promotion.rehearsal_within_days:
        lacking.append(f"the last rehearsed rollback is {(now - at_level.rehearsed_at).days} days old")
    if lacking:
        return "hold", level, lacking
    assert interval is not None
    return (
        "promote",
        level + 1,
        [
            f"{at_level.counted} of {at_level.reviewed} decisions approved ({interval[0]:.3f} to {interval[1]:.3f})",
            "no violations",
            f"a rollback was rehearsed on {at_level.rehearsed_at:%Y-%m-%d}",
        ],
    )
