"""What rests on an erased person's texts, worked out from tombstones alone, so that a killed erasure can go on.

Fills temp tables of one connection (the ledger, with the raw database and the warehouse attached read-only):

* `gone(record_id, alias)`: canonical ids of the person and their documents, each with the name it goes by afterwards.
* `gone_facts(fact_id)`: facts read from those documents.
* `near(record_id)`: canonical ids of their companies, colleagues, and what is linked to these; names are looked for
  only there, because elsewhere the same name is somebody else's.
* `rested(answer_id, ...)`: answers about the person or their documents, and answers of others that quote them, cite
  them, or were given while looking at them.
* `touched(attempt_id, is_theirs)`: the calls behind all these.
* `lost_texts(body, is_quote)`: sentences and quotes that go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightdesk.erasure.needles import Needles
from nightdesk.erasure.person import CRM, RAW, near_documents
from nightdesk.erasure.tombstones import ENGAGEMENTS, Tombstones, addresses_in, document

if TYPE_CHECKING:
    import duckdb

_NOT_A_NAME = re.compile(r"^[^:]+:[^:]+:.+$")
_FACT_ID = "f_[0-9a-f]{12}"
_RECORD_ID = "[a-z0-9]+:(?:contact|email|call|meeting|note|task):[A-Za-z0-9]+"

_LEDGER_IDS = """
select record_id from attempts
union select record_id from answers
union select record_id from outcomes
union select document_id from facts
union select contact_id from suppression
union select item from policy_lists where list_name = 'suppression_lifted'
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """What the temp tables were made from.

    Attributes:
        ids: (object type, CRM id) of the person's contact records and documents.
        needles: Addresses and names to look for.
    """

    ids: frozenset[tuple[str, str]]
    needles: Needles

    def of_type(self, object_type: str) -> list[str]:
        """CRM ids of one type."""
        return sorted(one for kind, one in self.ids if kind == object_type)


def build(con: duckdb.DuckDBPyConnection, stones: Tombstones) -> Scope:
    """Fill the temp tables.

    Args:
        con: The ledger; `raw` attached, `warehouse` attached if there is one.
        stones: The tombstones of what is being erased.
    """
    from reverse_etl.records import PLURALS, canonical_id

    candidates: set[tuple[str, str]] = set()
    for (text,) in con.execute(_LEDGER_IDS).fetchall():
        if _NOT_A_NAME.match(text or ""):
            _, singular, record_id = str(text).split(":", 2)
            candidates.add((PLURALS.get(singular, singular), record_id))
        elif text:
            candidates.add(("contacts", str(text)))
    for table in ("plan_ops", "quarantine"):
        candidates.update(con.execute(f"select distinct object_type, record_id from {table}").fetchall())
    kinds = ("contacts", *ENGAGEMENTS)
    for kind in kinds:
        candidates.update((kind, str(row[0])) for row in con.execute(f"select id from {RAW}.{kind}").fetchall())
    for column in ("merged_id", "surviving_id"):
        merged = con.execute(f"select {column} from {RAW}.merges where object_type = 'contacts'").fetchall()
        candidates.update(("contacts", str(row[0])) for row in merged)
    ids = frozenset((kind, one) for kind, one in candidates if is_theirs(stones, kind, one))
    scope = Scope(ids, _needles(con, stones, ids))
    names = sorted(ids)
    con.execute("create or replace temp table gone (record_id varchar, alias varchar, object_type varchar, id varchar)")
    if names:
        con.executemany(
            "insert into gone values (?, ?, ?, ?)",
            [[canonical_id(CRM, kind, one), _alias(stones, kind, one), kind, one] for kind, one in names],
        )
    near_documents(con, scope.of_type("contacts"))
    singulars = "case object_type " + " ".join(f"when '{p}' then '{s}'" for s, p in PLURALS.items() if s != "account")
    con.execute(
        f"""
        create or replace temp table near as
        select '{CRM}:company:' || id as record_id from near_companies
        union select '{CRM}:contact:' || id from near_contacts
        union select '{CRM}:' || {singulars} else object_type end || ':' || id from near_documents
        union select record_id from gone;

        create or replace temp table gone_facts as
        select distinct fact_id from facts where document_id in (select record_id from gone)
        """
    )
    _rested(con, scope.needles)
    return scope


def is_theirs(stones: Tombstones, kind: str, one: str) -> bool:
    """Whether a record of the CRM was erased."""
    if kind == "contacts":
        return stones.has("contact", one)
    return kind in ENGAGEMENTS and stones.has("document", document(kind, one))


def _alias(stones: Tombstones, kind: str, one: str) -> str:
    """What takes a record's place where a row must stay, so that the numbers of past nights still add up."""
    digest = stones.hash("contact", one) if kind == "contacts" else stones.hash("document", document(kind, one))
    return f"erased:{digest[:16]}"


