"""Weigh pairs of records with Splink on DuckDB: no training, no chance, so that the same inputs give the same bytes."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nightdesk.identity.model import Comparison, Model, comparing, kind_of
from nightdesk.identity.pairs import ordered
from nightdesk.policy.identity_models import Comparing, Identity

if TYPE_CHECKING:
    import duckdb

_DIGITS = 2  # of a weight: a hundredth of a bit is more than any of the numbers behind it is worth


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of an explanation: what was compared, how it came out, in words, and its weight in bits."""

    field: str
    outcome: str
    says: str
    weight: float


@dataclass(frozen=True, slots=True)
class Scored:
    """A pair that reached the lowest threshold."""

    left: str
    right: str
    kind: str
    probability: float
    weight: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Scoring:
    """What weighing gave, best pair first, and how many pairs were looked at."""

    pairs: int
    scored: tuple[Scored, ...]


def score(con: duckdb.DuckDBPyConnection, model: Model, identity: Identity) -> Scoring:
    """Weigh the records of the table `candidates`.

    Args:
        con: A connection to work in; Splink makes tables in its current database, which must not be a file of ours.
            `candidates` has the columns of int_identity_people or int_identity_accounts, and `is_settled`: a pair of
            two settled records is not looked at, nor is one of two records of the same source, nor of two that are
            gone. Pairs in the table `decided(left_record_id, right_record_id)` are left out.
        model: What is compared.
        identity: Weights and thresholds.

    Returns:
        Every pair whose probability reaches `caution_from`.
    """
    weights = comparing(identity, model)
    _prepare(con, model, weights, identity.most_per_block)
    unsettled = con.execute(
        "select count(distinct source), count(*) filter (where not is_settled) from splink_input"
    ).fetchone()
    if not unsettled or unsettled[0] < 2 or not unsettled[1]:
        return Scoring(0, ())
    return _weigh(con, model, weights, identity.caution_from)


def _prepare(con: duckdb.DuckDBPyConnection, model: Model, weights: Comparing, most_per_block: int) -> None:
    """Blocking keys and rarities: `splink_input`, and one table of rarities per column that needs one."""
    derived = "".join(f", {sql} as {name}" for name, sql in model.derived.items())
    keys = "".join(f", {sql} as block_{name}" for name, sql in model.blocks.items())
    capped = ", ".join(
        f"case when count(*) over (partition by block_{name}) <= {most_per_block} then block_{name} end as block_{name}"
        for name in model.blocks
    )
    plain = ", ".join(f"block_{name}" for name in model.blocks)
    con.execute(
        f"""
        create or replace temp table splink_keyed as
        select *{derived}{keys} from candidates;

        create or replace temp table splink_input as
        select * exclude ({plain}), {capped} from splink_keyed order by record_id;
        """
    )
    pretended = 2 * weights.at_least_among
    for one in model.comparisons:
        if not one.rare:
            continue
        base = weights.comparisons[one.field]["same"].u
        # As if so many more records were there in which the value is as common as the policy says: among few records
        # nothing is rare yet. Powers of two, so that one record more does not change every weight.
        con.execute(
            f"""
            create or replace temp table splink_rare_{one.rare} as
            select {one.rare}, pow(2, round(log2(
                (count(*) - 1 + {pretended} * {base}) / ((select count(*) from splink_keyed) + {pretended})
            ))) as tf_{one.rare}
            from splink_keyed where {one.rare} is not null
            group by {one.rare}
            """
        )


def prior(con: duckdb.DuckDBPyConnection, weights: Comparing) -> float:
    """The probability that two records of different sources are one before anything is compared; a power of two."""
    row = con.execute("select max(n) from (select count(*) as n from splink_keyed group by source)").fetchone()
    largest = max(int(row[0] or 0) if row else 0, weights.at_least_among)
    return 2.0 ** round(math.log2(weights.twins_expected / largest))


def settings(model: Model, weights: Comparing, chance: float) -> dict[str, Any]:
    """The model as Splink's settings."""
    undecided = "l.source <> r.source and (l.is_live or r.is_live) and not (l.is_settled and r.is_settled)"
    return {
        # One table of all sources: that records of one source are not compared is a condition, not a law.
        "link_type": "dedupe_only",
        "unique_id_column_name": "record_id",
        "linker_uid": "nightdesk",
        "probability_two_random_records_match": chance,
        "comparisons": [_comparison(one, weights) for one in model.comparisons],
        "blocking_rules_to_generate_predictions": [
            {"blocking_rule": f"l.block_{name} = r.block_{name} and {undecided}"} for name in model.blocks
        ],
        "retain_matching_columns": True,  # the outcomes (gamma_*) come with them
        "retain_intermediate_calculation_columns": True,
    }


