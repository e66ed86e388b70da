"""Who changed a value, as far as Salesforce knows: its field history where an administrator switched that on, else who
saved the record last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from reverse_etl.crms.http import RequestRefused
from reverse_etl.crms.protocol import Change, CrmRefused
from reverse_etl.crms.salesforce.client import SalesforceClient
from reverse_etl.crms.salesforce.fields import explained, rows
from reverse_etl.crms.salesforce.wire import quoted, to_text

_CHUNK = 150  # ids in one query: its address must stay below 16,000 characters
_MACHINES = frozenset({"AutomatedProcess", "CloudIntegrationUser"})


class History:
    """Reads changes and the people behind them.

    Args:
        client: The HTTP client.
    """

    def __init__(self, client: SalesforceClient) -> None:
        self._client = client
        self._none: set[str] = set()  # objects without a history
        self._users: dict[str, tuple[str, str]] = {}
        self._me: str | None = None
        self._asked_me = False

    def me(self) -> str | None:
        """Id of the integration user; None when the token may not say."""
        if not self._asked_me:
            try:
                body = self._client.request("GET", "/services/oauth2/userinfo").body
                self._me = str(cast("dict[str, Any]", body)["user_id"])
            except (CrmRefused, RequestRefused, KeyError):
                self._me = None
            self._asked_me = True
        return self._me

    def read(
        self, object_type: str, properties: Sequence[str], raw: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, tuple[Change, ...]]]:
        """Changes by record id and property, newest first.

        Args:
            object_type: The records' object.
            properties: The fields asked about.
            raw: The records as just read, by id, with `LastModifiedById` and `LastModifiedDate`.
        """
        entries = self._entries(object_type, list(raw), properties)
        users = {str(entry["CreatedById"]) for entry in entries}
        users |= {str(record.get("LastModifiedById") or "") for record in raw.values()}
        self._name(users - {""})
        found: dict[str, dict[str, list[Change]]] = {record_id: {} for record_id in raw}
        for entry in entries:
            record_id, name = str(entry[f"{object_type}Id"]), str(entry["Field"])
            if record_id in found:
                value = to_text(entry.get("NewValue")) or ""
                if not value and name not in found[record_id]:
                    # Of long texts the history keeps that they changed, not to what; the newest is what is there now.
                    value = to_text(raw[record_id].get(name)) or ""
                change = self._change(value, str(entry["CreatedDate"]), "field history", str(entry["CreatedById"]))
                found[record_id].setdefault(name, []).append(change)
        for record_id, record in raw.items():
            for name in properties:
                if not found[record_id].get(name):
                    found[record_id][name] = [self._last_save(name, record)]
        return {i: {name: tuple(changes) for name, changes in by.items()} for i, by in found.items()}

    def last_saves(
        self, properties: Sequence[str], raw: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, tuple[Change, ...]]]:
        """For objects without a field history: who saved each record last."""
        self._name({str(record.get("LastModifiedById") or "") for record in raw.values()} - {""})
        return {i: {name: (self._last_save(name, record),) for name in properties} for i, record in raw.items()}

    def _last_save(self, name: str, record: Mapping[str, Any]) -> Change:
        at, user = str(record.get("LastModifiedDate") or ""), str(record.get("LastModifiedById") or "")
        return self._change(to_text(record.get(name)) or "", at, "last save of the record", user)

    def _change(self, value: str, at: str, source: str, user: str) -> Change:
        name, kind = self._users.get(user, ("", ""))
        # Whoever is neither a machine nor provably us counts as a person: their edit is never overwritten.
        return Change(value, at, source, name or user, by_person=kind not in _MACHINES and user != self.me())

    def _entries(self, object_type: str, ids: Sequence[str], properties: Sequence[str]) -> list[dict[str, Any]]:
        if object_type in self._none or not ids or not properties:
            return []
        fields = ", ".join(map(quoted, properties))
        found: list[dict[str, Any]] = []
        for start in range(0, len(ids), _CHUNK):
            wanted = ", ".join(map(quoted, ids[start : start + _CHUNK]))
            text = (
                f"SELECT {object_type}Id, Field, NewValue, CreatedById, CreatedDate FROM {object_type}History "
                f"WHERE {object_type}Id IN ({wanted}) AND Field IN ({fields}) ORDER BY CreatedDate DESC"
            )
            try:
                found += query_all(self._client, text)
            except RequestRefused as error:
                if error.category != "INVALID_TYPE":
                    raise explained(error, f"{object_type}History") from error
                self._none.add(object_type)
                return []
        return found

    def _name(self, users: set[str]) -> None:
        unknown = sorted(users - self._users.keys())
        for start in range(0, len(unknown), _CHUNK):
            wanted = ", ".join(map(quoted, unknown[start : start + _CHUNK]))
            text = f"SELECT Id, Name, UserType FROM User WHERE Id IN ({wanted})"
            try:
                for entry in query_all(self._client, text):
                    self._users[str(entry["Id"])] = (str(entry["Name"]), str(entry["UserType"]))
            except RequestRefused as error:
                raise explained(error, "User") from error
        self._users |= {user: ("", "") for user in unknown if user not in self._users}


def query_all(client: SalesforceClient, text: str, *, deleted: bool = False) -> list[dict[str, Any]]:
    """All rows of a query, page after page.

    Args:
        client: The HTTP client.
        text: SOQL.
        deleted: Whether to look into the recycle bin too.
    """
    answer = cast("dict[str, Any]", client.request("GET", "queryAll" if deleted else "query", params={"q": text}).body)
    found = rows(answer)
    while not answer.get("done", True):
        answer = cast("dict[str, Any]", client.request("GET", str(answer["nextRecordsUrl"])).body)
        found += rows(answer)
    return found
