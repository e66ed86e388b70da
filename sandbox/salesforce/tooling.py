"""The part of the Tooling API that makes custom fields."""

from __future__ import annotations

import re
from typing import Any, cast

from sandbox.salesforce import catalog, ids, soql
from sandbox.salesforce.call import Call, Reply
from sandbox.salesforce.custom import custom_field
from sandbox.salesforce.errors import SalesforceError, not_found

_NAME = re.compile(r"([A-Za-z]+)\.([A-Za-z][A-Za-z0-9_]*)__c")
MAX_LABEL = 40


def _checked(call: Call, full_name: str) -> tuple[str, str, dict[str, Any]]:
    match = _NAME.fullmatch(full_name)
    if match is None or match[1] not in catalog.OBJECTS:
        raise SalesforceError("INVALID_FULL_NAME", f"{full_name}: not the name of a custom field", ["FullName"])
    given = call.object().get("Metadata")
    if not isinstance(given, dict):
        raise SalesforceError("REQUIRED_FIELD_MISSING", "Required fields are missing: [Metadata]", ["Metadata"])
    metadata = cast("dict[str, Any]", given)
    label = str(metadata.get("label") or "")
    if not label or len(label) > MAX_LABEL:
        raise SalesforceError("STRING_TOO_LONG", f"Label: data value too large (max length={MAX_LABEL})", ["Metadata"])
    name = f"{match[2]}__c"
    custom_field(name, metadata)  # refuses a type there is not
    if metadata.get("type") == "LongTextArea" and not 256 <= int(metadata.get("length", 0)) <= 131_072:
        raise SalesforceError("FIELD_INTEGRITY_EXCEPTION", "length must be between 256 and 131072", ["Metadata"])
    return match[1], name, metadata


def create(call: Call) -> Reply:
    """Make a custom field. Nobody but administrators sees it until a permission set says so."""
    object_type, name, metadata = _checked(call, str(call.object().get("FullName")))
    if name in call.store.fields(object_type):
        raise SalesforceError(
            "DUPLICATE_DEVELOPER_NAME", f"There is already a field named {name} on {object_type}.", ["FullName"]
        )
    with call.store.transaction():
        field_id = call.store.put_custom_field(object_type, name, metadata)
    return Reply(201, {"id": field_id, "success": True, "errors": [], "warnings": []})


def _find(call: Call) -> tuple[str, str, dict[str, Any]]:
    found = call.store.custom_field(ids.long(call.params["id"])) if ids.is_id(call.params["id"]) else None
    if found is None:
        raise not_found()
    return found


def get(call: Call) -> Reply:
    """One custom field with its metadata."""
    object_type, name, metadata = _find(call)
    full = {"Id": call.params["id"], "FullName": f"{object_type}.{name}", "Metadata": metadata}
    return Reply(200, full | {"DeveloperName": name.removesuffix("__c"), "TableEnumOrId": object_type})


def patch(call: Call) -> Reply:
    """Replace a custom field's metadata as a whole."""
    object_type, name, _ = _find(call)
    _, _, metadata = _checked(call, f"{object_type}.{name}")
    with call.store.transaction():
        call.store.put_custom_field(object_type, name, metadata)
    return Reply(204)


def query(call: Call) -> Reply:
    """Find custom fields."""
    asked = soql.parse(call.query.get("q", ""))
    if asked.object_type != "CustomField":
        raise SalesforceError("INVALID_TYPE", f"sObject type '{asked.object_type}' is not supported.")
    rows = [
        {"Id": i, "DeveloperName": name.removesuffix("__c"), "TableEnumOrId": object_type, "NamespacePrefix": None}
        for object_type, name, i in call.store.connection.execute("select object, name, id from custom_fields")
    ]
    test = asked.tester(call.store.clock.now().date())
    wrong = [name for name in asked.used if name not in ("Id", "DeveloperName", "TableEnumOrId", "NamespacePrefix")]
    if wrong:
        raise SalesforceError("INVALID_FIELD", f"No such column '{wrong[0]}' on entity 'CustomField'.")
    found = [{name: row[name] for name in asked.fields} for row in rows if test(row)]
    return Reply(200, {"size": len(found), "totalSize": len(found), "done": True, "records": found})
