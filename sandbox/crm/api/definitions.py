"""Properties and property groups: what fields a record type has."""

from __future__ import annotations

import json
import re
from typing import Any

from sandbox.crm.api.call import Call, Reply, batch_reply
from sandbox.crm.clock import from_ms, iso
from sandbox.crm.errors import ApiError, invalid, not_found
from sandbox.crm.values import FIELD_TYPES, TYPES
from sandbox.crm.wire import as_objects
from sandbox.crm.writes import Writer

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_UPDATABLE = {
    "label", "description", "groupName", "options", "displayOrder", "hidden", "formField", "fieldType", "type",
}  # fmt: skip


def list_properties(call: Call) -> Reply:
    archived = call.flag("archived")
    if not archived:
        return Reply(200, {"results": list(call.store.definitions(call.object_type).values())})
    rows = call.store.connection.execute(
        "select definition from properties where object_type = ? and archived = 1 order by name", (call.object_type,)
    )
    return Reply(200, {"results": [json.loads(text) for (text,) in rows]})


def get_property(call: Call) -> Reply:
    return Reply(200, _require(call, call.params["name"]))


def create_property(call: Call) -> Reply:
    """POST /properties/{type}: 409 when the name is taken, 400 when the group does not exist yet."""
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        made = _create(call, writer, call.json())
    return Reply(201, made)


def create_properties(call: Call) -> Reply:
    """POST /properties/{type}/batch/create: names already taken are errors of a 207."""
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        for item in call.inputs():
            try:
                results.append(_create(call, writer, item))
            except ApiError as error:
                if error.status != 409:
                    raise
                errors.append(error.detail() | {"context": {"name": [str(item.get("name"))]}})
    return batch_reply(call, results, errors, success=201)


def read_properties(call: Call) -> Reply:
    """POST /properties/{type}/batch/read."""
    known = call.store.definitions(call.object_type)
    names = [str(item.get("name")) for item in call.inputs()]
    missing = [name for name in names if name not in known]
    errors: list[dict[str, Any]] = []
    if missing:
        error = ApiError(404, "OBJECT_NOT_FOUND", "Some properties do not exist.", context={"name": missing})
        errors.append(error.detail())
    return batch_reply(call, [known[name] for name in names if name in known], errors)


def update_property(call: Call) -> Reply:
    """PATCH /properties/{type}/{name}: `hasUniqueValue` never changes; HubSpot's own properties are read-only."""
    body = call.json()
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        definition = _require_own(call, call.params["name"])
        changed = definition | {key: value for key, value in body.items() if key in _UPDATABLE}
        _check(call, changed)
        changed["options"] = _options(changed)
        changed["updatedAt"] = iso(call.now)
        _save(call, writer, changed, before=json.dumps(definition))
    return Reply(200, changed)


def archive_property(call: Call) -> Reply:
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        _archive(call, writer, call.params["name"])
    return Reply(204)


def archive_properties(call: Call) -> Reply:
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        for item in call.inputs():
            _archive(call, writer, str(item.get("name")))
    return Reply(204)


def list_groups(call: Call) -> Reply:
    rows = call.store.connection.execute(
        "select name, label, display_order from property_groups where object_type = ? and archived = 0 order by name",
        (call.object_type,),
    )
    return Reply(200, {"results": [_group(*row) for row in rows]})


def get_group(call: Call) -> Reply:
    found = _find_group(call, call.params["name"])
    if found is None:
        raise not_found(f"Property group {call.params['name']} does not exist")
    return Reply(200, found)


def create_group(call: Call) -> Reply:
    """POST /properties/{type}/groups: 409 when the name is taken."""
    body = call.json()
    name, label = body.get("name"), body.get("label")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(label, str) or not label:
        raise invalid("A property group needs a name (lower case letters, digits, _) and a label")
    order = body.get("displayOrder", -1)
    if not isinstance(order, int):
        raise invalid("displayOrder must be a whole number")
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        if _find_group(call, name) is not None:
            raise ApiError(409, "CONFLICT", f"Property group {name} already exists")
        call.store.connection.execute(
            "insert or replace into property_groups values (?, ?, ?, ?, 0)", (call.object_type, name, label, order)
        )
        writer.log("define", call.object_type, f"group:{name}", "", None, json.dumps(body))
    return Reply(201, _group(name, label, order))


def archive_group(call: Call) -> Reply:
    name = call.params["name"]
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        used = [d["name"] for d in call.store.definitions(call.object_type).values() if d["groupName"] == name]
        if used:
            raise invalid(f"Property group {name} still holds properties: {', '.join(used[:5])}")
        call.store.connection.execute(
            "update property_groups set archived = 1 where object_type = ? and name = ?", (call.object_type, name)
        )
        writer.log("define", call.object_type, f"group:{name}", "", name, None)
    return Reply(204)


def _group(name: str, label: str, order: int) -> dict[str, Any]:
    return {"name": name, "label": label, "displayOrder": order, "archived": False}


