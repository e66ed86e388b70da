"""The step of a night between load and the waves: weigh what no rule has settled, once per set of inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightdesk import ledger
from nightdesk.clock import Clock
from nightdesk.identity import store
from nightdesk.identity.model import MODELS, Model, model_hash
from nightdesk.identity.score import Scoring, score

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy.identity_models import Identity
    from nightdesk.prepare import Project

# What has to be built, with everything above it, before `run`; and what is due again once `Report.appended` is not 0
# (`Freshness.ledger_grew(LEDGER_TABLES)`).
NODES = ("int_identity_people", "int_identity_accounts", "int_identity_keys")
LEDGER_TABLES = store.TABLES
_RECORDS = {"contacts": "int_identity_people", "companies": "int_identity_accounts"}

Progress = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a run of the step did.

    Attributes:
        skipped: Why nothing was weighed; empty when something was.
        records: Records that were looked at.
        pairs: Pairs that were weighed.
        suggested: Pairs that people are asked about.
        cautioned: Pairs below that, over which an opt-out still reaches.
        appended: Rows that the ledger got.
    """

    skipped: str = ""
    records: int = 0
    pairs: int = 0
    suggested: int = 0
    cautioned: int = 0
    appended: int = 0

    def numbers(self) -> dict[str, int]:
        """For the run's events."""
        return {
            "records": self.records,
            "pairs": self.pairs,
            "suggested": self.suggested,
            "cautioned": self.cautioned,
            "appended": self.appended,
        }


def run(
    project: Project, *, clock: Clock, run_id: str | None = None, progress: Progress = lambda _, __: None
) -> Report:
    """Weigh the pairs of records that may be one, if anything they rest on has changed since the last time.

    Needs the models `NODES`, built. Two records of one CRM are never weighed against each other. A pair that a rule
    links or a person has decided keeps its state; what no longer reaches a threshold is withdrawn.

    Args:
        project: The prepared project.
        clock: Wall clock, UTC.
        run_id: The night it belongs to.
        progress: Told what is happening.

    Raises:
        NightdeskError: The ledger or the warehouse cannot be opened, or dbt has not built what is needed.
    """
    settings, identity = project.settings, project.policy.identity
    if not settings.warehouse.exists():
        return Report(skipped="there is no warehouse yet")
    with ledger.connect(settings.ledger, warehouse=settings.warehouse) as con:
        schema = _schema(con)
        if schema is None:
            return Report(skipped="the models of identity are not built yet")
        sources = _sources(con, schema)
        if max(sources.values(), default=0) < 2 and not _any_links(con):
            return Report(skipped="there is one source only")
        hashes = (_inputs(con, schema), model_hash(identity))
        if store.last_inputs(con) == hashes:
            return Report(skipped="nothing changed")
        progress("identity", "weighing who is who")
        identity_run_id = store.next_run_id(con, *hashes)
        scorings: dict[str, Scoring] = {}
        rows: list[tuple[object, ...]] = []
        records = 0
        for model in MODELS:
            known = _candidates(con, schema, model)
            records += len(known)
            found = _weighed(con, model, identity)
            scorings[model.object_type] = found
            rows += store.rows_to_append(
                store.standing_links(con, model.object_type),
                found.scored,
                known,
                object_type=model.object_type,
                identity_run_id=identity_run_id,
                model_hash=hashes[1],
                now=clock(),
            )
        scored = [one for found in scorings.values() for one in found.scored]
        suggested = sum(one.probability >= identity.suggest_from for one in scored)
        report = Report(
            records=records,
            pairs=sum(found.pairs for found in scorings.values()),
            suggested=suggested,
            cautioned=len(scored) - suggested,
            appended=len(rows),
        )
        con.begin()
        try:
            store.append_links(con, rows)
            con.execute(
                "insert into identity_runs values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    identity_run_id, run_id, *hashes, report.records, report.pairs, report.suggested, report.cautioned,
                    clock(),
                ],
            )  # fmt: skip
            con.commit()
        except BaseException:
            con.rollback()
            raise
    return report


