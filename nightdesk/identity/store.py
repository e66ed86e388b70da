"""Identity in the ledger: what was weighed and what people said. Ids, hashes and numbers; never names or addresses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from nightdesk.identity.pairs import inputs_hash, link_id
from nightdesk.identity.score import Scored

if TYPE_CHECKING:
    import duckdb

TABLES = ("identity_runs", "identity_links", "identity_reviews")
Decision = Literal["confirmed", "rejected"]


@dataclass(frozen=True, slots=True)
class Stored:
    """The newest row of a link that is not withdrawn."""

    link_id: str
    object_type: str
    kind: str
    left: str
    right: str
    probability: float
    weight: float
    inputs_hash: str
    model_hash: str
    weights: str


def last_inputs(con: duckdb.DuckDBPyConnection) -> tuple[str, str] | None:
    """(inputs hash, model hash) of the newest run; None before the first."""
    row = con.execute(
        "select inputs_hash, model_hash from identity_runs order by identity_run_id desc limit 1"
    ).fetchone()
    return (str(row[0]), str(row[1])) if row else None


def next_run_id(con: duckdb.DuckDBPyConnection, inputs: str, model: str) -> str:
    """The id of the next run: in order of time, and the same for the same history."""
    row = con.execute("select count(*) from identity_runs").fetchone()
    return (
        f"identity_{int(row[0]) + 1 if row else 1:06d}_{hashlib.sha256(f'{inputs}|{model}'.encode()).hexdigest()[:8]}"
    )


def standing_links(con: duckdb.DuckDBPyConnection, object_type: str) -> dict[str, Stored]:
    """Link id to its newest row, withdrawn ones left out."""
    rows = con.execute(
        """
        select link_id, object_type, kind, left_record_id, right_record_id, match_probability, match_weight,
            inputs_hash, model_hash, weights
        from identity_links
        where object_type = ?
        qualify row_number() over (partition by link_id order by identity_run_id desc) = 1
            and not is_withdrawn
        """,
        [object_type],
    ).fetchall()
    return {str(row[0]): Stored(*row) for row in rows}


def rows_to_append(
    standing: Mapping[str, Stored],
    scored: Iterable[Scored],
    record_hashes: Mapping[str, str],
    *,
    object_type: str,
    identity_run_id: str,
    model_hash: str,
    now: datetime,
) -> list[tuple[Any, ...]]:
    """The rows of `identity_links` that say what is new: pairs that came, changed or went. In order of link id.

    Args:
        standing: What the ledger says now.
        scored: What weighing gave.
        record_hashes: Record id to the hash of its inputs.
        object_type: Of all of these.
        identity_run_id: Of the run.
        model_hash: Of the run.
        now: When.
    """
    rows: dict[str, tuple[Any, ...]] = {}
    seen: set[str] = set()
    for one in scored:
        name = link_id(one.left, one.right)
        seen.add(name)
        inputs = inputs_hash(one.left, record_hashes[one.left], one.right, record_hashes[one.right])
        before = standing.get(name)
        new = (one.kind, one.probability, one.weight, inputs, model_hash)
        if before is not None and new == (
            before.kind,
            before.probability,
            before.weight,
            before.inputs_hash,
            before.model_hash,
        ):
            continue
        weights = json.dumps([asdict(reason) for reason in one.reasons], separators=(",", ":"))
        rows[name] = (
            name, identity_run_id, object_type, one.kind, one.left, one.right, one.probability, one.weight, weights,
            inputs, model_hash, False, now,
        )  # fmt: skip
    for name, before in standing.items():
        if name not in seen:
            rows[name] = (
                name, identity_run_id, object_type, before.kind, before.left, before.right, before.probability,
                before.weight, before.weights, before.inputs_hash, model_hash, True, now,
            )  # fmt: skip
    return [rows[name] for name in sorted(rows)]


def append_links(con: duckdb.DuckDBPyConnection, rows: list[tuple[Any, ...]]) -> None:
    """Append rows of `identity_links` inside the caller's transaction."""
    if not rows:
        return
    import pyarrow as pa

    names = [str(row[0]) for row in con.execute("describe identity_links").fetchall()]
    columns = dict(zip(names, (list(column) for column in zip(*rows, strict=True)), strict=True))
    con.register("identity_new_links", pa.table(columns))  # pyright: ignore
    con.execute("insert into identity_links select * from identity_new_links")
    con.unregister("identity_new_links")


def append_review(
    con: duckdb.DuckDBPyConnection,
    *,
    review_id: str,
    link: str,
    object_type: str,
    kind: str,
    left: str,
    right: str,
    decision: Decision,
    reason: str | None,
    reviewed_by: str,
    inputs: str,
    now: datetime,
) -> None:
    """Append one decision inside the caller's transaction; it is later than all before it, whatever the clock says."""
    con.execute(
        """
        insert into identity_reviews
        select ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, coalesce(max(sequence), 0) + 1, ? from identity_reviews
        """,
        [review_id, link, object_type, kind, left, right, decision, reason, reviewed_by, inputs, now],
    )
