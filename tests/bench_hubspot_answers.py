"""A HubSpot with emails and nothing else, whose answers are made beforehand: for measuring the loader alone."""

from __future__ import annotations

import json

import httpx2

_PAGE = 100
_STAMP = "2026-11-17T06:00:00.000Z"


class Portal:
    """Answers lists, searches and definitions from memory.

    Args:
        emails: How many; a kilobyte of text each.
    """

    def __init__(self, emails: int) -> None:
        words = "the quarterly figures, as we said on the phone, are in the file, and the rest will follow soon. "
        text = (words * 11)[:1_000]
        self._pages: dict[str, bytes] = {}
        for start in range(0, emails, _PAGE):
            records = [self._email(number, text) for number in range(start, min(start + _PAGE, emails))]
            answer: dict[str, object] = {"results": records}
            if start + _PAGE < emails:
                answer["paging"] = {"next": {"after": str(start + _PAGE)}}
            self._pages[str(start)] = json.dumps(answer).encode()

    def transport(self) -> httpx2.BaseTransport:
        """The transport to load over."""
        return httpx2.MockTransport(self._answer)

    def _email(self, number: int, text: str) -> dict[str, object]:
        return {
            "id": str(1_000_000 + number),
            "properties": {
                "hs_timestamp": _STAMP, "hs_email_subject": f"Subject {number}", "hs_email_text": f"{number} {text}",
                "hs_email_direction": "INCOMING_EMAIL", "hs_email_from_email": f"ann{number % 5000}@example.com",
                "hs_email_to_email": "bob@ours.example", "hs_lastmodifieddate": _STAMP,
            },
            "createdAt": _STAMP,
            "updatedAt": _STAMP,
            "archived": False,
            "associations": {"contacts": {"results": [{"id": str(number % 5000), "type": "email_to_contact"}]}},
        }  # fmt: skip

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        path, asked = request.url.path, dict(request.url.params)
        if path.startswith("/crm/v3/properties/"):
            return httpx2.Response(200, json={"results": self._definitions(path.rsplit("/", 1)[1])})
        if path.endswith("/search"):
            newest = [{"id": "1000000", "properties": {"hs_lastmodifieddate": _STAMP}, "updatedAt": _STAMP}]
            found = newest if "/emails/" in path else []
            return httpx2.Response(200, json={"results": found, "total": len(found)})
        if path.endswith("/objects/emails") and asked.get("archived") != "true":
            return httpx2.Response(200, content=self._pages[asked.get("after", "0")])
        return httpx2.Response(200, json={"results": []})

    def _definitions(self, object_type: str) -> list[dict[str, str]]:
        from sources.hubspot.tables import OBJECTS

        kinds = {"text": "string", "bool": "bool", "bigint": "number", "timestamp": "datetime", "money": "number"}
        (kind,) = [one for one in OBJECTS if one.name == object_type]
        return [
            {"name": column.name, "label": column.name, "type": kinds[column.kind], "fieldType": "text"}
            for column in kind.table.columns
            if column.is_property
        ]
