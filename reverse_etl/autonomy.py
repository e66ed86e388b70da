"""The autonomy level of every operation and property: what the ledger says was earned, under the ceilings of policy.

A level is never set, only changed: one step up by a person who takes a proposal (`autonomy_review`), any number of
steps down by a person, one step down by itself when something went wrong (`after_apply`). Every change is a row of
`autonomy_changes` with its event in the audit trail; where the two disagree, nothing is planned at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nightdesk.errors import NightdeskError
from nightdesk.policy import caps
from reverse_etl import audit
from reverse_etl.digest import sha256
from reverse_etl.store import Clock, NewId, new_id, opened, rows, transaction, utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy

Target = tuple[str, str | None]
Kind = Literal["promoted", "demoted", "auto_demoted"]
DENIED, STALE = 5, 4
SYSTEM = "nightdesk"
_DISTRUSTED = 8

# Every change with the event that bears it out, in the order of the audit trail.
_HEARD_SQL = """
select autonomy_changes.*, event.sequence
from autonomy_changes
inner join audit_events as event
    on event.action = 'autonomy_' || autonomy_changes.kind
    and event.actor = autonomy_changes.changed_by
    and json_extract_string(event.body, '$.change_id') = autonomy_changes.change_id
    and json_extract_string(event.body, '$.operation') = autonomy_changes.operation
    and json_extract_string(event.body, '$.property') is not distinct from autonomy_changes.property
    and json_extract(event.body, '$.from_level')::integer = autonomy_changes.from_level
    and json_extract(event.body, '$.to_level')::integer = autonomy_changes.to_level
    and json_extract_string(event.body, '$.changed_at')::timestamptz = autonomy_changes.changed_at
    and json_extract_string(event.body, '$.role') is not distinct from autonomy_changes.role
    and json_extract_string(event.body, '$.evidence_sha256') = sha256(autonomy_changes.evidence::varchar)
"""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a level. `property` None: the operation as a whole, with all properties without a level of their
    own."""

    change_id: str
    operation: str
    property: str | None
    from_level: int
    to_level: int
    kind: Kind
    changed_by: str
    role: str | None
    reason: str
    changed_at: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def name(self) -> str:
        """`operation` or `operation.property`."""
        return name_of((self.operation, self.property))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an operation or property stands: `level` is in force, the smaller of `earned` and `ceiling`."""

    operation: str
    property: str | None
    level: int
    ceiling: int
    earned: int
    entered_at: datetime | None
    changed_by: str | None


def name_of(target: Target) -> str:
    """Write a target the way people do: `icp_fit`, or `icp_fit.nightdesk_icp_score`."""
    return target[0] if target[1] is None else f"{target[0]}.{target[1]}"


def parse_target(text: str, policy: Policy) -> Target:
    """Read `OPERATION` or `OPERATION.PROPERTY`.

    Raises:
        NightdeskError: There is no such operation, or it writes no such property.
    """
    operation, dot, name = text.strip().partition(".")
    if operation not in policy.autonomy.operations:
        known = ", ".join(sorted(policy.autonomy.operations))
        raise NightdeskError(f"There is no operation `{operation}`", where=text, todo=f"Operations: {known}.")
    if not dot:
        return operation, None
    if (operation, name) not in caps.property_ceilings(policy):
        mine = sorted(p for o, p in caps.property_ceilings(policy) if o == operation)
        raise NightdeskError(
            f"`{operation}` writes no property `{name}`",
            where=text,
            todo=f"Properties: {', '.join(mine)}." if mine else "It writes no property of the CRM.",
        )
    return operation, name


def heard(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Every change of a level, oldest first.

    Raises:
        NightdeskError: Exit code 8: table and audit trail disagree (a row was added, changed or taken away).
    """
    found = rows(con, f"{_HEARD_SQL} order by event.sequence")
    counts = con.execute(
        "select (select count(*) from autonomy_changes), (select count(*) from audit_events where action in "
        "('autonomy_promoted', 'autonomy_demoted', 'autonomy_auto_demoted'))"
    ).fetchone() or (0, 0)
    if not counts[0] == counts[1] == len(found):
        raise NightdeskError(
            "The autonomy levels and the audit trail disagree",
            where=f"{counts[0]} changes in the ledger, {counts[1]} in the trail, {len(found)} in both",
            todo="Compare the ledger with its backup (`nightdesk audit verify`); nothing is planned until then.",
            exit_code=_DISTRUSTED,
        )
    return found


