"""Where a person can stand in the raw tables of each source: the one list that finding, counting and removing read.

Everything else in this package works on the views that `connect` makes of the list, and on canonical ids
(`salesforce:lead:00Q1`). A new source, or a new table of one, is declared here and nowhere else.

* `places_people`: records that are a person.
* `places_same`: pairs of such records that a CRM has made one, by a merge or a conversion.
* `places_documents`: what somebody wrote, said or arranged, with all the text of the row.
* `places_links`: documents to the person the CRM ties them to, by bare id.
* `places_copies`: pairs of documents of which one says the same as the other, in another system.
* `places_participants`: addresses that took part in documents of sources that know no records.
* `places_companies`: people to the account they belong to; `places_near`: documents and deals to accounts.
* `places_senders`: mails with sender, name of the sender, conversation and text.
* `places_names`: addresses with the name they go by; `places_voices`: calls with what is said in them.
* `places_sellers`: addresses of our own people.
* `places_values`: values of ours as the CRMs hold them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nightdesk.erasure.tombstones import ENGAGEMENTS, Tombstones, document

if TYPE_CHECKING:
    import duckdb

    from nightdesk.erasure.needles import Needles
    from sources.kit.tables import Table

CRM: Final = "hubspot"  # whose record an id without a prefix is
_PREFIXES: Final = ("003", "00Q")  # how ids of Salesforce's contacts and leads begin
_PEOPLE_TYPES: Final = ("contact", "lead")
_KINDS: Final = {one: "contacts" for one in _PEOPLE_TYPES} | {one.removesuffix("s"): one for one in ENGAGEMENTS}
# A Salesforce task may be an email, a call or a task, by what it says of itself today; its ids are those of one record.
_MIXED: Final = ("salesforce",)

PEOPLE: Final = (
    ("hubspot", "contacts", "contact"),
    ("salesforce", "contacts", "contact"),
    ("salesforce", "leads", "lead"),
)
"""(dataset, table, record type) of records that are a person; the key of each is `id`."""

_TASK: Final = "case task_subtype when 'Call' then 'call' when 'Email' then 'email' else 'task' end"
DOCUMENTS: Final = (
    *(("hubspot", kind, f"'{kind.removesuffix('s')}'") for kind in ENGAGEMENTS),
    ("salesforce", "tasks", _TASK),
    ("salesforce", "events", "'meeting'"),
    ("salesforce", "email_messages", "'email'"),
    ("salesforce", "notes", "'note'"),
    ("mailbox", "messages", "'email'"),
    ("transcripts", "calls", "'call'"),
    ("calendar", "events", "'meeting'"),
)
"""(dataset, table, SQL for the record type) of what is erased as a whole."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Rows that go with the record they point at.

    Attributes:
        dataset: The source.
        table: Its table.
        id: Column with the record's bare id.
        kind: Column with the record's type as its CRM calls it; empty where ids say enough.
    """

    dataset: str
    table: str
    id: str
    kind: str = ""


POINTERS: Final = (
    Pointer("hubspot", "associations", "from_id", "from_object_type"),
    Pointer("hubspot", "associations", "to_id", "to_object_type"),
    Pointer("hubspot", "property_history", "object_id", "object_type"),
    Pointer("hubspot", "namespaced_values", "object_id", "object_type"),
    Pointer("hubspot", "deletions", "object_id", "object_type"),
    Pointer("hubspot", "merges", "merged_id", "object_type"),
    Pointer("hubspot", "merges", "surviving_id", "object_type"),
    Pointer("salesforce", "field_history", "record_id"),
    Pointer("salesforce", "namespaced_values", "object_id"),
    Pointer("salesforce", "deletions", "object_id"),
    Pointer("salesforce", "merges", "merged_id"),
    Pointer("salesforce", "merges", "surviving_id"),
    Pointer("salesforce", "accounts", "person_contact_id"),  # an account that is a person
    Pointer("salesforce", "opportunity_contact_roles", "contact_id"),
    Pointer("salesforce", "task_relations", "task_id"),
    Pointer("salesforce", "task_relations", "relation_id"),
    Pointer("salesforce", "event_relations", "event_id"),
    Pointer("salesforce", "event_relations", "relation_id"),
    Pointer("salesforce", "email_message_relations", "email_message_id"),
    Pointer("salesforce", "email_message_relations", "relation_id"),
)

QUOTES: Final = (
    ("hubspot", "unsubscribes", ("email",)),
    ("salesforce", "email_message_relations", ("relation_address",)),
    ("mailbox", "threads", ("message_id",)),
    ("mailbox", "problems", ("file", "position", "what", "todo")),
    ("transcripts", "problems", ("file", "position", "what", "todo")),
    ("calendar", "problems", ("file", "position", "what", "todo")),
    ("calendar", "series", ("uid",)),
)
"""(dataset, table, columns): rows that are of no record and go when an address of the person stands in them."""

REFERENCES: Final = (
    ("salesforce", "opportunities", "contact_id"),
    ("salesforce", "contacts", "reports_to_id"),
)
"""(dataset, table, column): ids of the person on records of others, which stay without them."""

NAMES: Final = (
    ("mailbox", "files", "file"),
    ("mailbox", "folders", "folder"),
    ("transcripts", "files", "file"),
    ("calendar", "files", "file"),
    ("calendar", "calendars", "name"),
)
"""(dataset, table, column): names people gave their files and folders. They stay as long as the files do."""

WRITTEN: Final = ("hubspot", "salesforce")
"""Datasets of CRMs that we write to: their `namespaced_values` are ours."""

_ADDRESS: Final = "[a-z0-9._%+''\\-]+@[a-z0-9\\-]+(?:\\.[a-z0-9\\-]+)+"

_VIEWS: Final = {
    "places_people": """
        select 'hubspot:contact:' || id as record_id, id, lower(trim(email)) as email,
            trim(firstname) || ' ' || trim(lastname) as full_name,
            trim(firstname) <> '' and trim(lastname) <> '' as is_full
        from {raw}.hubspot.contacts
        union all
        select 'salesforce:contact:' || id, id, lower(trim(email)), trim(first_name) || ' ' || trim(last_name),
            trim(first_name) <> '' and trim(last_name) <> ''
        from {raw}.salesforce.contacts
        union all
        select 'salesforce:lead:' || id, id, lower(trim(email)), trim(first_name) || ' ' || trim(last_name),
            trim(first_name) <> '' and trim(last_name) <> ''
        from {raw}.salesforce.leads
    """,
    "places_same": """
        select 'hubspot:contact:' || merged_id as one, 'hubspot:contact:' || surviving_id as other
        from {raw}.hubspot.merges where object_type = 'contacts'
        union all
        select 'hubspot:contact:' || trim(part), 'hubspot:contact:' || id
        from (select id, unnest(string_split(hs_merged_object_ids, ';')) as part from {raw}.hubspot.contacts)
        where trim(part) <> ''
        union all
        select 'salesforce:' || lower(object_type) || ':' || merged_id,
            'salesforce:' || lower(coalesce(surviving_type, object_type)) || ':' || surviving_id
        from {raw}.salesforce.merges where object_type in ('Contact', 'Lead') and surviving_id <> ''
        union all
        select 'salesforce:contact:' || id, 'salesforce:contact:' || master_record_id
        from {raw}.salesforce.contacts where master_record_id <> ''
        union all
        select 'salesforce:lead:' || id, 'salesforce:lead:' || master_record_id
        from {raw}.salesforce.leads where master_record_id <> ''
        union all
        select 'salesforce:lead:' || id, 'salesforce:contact:' || converted_contact_id
        from {raw}.salesforce.leads where converted_contact_id <> ''
    """,
    "places_links": """
        select 'hubspot' as source, from_object_type as kind, from_id as id, to_id as person
        from {raw}.hubspot.associations where to_object_type = 'contacts'
        union all
        select 'hubspot', to_object_type, to_id, from_id
        from {raw}.hubspot.associations where from_object_type = 'contacts'
        union all
        select 'salesforce', 'tasks', id, who_id from {raw}.salesforce.tasks
        union all
        select 'salesforce', 'tasks', task_id, relation_id from {raw}.salesforce.task_relations
        union all
        select 'salesforce', 'meetings', id, who_id from {raw}.salesforce.events
        union all
        select 'salesforce', 'meetings', event_id, relation_id from {raw}.salesforce.event_relations
        union all
        select 'salesforce', 'emails', email_message_id, relation_id from {raw}.salesforce.email_message_relations
        union all
        select 'salesforce', 'notes', id, parent_id from {raw}.salesforce.notes
        union all
        select 'transcripts', 'calls', call_key, split_part(voice.crm_id, ':', 3) from (
            select call_key, unnest(from_json(speakers::json, '[{{"crm_id": "VARCHAR"}}]')) as voice
            from {raw}.transcripts.calls
        ) where voice.crm_id <> ''
    """,
    "places_copies": """
        with mails as (
            select 'hubspot' as source, id, hs_email_message_id as name from {raw}.hubspot.emails
            union all select 'salesforce', id, message_identifier from {raw}.salesforce.email_messages
            union all select 'mailbox', key, internet_message_id from {raw}.mailbox.messages
        ),
        pairs as (
            select 'emails' as kind, one.id as id, one.source as source, other.id as other_id,
                other.source as other_source
            from mails as one
            inner join mails as other
                on lower(trim(one.name, ' <>')) = lower(trim(other.name, ' <>')) and one.source < other.source
            where trim(one.name, ' <>') <> ''
            union all
            select 'emails', id, 'salesforce', activity_id, 'salesforce'
            from {raw}.salesforce.email_messages where activity_id <> ''
            union all
            select 'calls', call_key, 'transcripts', split_part(crm_call_id, ':', -1), null
            from {raw}.transcripts.calls where crm_call_id <> ''
        )
        select kind, source, id, other_source, other_id from pairs
        union all
        select kind, other_source, other_id, source, id from pairs
    """,
    "places_companies": """
        select from_id as person, 'hubspot:company:' || to_id as company_id from {raw}.hubspot.associations
        where from_object_type = 'contacts' and to_object_type = 'companies'
        union all
        select id, 'salesforce:company:' || account_id from {raw}.salesforce.contacts where account_id <> ''
    """,
    "places_near": """
        select 'hubspot' as source, from_object_type as kind, from_id as id, 'hubspot:company:' || to_id as company_id
        from {raw}.hubspot.associations
        where from_object_type not in ('contacts', 'companies') and to_object_type = 'companies'
        union all
        select 'salesforce', 'tasks', id, 'salesforce:company:' || account_id from {raw}.salesforce.tasks
        union all
        select 'salesforce', 'meetings', id, 'salesforce:company:' || account_id from {raw}.salesforce.events
        union all
        select 'salesforce', 'deals', id, 'salesforce:company:' || account_id from {raw}.salesforce.opportunities
        union all
        select 'salesforce', found.kind, found.id,
            'salesforce:company:' || coalesce(opportunities.account_id, found.parent_id)
        from (
            select 'emails' as kind, id, related_to_id as parent_id from {raw}.salesforce.email_messages
            union all select 'notes', id, parent_id from {raw}.salesforce.notes
            union all select 'tasks', id, what_id from {raw}.salesforce.tasks
            union all select 'meetings', id, what_id from {raw}.salesforce.events
        ) as found
        left join {raw}.salesforce.opportunities on opportunities.id = found.parent_id
        where found.parent_id <> ''
    """,
    "places_senders": """
        select 'hubspot' as source, id, lower(trim(hs_email_from_email)) as email,
            hs_email_headers as headers, null::varchar as name, hs_email_thread_id as thread, hs_email_text as body
        from {raw}.hubspot.emails
        union all
        select 'salesforce', id, lower(trim(from_address)), null, from_name, thread_identifier, text_body
        from {raw}.salesforce.email_messages
        union all
        select 'mailbox', key, lower(trim(from_email)), null, from_name, thread_id, body from {raw}.mailbox.messages
    """,
    "places_names": """
        select lower(trim(from_email)) as email, trim(from_name) as name from {raw}.mailbox.messages
        union all
        select lower(trim(from_address)), trim(from_name) from {raw}.salesforce.email_messages
        union all
        select lower(trim(one.email)), trim(one.name) from (
            select unnest(from_json(attendees::json, '[{{"email": "VARCHAR", "name": "VARCHAR"}}]')) as one
            from {raw}.calendar.events
            union all
            select unnest(from_json(speakers::json, '[{{"email": "VARCHAR", "name": "VARCHAR"}}]'))
            from {raw}.transcripts.calls
        )
    """,
    "places_voices": """
        select 'hubspot' as source, id, hs_call_body as body from {raw}.hubspot.calls
        union all
        select 'salesforce', id, coalesce(nullif(call_transcript, ''), description) from {raw}.salesforce.tasks
        union all
        select 'transcripts', call_key, body from {raw}.transcripts.calls
    """,
    "places_sellers": """
        select lower(trim(email)) as email from {raw}.hubspot.owners where email <> ''
        union all select lower(trim(email)) from {raw}.salesforce.users where email <> ''
        union all select lower(trim(mailbox_owner_email)) from {raw}.mailbox.messages where mailbox_owner_email <> ''
    """,
    "places_values": """
        select 'hubspot' as crm, object_type, object_id, property, value from {raw}.hubspot.namespaced_values
        union all
        select 'salesforce', object_type, object_id, property, value from {raw}.salesforce.namespaced_values
    """,
}
# What the CRMs call the types of records, as canonical ids name them.
_SINGULARS: Final = """case {0} when 'companies' then 'company' when 'Account' then 'company'
    when 'Opportunity' then 'deal' when 'Event' then 'meeting' when 'EmailMessage' then 'email'
    else lower(rtrim({0}, 's')) end"""


def connect(con: duckdb.DuckDBPyConnection, raw: str = "raw") -> None:
    """Make the views of a connection. `raw` is the name the raw database has there."""
    for name, sql in _VIEWS.items():
        con.execute(f"create or replace temp view {name} as {sql.format(raw=raw)}")
    documents: list[str] = []
    participants = ["select null::varchar as source, null::varchar as id, null::varchar as email where false"]
    for dataset, name, record_type in DOCUMENTS:
        table = tables(dataset)[name]
        (key,) = table.key
        text = ", ".join(f'"{one.name}"' for one in table.columns if one.kind in ("text", "json") and one.name != key)
        documents.append(
            f"select '{dataset}' as source, {record_type} as type, \"{key}\" as id, concat_ws(chr(10), {text}) as text "
            f'from {raw}.{dataset}."{name}"'
        )
        if dataset not in ("hubspot", "salesforce"):
            held = ", ".join(f'"{one}"' for one in table.addresses)
            participants.append(
                f"select '{dataset}', \"{key}\", "
                f"unnest(regexp_extract_all(lower(concat_ws(' ', {held})), '{_ADDRESS}')) "
                f'from {raw}.{dataset}."{name}"'
            )
    con.execute(
        "create or replace temp view places_documents as "
        "select source || ':' || type || ':' || id as record_id, source, type || 's' as kind, id, text "
        f"from ({' union all '.join(documents)})"
    )
    con.execute(f"create or replace temp view places_participants as {' union all '.join(participants)}")


def tables(dataset: str) -> dict[str, Table]:
    """Tables of a source by name."""
    from sources.registry import datasets

    return dict(datasets()[dataset])


def canonical_sql(crm: str, object_type: str, record_id: str) -> str:
    """SQL: the canonical id of a record from its CRM, type and id as the ledger's plans have them."""
    return f"({crm} || ':' || {_SINGULARS.format(object_type)} || ':' || {record_id})"


