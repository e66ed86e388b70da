"""Who is meant by an address or a record id, and which records hold what that person wrote, said or arranged.

Merged records, records with the same address, and addresses that wrote under the person's name on the person's record
are one person. A record of an engagement (email, call, meeting, note, task) is theirs, and is erased as a whole, when

* the CRM links it to one of their contact records,
* one of their addresses stands anywhere in it (sender, recipient, headers, text),
* they speak in its transcript,
* it is a mail that quotes older text in a thread they wrote in, or
* it belongs to one of their companies (or a colleague there) and names them in full.

Namesakes at other companies, and first names alone, are not taken for the person.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nightdesk.erasure.needles import Needles
from nightdesk.erasure.tombstones import (
    ENGAGEMENTS,
    Kind,
    Subject,
    Tombstones,
    document,
    holds_older_text,
    speaker,
    speakers_in,
)
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import duckdb

Why = Literal["linked", "address", "voice", "quoted", "named"]
RAW = "raw.hubspot"
CRM = "hubspot"


@dataclass(frozen=True, slots=True)
class Person:
    """One person as the raw tables (and, where they are gone from there, the ledger) know them.

    Attributes:
        contacts: CRM ids of their contact records, merged ones included.
        addresses: Their email addresses, lower case.
        names: Their full names.
        documents: (object type, CRM id) of every record that is erased with them, and why.
        threads: Mail threads they wrote in.
        speakers: (name, company) as transcripts show their voice.
        shared: How many of the documents are linked to other contacts, too.
        erased_before: The earlier erasure, of somebody of whom nothing is left here.
    """

    contacts: frozenset[str]
    addresses: frozenset[str]
    names: frozenset[str] = frozenset()
    documents: Mapping[tuple[str, str], Why] = field(default_factory=dict[tuple[str, str], "Why"])
    threads: frozenset[str] = frozenset()
    speakers: frozenset[tuple[str, str]] = frozenset()
    shared: int = 0
    erased_before: str = ""

    def subjects(self) -> list[Subject]:
        """Everything a tombstone is made of."""
        texts: dict[Kind, list[str]] = {
            "contact": sorted(self.contacts),
            "email": sorted(self.addresses),
            "document": sorted(document(*one) for one in self.documents),
            "thread": sorted(self.threads),
            "speaker": sorted(speaker(*one) for one in self.speakers),
        }
        return [(kind, one) for kind, some in texts.items() for one in some]

    def by_type(self) -> dict[str, int]:
        """Documents per object type."""
        return dict(Counter(object_type for object_type, _ in self.documents))


def find(
    con: duckdb.DuckDBPyConnection, named: str, text_columns: Mapping[str, Sequence[str]], stones: Tombstones
) -> Person:
    """The person meant by `named`.

    Args:
        con: The ledger, with the raw database attached as `raw`.
        named: An email address, `hubspot:contact:123`, `contact:123` or `123`.
        text_columns: Engagement type to the columns of its raw table that hold text.
        stones: Who was erased before.

    Raises:
        NightdeskError: Nothing here knows that person, or it is a record that is no person.
    """
    from reverse_etl.records import parse_record

    name = parse_record(named)
    if name.object_type not in (None, "contacts"):
        raise NightdeskError(f"`{named}` is no person", todo="Name a contact: its email address or its record id.")
    contacts, addresses = _grow(
        con, {name.record_id} if name.record_id else set(), {name.email} if name.email else set()
    )
    contacts_known = bool(
        _column(con, f"select id from {RAW}.contacts where id in (select unnest(?))", [sorted(contacts)])
    )
    names = set(
        _column(
            con,
            f"""
            select distinct trim(firstname) || ' ' || trim(lastname) from {RAW}.contacts
            where id in (select unnest(?)) and trim(firstname) <> '' and trim(lastname) <> ''
            """,
            [sorted(contacts)],
        )
    )
    addresses |= _further_addresses(con, contacts, names, addresses)
    contacts, addresses = _grow(con, contacts, addresses)
    documents, threads, speakers = _documents(con, contacts, addresses, names, text_columns)
    documents |= _of_the_ledger(con, contacts, addresses, names, documents)
    if not (contacts_known or documents or _ledger_knows(con, contacts)):
        earlier = _erased_before(stones, name.record_id, name.email)
        if earlier is not None:
            return Person(frozenset(), frozenset(), erased_before=earlier)
        raise NightdeskError(
            f"Nobody here is known as `{named}`",
            where="contacts, merged records and mails in raw.duckdb; questions, facts and plans in ledger.duckdb",
            todo="Check the address or the id; merged records are found by any of their ids.",
        )
    return Person(
        frozenset(contacts),
        frozenset(addresses),
        frozenset(names),
        documents,
        frozenset(threads),
        frozenset(speakers),
        _shared(con, contacts, documents),
    )


def _erased_before(stones: Tombstones, record_id: str | None, email: str | None) -> str | None:
    return (stones.erasure_of("contact", record_id) if record_id else None) or (
        stones.erasure_of("email", email) if email else None
    )


def _column(con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] = ()) -> list[str]:
    return [str(row[0]) for row in con.execute(sql, list(parameters)).fetchall() if row[0] is not None]


def _grow(con: duckdb.DuckDBPyConnection, contacts: set[str], addresses: set[str]) -> tuple[set[str], set[str]]:
    """Follow merges (both ways) and shared addresses until nothing new is found."""
    while True:
        before = (len(contacts), len(addresses))
        ids = sorted(contacts)
        contacts |= set(
            _column(
                con,
                f"""
                select surviving_id from {RAW}.merges
                where object_type = 'contacts' and merged_id in (select unnest($ids))
                union
                select merged_id from {RAW}.merges
                where object_type = 'contacts' and surviving_id in (select unnest($ids))
                union
                select trim(part) from (
                    select unnest(string_split(hs_merged_object_ids, ';')) as part from {RAW}.contacts
                    where id in (select unnest($ids))
                ) where trim(part) <> ''
                union
                select id from {RAW}.contacts where lower(trim(email)) in (select unnest($addresses))
                """.replace("$ids", "?::varchar[]").replace("$addresses", "?::varchar[]"),
                [ids, ids, ids, sorted(addresses)],
            )
        )
        addresses |= set(
            _column(
                con,
                f"""
                select lower(trim(email)) from {RAW}.contacts
                where id in (select unnest(?::varchar[])) and trim(email) <> ''
                """,
                [sorted(contacts)],
            )
        )
        if (len(contacts), len(addresses)) == before:
            return contacts, addresses


def _further_addresses(
    con: duckdb.DuckDBPyConnection, contacts: set[str], names: set[str], addresses: set[str]
) -> set[str]:
    """Senders on the person's own record that write under the person's name and are nobody else's address."""
    rows = con.execute(
        f"""
        select distinct lower(trim(hs_email_from_email)), hs_email_headers from {RAW}.emails
        where id in (
            select from_id from {RAW}.associations
            where from_object_type = 'emails' and to_object_type = 'contacts' and to_id in (select unnest(?::varchar[]))
        )
        and trim(hs_email_from_email) <> ''
        and lower(trim(hs_email_from_email)) not in (select lower(trim(email)) from {RAW}.contacts where email <> '')
        and lower(trim(hs_email_from_email)) not in (select lower(trim(email)) from {RAW}.owners where email <> '')
        """,
        [sorted(contacts)],
    ).fetchall()
    wanted = {" ".join(one.casefold().split()) for one in names}
    return {str(address) for address, headers in rows if address not in addresses and _sender(headers) in wanted}


