"""What people see of links and decide about them: list, explain, confirm, reject."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from nightdesk import ledger
from nightdesk.clock import Clock
from nightdesk.errors import NightdeskError
from nightdesk.identity import clusters, store
from nightdesk.identity.pairs import inputs_hash
from nightdesk.identity.score import Reason

if TYPE_CHECKING:
    import duckdb

    from nightdesk.settings import Settings

Status = Literal["suggested", "confirmed", "rejected"]
STATUSES: tuple[Status, ...] = ("suggested", "confirmed", "rejected")
KINDS = {"contacts": ("same_person",), "companies": ("same_account", "related_account")}
_SAME = ("same_person", "same_account")
_DENIED = 5


@dataclass(frozen=True, slots=True)
class Side:
    """One record of a link, as a person reads it; empty where nothing is known."""

    record_id: str
    name: str
    details: dict[str, str]
    inputs_hash: str
    is_live: bool


@dataclass(frozen=True, slots=True)
class Link:
    """A pair of records and what holds about it."""

    link_id: str
    object_type: str
    kind: str
    status: Status
    left: Side
    right: Side
    rule: str | None
    probability: float | None
    weight: float | None
    reasons: tuple[Reason, ...]
    is_likely: bool
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    has_changed_since: bool


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision did.

    Attributes:
        also: Links that join a rejected pair by way of other records: nothing joins these records until one of them is
            rejected too.
    """

    link: Link
    also: tuple[Link, ...] = ()


def links(settings: Settings, status: Status | None = None, *, everything: bool = False) -> list[Link]:
    """Links, most probable first.

    Args:
        settings: Where things are.
        status: Only these.
        everything: With suggestions that only hold back opt-outs, and with records that were archived.

    Raises:
        NightdeskError: The warehouse has not been built.
    """
    with _opened(settings) as con:
        found = [one for one in _read(con) if status is None or one.status == status]
    if not everything:
        found = [
            one
            for one in found
            if one.status != "suggested" or (one.is_likely and one.left.is_live and one.right.is_live)
        ]
    return sorted(found, key=lambda one: (-(one.probability or 1.0), one.link_id))


def find(settings: Settings, name: str) -> Link:
    """The link of an id, or of the beginning of one.

    Raises:
        NightdeskError: None, or several.
    """
    with _opened(settings) as con:
        return _one(_read(con), name)


def decide(
    settings: Settings,
    name: str,
    decision: store.Decision,
    *,
    actor: str,
    clock: Clock,
    reason: str | None = None,
    kind: str | None = None,
    new_id: Callable[[], str] = lambda: f"review_{uuid.uuid4().hex[:16]}",
) -> Decided:
    """Record what a person says about a pair. Nothing is written to any CRM.

    Args:
        settings: Where things are.
        name: The link's id, or its beginning.
        decision: What they say.
        actor: Who.
        clock: When.
        reason: Why.
        kind: `related_account` for accounts that belong together and are not the same; what was suggested when None.
        new_id: Gives the decision's id.

    Raises:
        NightdeskError: No such link, a kind that does not fit, or confirming would make one of a pair that was
            rejected (exit code 5).
    """
    with _opened(settings, read_only=False) as con:
        everything = _read(con)
        link = _one(everything, name)
        kind = kind or link.kind
        if kind not in KINDS[link.object_type]:
            raise NightdeskError(
                f"A link between {link.object_type} cannot be `{kind}`",
                where=link.link_id,
                todo=f"Use one of {', '.join(KINDS[link.object_type])}.",
            )
        same = [one for one in everything if one.kind in _SAME and one.link_id != link.link_id]
        joined = [(one.left.record_id, one.right.record_id) for one in same if one.status == "confirmed"]
        pair = (link.left.record_id, link.right.record_id)
        also: Sequence[Link] = ()
        if decision == "confirmed" and kind in _SAME:
            apart = {(one.left.record_id, one.right.record_id): one for one in same if one.status == "rejected"}
            if against := clusters.contradicted(joined, list(apart), pair):
                first = apart[against[0]]
                raise NightdeskError(
                    f"Confirming this would make one of {_called(first.left)} and {_called(first.right)}, "
                    f"which {first.decided_by} told apart",
                    where=f"{link.link_id} against {first.link_id}",
                    todo=f"Look at `nightdesk identity explain {first.link_id}` and confirm that one first, or reject "
                    "what joins them.",
                    exit_code=_DENIED,
                )
        if decision == "rejected":
            chain = set(clusters.still_joined(joined, pair))
            also = [one for one in same if (one.left.record_id, one.right.record_id) in chain]
        now = clock()
        con.begin()
        try:
            store.append_review(
                con,
                review_id=new_id(),
                link=link.link_id,
                object_type=link.object_type,
                kind=kind,
                left=pair[0],
                right=pair[1],
                decision=decision,
                reason=reason or None,
                reviewed_by=actor,
                inputs=inputs_hash(pair[0], link.left.inputs_hash, pair[1], link.right.inputs_hash),
                now=now,
            )
            _audit(con, clock, actor, decision, link.link_id, kind)
            con.commit()
        except BaseException:
            con.rollback()
            raise
        after = _one(_read(con), link.link_id)
    return Decided(after, tuple(also))


def _audit(
    con: duckdb.DuckDBPyConnection, clock: Clock, actor: str, decision: store.Decision, link: str, kind: str
) -> None:
    from reverse_etl import audit

    # The link's id is a hash: record ids would outlive an erasure in the chain.
    audit.append(con, clock, actor, f"identity_{decision}", link, {"kind": kind})


