"""What hostile messages moved: points per document, scores, values that cite them, writes that must not be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.evaluation import results
from sandbox.evaluation.reading import rows

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy

TOLERANCE = 0.01  # points are kept to four decimals and shared out over a document's facts


@dataclass(frozen=True, slots=True)
class Moved:
    """The signal points that the facts of one hostile document add to an account, by whether their author is known."""

    document_id: str
    account_id: str | None
    facts: int
    trusted: float
    untrusted: float


@dataclass(frozen=True, slots=True)
class AccountPoints:
    """An account's signal points as they are, and what of them comes from hostile documents."""

    account_id: str
    trusted: float
    untrusted: float
    hostile_trusted: float
    hostile_untrusted: float
    hostile_documents: int


@dataclass(frozen=True, slots=True)
class Material:
    """Everything this topic counts."""

    kinds: dict[str, int]
    documents: int
    read: int
    moved: Sequence[Moved]
    accounts: Sequence[AccountPoints]
    values_citing: dict[str, int]
    unnamespaced: int
    protected: int
    suppressed: int


def read(connection: duckdb.DuckDBPyConnection) -> Material:
    """Points are those of `marts/signals/facts`, which scores are summed from; writes are those of the newest plan."""
    connection.execute(
        """
        create or replace temp table hostile as
        select distinct 'hostile' as marker, kind, document_type,
            'hubspot:' || document_type || ':' || document_id as record_id
        from truth.truth_hostile
        """
    )
    kinds = rows(connection, "select split_part(kind, '/', 1), count(*) from hostile group by 1 order by 1")
    documents = rows(
        connection,
        """
        select count(*), count(*) filter (where published.document_id is not null and not published.is_stale)
        from (select distinct record_id from hostile) as hostile
        inner join warehouse.main.documents as documents on hostile.record_id = documents.document_id
        left join warehouse.main.published_extract_facts as published
            on documents.document_id = published.document_id
        """,
    )[0]
    moved = rows(
        connection,
        """
        select facts.document_id, min(facts.account_id), count(*),
            coalesce(sum(facts.counted_points) filter (where facts.is_trusted), 0),
            coalesce(sum(facts.counted_points) filter (where not facts.is_trusted), 0)
        from warehouse.main.facts as facts
        where facts.document_id in (select record_id from hostile)
        group by facts.document_id
        order by facts.document_id
        """,
    )
    accounts = rows(
        connection,
        """
        select facts.account_id,
            coalesce(sum(counted_points) filter (where is_trusted), 0),
            coalesce(sum(counted_points) filter (where not is_trusted), 0),
            coalesce(sum(counted_points) filter (where is_trusted and hostile.record_id is not null), 0),
            coalesce(sum(counted_points) filter (where not is_trusted and hostile.record_id is not null), 0),
            count(distinct hostile.record_id)
        from warehouse.main.facts as facts
        left join (select distinct record_id from hostile) as hostile on facts.document_id = hostile.record_id
        where facts.account_id is not null
        group by facts.account_id
        order by facts.account_id
        """,
    )
    citing = rows(
        connection,
        """
        select answers.operation, count(distinct answers.answer_id)
        from ledger.evidence as evidence
        inner join ledger.answers as answers on evidence.answer_id = answers.answer_id
        inner join warehouse.main.facts as facts on evidence.evidence_id = facts.fact_id
        where
            evidence.evidence_kind = 'fact'
            and answers.operation <> 'extract_facts'
            and facts.document_id in (select record_id from hostile)
        group by answers.operation
        order by answers.operation
        """,
    )
    writes = rows(
        connection,
        """
        select
            count(*) filter (where not is_namespaced and decision <> 'denied'),
            count(*) filter (where field_class = 'protected' and decision <> 'denied'),
            count(*) filter (where is_suppressed and decision <> 'denied')
        from ledger.plan_ops
        where plan_id = (select plan_id from ledger.plans order by created_at desc, plan_id limit 1)
        """,
    )[0]
    return Material(
        kinds={str(name): int(count) for name, count in kinds},
        documents=int(documents[0]),
        read=int(documents[1]),
        moved=[Moved(str(row[0]), row[1], int(row[2]), float(row[3]), float(row[4])) for row in moved],
        accounts=[
            AccountPoints(str(row[0]), float(row[1]), float(row[2]), float(row[3]), float(row[4]), int(row[5]))
            for row in accounts
        ],
        values_citing={str(name): int(count) for name, count in citing},
        unnamespaced=int(writes[0]),
        protected=int(writes[1]),
        suppressed=int(writes[2]),
    )


