"""Holds what the CRM sends against the tombstones: an erased person's records are dropped before a byte is written.

A contact is recognised by its id, its address, or an erased record merged into it. What somebody wrote, said or
arranged is recognised by its id, by an erased contact it is linked to, by an erased address anywhere in it, by an
erased voice in its transcript, or as a mail that quotes older text in a thread an erased person wrote in.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from nightdesk.erasure.tombstones import (
    ENGAGEMENTS,
    Tombstones,
    addresses_in,
    document,
    holds_older_text,
    speaker,
    speakers_in,
)
from sources.hubspot.api import Link
from sources.hubspot.client import Json
from sources.hubspot.rows import Row


class Erased:
    """The records of one load that must not come back. Thread-safe.

    Args:
        tombstones: Whom to keep out; what is recognised on the way is added to them.
    """

    def __init__(self, tombstones: Tombstones) -> None:
        self._tombstones = tombstones
        self._found: dict[str, set[str]] = {}
        self._links: Counter[str] = Counter()
        self._lock = threading.Lock()

    def counts(self) -> dict[str, int]:
        """Records kept out, per object type, and links to or from them as `associations`."""
        with self._lock:
            found = {name: len(ids) for name, ids in sorted(self._found.items())}
            return found | ({"associations": self._links["all"]} if self._links["all"] else {})

    def is_known(self, object_type: str, record_id: str) -> bool:
        """Whether a record was erased, by its id alone."""
        if object_type == "contacts":
            return self._tombstones.has("contact", record_id)
        return object_type in ENGAGEMENTS and self._tombstones.has("document", document(object_type, record_id))

    def unknown(self, object_type: str, ids: Sequence[str]) -> list[str]:
        """The ids that were not erased; the others need not even be read."""
        kept = [one for one in ids if not self.is_known(object_type, one)]
        if len(kept) < len(ids):
            self._note(object_type, set(ids) - set(kept))
        return kept

    def kept(self, object_type: str, records: Sequence[Json], linked: Mapping[str, Collection[str]]) -> list[Json]:
        """The records that may be loaded.

        Args:
            object_type: Their type.
            records: As the CRM sent them.
            linked: Id of a record to the ids of the contacts it is linked to.
        """
        kept: list[Json] = []
        for record in records:
            one = str(record["id"])
            if object_type == "contacts":
                erasure = self._contact(record)
            elif object_type in ENGAGEMENTS:
                erasure = self._document(object_type, record, linked.get(one, ()))
            else:
                erasure = None
            if erasure is None:
                kept.append(record)
            else:
                self._note(object_type, {one})
        return kept

    def links(self, from_type: str, to_type: str, links: Sequence[Link]) -> list[Link]:
        """The links of which neither end was erased."""
        kept = [
            link
            for link in links
            if not self.is_known(to_type, link.to_id) and not self.is_known(from_type, link.from_id)
        ]
        with self._lock:
            self._links["all"] += len(links) - len(kept)
        return kept

    def values(self, found: Iterable[Row]) -> Iterator[Row]:
        """Rows of `namespaced_values`; a text of ours that quotes an erased person gives way to its mask."""
        for object_type, record_id, name, value, updated_at in found:
            yield object_type, record_id, name, value and self._tombstones.masked(value), updated_at

    def _note(self, object_type: str, ids: set[str]) -> None:
        with self._lock:
            self._found.setdefault(object_type, set()).update(ids)

    def _contact(self, record: Json) -> str | None:
        stones, one = self._tombstones, str(record["id"])
        properties = record["properties"]
        email = str(properties.get("email") or "").strip()
        merged = [part.strip() for part in str(properties.get("hs_merged_object_ids") or "").split(";")]
        reasons = [stones.erasure_of("contact", one), stones.erasure_of("email", email) if email else None]
        reasons += [stones.erasure_of("contact", part) for part in merged if part]
        erasure = next((reason for reason in reasons if reason), None)
        if erasure is not None:
            stones.learn("contact", one, erasure)
            if email:
                stones.learn("email", email, erasure)
        return erasure

    def _document(self, object_type: str, record: Json, contacts: Collection[str]) -> str | None:
        stones = self._tombstones
        name = document(object_type, str(record["id"]))
        erasure = stones.erasure_of("document", name)
        if erasure is not None:
            return erasure
        texts = [str(value) for value in record["properties"].values() if value]
        erasure = (
            next((found for one in contacts if (found := stones.erasure_of("contact", one))), None)
            or next(
                (found for text in texts for one in addresses_in(text) if (found := stones.erasure_of("email", one))),
                None,
            )
            or self._voice(object_type, record)
            or self._quote(object_type, record)
        )
        if erasure is not None:
            stones.learn("document", name, erasure)
        return erasure

    def _voice(self, object_type: str, record: Json) -> str | None:
        if object_type != "calls":
            return None
        for name, company in speakers_in(str(record["properties"].get("hs_call_body") or "")):
            if found := self._tombstones.erasure_of("speaker", speaker(name, company)):
                return found
        return None

    def _quote(self, object_type: str, record: Json) -> str | None:
        thread = str(record["properties"].get("hs_email_thread_id") or "") if object_type == "emails" else ""
        found = self._tombstones.erasure_of("thread", thread) if thread else None
        return found if found and holds_older_text(str(record["properties"].get("hs_email_text") or "")) else None
