"""Whether a row belongs to somebody who was erased: by an address anywhere in it, or by a voice in a transcript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nightdesk.erasure.tombstones import Tombstones, addresses_in, speaker, speakers_in
from sources.kit.tables import Table


def is_erased(stones: Tombstones, table: Table, row: Mapping[str, Any]) -> bool:
    """Whether a row carries an erased person's address or voice.

    Args:
        stones: Who was erased.
        table: Says which columns hold addresses and texts.
        row: Values by column name.
    """
    for name in (*table.addresses, *table.texts):
        value = row.get(name)
        if value and any(stones.has("email", one) for one in addresses_in(str(value))):
            return True
    return any(
        stones.has("speaker", speaker(name, company))
        for column in table.texts
        if (text := row.get(column))
        for name, company in speakers_in(str(text))
    )
