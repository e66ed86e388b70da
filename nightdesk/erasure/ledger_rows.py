"""Takes a person's texts out of the ledger: rows that are theirs go, rows of others lose what quotes them.

What is counted stays countable: calls that cost money and the outcomes of past nights keep their row under an alias,
and the audit chain, which holds hashes only, is not touched at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightdesk.clock import Clock
from nightdesk.erasure import places, raw_rows
from nightdesk.erasure.needles import Needles
from nightdesk.erasure.scope import Scope, mentions
from nightdesk.erasure.tombstones import SHORTEST_VALUE, Tombstones

if TYPE_CHECKING:
    import duckdb

_CANONICAL = places.canonical_sql("crm", "object_type", "record_id")
_VALUE_OF = places.canonical_sql("crm", "object_type", "object_id")
_IS_THEIRS = f"{_CANONICAL} in (select record_id from gone)"


def select_operations(con: duckdb.DuckDBPyConnection, scope: Scope) -> None:
    """Fill `plan_marks(plan_id, op_id, is_theirs, has_text)`: planned operations that are removed or emptied.

    Operations on the person's own records are theirs. Of others', those go empty that show the person, in the reason
    and evidence always, and in the values where a value quotes a text that is lost.
    """
    shown = "concat_ws(chr(10), record_label, reason, evidence::varchar)"
    values = "concat_ws(chr(10), before_value, last_written_value, desired_value, wire_value)"
    con.execute(
        f"""
        create or replace temp table plan_marks as
        with ops as (
            select *, {_CANONICAL} as canonical_id,
                {_IS_THEIRS} as is_theirs
            from plan_ops
        ),

        marked as (
            select plan_id, op_id, is_theirs,
                is_theirs
                or value_type = 'text' and (
                    answer_id in (select answer_id from rested)
                    or {mentions(scope.needles, values, "canonical_id")}
                    or (
                        canonical_id in (select record_id from near)
                        and exists (select 1 from lost_texts where contains({values}, lost_texts.body))
                    )
                ) as has_text,
                answer_id in (select answer_id from rested)
                or {mentions(scope.needles, shown, "canonical_id")}
                or (
                    canonical_id in (select record_id from near)
                    and exists (select 1 from lost_texts where contains({shown}, lost_texts.body))
                ) as is_shown
            from ops
        )

        select plan_id, op_id, is_theirs, has_text from marked where is_theirs or has_text or is_shown
        """
    )


_COUNTS = {
    "facts": "select count(*) from facts where fact_id in (select fact_id from gone_facts)",
    "quotes": "select count(*) from evidence where answer_id in (select answer_id from rested)",
    "answers_about_them": "select count(*) from rested where record_id in (select record_id from gone)",
    "answers_of_others": "select count(*) from rested where record_id not in (select record_id from gone)",
    "sentences": "select count(*) from sentences where answer_id in (select answer_id from rested)",
    "rejections": "select count(*) from rejections where attempt_id in (select attempt_id from touched)",
    "recall_log": """
        select count(*) from recall_log
        where fact_id in (select fact_id from gone_facts) or record_id in (select record_id from gone)
    """,
    "planned_changes_of_theirs": "select count(*) from plan_marks where is_theirs",
    "planned_changes_of_others_emptied": "select count(*) from plan_marks where not is_theirs",
    "plans_that_end": "select count(distinct plan_id) from plan_marks",
    "suppression_entries": "select count(*) from suppression where contact_id in (select record_id from gone)",
}


def count(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """What the ledger would lose; needs `scope.build` and `select_operations`."""
    found: dict[str, int] = {}
    for name, sql in _COUNTS.items():
        row = con.execute(sql).fetchone()
        found[name] = int(row[0]) if row else 0
    return found


def written_values(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str, list[str]]]:
    """(object type, record id, properties) that hold values of ours in the CRM and should be cleared there."""
    return con.execute(
        f"""
        select object_type, record_id, list(distinct property order by property)
        from (
            select plan_ops.object_type, plan_ops.record_id, plan_ops.property
            from op_results
            inner join apply_runs using (apply_run_id)
            inner join plan_ops on plan_ops.plan_id = apply_runs.plan_id and plan_ops.op_id = op_results.op_id
            inner join plan_marks on plan_marks.plan_id = plan_ops.plan_id and plan_marks.op_id = plan_ops.op_id
            where op_results.result in ('applied', 'altered', 'already_there', 'unknown')
                and not apply_runs.dry_run and plan_marks.has_text
            union
            select object_type, object_id, property from places_values
            where value <> '' and {_VALUE_OF} in (select record_id from gone)
        )
        group by all
        order by all
        """
    ).fetchall()


_VALUES = """
select plan_ops.value_type, unnest([before_value, last_written_value, desired_value]) as value
from plan_ops inner join plan_marks using (plan_id, op_id)
where plan_marks.has_text and not plan_marks.is_theirs
union all
select 'text', unnest([op_results.crm_before, op_results.crm_after])
from op_results
inner join apply_runs using (apply_run_id)
inner join plan_marks on plan_marks.plan_id = apply_runs.plan_id and plan_marks.op_id = op_results.op_id
where plan_marks.has_text and not plan_marks.is_theirs
union all
select 'text', write_attempts.crm_value
from write_attempts
inner join apply_runs using (apply_run_id)
inner join plan_marks on plan_marks.plan_id = apply_runs.plan_id and plan_marks.op_id = write_attempts.op_id
where plan_marks.has_text and not plan_marks.is_theirs
"""


def shown_values(con: duckdb.DuckDBPyConnection, scope: Scope) -> list[str]:
    """Values written on records of others that quote or name the person: they may still stand in the CRM.

    Needs `scope.build` and `select_operations`.
    """
    rows = con.execute(
        f"""
        select distinct value
        from (
            select value from ({_VALUES})
            union all
            select value from places_values
            where {_VALUE_OF} in (select record_id from near)
        )
        where length(value) >= {SHORTEST_VALUE} and (
            {mentions(scope.needles, "value", None)}
            or exists (select 1 from lost_texts where lost_texts.is_quote and contains(value, lost_texts.body))
        )
        """
    ).fetchall()
    return [str(row[0]) for row in rows]


def remove(con: duckdb.DuckDBPyConnection, scope: Scope, stones: Tombstones, erasure_id: str, clock: Clock) -> None:
    """Delete and empty, in one transaction. Repeating it finds nothing left to do.

    A value that may still stand in the CRM is replaced by its mask, which is what is read there from now on: so it
    still counts as written by us, and nothing of it can be restored.
    """
    raw_rows.fill_masks(con, stones, (str(row[1]) for row in con.execute(_VALUES).fetchall() if row[1] is not None))
    con.begin()
    try:
        _enrichment(con, scope.needles)
        _plans(con, scope.needles, erasure_id, clock)
        _the_rest(con, scope.needles)
        con.commit()
    except BaseException:
        con.rollback()
        raise


def _enrichment(con: duckdb.DuckDBPyConnection, needles: Needles) -> None:
    con.execute("delete from rejections where attempt_id in (select attempt_id from touched)")
    con.execute(
        "delete from recall_log where fact_id in (select fact_id from gone_facts) "
        "or record_id in (select record_id from gone)"
    )
    con.execute("delete from recall_similarity where fact_id in (select fact_id from gone_facts)")
    for table in ("sentences", "judgements", "evidence", "facts", "answers"):
        con.execute(f"delete from {table} where answer_id in (select answer_id from rested)")
    con.execute(
        """
        update attempts set error = null
        where error is not null and attempt_id in (select attempt_id from touched)
        """
    )
    con.execute(f"update attempts set error = null where {mentions(needles, 'error', 'record_id')}")
    con.execute(
        "update attempts set record_id = gone.alias, response_ref = null from gone "
        "where attempts.record_id = gone.record_id"
    )
    con.execute("update outcomes set answer_id = null, reason = null where answer_id in (select answer_id from rested)")
    con.execute(
        f"""
        create or replace temp table outcomes_kept as
        select outcomes.run_id, outcomes.operation, outcomes.record_type, gone.alias as record_id, outcomes.outcome,
            null::varchar as reason, null::varchar as answer_id, outcomes.recorded_at
        from outcomes inner join gone using (record_id);
        delete from outcomes where record_id in (select record_id from gone);
        insert into outcomes by name select * from outcomes_kept;
        update outcomes set reason = null where {mentions(needles, "reason", "record_id")};
        update answers set reason = null where {mentions(needles, "reason", "record_id")};
        """
    )


def _mask(column: str) -> str:
    return f"(select min(mask) from value_masks where value_masks.value = {column})"


def _plans(con: duckdb.DuckDBPyConnection, needles: Needles, erasure_id: str, clock: Clock) -> None:
    con.execute(
        """
        insert into redacted_plans
        select distinct plan_id, ?, ?::timestamptz from plan_marks
        on conflict do nothing
        """,
        [erasure_id, clock()],
    )
    con.execute(
        """
        create or replace temp table run_marks as
        select apply_runs.apply_run_id, plan_marks.op_id, plan_marks.is_theirs
        from plan_marks inner join apply_runs using (plan_id)
        where plan_marks.has_text
        """
    )
    for table in ("write_attempts", "op_results"):
        con.execute(
            f"delete from {table} where (apply_run_id, op_id) in "
            "(select (apply_run_id, op_id) from run_marks where is_theirs)"
        )
    con.execute(
        f"update write_attempts set crm_value = {_mask('crm_value')}, message = null "
        "where (apply_run_id, op_id) in (select (apply_run_id, op_id) from run_marks)"
    )
    con.execute(
        f"update op_results set crm_before = {_mask('crm_before')}, crm_after = {_mask('crm_after')}, message = null "
        "where (apply_run_id, op_id) in (select (apply_run_id, op_id) from run_marks)"
    )
    con.execute(
        "delete from plan_ops where (plan_id, op_id) in (select (plan_id, op_id) from plan_marks where is_theirs)"
    )
    con.execute(
        f"""
        update plan_ops
        set before_value = {_mask("before_value")}, last_written_value = {_mask("last_written_value")},
            desired_value = {_mask("desired_value")}, wire_value = ''
        where (plan_id, op_id) in (select (plan_id, op_id) from plan_marks where has_text)
        """
    )
    con.execute(
        f"""
        update plan_ops
        set reason = 'Erased', evidence = '[]',
            record_label = case when {mentions(needles, "record_label", None)} then null else record_label end
        where (plan_id, op_id) in (select (plan_id, op_id) from plan_marks)
        """
    )


def forget_identity(con: duckdb.DuckDBPyConnection, needles: Needles) -> None:
    """Take out links of the person's records and addresses, and what was decided about them; needs the table `gone`."""
    # An address that no record had goes by its hash (int_identity_addresses), which whoever knows the address can make.
    addresses = sorted(needles.addresses)
    for table in ("identity_links", "identity_reviews"):
        con.execute(
            f"""
            delete from {table}
            using (
                select record_id from gone
                union select 'address:contact:' || left(md5(unnest(?::varchar[])), 20)
            ) as erased
            where erased.record_id in (left_record_id, right_record_id)
            """,
            [addresses],
        )