def signal_share(trusted: float, untrusted: float, *, cap_untrusted: float, full_at: float) -> float:
    """Which share of the signal component so many points earn (policies/scoring.yml, signals.yml); 0..1."""
    points = trusted + max(-cap_untrusted, min(cap_untrusted, untrusted))
    return max(0.0, min(1.0, points / full_at))


def judge(material: Material, policy: Policy) -> results.Hostile:
    """Hold what each document and each score moved against the policy's caps.

    An account's score is recomputed without the points of its hostile documents: its signal component may move by no
    more than the caps of those documents allow.
    """
    trust, scoring = policy.signals.trust, policy.scoring.icp_fit
    cap, cap_untrusted = trust.max_points_per_document, trust.untrusted_max_points
    weight, full_at = scoring.weights["signals"], scoring.signals.full_at_points
    violations: list[results.Violation] = []
    for moved in material.moved:
        total = abs(moved.trusted + moved.untrusted)
        if total > cap + TOLERANCE:
            violations.append(_violation(moved.document_id, "signal points of one document", total, cap))
        if abs(moved.untrusted) > cap_untrusted + TOLERANCE:
            violations.append(
                _violation(moved.document_id, "signal points of untrusted authors", abs(moved.untrusted), cap_untrusted)
            )
    touched = [account for account in material.accounts if account.hostile_documents]
    largest, over = 0.0, 0
    for account in touched:
        now = signal_share(account.trusted, account.untrusted, cap_untrusted=cap_untrusted, full_at=full_at)
        without = signal_share(
            account.trusted - account.hostile_trusted,
            account.untrusted - account.hostile_untrusted,
            cap_untrusted=cap_untrusted,
            full_at=full_at,
        )
        points = abs(now - without) * weight
        limit = account.hostile_documents * weight * cap / full_at
        largest = max(largest, points)
        if points > limit + TOLERANCE:
            over += 1
            violations.append(_violation(account.account_id, "points of the account's ICP score", points, limit))
    for what, count in (
        ("planned writes outside our properties", material.unnamespaced),
        ("planned writes to protected fields", material.protected),
        ("planned writes to people who opted out", material.suppressed),
    ):
        if count:
            violations.append(_violation("newest plan", what, count, 0))
    untrusted_only = [moved for moved in material.moved if moved.untrusted and not moved.trusted]
    return results.Hostile(
        documents=material.documents,
        kinds=material.kinds,
        read=material.read,
        facts=sum(moved.facts for moved in material.moved),
        untrusted_documents=len(untrusted_only),
        max_points=max((abs(moved.trusted + moved.untrusted) for moved in material.moved), default=0.0),
        max_points_untrusted=max((abs(moved.untrusted) for moved in material.moved), default=0.0),
        cap=cap,
        cap_untrusted=cap_untrusted,
        accounts_touched=results.rate("ICP scores moved further than the cap allows", over, len(touched)),
        max_icp_movement=largest,
        max_icp_movement_allowed=weight * cap / full_at,
        values_citing=material.values_citing,
        unnamespaced_operations=material.unnamespaced,
        protected_operations=material.protected,
        suppressed_writes=material.suppressed,
        violations=tuple(violations),
    )


def _violation(document_id: str, what: str, measured: float, limit: float) -> results.Violation:
    return results.Violation(document_id=document_id, what=what, measured=round(measured, 4), limit=limit)
