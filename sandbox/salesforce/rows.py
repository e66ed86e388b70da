"""sObject resources: describe, one record at a time, upsert by an external id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from sandbox.salesforce import catalog, ids
from sandbox.salesforce.call import Call, Reply
from sandbox.salesforce.errors import SalesforceError, not_found
from sandbox.salesforce.store import Row
from sandbox.salesforce.values import parse

_MASTER_TYPE = "012000000000000AAA"


def versions(call: Call) -> Reply:
    """The API versions there are; needs no session."""
    return Reply(200, [{"label": "Sandbox", "url": f"/services/data/v{v}", "version": v} for v in ("60.0", "62.0")])


def user_info(call: Call) -> Reply:
    """Who the session belongs to."""
    row = call.store.get("User", call.user)
    name = row.values.get("Name") if row else None
    return Reply(200, {"user_id": call.user, "organization_id": ids.make("00D", 1), "name": name})


def limits(call: Call) -> Reply:
    """The org's limits and what is left of them."""
    jobs = sum(type(job).__name__ == "QueryJob" for job in call.state.jobs.values())
    return Reply(200, {
        "DailyApiRequests": {"Max": call.state.daily_limit, "Remaining": call.state.requests_left},
        "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000 - jobs},
        "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
    })  # fmt: skip