def _sender(headers: str | None) -> str:
    try:
        sender: dict[str, Any] = json.loads(headers or "{}").get("from") or {}
        name = f"{sender.get('firstName') or ''} {sender.get('lastName') or ''}"
    except (ValueError, AttributeError):
        return ""
    return " ".join(name.casefold().split())


def _documents(
    con: duckdb.DuckDBPyConnection,
    contacts: set[str],
    addresses: set[str],
    names: set[str],
    text_columns: Mapping[str, Sequence[str]],
) -> tuple[dict[tuple[str, str], Why], set[str], set[tuple[str, str]]]:
    needles = Needles(frozenset(addresses), frozenset(names))
    near_documents(con, contacts)
    found: dict[tuple[str, str], Why] = {}

    def take(object_type: str, ids: Iterable[str], why: Why) -> None:
        for one in ids:
            found.setdefault((object_type, one), why)

    for kind in ENGAGEMENTS:
        take(
            kind,
            _column(
                con,
                f"""
                select from_id from {RAW}.associations
                where from_object_type = ? and to_object_type = 'contacts' and to_id in (select unnest(?::varchar[]))
                union
                select to_id from {RAW}.associations
                where to_object_type = ? and from_object_type = 'contacts' and from_id in (select unnest(?::varchar[]))
                """,
                [kind, sorted(contacts), kind, sorted(contacts)],
            ),
            "linked",
        )
        text = f"concat_ws(chr(10), {', '.join(text_columns[kind])})"
        take(kind, _column(con, f"select id from {RAW}.{kind} where {needles.address_sql(text)}"), "address")
    speakers = _voices(con, names, found)
    threads = set(
        _column(
            con,
            f"""
            select distinct hs_email_thread_id from {RAW}.emails
            where lower(trim(hs_email_from_email)) in (select unnest(?::varchar[])) and hs_email_thread_id <> ''
            """,
            [sorted(addresses)],
        )
    )
    in_threads = con.execute(
        f"select id, hs_email_text from {RAW}.emails where hs_email_thread_id in (select unnest(?::varchar[]))",
        [sorted(threads)],
    ).fetchall()
    take("emails", (str(one) for one, body in in_threads if holds_older_text(body or "")), "quoted")
    for kind in ENGAGEMENTS:
        text = f"concat_ws(chr(10), {', '.join(text_columns[kind])})"
        take(
            kind,
            _column(
                con,
                f"""
                select id from {RAW}.{kind}
                where id in (select id from near_documents where object_type = ?) and {needles.name_sql(text)}
                """,
                [kind],
            ),
            "named",
        )
    return found, threads, speakers


