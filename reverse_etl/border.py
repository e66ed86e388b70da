"""The border out: what must hold of a frozen plan before anybody may approve or apply it.

The suites are data (tests/expectations/plan). They look at the stored operations, at the ledger, the warehouse and the
raw tables, never at what the code that made the plan says of itself; Great Expectations judges, see `sources.borders`.

A plan of a night is held from the moment it is stored until it has passed here. The newest row of `border_verdicts`
holds: `held` and `refused` keep approvals and writes away (`require_passed`), `passed` lets them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nightdesk.errors import NightdeskError
from reverse_etl.store import Clock, attached_warehouse, find_table, opened, transaction, utc
from sources.borders.border import Crossing, settle
from sources.borders.frames import framed, with_table
from sources.borders.record import append_checks
from sources.borders.suites import SUITES_DIR, plan_suites
from sources.borders.verdicts import BorderReport, Verdict, stopping

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from reverse_etl.plan import PlanSummary

REFUSED = 4  # the exit code of a plan that may not be used
_RAW = "raw"
# Which canonical records the object types of a CRM are: kind in our ids, and the table that counts them.
_KINDS = {
    ("hubspot", "contacts"): ("contact", "person"),
    ("hubspot", "companies"): ("company", "account"),
    ("hubspot", "deals"): ("deal", "deal"),
    ("hubspot", "meetings"): ("meeting", "meeting"),
    ("salesforce", "Contact"): ("contact", "person"),
    ("salesforce", "Lead"): ("lead", "person"),
    ("salesforce", "Account"): ("company", "account"),
    ("salesforce", "Opportunity"): ("deal", "deal"),
}
_RECORDS = {
    "person": ("contacts", "contact_id"),
    "account": ("accounts", "account_id"),
    "deal": ("deals", "deal_id"),
    "meeting": ("meetings", "meeting_id"),
}


def check(
    ledger: Path | duckdb.DuckDBPyConnection,
    summary: PlanSummary,
    policy: Policy,
    *,
    warehouse: Path | str | None,
    raw: Path | None = None,
    docs_dir: Path | None = None,
    suites_dir: Path = SUITES_DIR,
    run_id: str | None = None,
    clock: Clock,
) -> BorderReport:
    """Checks a stored plan and says in the ledger whether it may pass.

    Args:
        ledger: The ledger.
        summary: The plan as it would be shown to people; its numbers are compared with what is stored.
        policy: The policy it was made under.
        warehouse: dbt's file, for opt-outs and records; None when it is attached to `ledger` already.
        raw: The raw database, for values as they were loaded; None to do without.
        docs_dir: Where the Data Docs are; with it, a plan that did not change is not judged again.
        suites_dir: Where the suites are.
        run_id: The run that checks.
        clock: Now, in UTC.

    Raises:
        NightdeskError: Exit code 4. An expectation of severity `stop` failed; the plan can be neither approved nor
            applied, and the ledger and the Data Docs say why.
    """
    started = time.monotonic()
    suites = plan_suites(suites_dir)
    with opened(ledger) as con:
        with attached_warehouse(con, warehouse) as alias, _raw_attached(con, raw) as raw_alias:
            _look(con, summary, policy, alias, raw_alias)
            frames = [
                frame
                for suite in suites
                for one in suite.checks
                if (frame := framed(con, suite, one, with_table(one), f"plan, suite {suite.suite}")) is not None
            ]
        now = utc(clock())
        settled = settle(
            "plan", {summary.crm: Crossing(suites, frames)}, docs_dir=docs_dir, now=now, about=summary.plan_id
        )
        verdicts = settled[summary.crm].verdicts
        failed = stopping(verdicts)
        with transaction(con):
            append_checks(con, "plan", settled, run_id=run_id, now=now, plan_id=summary.plan_id)
            _record(con, summary, "refused" if failed else "passed", [one.sentence for one in failed], run_id, clock)
    if failed:
        raise _refusal(failed, summary.plan_id)
    return BorderReport(
        verdicts=verdicts,
        loaded=(summary.crm,),
        repeated=settled[summary.crm].is_repeated,
        seconds=round(time.monotonic() - started, 3),
    )


def hold(con: duckdb.DuckDBPyConnection, plan_id: str, digest: str, run_id: str | None, clock: Clock) -> None:
    """Keeps a new plan from being used until `check` lets it pass. Call it in the transaction that stores the plan."""
    _append(con, plan_id, digest, "held", (), run_id, clock)


def require_passed(con: duckdb.DuckDBPyConnection, plan_id: str) -> None:
    """Refuses a plan that is held or was refused here.

    Raises:
        NightdeskError: Exit code 4; says what the plan broke.
    """
    row = con.execute(
        "select verdict, failed::varchar from border_verdicts where plan_id = ? order by sequence desc limit 1",
        [plan_id],
    ).fetchone()
    if row is None or row[0] == "passed":
        return
    if row[0] == "held":
        raise NightdeskError(
            "The plan has not been checked at the border yet",
            where=plan_id,
            todo="Run `nightdesk plan` (or `nightdesk refresh`): it is checked when it is made.",
            exit_code=REFUSED,
        )
    sentences = json.loads(row[1]) or ["what it was is gone: somebody it named was erased"]
    raise NightdeskError(
        "The plan was refused at the border:\n  " + "\n  ".join(sentences),
        where=plan_id,
        todo="Correct what it says, then make a new plan with `nightdesk plan` (docs/borders.md).",
        exit_code=REFUSED,
    )


def said_of(con: duckdb.DuckDBPyConnection, plan_id: str) -> tuple[str, ...]:
    """What people looking at a plan should know from the border, one line each."""
    try:
        require_passed(con, plan_id)
    except NightdeskError as error:
        return (error.what,)
    warned = con.execute(
        """
        select meaning || ': ' || array_to_string(from_json(failures, '["varchar"]'), '; ')
        from border_checks
        where plan_id = $plan and not success and severity = 'warn'
            and checked_at = (select max(checked_at) from border_checks where plan_id = $plan)
        order by 1
        """,
        {"plan": plan_id},
    ).fetchall()
    return tuple(f"The border warns: {line}" for (line,) in warned)


def _refusal(failed: Sequence[Verdict], plan_id: str) -> NightdeskError:
    count = "An expectation" if len(failed) == 1 else f"{len(failed)} expectations"
    return NightdeskError(
        f"{count} of the plan failed; it can be neither approved nor applied:\n  "
        + "\n  ".join(one.sentence for one in failed),
        where=plan_id,
        todo="Correct what it says (or the expectation in tests/expectations/plan), then run `nightdesk plan`.",
        exit_code=REFUSED,
    )


def _record(
    con: duckdb.DuckDBPyConnection,
    summary: PlanSummary,
    verdict: Literal["passed", "refused"],
    failed: Sequence[str],
    run_id: str | None,
    clock: Clock,
) -> None:
    last = con.execute(
        "select verdict, digest, failed::varchar from border_verdicts where plan_id = ? order by sequence desc limit 1",
        [summary.plan_id],
    ).fetchone()
    if last is None or (last[0], last[1], json.loads(last[2])) != (verdict, summary.digest, list(failed)):
        _append(con, summary.plan_id, summary.digest, verdict, failed, run_id, clock)


def _append(
    con: duckdb.DuckDBPyConnection,
    plan_id: str,
    digest: str,
    verdict: Literal["held", "passed", "refused"],
    failed: Sequence[str],
    run_id: str | None,
    clock: Clock,
) -> None:
    con.execute(
        "insert into border_verdicts select coalesce(max(sequence), 0) + 1, ?, ?, ?, ?, ?, ? from border_verdicts",
        [plan_id, digest, verdict, json.dumps(list(failed), ensure_ascii=False), run_id, utc(clock())],
    )


@contextmanager
def _raw_attached(con: duckdb.DuckDBPyConnection, raw: Path | None) -> Generator[str | None]:
    if raw is None or not raw.exists():
        yield None
        return
    from nightdesk.ledger.connection import attach_read_only

    attach_read_only(con, raw, _RAW)
    try:
        yield _RAW
    finally:
        con.execute(f"detach {_RAW}")


# -- what the suites ask -----------------------------------------------------------------------------------------------


def _look(
    con: duckdb.DuckDBPyConnection, summary: PlanSummary, policy: Policy, warehouse: str | None, raw: str | None
) -> None:
    """Makes the temporary tables that the suites of tests/expectations/plan select from."""
    crm = summary.crm
    _policy_tables(con, policy, crm, summary)
    kinds = ", ".join(
        f"('{object_type}', '{kind}', '{what}')" for (of, object_type), (kind, what) in _KINDS.items() if of == crm
    )
    nothing = "('', '', '')"
    con.execute(
        "create or replace temp table kinds as "
        f"select * from (values {kinds or nothing}) as one (object_type, kind, kind_of_record)"
    )
    con.execute(
        f"""
        create or replace temp table plan_header as
        select plan_id, crm, kind, as_of, operation_count from plans where plan_id = '{summary.plan_id}';

        create or replace temp table ops as
        select
            plan_ops.* exclude (plan_id),
            plan_ops.object_type || ' ' || plan_ops.record_id || ' ' || plan_ops.property as place,
            plan_ops.decision is distinct from 'denied' as is_written,
            list_contains((select keyed_types from limits), plan_ops.object_type) as is_keyed,
            list_contains((select owner_properties from limits), lower(plan_ops.property)) as is_owner,
            plan_ops.property = '@record' and plan_ops.wire_value <> 'present' as is_archiving,
            starts_with(plan_ops.property, '@') as is_reference,
            kinds.kind_of_record,
            plan_ops.crm || ':' || kinds.kind || ':' || plan_ops.record_id as canonical_id,
            case when kinds.kind_of_record = 'person'
                then plan_ops.crm || ':' || kinds.kind || ':' || plan_ops.record_id end as person_id
        from plan_ops
        left join kinds using (object_type)
        where plan_ops.plan_id = '{summary.plan_id}';

        create or replace temp table said_no (contact_id varchar);
        create or replace temp table sources_of_no (name varchar);
        create or replace temp table known_records (record_id varchar, kind_of_record varchar, crm varchar);
        create or replace temp table crm_values
            (object_type varchar, object_id varchar, property varchar, value varchar);
        create or replace temp table erased (contact_id varchar);
        create or replace temp table twins (twin_id varchar, record_id varchar, object_type varchar);
        """
    )
    if warehouse is not None:
        if table := find_table(con, warehouse, "opt_outs"):
            con.execute(f"insert into said_no select contact_id from {table}")
            con.execute("insert into sources_of_no values ('opt_outs')")
        for what, (name, key) in _RECORDS.items():
            if table := find_table(con, warehouse, name):
                con.execute(f"insert into known_records select {key}, '{what}', split_part({key}, ':', 1) from {table}")
        _twins(con, warehouse)
    con.execute("insert into said_no select contact_id from suppression")
    # One person's records share a no, and share that it was lifted: to the record that stands for all, and from there.
    for table in ("said_no", "lifted") * 2:
        con.execute(
            f"""
            insert into {table}
            select twins.twin_id from twins inner join {table} on {table}.contact_id = twins.record_id
            union
            select twins.record_id from twins inner join {table} on {table}.contact_id = twins.twin_id
            """
        )
    con.execute("delete from said_no where contact_id in (from lifted)")
    if raw is not None and (table := _raw_values(con, raw, crm)):
        con.execute(f"insert into crm_values select object_type, object_id, property, value from {table}")
    _erased(con)


def _twins(con: duckdb.DuckDBPyConnection, warehouse: str) -> None:
    """Records of other CRMs that one in the marts stands for: they are written to as well, and share its no."""
    table = find_table(con, warehouse, "merged_records")
    columns = {str(row[0]) for row in con.execute(f"describe {table}").fetchall()} if table else set[str]()
    if not {"merged_record_id", "surviving_record_id", "object_type", "reason"} <= columns:
        return
    con.execute(f"insert into twins select merged_record_id, surviving_record_id, object_type from {table}")
    con.execute(
        f"""
        insert into known_records
        select
            merged_record_id,
            case object_type when 'contacts' then 'person' when 'companies' then 'account' else object_type end,
            split_part(merged_record_id, ':', 1)
        from {table}
        where reason in ('same_person', 'same_account')
        """
    )


def _raw_values(con: duckdb.DuckDBPyConnection, raw: str, crm: str) -> str | None:
    found = con.execute(
        "select 1 from duckdb_tables() where database_name = ? and schema_name = ? and table_name = ?",
        [raw, crm, "namespaced_values"],
    ).fetchone()
    return f"{raw}.{crm}.namespaced_values" if found else None


def _erased(con: duckdb.DuckDBPyConnection) -> None:
    """Our ids among the plan's people that belong to somebody who was erased; the ledger has their hashes only."""
    from nightdesk.erasure import tombstones

    stones = tombstones.read(con)
    if stones is None:
        return
    people = con.execute(
        "select person_id from ops where person_id is not null union "
        "select subject_id from ops where subject_id like '%:contact:%' or subject_id like '%:lead:%'"
    ).fetchall()
    gone = [[str(one)] for (one,) in people if stones.has("contact", str(one).rpartition(":")[2])]
    if gone:
        con.executemany("insert into erased values (?)", gone)


