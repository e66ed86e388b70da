"""The review of autonomy levels: from the ledger to a proposal per operation, and the person who takes it.

A review changes nothing. It stores, for every operation and every property with a level of its own, whether to promote,
hold or demote, and the numbers that say so. A promotion is one step, taken by a named person who is not the one who
proposed it, while the evidence still holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl import audit
from reverse_etl.autonomy import (
    DENIED,
    SYSTEM,
    Change,
    Standing,
    Target,
    name_of,
    own_targets,
    record,
    require_person,
    standings,
)
from reverse_etl.autonomy_evidence import BEGINNING, Evidence, judge, measure
from reverse_etl.digest import sha256
from reverse_etl.store import Clock, NewId, new_id, opened, rows, transaction, utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a review proposes for one operation or property, and why."""

    proposal_id: str
    review_id: str
    operation: str
    property: str | None
    level: int
    ceiling: int
    proposal: str
    to_level: int
    reasons: tuple[str, ...]
    evidence: Mapping[str, Any]
    proposed_by: str
    policy_hash: str
    reviewed_at: datetime

    def name(self) -> str:
        """`operation` or `operation.property`."""
        return name_of((self.operation, self.property))


def weigh(
    con: duckdb.DuckDBPyConnection, standing: Standing, policy: Policy, now: datetime
) -> tuple[str, int, list[str], Evidence]:
    """Judge one target by the ledger as it is: proposal, level, reasons, and the evidence at its level."""
    target: Target = (standing.operation, standing.property)
    promotion = policy.autonomy.promotion
    window = utc(now) - timedelta(days=promotion.window_days)
    entered = max(window, standing.entered_at or BEGINNING)
    at_level = measure(con, target, entered, counted_per_verdict=promotion.counted_per_verdict)
    in_window = at_level if entered == window else measure(con, target, window)
    return (
        *judge(standing.level, standing.ceiling, at_level, in_window, utc(now), promotion, policy.autonomy.demotion),
        at_level,
    )


def review(
    ledger: Path | duckdb.DuckDBPyConnection,
    policy: Policy,
    clock: Clock,
    proposed_by: str,
    *,
    ids: NewId = new_id,
) -> tuple[Proposal, ...]:
    """Weigh every operation and every property with a level of its own, and store what to propose.

    Args:
        ledger: The ledger.
        policy: Ceilings and thresholds.
        clock: Now, in UTC.
        proposed_by: Who asks for the review; the same person may not take what it proposes.
        ids: New ids.
    """
    with opened(ledger) as con:
        now, review_id = utc(clock()), ids("review")
        places = standings(con, policy)
        found: list[Proposal] = []
        for target in own_targets(con, policy):
            standing = places[target]
            proposal, to_level, reasons, evidence = weigh(con, standing, policy, now)
            interval = evidence.interval(policy.autonomy.promotion.confidence)
            numbers = {
                **evidence.as_json(),
                "acceptance": None if interval is None else [round(x, 6) for x in interval],
            }
            found.append(
                Proposal(
                    ids("proposal"), review_id, *target, standing.level, standing.ceiling, proposal, to_level,
                    tuple(reasons), numbers, proposed_by, policy.hash, now,
                )
            )  # fmt: skip
        with transaction(con):
            for one in found:
                con.execute(
                    "insert into autonomy_reviews values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        one.proposal_id, review_id, one.operation, one.property, one.level, one.ceiling, one.proposal,
                        one.to_level, json.dumps(one.reasons), json.dumps(one.evidence, sort_keys=True), proposed_by,
                        policy.hash, now,
                    ],
                )  # fmt: skip
            audit.append(
                con,
                clock,
                proposed_by,
                "autonomy_reviewed",
                review_id,
                {"policy_hash": policy.hash, "proposals": {one.proposal_id: _seal(one) for one in found}},
            )
        audit.anchor(con, clock)
        return tuple(found)


def review_if_due(
    ledger: Path | duckdb.DuckDBPyConnection, policy: Policy, clock: Clock, *, ids: NewId = new_id
) -> tuple[Proposal, ...]:
    """Review when the last one is a week old (`review_every_days`) and something was written since; else do nothing.

    Who asks is Nightdesk itself, so any person in the right role may take what is proposed.
    """
    with opened(ledger) as con:
        last, written = con.execute(
            "select (select max(reviewed_at) from autonomy_reviews), "
            "(select max(started_at) from apply_runs where not dry_run)"
        ).fetchone() or (None, None)
        every = timedelta(days=policy.autonomy.review_every_days)
        if written is None or (last is not None and (written <= last or utc(clock()) - utc(last) < every)):
            return ()
        return review(con, policy, clock, SYSTEM, ids=ids)