def objects(call: Call) -> Reply:
    """All objects."""
    names = [name for name in (*catalog.OBJECTS, *catalog.HISTORY_OBJECTS) if call.store.has(name)]
    found = [
        {"name": name, "keyPrefix": catalog.KEY_PREFIXES.get(name), "queryable": True,
         "updateable": name not in catalog.HISTORY_OBJECTS, "replicateable": name in catalog.REPLICATED,
         "urls": {"describe": call.url(f"sobjects/{name}/describe")}}
        for name in names
    ]  # fmt: skip
    return Reply(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": found})


def describe(call: Call) -> Reply:
    """One object with the fields this user may see."""
    name = call.params["object"]
    access = call.store.access(call.user, name)
    fields: list[dict[str, Any]] = []
    for one in call.store.fields(name).values():
        readable, editable = access[one.name]
        if readable:
            shown = one.describe()
            fields.append(
                shown
                | {
                    "updateable": shown["updateable"] and editable,
                    "createable": shown["createable"] and editable,
                }
            )
    kinds = [{"recordTypeId": row.id, "developerName": row.values["DeveloperName"], "name": row.values["Name"],
              "active": True, "available": True, "defaultRecordTypeMapping": False, "master": False}
             for row in call.store.all("RecordType") if row.values["SobjectType"] == name]  # fmt: skip
    master = {"recordTypeId": _MASTER_TYPE, "developerName": "Master", "name": "Master", "active": True,
              "available": True, "defaultRecordTypeMapping": not kinds, "master": True}  # fmt: skip
    found = {
        "name": name, "keyPrefix": catalog.KEY_PREFIXES.get(name), "queryable": True, "mergeable":
        name in catalog.MERGEABLE, "updateable": name not in catalog.HISTORY_OBJECTS, "replicateable":
        name in catalog.REPLICATED, "recordTypeInfos": [*kinds, master], "fields": fields,
    }  # fmt: skip
    return Reply(200, found)


def picklist_values(call: Call) -> Reply:
    """The values of a picklist that records of one record type may have; of the master type all active ones."""
    name, field = call.params["object"], call.params["field"]
    one = call.store.fields(name).get(field)
    if one is None or field not in visible(call, name):
        raise not_found(f"No such field: {field}")
    record_type = ids.long(call.params["type"])
    chosen = call.store.meta(f"record type {record_type}")
    if chosen is None and record_type != _MASTER_TYPE:
        raise not_found("No such record type")
    allowed = json.loads(chosen or "{}").get(field)
    labels = dict(one.labels)
    chosen_values = [value for value in one.options if allowed is None or value in allowed]
    values: list[dict[str, Any]] = [
        {"attributes": None, "label": labels.get(value, value), "validFor": [], "value": value}
        for value in chosen_values
    ]
    return Reply(200, {"controllerValues": {}, "defaultValue": None, "values": values})


def shown(call: Call, row: Row, names: Iterable[str]) -> dict[str, Any]:
    """A record as JSON."""
    url = call.url(f"sobjects/{row.object}/{row.id}")
    checkboxes = {one.name for one in call.store.fields(row.object).values() if one.type == "boolean"}
    values = {name: row.get(name) if name not in checkboxes else bool(row.get(name)) for name in names}
    return {"attributes": {"type": row.object, "url": url}} | values


def visible(call: Call, object_type: str) -> list[str]:
    """Names of the fields this user may see."""
    return [name for name, (readable, _) in call.store.access(call.user, object_type).items() if readable]


def _one(call: Call, object_type: str, record_id: str) -> Row:
    row = call.store.get(object_type, record_id) if ids.is_id(record_id) else None
    if row is None:
        raise not_found("Provided external ID field does not exist or is not accessible: " + record_id)
    if row.is_deleted:
        raise SalesforceError("ENTITY_IS_DELETED", "entity is deleted", status=404)
    return row


def _etag(row: Row) -> str:
    digest = hashlib.sha1(json.dumps([row.values, row.modified_at], sort_keys=True).encode()).hexdigest()
    return f'"{digest}-gzip"'


def get_row(call: Call) -> Reply:
    """One record; an account comes with an ETag."""
    object_type = call.params["object"]
    known = visible(call, object_type)
    row = _one(call, object_type, call.params["id"])
    asked = [name for name in call.query.get("fields", "").split(",") if name]
    wrong = [name for name in asked if name not in known]
    if wrong:
        raise SalesforceError("INVALID_FIELD", f"No such column '{wrong[0]}' on sobject of type {object_type}")
    changed = datetime.fromisoformat(row.modified_at)
    headers = {"Last-Modified": format_datetime(changed.astimezone(UTC), usegmt=True)}
    if object_type == "Account":
        headers["ETag"] = _etag(row)
    return Reply(200, shown(call, row, asked or known), headers=headers)


def _preconditions(call: Call, row: Row) -> None:
    stale = SalesforceError(
        "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE_CHECK",
        "Entity failed iflastmodified on update check",
        status=412,
    )
    since = call.headers.get("if-unmodified-since")
    if since is not None:
        try:
            limit = parsedate_to_datetime(since)
        except ValueError as error:
            raise SalesforceError("INVALID_HTTP_HEADER", "If-Unmodified-Since is not an HTTP date") from error
        if datetime.fromisoformat(row.modified_at) > limit:
            raise stale
    wanted = call.headers.get("if-match")
    if wanted is not None and row.object == "Account" and _etag(row) not in [one.strip() for one in wanted.split(",")]:
        raise stale


def patch_row(call: Call) -> Reply:
    """Change one record, on the conditions the headers name."""
    object_type = call.params["object"]
    values = read_values(call, object_type, call.object())
    row = _one(call, object_type, call.params["id"])
    _preconditions(call, row)
    saver = call.saver()
    with call.store.transaction(), saver.alone():
        saver.update(object_type, row.id, values)
    return Reply(204)


def delete_row(call: Call) -> Reply:
    """Put one record into the recycle bin."""
    row = _one(call, call.params["object"], call.params["id"])
    with call.store.transaction():
        call.saver().delete(row.object, row.id)
    return Reply(204)


def create_row(call: Call) -> Reply:
    """Make one record."""
    object_type = call.params["object"]
    values = read_values(call, object_type, call.object())
    saver = call.saver()
    with call.store.transaction(), saver.alone():
        record_id = saver.create(object_type, values)
    return Reply(201, {"id": record_id, "success": True, "errors": []})


def read_values(call: Call, object_type: str, body: dict[str, Any], *, leave: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values in a body, read by the type of their fields.

    Raises:
        SalesforceError: A field that is not there or a value of another type: the whole request is wrong.
    """
    given = {name: value for name, value in body.items() if name != "attributes" and name.lower() != "id"}
    for name in leave:
        given.pop(name, None)
    fields = call.saver().known(object_type, given)
    return {name: parse(fields[name], value) for name, value in given.items()}


def find_external(call: Call, object_type: str, field: str, value: Any) -> list[Row]:
    """Live records with this external id.

    Raises:
        SalesforceError: It is no external id field.
    """
    one = call.store.fields(object_type).get(field)
    if one is None or not (one.external_id or field == "Id") or field not in visible(call, object_type):
        raise not_found("Provided external ID field does not exist or is not accessible: " + field)
    return [row for row in call.store.all(object_type) if str(row.get(field) or "").lower() == str(value).lower()]


def get_external(call: Call) -> Reply:
    """One record by external id."""
    rows = find_external(call, call.params["object"], call.params["field"], call.params["value"])
    if len(rows) > 1:
        return several(call, rows)
    if not rows:
        raise not_found()
    return Reply(200, shown(call, rows[0], visible(call, rows[0].object)))


def several(call: Call, rows: list[Row]) -> Reply:
    """300: more than one record has this external id."""
    return Reply(300, [call.url(f"sobjects/{row.object}/{row.id}") for row in rows])


def upsert_external(call: Call) -> Reply:
    """Change the record with this external id, or make one."""
    object_type, field, value = call.params["object"], call.params["field"], call.params["value"]
    rows = find_external(call, object_type, field, value)
    if len(rows) > 1 or call.state.ambiguous_key:
        call.state.ambiguous_key = False
        return several(call, rows)
    values = read_values(call, object_type, call.object(), leave=(field,))
    saver = call.saver()
    with call.store.transaction(), saver.alone():
        if rows:
            saver.update(object_type, rows[0].id, values)
            return Reply(200, {"id": rows[0].id, "success": True, "errors": [], "created": False})
        record_id = saver.create(object_type, values | {field: value})
    return Reply(201, {"id": record_id, "success": True, "errors": [], "created": True})
