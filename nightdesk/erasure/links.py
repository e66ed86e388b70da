"""What identity resolution says of a person: records that are confirmed to be theirs, and those that may be.

Read from the warehouse where there is one (`identity_links`, `int_call_speakers`), else from what people decided, which
the ledger keeps. Rules are only known to the warehouse; the commonest of them, the same address, is followed anyway.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightdesk.erasure import places

if TYPE_CHECKING:
    import duckdb

_DECIDED = """
select left_record_id, right_record_id, decision = 'confirmed'
from ledger.main.identity_reviews
where object_type = 'contacts' and kind = 'same_person'
qualify row_number() over (partition by link_id order by sequence desc) = 1
"""
_BUILT = """
select left_record_id, right_record_id, is_in_force, status = 'suggested'
from warehouse."{schema}".identity_links
where object_type = 'contacts' and kind = 'same_person'
"""


@dataclass(frozen=True, slots=True)
class Linked:
    """Bare ids and addresses that are confirmed to be one with somebody, and canonical ids that are suggested."""

    contacts: set[str] = field(default_factory=set[str])
    addresses: set[str] = field(default_factory=set[str])
    suggested: set[str] = field(default_factory=set[str])


def of(con: duckdb.DuckDBPyConnection, contacts: Set[str], addresses: Set[str]) -> Linked:
    """What is linked to some records and addresses, directly. Needs `places.connect`."""
    pairs: dict[tuple[str, str], tuple[bool, bool]] = {}  # confirmed, suggested
    schema = _schema(con, "identity_links")
    if schema is not None:
        for one, other, is_confirmed, is_suggested in con.execute(_BUILT.format(schema=schema)).fetchall():
            pairs[str(one), str(other)] = bool(is_confirmed), bool(is_suggested)
    # What somebody decided since the last build holds now.
    for one, other, is_confirmed in con.execute(_DECIDED).fetchall():
        pairs[str(one), str(other)] = bool(is_confirmed), False
    named = {_address_record(one) for one in addresses}
    linked = Linked()
    for (one, other), (is_confirmed, is_suggested) in pairs.items():
        here = [name in named or _bare(name) in contacts for name in (one, other)]
        if here[0] == here[1]:
            continue
        there = other if here[0] else one
        bare = _bare(there)
        if is_suggested:
            linked.suggested.add(there)
        elif is_confirmed and bare is not None:
            linked.contacts.add(bare)
        elif is_confirmed:
            linked.addresses.update(_address(con, there))
    return linked


def calls_of(con: duckdb.DuckDBPyConnection, contacts: Iterable[str]) -> list[str]:
    """Bare ids of transcripts in which one of these records was recognised as a voice, by the last build."""
    schema = _schema(con, "int_call_speakers")
    if schema is None:
        return []
    rows = con.execute(
        f"""
        select distinct split_part(transcript_id, ':', 3) from warehouse."{schema}".int_call_speakers
        where split_part(contact_id, ':', 3) in (select unnest(?::varchar[]))
        """,
        [sorted(contacts)],
    ).fetchall()
    return [str(row[0]) for row in rows]


def _address_record(address: str) -> str:
    """The canonical id that an address has in links while no record has it (model `int_identity_addresses`)."""
    return f"address:contact:{hashlib.md5(address.encode(), usedforsecurity=False).hexdigest()[:20]}"


def _bare(record_id: str) -> str | None:
    found = places.split(str(record_id))
    return found[2] if found is not None and found[0] != "address" else None


def _address(con: duckdb.DuckDBPyConnection, record_id: str) -> list[str]:
    rows = con.execute(
        "select distinct email from places_participants where 'address:contact:' || left(md5(email), 20) = ?",
        [record_id],
    ).fetchall()
    return [str(row[0]) for row in rows]


def _schema(con: duckdb.DuckDBPyConnection, table: str) -> str | None:
    row = con.execute(
        "select schema_name from duckdb_tables() where database_name = 'warehouse' and table_name = ?", [table]
    ).fetchone()
    return str(row[0]) if row else None