def _voices(con: duckdb.DuckDBPyConnection, names: set[str], found: dict[tuple[str, str], Why]) -> set[tuple[str, str]]:
    """Take the calls in which the person speaks; returns how transcripts name the person."""
    if not names:
        return set()
    lines = "|".join(re.escape(name) for name in sorted(names))
    calls = con.execute(
        f"""
        select calls.id, calls.hs_call_body, near.id is not null
        from {RAW}.calls as calls
        left join near_documents as near on near.object_type = 'calls' and near.id = calls.id
        where regexp_matches(calls.hs_call_body, ?)
        """,
        [rf"(?i)\] *(?:{lines}) *(?:\(|:)"],
    ).fetchall()
    wanted = {" ".join(name.casefold().split()) for name in names}
    voices: set[tuple[str, str]] = set()
    theirs = [
        (str(one), [voice for voice in speakers_in(body) if " ".join(voice[0].casefold().split()) in wanted], near)
        for one, body, near in calls
    ]
    # The company shown beside the name in a call that is surely theirs recognises them in others.
    for one, spoken, near in theirs:
        if near or ("calls", one) in found:
            voices.update(voice for voice in spoken if voice[1])
    for one, spoken, near in theirs:
        if spoken and (near or any(voice in voices for voice in spoken)):
            found.setdefault(("calls", one), "voice")
    return voices