def ceiling_of(policy: Policy, target: Target) -> int:
    """The highest level a target may ever have."""
    operation, name = target
    if name is None:
        return caps.operation_ceiling(policy, operation)
    return caps.property_ceilings(policy).get((operation, name), 1)


def standings(con: duckdb.DuckDBPyConnection, policy: Policy) -> dict[Target, Standing]:
    """Where every operation of the policy and every mapped property stands."""
    last: dict[Target, dict[str, Any]] = {}
    for change in heard(con):
        last[change["operation"], change["property"]] = change
    found: dict[Target, Standing] = {}

    def stand(target: Target, ceiling: int, inherited: Standing | None) -> Standing:
        change = last.get(target)
        if change is None and inherited is not None:
            earned, since, by = inherited.level, inherited.entered_at, inherited.changed_by
        elif change is None:
            earned, since, by = caps.STARTS_AT, None, None
        else:
            earned, since, by = int(change["to_level"]), utc(change["changed_at"]), str(change["changed_by"])
        return Standing(target[0], target[1], min(earned, ceiling), ceiling, earned, since, by)

    for operation in policy.autonomy.operations:
        found[operation, None] = stand((operation, None), caps.operation_ceiling(policy, operation), None)
    for (operation, name), ceiling in caps.property_ceilings(policy).items():
        found[operation, name] = stand((operation, name), ceiling, found.get((operation, None)))
    return found


def levels(con: duckdb.DuckDBPyConnection, policy: Policy) -> Mapping[Target, int]:
    """The level in force of every operation (`(operation, None)`) and every mapped property (`(operation, property)`).

    In force is the smaller of the ledger's level and the ceiling; what nobody has promoted stands at 2, or at its
    ceiling if that is lower. A property without a level of its own has its operation's.

    Raises:
        NightdeskError: Exit code 8: the ledger's levels and the audit trail disagree.
    """
    return {target: standing.level for target, standing in standings(con, policy).items()}


def own_targets(con: duckdb.DuckDBPyConnection, policy: Policy) -> list[Target]:
    """Every operation, and the properties that policy or ledger give a level of their own."""
    mapped = caps.property_ceilings(policy)
    named = {(str(o), name) for o, entry in policy.autonomy.operations.items() for name in entry.properties}
    changed = {(c["operation"], c["property"]) for c in heard(con) if c["property"] is not None}
    targets: list[Target] = [(operation, None) for operation in policy.autonomy.operations]
    return targets + sorted(target for target in named | changed if target in mapped)


def require_levels(con: duckdb.DuckDBPyConnection, plan_id: str, policy: Policy) -> None:
    """Refuse a plan that was decided at a level its operations have lost since.

    Raises:
        NightdeskError: Exit code 4, as for every stale plan.
    """
    now = levels(con, policy)
    for operation, name, level in con.execute(
        "select operation, property, max(autonomy_level) from plan_ops where plan_id = ? and decision <> 'denied' "
        "group by all order by all",
        [plan_id],
    ).fetchall():
        current = now.get((operation, name), now.get((operation, None), 1))
        if current < level:
            raise NightdeskError(
                f"`{operation}` stood at L{level} when the plan was made and stands at L{current} now",
                where=plan_id,
                todo="Make a new plan with `nightdesk plan`.",
                exit_code=STALE,
            )


