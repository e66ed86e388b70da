"""Who is meant by an address or a record id, and which records hold what that person wrote, said or arranged.

Merged and converted records, records with the same address in any CRM, records that a rule or a person confirmed to be
theirs, and addresses that wrote under the person's name on the person's record are one person. Links that are only
suggested are told, not followed. What somebody wrote, said or arranged (email, call, meeting, note, task), in any
source, is theirs, and is erased as a whole, when

* a CRM links it to one of their records,
* one of their addresses stands anywhere in it (sender, recipient, attendee, headers, text),
* they speak in its transcript,
* it is a mail that quotes older text in a thread they wrote in,
* it is another system's copy of one of these (the same mail, the transcript of a call), or
* it belongs to one of their companies (or a colleague there) and names them in full.

Where all this is to be looked for is declared in `places`; this module knows no source.

Namesakes at other companies, and first names alone, are not taken for the person.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nightdesk.erasure import links, places
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

Why = Literal["linked", "address", "voice", "quoted", "copy", "named"]


@dataclass(frozen=True, slots=True)
class Person:
    """One person as the raw tables (and, where they are gone from there, the ledger) know them.

    Attributes:
        contacts: Bare ids of their records in every CRM (contacts, leads), merged ones included.
        addresses: Their email addresses, lower case.
        names: Their full names.
        documents: (kind, bare id) of every document that is erased with them, and why.
        threads: Mail threads they wrote in.
        speakers: (name, company) as transcripts show their voice.
        shared: How many of the documents are linked to other contacts, too.
        suggested: Records that may be theirs, as canonical ids: somebody has to look at them.
        erased_before: The earlier erasure, of somebody of whom nothing is left here.
    """

    contacts: frozenset[str]
    addresses: frozenset[str]
    names: frozenset[str] = frozenset()
    documents: Mapping[tuple[str, str], Why] = field(default_factory=dict[tuple[str, str], "Why"])
    threads: frozenset[str] = frozenset()
    speakers: frozenset[tuple[str, str]] = frozenset()
    shared: int = 0
    suggested: tuple[str, ...] = ()
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


def find(con: duckdb.DuckDBPyConnection, named: str, stones: Tombstones) -> Person:
    """The person meant by `named`. Needs `places.connect`.

    Args:
        con: The ledger, with the raw database attached as `raw` and the warehouse, if there is one, as `warehouse`.
        named: An email address, `hubspot:contact:123`, `contact:123`, `123` or `salesforce:lead:00Q1`.
        stones: Who was erased before.

    Raises:
        NightdeskError: Nothing here knows that person, or it is a record that is no person.
    """
    from reverse_etl.records import parse_record

    name = parse_record(named)
    if name.object_type not in (None, "contacts", "Contact", "Lead"):
        raise NightdeskError(f"`{named}` is no person", todo="Name a contact: its email address or its record id.")
    record_id = places.long_id(name.record_id) if name.record_id else None
    contacts, addresses, _ = _grow(con, {record_id} if record_id else set(), {name.email} if name.email else set())
    names = names_of(con, contacts, addresses)
    addresses |= _further_addresses(con, contacts, names, addresses)
    contacts, addresses, suggested = _grow(con, contacts, addresses)
    names = names_of(con, contacts, addresses)
    is_known = bool(_column(con, "select id from places_people where id in (select unnest(?))", [sorted(contacts)]))
    documents, threads, speakers = _documents(con, contacts, addresses, names)
    documents |= _of_the_ledger(con, contacts, addresses, names, documents)
    if not (is_known or documents or _ledger_knows(con, contacts)):
        earlier = _erased_before(stones, record_id, name.email)
        if earlier is not None:
            return Person(frozenset(), frozenset(), erased_before=earlier)
        raise NightdeskError(
            f"Nobody here is known as `{named}`",
            where="contacts, leads, merged records, mails, calls and meetings in raw.duckdb; questions, facts and "
            "plans in ledger.duckdb",
            todo="Check the address or the id; merged records are found by any of their ids.",
        )
    return Person(
        frozenset(contacts),
        frozenset(addresses),
        frozenset(names),
        documents,
        frozenset(threads),
        frozenset(speakers),
        _shared(con, contacts, addresses, documents),
        tuple(sorted(suggested)),
    )


def _erased_before(stones: Tombstones, record_id: str | None, email: str | None) -> str | None:
    return (stones.erasure_of("contact", record_id) if record_id else None) or (
        stones.erasure_of("email", email) if email else None
    )


def _column(con: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] = ()) -> list[str]:
    return [str(row[0]) for row in con.execute(sql, list(parameters)).fetchall() if row[0] is not None]


def _grow(
    con: duckdb.DuckDBPyConnection, contacts: set[str], addresses: set[str]
) -> tuple[set[str], set[str], set[str]]:
    """Follow merges (both ways), shared addresses and confirmed links until nothing new is found.

    Returns:
        Records, addresses, and canonical ids that are only suggested to be one with them.
    """
    while True:
        before = (len(contacts), len(addresses))
        ids = sorted(contacts)
        contacts |= set(
            _column(
                con,
                """
                select split_part(other, ':', 3) from places_same
                where split_part(one, ':', 3) in (select unnest(?::varchar[]))
                union
                select split_part(one, ':', 3) from places_same
                where split_part(other, ':', 3) in (select unnest(?::varchar[]))
                union
                select id from places_people where email in (select unnest(?::varchar[]))
                """,
                [ids, ids, sorted(addresses)],
            )
        )
        addresses |= set(
            _column(
                con,
                "select email from places_people where id in (select unnest(?::varchar[])) and email <> ''",
                [sorted(contacts)],
            )
        )
        linked = links.of(con, contacts, addresses)
        contacts |= linked.contacts
        addresses |= linked.addresses
        if (len(contacts), len(addresses)) == before:
            return contacts, addresses, linked.suggested


def names_of(con: duckdb.DuckDBPyConnection, contacts: Iterable[str], addresses: Iterable[str]) -> set[str]:
    """Full names of some records and of whoever writes or takes part under some addresses."""
    found = _column(
        con,
        """
        select distinct full_name from places_people
        where id in (select unnest(?::varchar[])) and is_full
        union
        select name from places_names
        where email in (select unnest(?::varchar[])) and contains(name, ' ') and not contains(name, '@')
        """,
        [sorted(contacts), sorted(addresses)],
    )
    return {" ".join(one.split()) for one in found}


def _further_addresses(
    con: duckdb.DuckDBPyConnection, contacts: set[str], names: set[str], addresses: set[str]
) -> set[str]:
    """Senders on the person's own record that write under the person's name and are nobody else's address."""
    rows = con.execute(
        """
        select distinct email, headers, name from places_senders
        where (source, id) in (
            select (source, id) from places_links where kind = 'emails' and person in (select unnest(?::varchar[]))
        )
        and email <> ''
        and email not in (select email from places_people where email <> '')
        and email not in (select email from places_sellers)
        """,
        [sorted(contacts)],
    ).fetchall()
    wanted = {" ".join(one.casefold().split()) for one in names}
    return {
        str(address)
        for address, headers, name in rows
        if address not in addresses and (_sender(headers) or " ".join((name or "").casefold().split())) in wanted
    }