def _policy_tables(con: duckdb.DuckDBPyConnection, policy: Policy, crm: str, summary: PlanSummary) -> None:
    from nightdesk.policy.caps import OWNER_PROPERTIES

    mapping = policy.mapping(crm)
    fields = [
        (object_type, item.property, item.field, item.type, list(item.options))
        for object_type, items in mapping.fields.items()
        for item in items
    ]
    # What people are asked with is written too, by `nightdesk ask`.
    fields += [
        (object_type, item.property, "question", item.type, list(item.options))
        for object_type, items in mapping.asked.items()
        for item in items
        if item.question
    ]
    lifted = [
        one.contact_id if ":" in one.contact_id else f"hubspot:contact:{one.contact_id}"
        for one in policy.suppression.lifted
    ]
    content = {
        "mapping": [
            dict(zip(("object_type", "property", "field", "value_type", "options"), one, strict=True)) for one in fields
        ],
        "exempted": [
            {"object_type": one.object_type, "property": one.property}
            for one in mapping.exceptions
            if one.expires_on >= summary.as_of
        ],
        "limits": [
            {
                "namespace": mapping.namespace,
                "max_text_chars": mapping.max_text_chars,
                "keyed_types": sorted(mapping.keyed_types),
                "owner_properties": sorted(OWNER_PROPERTIES),
            }
        ],
        "brakes": [
            {
                "guard": str(one.guard),
                "guard_limit": float(one.limit),
                "tripped": one.guard in summary.tripped,
            }
            for one in policy.guards.guards
        ],
        "lifted": [{"contact_id": one} for one in lifted],
        "said": [
            {"breakdown": breakdown, "value": value, "operations": count}
            for breakdown, counts in summary.counts.items()
            for value, count in counts.items()
        ],
    }
    shapes = {
        "mapping": '[{"object_type": "VARCHAR", "property": "VARCHAR", "field": "VARCHAR", "value_type": "VARCHAR", '
        '"options": ["VARCHAR"]}]',
        "exempted": '[{"object_type": "VARCHAR", "property": "VARCHAR"}]',
        "limits": '[{"namespace": "VARCHAR", "max_text_chars": "BIGINT", "keyed_types": ["VARCHAR"], '
        '"owner_properties": ["VARCHAR"]}]',
        "brakes": '[{"guard": "VARCHAR", "guard_limit": "DOUBLE", "tripped": "BOOLEAN"}]',
        "lifted": '[{"contact_id": "VARCHAR"}]',
        "said": '[{"breakdown": "VARCHAR", "value": "VARCHAR", "operations": "BIGINT"}]',
    }
    for name, shape in shapes.items():
        con.execute(
            f"create or replace temp table {name} as select unnest(from_json(?::json, '{shape}'), recursive := true)",
            [json.dumps(content[name])],
        )