def near_documents(con: duckdb.DuckDBPyConnection, contacts: Iterable[str]) -> None:
    """Fill the temp tables `near_contacts`, `near_companies` and `near_documents`.

    Their companies, the other contacts there, and the records of engagements and deals that are linked to any of these.
    """
    con.execute(
        f"""
        create or replace temp table near_companies as
        select distinct to_id as id from {RAW}.associations
        where from_object_type = 'contacts' and to_object_type = 'companies'
            and from_id in (select unnest(?::varchar[]))
        """,
        [sorted(contacts)],
    )
    con.execute(
        f"""
        create or replace temp table near_contacts as
        select distinct from_id as id from {RAW}.associations
        where from_object_type = 'contacts' and to_object_type = 'companies'
            and to_id in (select id from near_companies);

        create or replace temp table near_documents as
        select distinct from_object_type as object_type, from_id as id from {RAW}.associations
        where from_object_type not in ('contacts', 'companies')
            and (
                (to_object_type = 'companies' and to_id in (select id from near_companies))
                or (to_object_type = 'contacts' and to_id in (select id from near_contacts))
            )
        """
    )


def _of_the_ledger(
    con: duckdb.DuckDBPyConnection,
    contacts: set[str],
    addresses: set[str],
    names: set[str],
    documents: Mapping[tuple[str, str], Why],
) -> dict[tuple[str, str], Why]:
    """Documents that left the raw tables and of which the ledger still holds what the person said."""
    from reverse_etl.records import PLURALS

    authors = sorted(addresses | ({name.lower() for name in names} if names else set()))
    rows = _column(
        con,
        f"""
        select distinct document_id from ledger.main.facts
        where lower(author) in (select unnest(?::varchar[]))
            and split_part(document_id, ':', 3) not in (select id from {RAW}.emails)
            and split_part(document_id, ':', 3) not in (select id from {RAW}.calls)
            and split_part(document_id, ':', 3) not in (select id from {RAW}.notes)
        union
        -- what the answers about the person themselves rest on
        select distinct facts.document_id
        from ledger.main.answers
        inner join ledger.main.evidence using (answer_id)
        inner join ledger.main.facts on evidence.evidence_kind = 'fact' and evidence.evidence_id = facts.fact_id
        where answers.record_id in (select unnest(?::varchar[]))
            and lower(facts.author) in (select unnest(?::varchar[]))
        """,
        [sorted(addresses), [f"{CRM}:contact:{one}" for one in sorted(contacts)], authors],
    )
    found: dict[tuple[str, str], Why] = {}
    for one in rows:
        _, singular, record_id = one.split(":", 2)
        kind = PLURALS.get(singular, singular)
        if (kind, record_id) not in documents:
            found[kind, record_id] = "address"
    return found


def _ledger_knows(con: duckdb.DuckDBPyConnection, contacts: set[str]) -> bool:
    ids = [f"{CRM}:contact:{one}" for one in sorted(contacts)]
    return bool(
        _column(
            con,
            """
            select record_id from ledger.main.attempts where record_id in (select unnest($ids::varchar[]))
            union all
            select record_id from ledger.main.outcomes where record_id in (select unnest($ids::varchar[]))
            union all
            select record_id from ledger.main.plan_ops
            where object_type = 'contacts' and record_id in (select unnest($bare::varchar[]))
            limit 1
            """.replace("$ids", "?").replace("$bare", "?"),
            [ids, ids, sorted(contacts)],
        )
    )


def _shared(con: duckdb.DuckDBPyConnection, contacts: set[str], documents: Mapping[tuple[str, str], Why]) -> int:
    pairs = sorted(documents)
    found = con.execute(
        f"""
        select count(distinct (from_object_type, from_id))
        from {RAW}.associations
        inner join (select unnest(?::varchar[]) as kind, unnest(?::varchar[]) as id) as theirs
            on theirs.kind = from_object_type and theirs.id = from_id
        where to_object_type = 'contacts' and to_id not in (select unnest(?::varchar[]))
        """,
        [[kind for kind, _ in pairs], [one for _, one in pairs], sorted(contacts)],
    ).fetchone()
    return int(found[0]) if found else 0