def require_person(policy: Policy, by: str, role: str, reason: str) -> None:
    """Refuse a change of a level by anybody but a named person in a role the policy lists, with a reason.

    Raises:
        NightdeskError: Exit code 5.
    """
    if not by.strip() or by.strip().casefold() == SYSTEM:
        raise NightdeskError(
            "A level is raised or lowered by a named person",
            where=by or "no name",
            todo="Say who with --as NAME.",
            exit_code=DENIED,
        )
    if role not in policy.autonomy.roles:
        raise NightdeskError(
            f"The role `{role}` may not change autonomy levels",
            where="policies/autonomy.yml",
            todo=f"Roles in policy: {', '.join(policy.autonomy.roles)}.",
            exit_code=DENIED,
        )
    listed = policy.approvals.approvers
    if listed and policy.approvals.find(by.strip()) is None:
        raise NightdeskError(
            f"`{by}` is not among the people who decide",
            where="policies/approvals.yml",
            todo="Say who you are with --as, or have somebody add you to the file.",
            exit_code=DENIED,
        )
    if not reason.strip():
        raise NightdeskError("A change of a level needs a reason", todo="Say why with --reason.", exit_code=DENIED)


def record(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    from_level: int,
    to_level: int,
    kind: Kind,
    *,
    by: str,
    role: str | None,
    reason: str,
    evidence: Mapping[str, Any],
    policy: Policy,
    clock: Clock,
    proposal_id: str | None = None,
    apply_run_id: str | None = None,
    ids: NewId = new_id,
) -> Change:
    """Write one change and its audit event inside the caller's transaction; who may is for the caller to have checked.

    Raises:
        NightdeskError: Not exactly one step up, or not down.
    """
    if (to_level != from_level + 1) if kind == "promoted" else not 1 <= to_level < from_level:
        raise NightdeskError(
            f"L{from_level} to L{to_level} is not a step that can be taken", where=name_of(target), exit_code=DENIED
        )
    change_id, now = ids("autonomy"), utc(clock())
    text = json.dumps(evidence, sort_keys=True, default=str)
    con.execute(
        "insert into autonomy_changes values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            change_id, *target, from_level, to_level, kind, by, role, reason, proposal_id, apply_run_id, text,
            policy.hash, now,
        ],
    )  # fmt: skip
    audit.append(
        con,
        clock,
        by,
        f"autonomy_{kind}",
        name_of(target),
        {
            "change_id": change_id,
            "operation": target[0],
            "property": target[1],
            "from_level": from_level,
            "to_level": to_level,
            "role": role,
            # Words may have to be erased one day; the chain keeps what proves them.
            "reason_sha256": sha256(reason),
            "evidence_sha256": sha256(text),
            "proposal_id": proposal_id,
            "apply_run_id": apply_run_id,
            "policy_hash": policy.hash,
            "changed_at": now.isoformat(),
        },
    )
    return Change(change_id, *target, from_level, to_level, kind, by, role, reason, now, evidence)


def lower(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    to_level: int,
    kind: Kind,
    *,
    by: str,
    role: str | None,
    reason: str,
    evidence: Mapping[str, Any],
    policy: Policy,
    clock: Clock,
    apply_run_id: str | None = None,
    ids: NewId = new_id,
) -> list[Change]:
    """Lower a target inside the caller's transaction, and with an operation its properties that stand higher."""
    now = standings(con, policy)
    own = {other for other in own_targets(con, policy) if other[0] == target[0] and other[1] is not None}
    fallen: list[Target] = [target]
    if target[1] is None:
        fallen += sorted(other for other in own if now[other].earned > to_level)
    return [
        record(
            con,
            one,
            # What was earned goes, also where a ceiling keeps it from being in force: no policy gives it back.
            now[one].earned,
            to_level,
            kind,
            by=by,
            role=role,
            reason=reason,
            evidence=evidence,
            policy=policy,
            clock=clock,
            apply_run_id=apply_run_id,
            ids=ids,
        )
        for one in fallen
        if now[one].earned > to_level
    ]