def _called(side: Side) -> str:
    return f"{side.name or 'somebody without a name'} ({side.record_id})"


@contextmanager
def _opened(settings: Settings, *, read_only: bool = True) -> Generator[duckdb.DuckDBPyConnection]:
    """The ledger with the warehouse beside it; `links_built` and `records` are views over dbt's models."""
    if not settings.warehouse.exists():
        raise NightdeskError(
            "There is no warehouse yet", where=str(settings.warehouse), todo="Run `nightdesk refresh` first."
        )
    with ledger.connect(settings.ledger, read_only=read_only, warehouse=settings.warehouse) as con:
        row = con.execute(
            "select schema_name from duckdb_tables() "
            "where database_name = 'warehouse' and table_name = 'int_identity_links' order by schema_name"
        ).fetchone()
        if row is None:
            raise NightdeskError(
                "The links have not been built yet", where=str(settings.warehouse), todo="Run `nightdesk build` first."
            )
        schema = f'warehouse."{row[0]}"'
        con.execute(
            f"""
            create temp view links_built as select * from {schema}.int_identity_links;
            create temp view records as
            select record_id, full_name as name, inputs_hash, is_live,
                json_object('email', email, 'phone', phone, 'company', company_name, 'title', job_title, 'city', city,
                    'country', country) as details
            from {schema}.int_identity_people
            union all
            select record_id, account_name, inputs_hash, is_live,
                json_object('domain', domain, 'city', city, 'country', country)
            from {schema}.int_identity_accounts
            """
        )
        yield con


def _read(con: duckdb.DuckDBPyConnection) -> list[Link]:
    """Every link: as dbt built it, with what people said since and what was weighed since."""
    rows = con.execute(
        """
        with reviews as (
            select * from identity_reviews
            qualify row_number() over (partition by link_id order by sequence desc) = 1
        ),

        weighed as (
            select * from identity_links
            qualify row_number() over (partition by link_id order by identity_run_id desc) = 1
        ),

        pairs as (
            select link_id, object_type, left_record_id, right_record_id from links_built where rule is not null
            union
            select link_id, object_type, left_record_id, right_record_id from weighed where not is_withdrawn
            union
            select link_id, object_type, left_record_id, right_record_id from reviews
        )

        select
            pairs.link_id,
            pairs.object_type,
            coalesce(reviews.kind, built.kind, weighed.kind) as kind,
            coalesce(reviews.decision, case when built.rule is not null then 'confirmed' else 'suggested' end),
            pairs.left_record_id, left_records.name, left_records.details, left_records.inputs_hash,
            left_records.is_live,
            pairs.right_record_id, right_records.name, right_records.details, right_records.inputs_hash,
            right_records.is_live,
            built.rule,
            weighed.match_probability,
            weighed.match_weight,
            weighed.weights,
            built.rule is not null or coalesce(weighed.match_probability >= settings.suggest_from, false),
            coalesce(reviews.reviewed_by, 'rule:' || built.rule),
            reviews.reviewed_at,
            reviews.reason,
            reviews.inputs_hash
        from pairs
        cross join (
            select max(try_cast(setting_value as double)) as suggest_from
            from policy_settings
            where policy = 'identity' and setting = 'suggest_from' and policy_hash = (
                select policy_hash from policy_loads order by loaded_at desc limit 1
            )
        ) as settings
        left join links_built as built on pairs.link_id = built.link_id and built.rule is not null
        left join weighed on pairs.link_id = weighed.link_id
        left join reviews on pairs.link_id = reviews.link_id
        left join records as left_records on pairs.left_record_id = left_records.record_id
        left join records as right_records on pairs.right_record_id = right_records.record_id
        """
    ).fetchall()
    return [_link(row) for row in rows]


def _link(row: tuple[Any, ...]) -> Link:
    left, right = _side(row[4:9]), _side(row[9:14])
    looked_at = row[22]
    now = inputs_hash(left.record_id, left.inputs_hash, right.record_id, right.inputs_hash)
    return Link(
        link_id=row[0],
        object_type=row[1],
        kind=row[2],
        status=row[3],
        left=left,
        right=right,
        rule=row[14],
        probability=row[15],
        weight=row[16],
        reasons=tuple(Reason(**one) for one in json.loads(row[17] or "[]")),
        is_likely=bool(row[18]),
        decided_by=row[19],
        decided_at=row[20],
        reason=row[21],
        has_changed_since=looked_at is not None and looked_at != now,
    )


def _side(row: Sequence[Any]) -> Side:
    record_id, name, details, hashed, is_live = row
    known = {key: str(value) for key, value in json.loads(details or "{}").items() if value}
    return Side(str(record_id), str(name or ""), known, str(hashed or ""), bool(is_live))


def _one(everything: Sequence[Link], name: str) -> Link:
    wanted = name if name.startswith("lnk_") else f"lnk_{name}"
    found = [one for one in everything if one.link_id == wanted] or [
        one for one in everything if one.link_id.startswith(wanted)
    ]
    if len(found) == 1:
        return found[0]
    raise NightdeskError(
        f"No link is called `{name}`" if not found else f"{len(found)} links begin with `{name}`",
        todo="`nightdesk identity list` shows the ids; any beginning that only one has will do.",
    )