def _weighed(con: duckdb.DuckDBPyConnection, model: Model, identity: Identity) -> Scoring:
    """`score` with the tables that Splink makes in memory, not in the ledger."""
    con.execute("use memory.main")
    try:
        return score(con, model, identity)
    finally:
        con.execute(f"use {ledger.LEDGER_ALIAS}.main")


def _schema(con: duckdb.DuckDBPyConnection) -> str | None:
    """The schema of the warehouse that holds the models; None before they are built."""
    rows = con.execute(
        """
        select schema_name from duckdb_tables()
        where database_name = 'warehouse' and table_name in ('int_identity_people', 'int_identity_accounts',
            'int_identity_keys')
        group by schema_name having count(*) = 3
        order by schema_name
        """
    ).fetchall()
    return f'warehouse."{rows[0][0]}"' if rows else None


def _sources(con: duckdb.DuckDBPyConnection, schema: str) -> dict[str, int]:
    """Object type to the number of sources its records come from."""
    found: dict[str, int] = {}
    for object_type, table in _RECORDS.items():
        row = con.execute(f"select count(distinct source) from {schema}.{table}").fetchone()
        found[object_type] = int(row[0]) if row else 0
    return found


def _any_links(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether there is something to withdraw: a source may have gone."""
    row = con.execute("select count(*) from identity_links").fetchone()
    return bool(row and row[0])


def _inputs(con: duckdb.DuckDBPyConnection, schema: str) -> str:
    """One hash over everything the weights rest on, whatever order it is stored in."""
    parts: Sequence[str] = (
        f"select record_id || inputs_hash || source || is_live::varchar from {schema}.int_identity_people",
        f"select record_id || inputs_hash || source || is_live::varchar from {schema}.int_identity_accounts",
        f"select link_id || kind from {schema}.int_identity_keys",
        "select link_id || decision || kind || sequence::varchar from identity_reviews",
    )
    total = hashlib.sha256()
    for sql in parts:
        row = con.execute(
            f"select count(*), sum(md5_number_lower(text)::hugeint), sum(md5_number_upper(text)::hugeint) "
            f"from ({sql}) as told(text)"
        ).fetchone()
        total.update(repr(row).encode())
    return total.hexdigest()


def _candidates(con: duckdb.DuckDBPyConnection, schema: str, model: Model) -> dict[str, str]:
    """Fill `candidates` and `decided`; give the hash of each record's inputs.

    A record is settled once a rule or a person has linked it as the same: a pair of two settled records is old news.
    """
    same = "same_person" if model.object_type == "contacts" else "same_account"
    con.execute(
        f"""
        create or replace temp table reviewed as
        select left_record_id, right_record_id, kind, decision from identity_reviews
        where object_type = '{model.object_type}'
        qualify row_number() over (partition by link_id order by sequence desc) = 1;

        create or replace temp table linked as
        select keys.left_record_id, keys.right_record_id
        from {schema}.int_identity_keys as keys
        left join reviewed using (left_record_id, right_record_id)
        where keys.kind = '{same}' and reviewed.decision is distinct from 'rejected'
        union
        select left_record_id, right_record_id from reviewed where decision = 'confirmed' and kind = '{same}';

        -- A rejected pair is weighed all the same, so that what speaks for it can be shown; it stays rejected.
        create or replace temp table decided as
        select left_record_id, right_record_id from {schema}.int_identity_keys
        where object_type = '{model.object_type}';

        create or replace temp table candidates as
        select records.* exclude (created_at), settled.record_id is not null as is_settled
        from {schema}.{_RECORDS[model.object_type]} as records
        left join (
            select left_record_id as record_id from linked union select right_record_id from linked
        ) as settled using (record_id)
        where records.standing_in_crm_id = records.record_id
        """
    )
    return {
        str(record): str(value)
        for record, value in con.execute("select record_id, inputs_hash from candidates").fetchall()
    }
