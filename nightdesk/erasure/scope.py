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

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nightdesk.erasure import places
from nightdesk.erasure.needles import Needles
from nightdesk.erasure.person import names_of, near_documents
from nightdesk.erasure.tombstones import Tombstones, addresses_in, document

if TYPE_CHECKING:
    import duckdb

_FACT_ID = "f_[0-9a-f]{12}"
_RECORD_ID = "[a-z0-9]+:(?:contact|lead|email|call|meeting|note|task):[A-Za-z0-9]+"

_LEDGER_IDS = """
select record_id from attempts
union select record_id from answers
union select record_id from outcomes
union select document_id from facts
union select contact_id from suppression
union select item from policy_lists where list_name = 'suppression_lifted'
union select left_record_id from identity_links union select right_record_id from identity_links
union select left_record_id from identity_reviews union select right_record_id from identity_reviews
"""
_PLANNED = ("plan_ops", "quarantine", "review_answers")


@dataclass(frozen=True, slots=True)
class Scope:
    """What the temp tables were made from.

    Attributes:
        ids: Canonical ids of the person's records and documents.
        needles: Addresses and names to look for.
    """

    ids: frozenset[str]
    needles: Needles

    def people(self) -> list[str]:
        """Bare ids of the person's records."""
        found = (places.split(one) for one in self.ids)
        return sorted({name[2] for name in found if name is not None and name[1] == "contacts"})


def build(con: duckdb.DuckDBPyConnection, stones: Tombstones) -> Scope:
    """Fill the temp tables.

    Args:
        con: The ledger; `raw` attached (and known to `places.connect`), `warehouse` attached if there is one.
        stones: The tombstones of what is being erased.
    """
    candidates = places.known(con)
    for (text,) in con.execute(_LEDGER_IDS).fetchall():
        if text:
            candidates.add(str(text) if ":" in str(text) else f"{places.CRM}:contact:{text}")
    for table in _PLANNED:
        named = places.canonical_sql("crm", "object_type", "record_id")
        candidates.update(str(row[0]) for row in con.execute(f"select distinct {named} from {table}").fetchall())
    ids = frozenset(
        spelling for one in candidates if places.is_theirs(stones, one) for spelling in places.spellings(one)
    )
    scope = Scope(ids, _needles(con, stones, ids))
    con.execute("create or replace temp table gone (record_id varchar, alias varchar, id varchar)")
    rows = [[one, _alias(stones, one), one.rpartition(":")[2]] for one in sorted(ids)]
    if rows:
        con.executemany("insert into gone values (?, ?, ?)", rows)
    near_documents(con, scope.people())
    con.execute(
        """
        create or replace temp table near as
        select record_id from near_companies
        union
        select record_id from places_people where id in (select id from near_contacts)
        union
        select source || ':' || unnest(
            case
                when source = 'salesforce' and kind in ('tasks', 'calls', 'emails') then ['task', 'call', 'email']
                else [rtrim(kind, 's')]
            end
        ) || ':' || id
        from near_documents
        union
        select record_id from gone;

        create or replace temp table gone_facts as
        select distinct fact_id from facts where document_id in (select record_id from gone)
        """
    )
    _rested(con, scope.needles)
    return scope


def _alias(stones: Tombstones, record_id: str) -> str:
    """What takes a record's place where a row must stay, so that the numbers of past nights still add up."""
    _, kind, one = places.split(record_id) or ("", "", record_id)
    digest = stones.hash("contact", one) if kind == "contacts" else stones.hash("document", document(kind, one))
    return f"erased:{digest[:16]}"


def _needles(con: duckdb.DuckDBPyConnection, stones: Tombstones, ids: frozenset[str]) -> Needles:
    texts = con.execute(
        """
        select email from places_people where email <> ''
        union all
        select text from places_documents where record_id in (select unnest(?::varchar[])) and contains(text, '@')
        union all
        select author from facts where contains(author, '@')
        """,
        [sorted(ids)],
    ).fetchall()
    found = {one for (text,) in texts for one in addresses_in(text or "")}
    addresses = frozenset(one for one in found if stones.has("email", one))
    found_ids = (places.split(one) for one in ids)
    people = {name[2] for name in found_ids if name is not None and name[1] == "contacts"}
    return Needles(addresses, frozenset(names_of(con, people, addresses)))


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