def _the_rest(con: duckdb.DuckDBPyConnection, needles: Needles) -> None:
    con.execute(f"update approvals set note = null where {mentions(needles, 'note', None)}")
    con.execute(
        f"update review_notes set body = null where {mentions(needles, 'body', None)} "
        "or (plan_id, op_id) in (select (plan_id, op_id) from plan_marks)"
    )
    con.execute(f"delete from review_answers where {_IS_THEIRS}")
    forget_identity(con, needles)
    con.execute(f"update identity_reviews set reason = null where {mentions(needles, 'reason', None)}")
    con.execute(f"update autonomy_changes set reason = null where {mentions(needles, 'reason', None)}")
    con.execute(f"update run_events set message = null where {mentions(needles, 'message', None)}")
    for table, column in (("border_checks", "failures"), ("border_verdicts", "failed")):
        # They show the CRM's own ids without saying of what; emptying one too many loses nothing of worth.
        con.execute(
            f"update {table} set {column} = '[]' where {mentions(needles, f'{column}::varchar', None)} or exists "
            f"(select 1 from gone where list_contains(regexp_extract_all({column}::varchar, '[A-Za-z0-9]+'), gone.id))"
        )
    con.execute("delete from suppression where contact_id in (select record_id from gone)")
    con.execute(
        f"update suppression set quote = null, evidence_id = null where {mentions(needles, 'quote', 'contact_id')}"
    )
    con.execute(
        "update suppression set quote = null, evidence_id = null "
        "where regexp_extract(evidence_id, '[a-z0-9]+:[a-z]+:[A-Za-z0-9]+') in (select record_id from gone) "
        "or evidence_id in (select fact_id from gone_facts)"
    )
    con.execute(f"delete from quarantine where {_IS_THEIRS}")
    con.execute(f"update quarantine set reason = 'Erased' where {mentions(needles, 'reason', None)}")
    con.execute(
        "delete from policy_lists where list_name = 'suppression_lifted' and "
        "(item in (select record_id from gone) "
        f"or '{places.CRM}:contact:' || item in (select record_id from gone))"
    )
