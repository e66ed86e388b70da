"""The small pure parts of sources/hubspot: limits, retries, type contract, shapes."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from pydantic import SecretStr, ValidationError

from nightdesk.errors import NightdeskError
from sources.hubspot import rows
from sources.hubspot.client import HubSpotClient
from sources.hubspot.contract import check
from sources.hubspot.limiter import WindowLimiter
from sources.hubspot.settings import HubSpotSettings
from sources.hubspot.tables import OBJECTS, TABLES, ObjectType
from sources.kit.contract import Field
from sources.kit.tables import dlt_columns as columns

CONTACTS, DEALS = OBJECTS[0], OBJECTS[2]
URL = "http://crm.example"


def _client(handler: Any, waits: list[float], **changes: Any) -> HubSpotClient:
    settings = HubSpotSettings(base_url=URL, token=SecretStr("t0ken"), max_attempts=4, **changes)
    return HubSpotClient(
        settings, transport=httpx2.MockTransport(handler), sleep=waits.append, clock=lambda: sum(waits)
    )


def _answers(*responses: httpx2.Response) -> Any:
    left = list(responses)
    return lambda request: left.pop(0)


def test_retry_after_is_obeyed() -> None:
    waits: list[float] = []
    refused = httpx2.Response(
        429, json={"errorType": "RATE_LIMIT", "policyName": "SECONDLY"}, headers={"Retry-After": "3"}
    )
    client = _client(_answers(refused, httpx2.Response(200, json={"results": [1]})), waits)
    assert client.get("/x") == {"results": [1]}
    assert 3 in waits
    assert client.requests == 2


def test_the_daily_limit_is_not_tried_again() -> None:
    waits: list[float] = []
    refused = httpx2.Response(429, json={"errorType": "RATE_LIMIT", "policyName": "DAILY"})
    with pytest.raises(NightdeskError, match="daily request quota"):
        _client(_answers(refused), waits).get("/x")
    assert waits == []


def test_server_errors_are_tried_again_with_growing_waits_then_reported() -> None:
    waits: list[float] = []
    client = _client(lambda request: httpx2.Response(502, text="bad gateway"), waits, backoff_seconds=1.0)
    with pytest.raises(NightdeskError, match=r"does not answer: HTTP 502 \(4 tries\)") as caught:
        client.get("/crm/v3/owners")
    assert waits == [1.0, 2.0, 4.0]
    assert caught.value.where == f"GET {URL}/crm/v3/owners"


def test_a_dropped_connection_is_tried_again() -> None:
    tries: list[int] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        tries.append(1)
        if len(tries) < 3:
            raise httpx2.RemoteProtocolError("server disconnected")
        return httpx2.Response(200, json={"results": []})

    assert _client(handler, []).post("/search", {"a": 1}) == {"results": []}


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx2.Response(401, json={"status": "error", "category": "INVALID_AUTHENTICATION"}), "refuses the token"),
        (
            httpx2.Response(403, json={"category": "MISSING_SCOPES", "message": "no scope"}),
            "may not read this.*no scope",
        ),
        (
            httpx2.Response(400, json={"category": "VALIDATION_ERROR", "message": "bad"}),
            r"refused a request \(400\): bad",
        ),
        (httpx2.Response(404, text="<html>Not found</html>"), "probably not a HubSpot API"),
        (httpx2.Response(200, text="<html>Welcome</html>"), "probably not a HubSpot API"),
        (httpx2.Response(200, json={"hello": "world"}), "probably not a HubSpot API"),
        (httpx2.Response(302, headers={"Location": "/login"}), "probably not a HubSpot API"),
    ],
)
def test_each_kind_of_refusal_has_its_own_message(response: httpx2.Response, message: str) -> None:
    with pytest.raises(NightdeskError, match=message) as caught:
        _client(_answers(response), []).get("/x")
    assert caught.value.todo
    assert "t0ken" not in f"{caught.value.what}{caught.value.where}{caught.value.todo}"


def test_a_lower_limit_announced_by_the_server_is_taken_up() -> None:
    headers = {"X-HubSpot-RateLimit-Max": "100", "X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}
    now = [0.0]
    limiter = WindowLimiter(190, 10.0, clock=lambda: now[0])
    HubSpotClient._heed(limiter, httpx2.Response(200, headers=headers))  # pyright: ignore[reportPrivateUsage]
    assert limiter.limit == 100
    HubSpotClient._heed(limiter, httpx2.Response(200, headers=headers | {"X-HubSpot-RateLimit-Max": "250"}))  # pyright: ignore[reportPrivateUsage]
    assert limiter.limit == 100


def test_settings_refuse_what_is_no_address() -> None:
    for url in ("api.hubapi.com", "ftp://x", "https://api.hubapi.com/crm"):
        with pytest.raises(ValidationError):
            HubSpotSettings(base_url=url, token=SecretStr("x"))
    assert "x9" not in repr(HubSpotSettings(base_url=URL, token=SecretStr("x9")))


def _definitions(kind: ObjectType, **changed: str) -> list[dict[str, Any]]:
    types = {"text": "string", "bool": "bool", "bigint": "number", "money": "number", "timestamp": "datetime"}
    return [
        {
            "name": column.name,
            "label": column.name,
            "type": changed.get(column.name, types[column.kind]),
            "fieldType": "x",
        }
        for column in kind.table.columns
        if column.is_property
    ]


def _remembered(kind: ObjectType) -> list[Field]:
    return [
        Field(kind.name, str(one["name"]), str(one["label"]), str(one["type"]), is_loaded=True)
        for one in _definitions(kind)
    ]


def test_a_column_that_cannot_hold_the_property_stops_the_first_load() -> None:
    with pytest.raises(NightdeskError, match="`amount` of deals changed its type from number to string"):
        check(DEALS, _definitions(DEALS, amount="string"), [], namespace="nightdesk_")


def test_a_changed_type_of_a_text_column_stops_a_later_load_unless_accepted() -> None:
    before = _remembered(CONTACTS)
    now = _definitions(CONTACTS, jobtitle="enumeration")
    with pytest.raises(NightdeskError, match="`jobtitle` of contacts changed its type from string to enumeration"):
        check(CONTACTS, now, before, namespace="nightdesk_")
    assert check(CONTACTS, now, before, namespace="nightdesk_", accepted=["contacts.jobtitle"]).changes == ()


def test_new_and_missing_properties_are_told_apart_from_our_own() -> None:
    before = _remembered(CONTACTS)
    now = [one for one in _definitions(CONTACTS) if one["name"] != "country"]
    now += [{"name": "shoe_size", "type": "number"}, {"name": "nightdesk_lead_score", "type": "number"}]
    found = check(CONTACTS, now, before, namespace="nightdesk_")
    assert found.namespaced == ("nightdesk_lead_score",)
    assert "country" not in found.present
    assert found.changes == (
        "contacts.country: property no longer exists in the CRM; the values loaded last stay (docs/schema-contract.md)",
        "contacts.shoe_size: new property of type number in the CRM; not loaded (docs/schema-contract.md)",
    )


def test_inline_associations_are_taken_only_where_their_type_is_certain() -> None:
    emails = OBJECTS[3]

    def record(kind: str, **more: Any) -> dict[str, Any]:
        return {"id": "1", "associations": {"contacts": {"results": [{"id": "9", "type": kind}], **more}}}

    links = rows.inline_links(emails, record("email_to_contact"))
    assert links is not None and [(link.to_id, link.type_id) for link in links] == [("9", 198)]
    assert rows.inline_links(emails, record("buyer")) is None
    assert rows.inline_links(emails, record("email_to_contact", paging={"next": {"after": "9"}})) is None
    assert rows.inline_links(emails, {"id": "1"}) == []


def test_every_table_has_its_keys_among_its_columns_and_a_hint_per_column() -> None:
    for table in TABLES.values():
        assert set(table.key) <= set(table.names)
        hints = columns(table)
        assert [hint["name"] for hint in hints] == [*table.names, "_removed"]
        assert table.arrow_schema().names == [hint["name"] for hint in hints]
        assert all(f'"{name}"' in table.ddl() for name in table.names)