def _sender(headers: str | None) -> str:
    try:
        sender: dict[str, Any] = json.loads(headers or "{}").get("from") or {}
        name = f"{sender.get('firstName') or ''} {sender.get('lastName') or ''}"
    except (ValueError, AttributeError):
        return ""
    return " ".join(name.casefold().split())


def _documents(
    con: duckdb.DuckDBPyConnection, contacts: set[str], addresses: set[str], names: set[str]
) -> tuple[dict[tuple[str, str], Why], set[str], set[tuple[str, str]]]:
    needles = Needles(frozenset(addresses), frozenset(names))
    near_documents(con, contacts)
    found: dict[tuple[str, str], Why] = {}

    def take(sql: str, why: Why, parameters: Sequence[object] = ()) -> None:
        for kind, one in con.execute(sql, list(parameters)).fetchall():
            found.setdefault((str(kind), str(one)), why)

    # A task of Salesforce has the kind it has today; where a link's document is gone, the link's kind says enough.
    take(
        f"""
        select distinct coalesce(documents.kind, places_links.kind), places_links.id
        from places_links
        left join places_documents as documents
            on documents.source = places_links.source and documents.id = places_links.id
            and (documents.kind = places_links.kind or documents.source <> '{places.CRM}')
        where places_links.person in (select unnest(?::varchar[]))
            and places_links.kind in (select unnest(?::varchar[]))
        order by all
        """,
        "linked",
        [sorted(contacts), list(ENGAGEMENTS)],
    )
    take(f"select kind, id from places_documents where {needles.address_sql('text')} order by all", "address")
    speakers = _voices(con, contacts, names, found)
    threads = set(
        _column(
            con,
            "select distinct thread from places_senders where email in (select unnest(?::varchar[])) and thread <> ''",
            [sorted(addresses)],
        )
    )
    in_threads = con.execute(
        "select id, body from places_senders where thread in (select unnest(?::varchar[]))", [sorted(threads)]
    ).fetchall()
    for one, body in in_threads:
        if holds_older_text(body or ""):
            found.setdefault(("emails", str(one)), "quoted")
    _copies(con, found)
    take(
        f"""
        select documents.kind, documents.id from places_documents as documents
        inner join near_documents as near
            on near.source = documents.source and near.id = documents.id
            and (near.kind = documents.kind or documents.source <> '{places.CRM}')
        where {needles.name_sql("documents.text")}
        order by all
        """,
        "named",
    )
    _copies(con, found)
    return found, threads, speakers