def demote(
    ledger: Path | duckdb.DuckDBPyConnection,
    target: Target,
    by: str,
    role: str,
    reason: str,
    policy: Policy,
    clock: Clock,
    *,
    to_level: int | None = None,
    ids: NewId = new_id,
) -> tuple[Change, ...]:
    """Lower a level by one step, or to `to_level`; a person may do this at any time.

    Lowering an operation lowers its properties that have a higher level of their own, too.

    Raises:
        NightdeskError: Exit code 5: not a named person in the right role, or not a lower level.
    """
    require_person(policy, by, role, reason)
    with opened(ledger) as con:
        level = standings(con, policy)[target].level
        goal = level - 1 if to_level is None else to_level
        if not 1 <= goal < level:
            raise NightdeskError(
                f"`{name_of(target)}` stands at L{level}"
                + (" and cannot be lowered" if level == 1 else f": L{goal} is not below it"),
                todo="`nightdesk autonomy` shows where everything stands.",
                exit_code=DENIED,
            )
        evidence = {"level": level, "taken_by_person": True}
        with transaction(con):
            changes = lower(
                con, target, goal, "demoted",
                by=by, role=role, reason=reason, evidence=evidence, policy=policy, clock=clock, ids=ids,
            )  # fmt: skip
        audit.anchor(con, clock)
        return tuple(changes)


def after_apply(
    con: duckdb.DuckDBPyConnection,
    apply_run_id: str,
    policy: Policy,
    clock: Clock,
    actor: str,
    *,
    ids: NewId = new_id,
) -> tuple[Change, ...]:
    """Lower, by one step, whatever was violated since it entered its level; call it at the end of every apply.

    Looks at all that happened since, not only at this run: a run that was killed before it got here is made up for by
    the next. What was violated before the last change of a level is not punished twice, so calling it again does
    nothing.

    Args:
        con: The ledger.
        apply_run_id: The run that has ended; recorded with the change.
        policy: The policy; the thresholds are in `autonomy.yml` under `demotion`.
        clock: Now, in UTC.
        actor: Who applied; recorded in the evidence. Nobody has to agree.

    Returns:
        The changes made, none on a good day.
    """
    from reverse_etl.autonomy_evidence import BEGINNING, breaches, measure

    floor = policy.autonomy.demotion.floor
    made: list[Change] = []
    for target in own_targets(con, policy):
        standing = standings(con, policy)[target]
        if standing.level <= floor:
            continue
        found = measure(con, target, standing.entered_at or BEGINNING)
        broken = breaches(found, policy.autonomy.demotion)
        if not broken:
            continue
        evidence = {"level": standing.level, "breaches": broken, "applied_by": actor, **found.as_json()}
        with transaction(con):
            made += lower(
                con, target, standing.level - 1, "auto_demoted",
                by=SYSTEM, role=None, reason="; ".join(broken), evidence=evidence, policy=policy, clock=clock,
                apply_run_id=apply_run_id, ids=ids,
            )  # fmt: skip
    if made:
        audit.anchor(con, clock)
    return tuple(made)


def outside_namespace(
    con: duckdb.DuckDBPyConnection,
    apply_run_id: str,
    object_type: str,
    property_name: str,
    policy: Policy,
    clock: Clock,
    actor: str,
    *,
    ids: NewId = new_id,
) -> tuple[Change, ...]:
    """Somebody tried to write a property that is not ours (`NotOurProperty`): keep it, and stop who proposed it at L1.

    The adapter has refused already; this is for the operations of that plan that wanted the property. At L1 an
    operation proposes nothing until a person lets it again.
    """
    wanted = [
        str(row[0])
        for row in con.execute(
            "select distinct operation from plan_ops inner join apply_runs using (plan_id) "
            "where apply_run_id = ? and object_type = ? and property = ? order by 1",
            [apply_run_id, object_type, property_name],
        ).fetchall()
    ]
    made: list[Change] = []
    with transaction(con):
        for operation in wanted or [None]:
            audit.append(
                con,
                clock,
                actor,
                "write_outside_namespace",
                apply_run_id,
                {"operation": operation, "object_type": object_type, "property": property_name},
            )
        now = standings(con, policy)
        for operation in wanted:
            if (operation, None) in now and now[operation, None].earned > 1:
                evidence = {"object_type": object_type, "property": property_name, "applied_by": actor}
                made += lower(
                    con, (operation, None), 1, "auto_demoted",
                    by=SYSTEM, role=None, reason=f"a write to {object_type}.{property_name} was attempted",
                    evidence=evidence, policy=policy, clock=clock, apply_run_id=apply_run_id, ids=ids,
                )  # fmt: skip
    audit.anchor(con, clock)
    return tuple(made)
