"""What an agent without a memory reads: the CRM's own answers, as JSON, for one record and what hangs on it.

Kept as lean as the API allows, because a lean baseline is the harder one: properties without a value are left out,
JSON has no spaces, an email has its text and no second copy as HTML, no association lists, no property history.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightdesk.errors import NightdeskError

# (object type, property that orders it in time, properties a list of engagements shows)
_ENGAGEMENTS: Mapping[str, tuple[str, ...]] = {
    "emails": ("hs_timestamp", "hs_email_subject", "hs_email_direction"),
    "calls": ("hs_timestamp", "hs_call_title"),
    "notes": ("hs_timestamp",),
    "meetings": ("hs_timestamp", "hs_meeting_title", "hs_meeting_outcome"),
    "tasks": ("hs_timestamp", "hs_task_subject", "hs_task_status"),
}
DOCUMENT_TYPES = {"emails": "email", "calls": "call", "notes": "note"}
_RECORD_TYPES = {"contact": "contacts", "company": "companies", "meeting": "meetings", "deal": "deals"}


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as the API answers it.

    Attributes:
        id: Canonical id, `hubspot:email:7`.
        when: `hs_timestamp`, to order by; empty where there is none.
        text: The whole record as JSON.
        listed: Its line in a list of engagements; empty for other records.
    """

    id: str
    when: str
    text: str
    listed: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """All raw records about one question's record.

    Attributes:
        record: The record itself, for a meeting with its attendees.
        around: Its company and deals.
        documents: Emails, calls and notes, newest first.
        rest: Meetings and tasks, which hold no planted fact, newest first.
    """

    record: tuple[RawRecord, ...]
    around: tuple[RawRecord, ...]
    documents: tuple[RawRecord, ...]
    rest: tuple[RawRecord, ...]

    @property
    def everything(self) -> tuple[RawRecord, ...]:
        """Every record of the scope."""
        return (*self.record, *self.around, *self.documents, *self.rest)


class RawRecords:
    """Reads the sandbox CRM's store once; answers scopes from memory.

    Args:
        store_path: `crm.sqlite` of the sample company.

    Raises:
        NightdeskError: There is no store.
    """

    def __init__(self, store_path: Path) -> None:
        import sqlite3
        from contextlib import closing

        if not store_path.is_file():
            raise NightdeskError(
                "There is no sample CRM to read raw records from",
                where=str(store_path),
                todo="Run a night on the sample company first: `nightdesk eval --tokens` does.",
            )
        self._records: dict[tuple[str, int], RawRecord] = {}
        self._links: dict[tuple[str, int], dict[str, list[int]]] = {}
        with closing(sqlite3.connect(f"file:{store_path}?mode=ro", uri=True)) as connection:
            for kind, number, created, updated, properties in connection.execute(
                "select object_type, id, created_at, updated_at, properties from objects "
                "where archived_at is null and merged_into is null order by object_type, id"
            ):
                self._records[kind, number] = _record(kind, number, created, updated, json.loads(properties))
            for from_type, from_id, to_type, to_id in connection.execute(
                "select distinct from_type, from_id, to_type, to_id from associations order by 1, 2, 3, 4"
            ):
                if (to_type, to_id) in self._records:
                    self._links.setdefault((from_type, from_id), {}).setdefault(to_type, []).append(to_id)

    def scope(self, record_id: str, attendees: Sequence[str] = ()) -> Scope:
        """Everything an agent could read about a contact, a company or a meeting.

        A meeting is prepared from all that is known of its company. The company's contacts are not part of its scope.
        """
        kind, number = _key(record_id)
        record = self._known((kind, number), *(_key(contact) for contact in attendees))
        company = [number] if kind == "companies" else self._linked(kind, number, "companies")[:1]
        about = ("companies", company[0]) if kind == "meetings" and company else (kind, number)
        around = self._known(
            *(("companies", each) for each in company if kind != "companies"),
            *(("deals", each) for each in self._linked(*about, "deals")),
        )
        documents: list[RawRecord] = []
        rest: list[RawRecord] = []
        for other in _ENGAGEMENTS:
            target = documents if other in DOCUMENT_TYPES else rest
            target += self._known(*((other, each) for each in self._linked(*about, other)))
        return Scope(record, around, _newest_first(documents), _newest_first(rest))

    def _linked(self, kind: str, number: int, to_type: str) -> list[int]:
        return self._links.get((kind, number), {}).get(to_type, [])

    def _known(self, *keys: tuple[str, int]) -> tuple[RawRecord, ...]:
        return tuple(self._records[key] for key in keys if key in self._records)


def _newest_first(found: Sequence[RawRecord]) -> tuple[RawRecord, ...]:
    return tuple(sorted(found, key=lambda record: (record.when, record.id), reverse=True))


def _key(record_id: str) -> tuple[str, int]:
    _, kind, number = record_id.split(":")
    return _RECORD_TYPES[kind], int(number)


def _record(kind: str, number: int, created: int, updated: int, properties: Mapping[str, str]) -> RawRecord:
    from sandbox.crm.api.present import present
    from sandbox.crm.catalog import SINGULAR
    from sandbox.crm.store import Record

    # Namespaced values are Nightdesk's own: an agent without it has none of them.
    names = [name for name, value in properties.items() if value and not name.startswith("nightdesk_")]
    record = Record(kind, number, dict(properties), created, updated)
    shown = _ENGAGEMENTS.get(kind, ())
    return RawRecord(
        f"hubspot:{SINGULAR[kind]}:{number}",
        properties.get("hs_timestamp", ""),
        _compact(present(record, names)),
        _compact({"id": str(number), "type": SINGULAR[kind], **{n: properties[n] for n in shown if n in properties}})
        if shown
        else "",
    )


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