def _seal(one: Proposal) -> str:
    """Hash of what matters in a proposal; the audit trail keeps it, so that no row can be made to say otherwise."""
    parts = (one.operation, one.property, one.level, one.ceiling, one.proposal, one.to_level, one.proposed_by)
    return sha256(json.dumps([*parts, one.policy_hash], separators=(",", ":")))


def newest(con: duckdb.DuckDBPyConnection) -> dict[Target, Proposal]:
    """The newest proposal for every target that has one and that the audit trail bears out."""
    found: dict[Target, Proposal] = {}
    for row in rows(
        con,
        """
        select autonomy_reviews.* replace (reasons::varchar as reasons, evidence::varchar as evidence),
            event.body::varchar as body
        from autonomy_reviews
        inner join audit_events as event
            on event.action = 'autonomy_reviewed' and event.subject = autonomy_reviews.review_id
            and event.actor = autonomy_reviews.proposed_by
        order by event.sequence
        """,
    ):
        sealed = json.loads(row.pop("body"))["proposals"]
        row["reasons"], row["evidence"] = tuple(json.loads(row["reasons"])), json.loads(row["evidence"])
        row["reviewed_at"] = utc(row["reviewed_at"])
        one = Proposal(**row)
        if sealed.get(one.proposal_id) == _seal(one):
            found[one.operation, one.property] = one
    return found


def promote(
    ledger: Path | duckdb.DuckDBPyConnection,
    target: Target,
    by: str,
    role: str,
    reason: str,
    policy: Policy,
    clock: Clock,
    *,
    ids: NewId = new_id,
) -> Change:
    """Raise a level by exactly one step, as proposed by a review that still holds.

    Raises:
        NightdeskError: Exit code 5, with what is lacking: not a named person in the right role, at the ceiling, no
            valid proposal, the proposer, or evidence that no longer holds.
    """
    require_person(policy, by, role, reason)
    name = name_of(target)
    with opened(ledger) as con:
        now = utc(clock())
        standing = standings(con, policy)[target]
        if standing.level >= standing.ceiling:
            raise NightdeskError(
                f"`{name}` stands at L{standing.level}, which is its ceiling",
                where="policies/autonomy.yml",
                todo="The ceiling is policy; some stay at L4 whatever the policy says (docs/autonomy.md).",
                exit_code=DENIED,
            )
        proposed = newest(con).get(target)
        valid = timedelta(days=policy.autonomy.promotion.proposal_valid_days)
        if (
            proposed is None
            or proposed.proposal != "promote"
            or proposed.level != standing.level
            or proposed.policy_hash != policy.hash
            or now - proposed.reviewed_at > valid
            or now < proposed.reviewed_at
        ):
            _, _, reasons, _ = weigh(con, standing, policy, now)
            raise NightdeskError(
                f"No valid proposal raises `{name}` from L{standing.level}: {'; '.join(reasons)}",
                where="autonomy_reviews",
                todo="Run `nightdesk autonomy review`; it proposes when the evidence is there.",
                exit_code=DENIED,
            )
        if proposed.proposed_by.strip().casefold() == by.strip().casefold():
            raise NightdeskError(
                f"`{by}` made this proposal and cannot take it",
                where=proposed.proposal_id,
                todo="Ask somebody else.",
                exit_code=DENIED,
            )
        verdict, to_level, reasons, evidence = weigh(con, standing, policy, now)
        if verdict != "promote":
            raise NightdeskError(
                f"The evidence for `{name}` no longer holds: {'; '.join(reasons)}",
                where=proposed.proposal_id,
                todo="Run `nightdesk autonomy review` again.",
                exit_code=DENIED,
            )
        with transaction(con):
            change = record(
                con, target, standing.level, to_level, "promoted",
                by=by.strip(), role=role, reason=reason, evidence={"reasons": reasons, **evidence.as_json()},
                policy=policy, clock=clock, proposal_id=proposed.proposal_id, ids=ids,
            )  # fmt: skip
        audit.anchor(con, clock)
        return change