def split(record_id: str) -> tuple[str, str, str] | None:
    """Source, kind (`contacts`, `emails`, ...) and bare id of a canonical id; None where it is of no person's."""
    source, _, rest = record_id.partition(":")
    singular, _, one = rest.partition(":")
    kind = _KINDS.get(singular)
    return (source, kind, one) if kind and one else None


def spellings(record_id: str) -> Iterator[str]:
    """The canonical ids that one record may have had: a Salesforce task is a call as soon as it is closed as one."""
    source, _, rest = record_id.partition(":")
    singular, _, one = rest.partition(":")
    if source in _MIXED and singular in ("task", "call", "email"):
        yield from (f"{source}:{name}:{one}" for name in ("task", "call", "email"))
    else:
        yield record_id


def is_theirs(stones: Tombstones, record_id: str) -> bool:
    """Whether the record behind a canonical id was erased."""
    found = split(record_id)
    return found is not None and is_gone(stones, *found)


def is_gone(stones: Tombstones, source: str, kind: str, one: str) -> bool:
    """Whether a record was erased; `kind` may be empty where a source's ids say enough."""
    if kind == "contacts":
        return stones.has("contact", one)
    if source in _MIXED:
        return (not kind and stones.has("contact", one)) or any(
            stones.has("document", document(each, one)) for each in ENGAGEMENTS
        )
    return kind in ENGAGEMENTS and stones.has("document", document(kind, one))


