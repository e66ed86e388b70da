"""Sync models of any size for the benchmarks, made by SQL: what dbt would propose, in a warehouse of its own."""

from __future__ import annotations

from pathlib import Path

import duckdb

from nightdesk.policy import Policy

# Property, what is wanted and what we wrote last, as SQL over the record's number `r`. Types of every kind a night
# writes: a number, options, long text, a day.
FIELDS: tuple[tuple[str, str, str], ...] = (
    ("nightdesk_lead_score", "(r % 101)::varchar", "((r + 50) % 101)::varchar"),
    ("nightdesk_lead_tier", "['A', 'B', 'C', 'D'][r % 4 + 1]", "['A', 'B', 'C', 'D'][(r + 1) % 4 + 1]"),
    (
        "nightdesk_lead_reason",
        "'Champion ' || r || ' is active, the budget is signed off for July, and über 40 seats are in use'",
        "'Champion ' || r || ' is active, the budget is open'",
    ),
    ("nightdesk_lead_evidence", "'\"We start in July\" (email ' || r || ')'", "'\"Not now\" (email ' || r || ')'"),
    ("nightdesk_lead_scored_on", "'2026-11-17'", "(date '2026-10-01' + (r % 30)::integer)::varchar"),
    ("nightdesk_contact_role", "['champion', 'user'][r % 2 + 1]", "['user', 'champion'][r % 2 + 1]"),
    ("nightdesk_contact_influence", "['high', 'medium', 'low'][r % 3 + 1]", "['medium', 'low', 'high'][r % 3 + 1]"),
    ("nightdesk_contact_style", "['brief', 'detailed'][r % 2 + 1]", "'by_numbers'"),
    ("nightdesk_contact_background", "'Leads the depot team of site ' || r", "'Joined the depot team of site ' || r"),
    ("nightdesk_contact_background_evidence", "'Profile ' || r", "'Old profile ' || r"),
)
_EVIDENCE = """
    '[{"id": "f_' || left(md5('a' || r), 12) || '", "quote": "We cannot move before July.", "url": "/records/emails/'
    || r || '"}, {"id": "f_' || left(md5('b' || r), 12)
    || '", "quote": "Budget is signed off, Anna runs the pilot.", "url": "/records/emails/' || (r + 1) || '"}]'
"""


def make_warehouse(path: Path, policy: Policy, *, records: int, fields: int, source: int, fresh: bool = False) -> None:
    """Write a warehouse with sync models that propose `fields` changes for each of `records` contacts.

    Args:
        path: A new file.
        policy: Its mapping says which sync models there must be.
        records: Changed contacts; CRM ids from 1.
        fields: Changed properties of each.
        source: Contacts in all.
        fresh: Nothing was ever written. Else a third was never written, the rest holds our last value, and one in a
            hundred of those was changed by somebody else (as far as the last load knows).
    """
    last = "null" if fresh else "case when r % 3 = 0 then null else {before} end"
    held = "null" if fresh else "case when r % 3 = 0 then null when r % 100 = 1 then 'x' else {before} end"
    selects = [
        f"""
        select
            'contacts' as object_type, r::varchar as record_id, 'Person ' || r || ' <p' || r || '@example.com>'
                as record_label,
            '{name}' as property, {held.format(before=before)} as crm_value,
            {last.format(before=before)} as last_written_value, {wanted} as desired_value,
            'answer-' || md5(r::varchar) as answer_id, 'Scored ' || (r % 101) || ' out of 3 signals' as reason,
            0.8::double as confidence, {_EVIDENCE} as evidence, 2::bigint as evidence_count, false as is_stale,
            false as is_suppressed, 'mid_market' as segment, 'hubspot:contact:' || r as subject_id
        from (select range + 1 as r from range({records}))
        """
        for name, wanted, before in FIELDS[:fields]
    ]
    with duckdb.connect(str(path)) as con:
        con.execute("create schema marts")
        con.execute(f"create table marts.contacts as select range::varchar as contact_id from range({source})")
        for table in ("accounts", "deals", "meetings"):
            con.execute(f"create table marts.{table} as select contact_id as {table}_id from marts.contacts limit 1000")
        con.execute(f"create table marts.sync_hubspot__contacts as {' union all '.join(selects)}")
        for object_type in policy.mapping("hubspot").fields:
            if object_type != "contacts":
                con.execute(
                    f"create table marts.sync_hubspot__{object_type} as from marts.sync_hubspot__contacts limit 0"
                )