def _comparison(one: Comparison, weights: Comparing) -> dict[str, Any]:
    levels: list[dict[str, Any]] = []
    if one.nothing:
        levels.append({"sql_condition": one.nothing, "label_for_charts": "nothing", "is_null_level": True})
    for outcome in one.outcomes:
        weight = weights.comparisons[one.field][outcome.name]
        level: dict[str, Any] = {
            "sql_condition": outcome.sql or "ELSE",
            "label_for_charts": outcome.name,
            "m_probability": weight.m,
            "u_probability": weight.u,
        }
        if weight.rarity:
            level |= {
                "tf_adjustment_column": one.rare,
                "tf_adjustment_weight": 1.0,
                "disable_tf_exact_match_detection": True,
            }
        levels.append(level)
    return {"output_column_name": one.field, "comparison_levels": levels}


def _weigh(con: duckdb.DuckDBPyConnection, model: Model, weights: Comparing, lowest: float) -> Scoring:
    from splink import DuckDBAPI, Linker  # 0.2 s: only when pairs are really weighed

    chance = prior(con, weights)
    with _quiet():
        api = DuckDBAPI(connection=con)
        linker = Linker(
            api.register("splink_input"),  # pyright: ignore[reportUnknownMemberType]
            settings(model, weights, chance),
            log_level=None,
            validate_settings=False,
        )
        for one in model.comparisons:
            if one.rare and any(weight.rarity for weight in weights.comparisons[one.field].values()):
                rarities = api.register(f"splink_rare_{one.rare}")  # pyright: ignore[reportUnknownMemberType]
                linker.table_management.register_term_frequency_lookup(rarities, one.rare)
        blocked = linker.inference.compute_blocked_pairs_for_predict()
        pairs = con.execute(f"select count(*) from {blocked.physical_name}").fetchone()
        found = linker.inference.predict(threshold_match_probability=lowest, warning_mode="never")
        rows = _rows(con, found.physical_name, model)
        scored = [_scored(row, model, weights, chance) for row in rows]
        api.delete_tables_created_by_splink_from_db()
    scored.sort(key=lambda one: (-one.probability, one.left, one.right))
    return Scoring(int(pairs[0]) if pairs else 0, tuple(scored))


def _rows(con: duckdb.DuckDBPyConnection, table: str, model: Model) -> list[dict[str, Any]]:
    have = {str(row[0]) for row in con.execute(f"describe {table}").fetchall()}
    columns = ["record_id_l", "record_id_r", "match_weight", "match_probability"]
    for one in model.comparisons:
        columns += [
            name for name in (f"gamma_{one.field}", f"mw_{one.field}", f"mw_tf_adj_{one.field}") if name in have
        ]
    cursor = con.execute(
        f"""
        select {", ".join(f"{table}.{name}" for name in columns)}
        from {table}
        left join decided
            on least(record_id_l, record_id_r) = decided.left_record_id
            and greatest(record_id_l, record_id_r) = decided.right_record_id
        where decided.left_record_id is null
        """
    )
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def _scored(row: dict[str, Any], model: Model, weights: Comparing, chance: float) -> Scored:
    reasons = [
        Reason(
            "prior",
            "prior",
            "before anything is compared",
            round(math.log2(chance / (1 - chance)), _DIGITS),
        )
    ]
    for one in model.comparisons:
        gamma = int(row[f"gamma_{one.field}"])
        if gamma < 0:
            continue
        # Splink counts levels down to 0, which is "anything else".
        outcome = one.outcomes[len(one.outcomes) - 1 - gamma]
        weight = float(row[f"mw_{one.field}"]) + float(row.get(f"mw_tf_adj_{one.field}") or 0.0)
        reasons.append(Reason(one.field, outcome.name, outcome.says, round(weight, _DIGITS)))
    left, right = ordered(str(row["record_id_l"]), str(row["record_id_r"]))
    outcomes = {reason.field: reason.outcome for reason in reasons}
    return Scored(
        left,
        right,
        kind_of(model, outcomes),
        round(float(row["match_probability"]), 4),
        round(float(row["match_weight"]), _DIGITS),
        tuple(reasons),
    )


@contextmanager
def _quiet() -> Generator[None]:
    """Splink tells of its steps; a night does not."""
    logger = logging.getLogger("splink")
    before, propagates = logger.level, logger.propagate
    logger.setLevel(logging.CRITICAL)
    logger.propagate = False
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.propagate = propagates