def long_id(one: str) -> str:
    """A Salesforce id of 15 characters as the 18 that programs see; any other id as it is.

    The last three say which of each five characters are capitals, the first of five as the lowest bit.
    """
    if len(one) != 15 or not one.isalnum() or not one.startswith(_PREFIXES):
        return one
    fives = (one[start : start + 5] for start in (0, 5, 10))
    bits = (sum(1 << place for place, letter in enumerate(five) if "A" <= letter <= "Z") for five in fives)
    return one + "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[number] for number in bits)


def named_files(con: duckdb.DuckDBPyConnection, needles: Needles) -> list[str]:
    """Files and folders of ours to read whose own names show the person. Needs `raw` attached."""
    found: set[str] = set()
    for dataset, table, column in NAMES:
        rows = con.execute(
            f'select distinct "{column}" from raw.{dataset}."{table}" where "{column}" <> \'\''
        ).fetchall()
        found.update(str(row[0]) for row in rows)
    # `dana@acme.example.mbox`: here an address may go on.
    return sorted(
        one for one in found if needles.has_name(one) or any(address in one.lower() for address in needles.addresses)
    )


def known(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Canonical ids of every person and document that the raw tables hold or point at. Needs `connect`."""
    rows = con.execute(
        """
        select record_id from places_people
        union select one from places_same union select other from places_same
        union select record_id from places_documents
        """
    ).fetchall()
    return {str(row[0]) for row in rows}