def _copies(con: duckdb.DuckDBPyConnection, found: dict[tuple[str, str], Why]) -> None:
    """Take what says the same in another system, however many systems have it."""
    pairs: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for kind, one, other in con.execute("select kind, id, other_id from places_copies").fetchall():
        pairs.setdefault((str(kind), str(one)), set()).add((str(kind), str(other)))
    waiting = [one for one in found if one in pairs]
    while waiting:
        for other in pairs.get(waiting.pop(), ()):
            if other not in found:
                found[other] = "copy"
                waiting.append(other)


def _voices(
    con: duckdb.DuckDBPyConnection, contacts: set[str], names: set[str], found: dict[tuple[str, str], Why]
) -> set[tuple[str, str]]:
    """Take the calls in which the person speaks; returns how transcripts name the person."""
    for one in links.calls_of(con, contacts):
        found.setdefault(("calls", one), "voice")
    if not names:
        return set()
    lines = "|".join(re.escape(name) for name in sorted(names))
    calls = con.execute(
        f"""
        select distinct calls.id, calls.body, near.id is not null
        from places_voices as calls
        left join near_documents as near
            on near.source = calls.source and near.id = calls.id
            and (near.kind = 'calls' or near.source <> '{places.CRM}')
        where regexp_matches(calls.body, ?)
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
    """Fill the temp tables `near_contacts(id)`, `near_companies(record_id)` and `near_documents(source, kind, id)`.

    Their companies, the other people there, and the documents and deals that are linked to any of these or, where a
    source knows no records, in which one of those people's addresses takes part.
    """
    con.execute(
        """
        create or replace temp table near_companies as
        select distinct company_id as record_id from places_companies where person in (select unnest(?::varchar[]))
        """,
        [sorted(contacts)],
    )
    con.execute(
        """
        create or replace temp table near_contacts as
        select distinct person as id from places_companies
        where company_id in (select record_id from near_companies);

        create or replace temp table near_documents as
        select source, kind, id from places_near where company_id in (select record_id from near_companies)
        union
        select source, kind, id from places_links
        where kind not in ('contacts', 'companies') and person in (select id from near_contacts)
        union
        select documents.source, documents.kind, documents.id
        from places_participants as participants
        inner join places_documents as documents using (source, id)
        where participants.email in (
            select email from places_people where email <> '' and id in (select id from near_contacts)
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
    authors = sorted(addresses | ({name.lower() for name in names} if names else set()))
    rows = _column(
        con,
        """
        select distinct document_id from ledger.main.facts
        where lower(author) in (select unnest(?::varchar[]))
            and split_part(document_id, ':', 3) not in (select id from places_documents)
        union
        -- what the answers about the person themselves rest on
        select distinct facts.document_id
        from ledger.main.answers
        inner join ledger.main.evidence using (answer_id)
        inner join ledger.main.facts on evidence.evidence_kind = 'fact' and evidence.evidence_id = facts.fact_id
        where split_part(answers.record_id, ':', 2) in ('contact', 'lead')
            and split_part(answers.record_id, ':', 3) in (select unnest(?::varchar[]))
            and lower(facts.author) in (select unnest(?::varchar[]))
        """,
        [sorted(addresses), sorted(contacts), authors],
    )
    found: dict[tuple[str, str], Why] = {}
    for record_id in rows:
        name = places.split(record_id)
        if name is not None and name[1:] not in documents:
            found[name[1:]] = "address"
    return found


def _ledger_knows(con: duckdb.DuckDBPyConnection, contacts: set[str]) -> bool:
    is_theirs = (
        "split_part(record_id, ':', 2) in ('contact', 'lead') "
        "and split_part(record_id, ':', 3) in (select unnest(?::varchar[]))"
    )
    return bool(
        _column(
            con,
            f"""
            select record_id from ledger.main.attempts where {is_theirs}
            union all
            select record_id from ledger.main.outcomes where {is_theirs}
            union all
            select record_id from ledger.main.plan_ops
            where object_type in ('contacts', 'Contact', 'Lead') and record_id in (select unnest(?::varchar[]))
            limit 1
            """,
            [sorted(contacts)] * 3,
        )
    )


def _shared(
    con: duckdb.DuckDBPyConnection,
    contacts: set[str],
    addresses: Set[str],
    documents: Mapping[tuple[str, str], Why],
) -> int:
    """How many documents a CRM links to other people, or other people of a CRM take part in."""
    pairs = sorted(documents)
    found = con.execute(
        f"""
        select count(distinct (theirs.kind, theirs.id))
        from (select unnest(?::varchar[]) as kind, unnest(?::varchar[]) as id) as theirs
        left join places_links
            on places_links.id = theirs.id and (places_links.kind = theirs.kind or source <> '{places.CRM}')
            and person not in (select unnest(?::varchar[]))
            and (source = '{places.CRM}' or person in (select id from places_people))
        left join places_participants as participants
            on participants.id = theirs.id and participants.email in (select email from places_people)
            and participants.email not in (select unnest(?::varchar[]))
        where places_links.id is not null or participants.id is not null
        """,
        [[kind for kind, _ in pairs], [one for _, one in pairs], sorted(contacts), sorted(addresses)],
    ).fetchone()
    return int(found[0]) if found else 0
