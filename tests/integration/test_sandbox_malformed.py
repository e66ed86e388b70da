"""Whatever a client sends, the sandbox CRM answers with HubSpot's error shape and never breaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.crm.api.routes import ROUTES
from sandbox.crm.limits import UNLIMITED
from sandbox.crm.server import running
from sandbox.crm.tiny import tiny_store

VALUES = {
    "object_type": "contacts", "object_id": "101", "from_type": "contacts", "to_type": "companies", "from_id": "101",
    "to_id": "501", "name": "email", "owner_id": "1", "pipeline_id": "default",
}  # fmt: skip
SPEC = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}
WELL_FORMED: dict[str, Any] = {
    "/search": {
        "filterGroups": [{"filters": [{"propertyName": "email", "operator": "IN", "values": ["a"], "value": "1"}]}],
        "sorts": [{"propertyName": "createdate", "direction": "DESCENDING"}], "limit": 5, "after": "0",
        "properties": ["email"], "query": "dana",
    },
    "/merge": {"primaryObjectId": "101", "objectIdToMerge": "102"},
    "/gdpr-delete": {"objectId": "103", "idProperty": "email"},
    "/labels": {"label": "L", "name": "l", "inverseLabel": "i"},
    "/groups": {"name": "g", "label": "G", "displayOrder": 1},
    "/unsubscribe-all/read": {"inputs": ["a@b.example"]},
    "/batch/read": {
        "inputs": [{"id": "101", "after": "1", "name": "email"}], "idProperty": "email", "properties": ["email"],
    },
    "": {
        "inputs": [
            {
                "id": "101", "idProperty": "email", "objectWriteTraceId": "t", "properties": {"jobtitle": "x"},
                "from": {"id": "101"}, "to": {"id": "501"}, "types": [SPEC], "name": "x_y", "label": "X",
                "type": "enumeration", "fieldType": "select", "groupName": "contactinformation",
                "options": [{"label": "A", "value": "A"}],
                "associations": [{"to": {"id": "501"}, "types": [SPEC]}],
            }
        ],
        "properties": {"jobtitle": "x", "hs_lead_status": "NEW", "hs_timestamp": "1"},
        "associations": [{"to": {"id": "501"}, "types": [SPEC]}],
        "name": "x_z", "label": "X", "type": "enumeration", "fieldType": "select", "groupName": "contactinformation",
        "options": [{"label": "A", "value": "A"}],
    },
}  # fmt: skip
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6), st.sampled_from(["9" * 40, "-1", "x'--", '$."', "\x00", "é", "0-1"]),
    st.lists(st.none() | st.text(max_size=2), max_size=2), st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], odd)
    return copy


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes]:
    method, pattern, _ = draw(st.sampled_from(ROUTES))
    values = {
        name: draw(st.just(value) | st.sampled_from(["0", "9" * 30, "%00", "x"])) for name, value in VALUES.items()
    }
    body = next(body for suffix, body in WELL_FORMED.items() if pattern.endswith(suffix))
    for _ in range(draw(st.integers(0, 2))):
        body = replaced(body, draw(st.sampled_from(list(places(body)))), draw(ODD))
    query = draw(
        st.sampled_from(["", "?limit=x", "?after=-1&limit=5", "?propertiesWithHistory=email&associations=no", "?a=%ff"])
    )
    prefix = "/communication-preferences/v4" if pattern.startswith("/statuses") else "/crm/v3"
    return method, prefix + pattern.format(**values) + query, json.dumps(body).encode()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    path = tiny_store(Path(tmp_path_factory.mktemp("malformed")) / "crm.sqlite")
    with running(path, limits=UNLIMITED) as served:
        headers = {"Authorization": f"Bearer {served.token}"}
        with httpx.Client(base_url=served.url, headers=headers, timeout=10) as client:
            yield client


@settings(
    max_examples=250,
    deadline=None,
)
@given(request=requests())
def test_a_malformed_request_is_refused_and_breaks_nothing(api: httpx.Client, request: tuple[str, str, bytes]) -> None:
    method, path, body = request
    answer = api.request(method, path, content=body if method in ("POST", "PATCH", "PUT") else None)
    assert answer.status_code < 500
    if answer.status_code >= 400:
        assert {"status", "message", "correlationId"} <= answer.json().keys()