def _find_group(call: Call, name: str) -> dict[str, Any] | None:
    row = call.store.connection.execute(
        "select name, label, display_order from property_groups where object_type = ? and name = ? and archived = 0",
        (call.object_type, name),
    ).fetchone()
    return None if row is None else _group(*row)


def _require(call: Call, name: str) -> dict[str, Any]:
    found = call.store.definitions(call.object_type).get(name)
    if found is None:
        raise not_found(f"Property {name} does not exist")
    return found


def _require_own(call: Call, name: str) -> dict[str, Any]:
    found = _require(call, name)
    if found["modificationMetadata"]["readOnlyDefinition"]:
        raise ApiError(403, "FORBIDDEN", f"Property {name} is defined by HubSpot and cannot be changed")
    return found


def _create(call: Call, writer: Writer, body: dict[str, Any]) -> dict[str, Any]:
    absent = [key for key in ("name", "label", "type", "fieldType", "groupName") if not isinstance(body.get(key), str)]
    if absent:
        raise invalid(f"Some required fields were not set: [{', '.join(absent)}]")
    name = body["name"]
    if not _NAME.fullmatch(name):
        raise invalid(f"Property name {name!r} must be lower case letters, digits and _, at most 100")
    if name in call.store.definitions(call.object_type):
        raise ApiError(409, "CONFLICT", f"A property named '{name}' already exists.", sub_category="PROPERTY_EXISTS")
    _check(call, body)
    stamp = iso(call.now)
    kind = body["type"]
    definition: dict[str, Any] = {
        "name": name,
        "label": body["label"],
        "type": kind,
        "fieldType": body["fieldType"],
        "description": body.get("description") or "",
        "groupName": body["groupName"],
        "options": _options(body),
        "displayOrder": body.get("displayOrder", -1),
        "calculated": False,
        "externalOptions": bool(body.get("externalOptions", False)),
        "hasUniqueValue": bool(body.get("hasUniqueValue", False)),
        "hidden": bool(body.get("hidden", False)),
        "hubspotDefined": False,
        "formField": bool(body.get("formField", False)),
        "dataSensitivity": "non_sensitive",
        "modificationMetadata": {"archivable": True, "readOnlyDefinition": False, "readOnlyValue": False},
        "createdAt": stamp,
        "updatedAt": stamp,
        "archived": False,
    }
    if body.get("referencedObjectType"):
        definition["referencedObjectType"] = body["referencedObjectType"]
    _save(call, writer, definition, before=None)
    return definition


def _check(call: Call, body: dict[str, Any]) -> None:
    kind, widget = body["type"], body["fieldType"]
    for name in ("label", "type", "fieldType", "groupName", "description"):
        if not isinstance(body.get(name) or "", str):
            raise invalid(f"{name} must be a string")
    if kind not in TYPES:
        raise invalid(f"{kind} is not a property type: {', '.join(sorted(TYPES))}")
    if widget not in FIELD_TYPES[kind]:
        raise invalid(f"fieldType {widget} does not go with type {kind}: {', '.join(sorted(FIELD_TYPES[kind]))}")
    if _find_group(call, body["groupName"]) is None:
        raise invalid(f"Property group {body['groupName']} does not exist")
    options = as_objects(body.get("options") or [])
    if options is None:
        raise invalid("Invalid input JSON: options must be a list of objects")
    if kind == "enumeration" and not body.get("externalOptions") and not options:
        raise invalid("A property of type enumeration needs options")
    values = [option.get("value") for option in options]
    if not all(isinstance(value, str) and value for value in values) or len(set(values)) != len(values):
        raise invalid("Every option needs a label and a value of its own")


def _options(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "label": option.get("label", option["value"]),
            "value": option["value"],
            "displayOrder": option.get("displayOrder", n),
            "hidden": bool(option.get("hidden", False)),
            **({"description": option["description"]} if option.get("description") else {}),
        }
        for n, option in enumerate(body.get("options") or [])
    ] or (_bool_options() if body["type"] == "bool" else [])


def _bool_options() -> list[dict[str, Any]]:
    return [
        {"label": "Yes", "value": "true", "displayOrder": 0, "hidden": False},
        {"label": "No", "value": "false", "displayOrder": 1, "hidden": False},
    ]


def _save(call: Call, writer: Writer, definition: dict[str, Any], *, before: str | None) -> None:
    text = json.dumps(definition)
    call.store.connection.execute(
        "insert or replace into properties values (?, ?, ?, 0)", (call.object_type, definition["name"], text)
    )
    call.store.forget_cache()
    writer.log("define", call.object_type, f"property:{definition['name']}", "", before, text)


def _archive(call: Call, writer: Writer, name: str) -> None:
    definition = _require_own(call, name)
    gone = definition | {"archived": True, "archivedAt": iso(call.now)}
    call.store.connection.execute(
        "update properties set archived = 1, definition = ? where object_type = ? and name = ?",
        (json.dumps(gone), call.object_type, name),
    )
    call.store.forget_cache()
    writer.log("define", call.object_type, f"property:{name}", "", json.dumps(definition), None)