def _needles(con: duckdb.DuckDBPyConnection, stones: Tombstones, ids: frozenset[tuple[str, str]]) -> Needles:
    contacts = sorted(one for kind, one in ids if kind == "contacts")
    emails = sorted(one for kind, one in ids if kind == "emails")
    texts = con.execute(
        f"""
        select email from {RAW}.contacts where email <> ''
        union all
        select concat_ws(' ', hs_email_from_email, hs_email_to_email, hs_email_cc_email, hs_email_headers)
        from {RAW}.emails where id in (select unnest(?::varchar[]))
        union all
        select author from facts where contains(author, '@')
        """,
        [emails],
    ).fetchall()
    found = {one for (text,) in texts for one in addresses_in(text or "")}
    names = con.execute(
        f"""
        select distinct trim(firstname) || ' ' || trim(lastname) from {RAW}.contacts
        where id in (select unnest(?::varchar[])) and trim(firstname) <> '' and trim(lastname) <> ''
        """,
        [contacts],
    ).fetchall()
    return Needles(frozenset(one for one in found if stones.has("email", one)), frozenset(str(row[0]) for row in names))


def mentions(needles: Needles, text: str, record_id: str | None) -> str:
    """SQL: `text` names the person or holds an id of theirs; `record_id` is whose text it is (None: look for names)."""
    names = needles.name_sql(text)
    if record_id is not None:
        names = f"({record_id} in (select record_id from near) and {names})"
    return f"""(
        {needles.address_sql(text)}
        or {names}
        or exists (select 1 from gone_facts where list_contains(regexp_extract_all({text}, '{_FACT_ID}'), fact_id))
        or exists (select 1 from gone where list_contains(regexp_extract_all({text}, '{_RECORD_ID}'), gone.record_id))
    )"""


def _rested(con: duckdb.DuckDBPyConnection, needles: Needles) -> None:
    con.execute(
        f"""
        create or replace temp table shown_contexts (operation varchar, record_id varchar, context_hash varchar);
        create or replace temp table resting as
        select answer_id from answers where record_id in (select record_id from gone)
        union
        select answer_id from evidence
        where (evidence_kind = 'fact' and evidence_id in (select fact_id from gone_facts))
            or regexp_extract(evidence_id, '{_RECORD_ID}') in (select record_id from gone)
        union
        select answers.answer_id
        from answers
        inner join recall_log using (operation, record_id, context_hash)
        where recall_log.decision = 'included' and recall_log.fact_id in (select fact_id from gone_facts)
        union
        select answer_id from answers inner join evidence using (answer_id)
        where {needles.address_sql("quote")}
            or (record_id in (select record_id from near) and {needles.name_sql("quote")})
        union
        select answer_id from answers inner join sentences using (answer_id)
        where {needles.address_sql("body")}
            or (record_id in (select record_id from near) and {needles.name_sql("body")})
        union
        select answer_id from answers inner join facts using (answer_id)
        where {needles.address_sql("concat_ws(' ', author, fact_value, quote)")}
            or (
                record_id in (select record_id from near)
                and {needles.name_sql("concat_ws(chr(10), author, fact_value, quote)")}
            )
        """
    )
    # What the questions show right now says more than what the answers cite: whatever was looked at may be paraphrased.
    for schema, table in con.execute(
        """
        select schema_name, table_name from duckdb_columns()
        where database_name = 'warehouse' and starts_with(table_name, 'queue_') and column_name = 'context'
        """
    ).fetchall():
        con.execute(
            f"""
            insert into shown_contexts
            select operation, record_id, context_hash from warehouse."{schema}"."{table}"
            where context is not null and {mentions(needles, "context", "record_id")}
            """
        )
    con.execute(
        """
        create or replace temp table rested as
        select answer_id, operation, record_id, input_hash, context_hash, attempt_id
        from answers
        where answer_id in (select answer_id from resting)
            or (operation, record_id, context_hash) in (
                select (operation, record_id, context_hash) from shown_contexts
            );

        create or replace temp table touched as
        select attempt_id, input_hash, record_id in (select record_id from gone) as is_theirs
        from attempts
        where record_id in (select record_id from gone)
            or attempt_id in (select attempt_id from rested)
            or (operation, record_id, input_hash) in (select (operation, record_id, input_hash) from rested);

        create or replace temp table lost_texts as
        select body, bool_or(is_quote) as is_quote from (
            select quote as body, true as is_quote from facts where document_id in (select record_id from gone)
            union all
            select body, false from sentences where answer_id in (select answer_id from rested)
            union all
            select quote, true from evidence
            where answer_id in (select answer_id from rested) and (
                evidence_id in (select fact_id from gone_facts)
                or regexp_extract(evidence_id, '[a-z0-9]+:[a-z]+:[A-Za-z0-9]+') in (select record_id from gone)
            )
        )
        where length(body) >= 12
        group by body
        """
    )
