"""Whether a row belongs to somebody who was erased.

By its key, where the row is a document that was erased before or a copy of one; by an address anywhere in it, or a
CRM's record where addresses stand; by a voice in a transcript; or as a mail that quotes older text in a conversation an
erased person wrote in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from nightdesk.erasure.tombstones import Tombstones, addresses_in, document, holds_older_text, speaker, speakers_in
from sources.kit.tables import Table

_PERSON: Final = re.compile(r"\b[a-z0-9]+:(?:contact|lead):([A-Za-z0-9]+)\b")  # salesforce:lead:00Q1


def is_checked(table: Table) -> bool:
    """Whether rows of a table can belong to somebody at all."""
    return bool(table.addresses or table.texts or table.document)


def is_erased(stones: Tombstones, table: Table, row: Mapping[str, Any]) -> bool:
    """Whether a row belongs to an erased person. A document that does is known by its key from then on.

    Args:
        stones: Who was erased; learns.
        table: Says which columns hold addresses and texts, and what its key names.
        row: Values by column name.
    """
    name = document(table.document, str(row[table.key[0]])) if table.document else ""
    if name and stones.has("document", name):
        return True
    erasure = by_text(stones, table, row)
    if erasure is not None and name:
        stones.learn("document", name, erasure)
    return erasure is not None


def quotes(stones: Tombstones, *texts: str) -> bool:
    """Whether an erased person's address stands in one of these texts."""
    return any(stones.has("email", one) for text in texts for one in addresses_in(text))


def by_text(stones: Tombstones, table: Table, row: Mapping[str, Any]) -> str | None:
    """The erasure of the person who stands in a row."""
    copied = str(row.get(table.copies) or "").rpartition(":")[2]
    if copied and (erasure := stones.erasure_of("document", document(table.document, copied))):
        return erasure
    for column in table.addresses:
        for one in _PERSON.findall(str(row.get(column) or "")):
            if erasure := stones.erasure_of("contact", one):
                return erasure
    for column in (*table.addresses, *table.texts):
        for address in addresses_in(str(row.get(column) or "")):
            if erasure := stones.erasure_of("email", address):
                return erasure
    for column in table.texts:
        for name, company in speakers_in(str(row.get(column) or "")):
            if erasure := stones.erasure_of("speaker", speaker(name, company)):
                return erasure
    if table.thread is not None:
        thread, body = (str(row.get(column) or "") for column in table.thread)
        erasure = stones.erasure_of("thread", thread) if thread else None
        return erasure if erasure and holds_older_text(body) else None
    return None
