"""Fields of an org: what `describe` shows, and making ours through the Tooling API with the right to see them.

A new custom field is invisible to everybody, its maker included, until a permission set says otherwise; so every field
goes with an entry in the permission set `Nightdesk`, which is assigned to the integration user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from nightdesk.errors import NightdeskError
from reverse_etl.crms.http import OutcomeUnknown, RequestRefused
from reverse_etl.crms.protocol import CrmUnavailable, ObjectSchema, PropertySpec
from reverse_etl.crms.salesforce.client import SalesforceClient
from reverse_etl.crms.salesforce.wire import CUSTOM, Kind, quoted, schema

PERMISSION_SET = "Nightdesk"
MAX_LABEL = 40
MAX_NAME = 40
TEXT_LENGTH = 32_000
KEY_LENGTH = 120


class Fields:
    """Definitions of fields.

    Args:
        client: The HTTP client.
        group: The mapping's property group. Salesforce has none, so it counts as there.
    """

    def __init__(self, client: SalesforceClient, group: str) -> None:
        self._client, self._group = client, group
        self._kinds: dict[str, dict[str, Kind]] = {}
        self._permission_set: str | None = None

    def describe(self, object_type: str) -> ObjectSchema:
        """The fields of an object that our user may see."""
        entries = self._entries(object_type)
        properties = {found.name: found for found in map(schema, entries)}
        return ObjectSchema(object_type, properties, frozenset({self._group}))

    def kinds(self, object_type: str) -> Mapping[str, Kind]:
        """Salesforce's type of every field of an object, as described last."""
        if object_type not in self._kinds:
            self._entries(object_type)
        return self._kinds[object_type]

    def _entries(self, object_type: str) -> list[dict[str, Any]]:
        try:
            body = cast("dict[str, Any]", self._client.request("GET", f"sobjects/{object_type}/describe").body)
        except RequestRefused as error:
            raise explained(error, object_type) from error
        entries = cast("list[dict[str, Any]]", body["fields"])
        self._kinds[object_type] = {
            str(entry["name"]): Kind(str(entry["type"]), int(entry.get("scale") or 0)) for entry in entries
        }
        return entries

    def create(self, object_type: str, spec: PropertySpec, user: str | None) -> None:
        """Make a custom field and let the integration user see and edit it. A field that is there already (a set-up
        that was interrupted) only gets the right."""
        name = spec.name.removesuffix(CUSTOM)
        where = f"{object_type}.{spec.name}"
        if len(spec.label) > MAX_LABEL or len(name) > MAX_NAME:
            raise NightdeskError(
                f"Salesforce takes names and labels of at most {MAX_LABEL} characters",
                where=where,
                todo="Shorten it in policies/field_mapping.salesforce.yml.",
            )
        body = {"FullName": where, "Metadata": _metadata(spec)}
        try:
            self._sure("POST", "tooling/sobjects/CustomField", body, where)
        except RequestRefused as error:
            if error.category != "DUPLICATE_DEVELOPER_NAME":
                raise explained(error, where) from error
        self._permit(object_type, spec.name, user)
        self._kinds.pop(object_type, None)
        if user is None and spec.name not in self.kinds(object_type):
            raise NightdeskError(
                "Salesforce does not say who the access token belongs to, so its user cannot be given the right",
                where=where,
                todo=f"Assign the permission set `{PERMISSION_SET}` to that user by hand, or give the connected app "
                "the scope `openid`; then run it again.",
            )

    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None:
        """Add values to a picklist; those it has stay as they are."""
        where = f"{object_type}.{name}"
        text = (
            f"SELECT Id FROM CustomField WHERE DeveloperName = {quoted(name.removesuffix(CUSTOM))} "
            f"AND TableEnumOrId = {quoted(object_type)}"
        )
        try:
            found = rows(self._client.request("GET", "tooling/query", params={"q": text}).body)
            if not found:
                raise NightdeskError("This field is not there", where=where, todo="Run `nightdesk crm setup --apply`.")
            path = f"tooling/sobjects/CustomField/{found[0]['Id']}"
            metadata = cast("dict[str, Any]", self._client.request("GET", path).body["Metadata"])
            values = _values(metadata)
            there = {str(one["fullName"]) for one in values}
            new = [_value(option) for option in options if option not in there]
            if new:
                values.extend(new)
                self._sure("PATCH", path, {"Metadata": metadata}, where)
        except RequestRefused as error:
            raise explained(error, where) from error

    # Rights -----------------------------------------------------------------------------------------------------------

    def _permit(self, object_type: str, name: str, user: str | None) -> None:
        full = f"{object_type}.{name}"
        right = {
            "ParentId": self._set(user),
            "SobjectType": object_type,
            "Field": full,
            "PermissionsRead": True,
            "PermissionsEdit": True,
        }
        self._make("FieldPermissions", right, full)

    def _set(self, user: str | None) -> str:
        """The permission set, made and assigned when it is missing."""
        if self._permission_set is not None:
            return self._permission_set
        text = f"SELECT Id FROM PermissionSet WHERE Name = {quoted(PERMISSION_SET)}"
        found = self._query(text)
        if not found:
            self._make("PermissionSet", {"Name": PERMISSION_SET, "Label": PERMISSION_SET}, PERMISSION_SET)
            found = self._query(text)
        self._permission_set = str(found[0]["Id"])
        if user is not None:
            assigned = {"AssigneeId": user, "PermissionSetId": self._permission_set}
            self._make("PermissionSetAssignment", assigned, PERMISSION_SET)
        return self._permission_set

    def _query(self, text: str) -> list[dict[str, Any]]:
        try:
            return rows(self._client.request("GET", "query", params={"q": text}).body)
        except RequestRefused as error:
            raise explained(error, PERMISSION_SET) from error

    def _make(self, object_type: str, body: Mapping[str, Any], where: str) -> None:
        """Create a set-up record; one that is there already is fine."""
        try:
            self._sure("POST", f"sobjects/{object_type}", body, where)
        except RequestRefused as error:
            if error.category not in ("DUPLICATE_VALUE", "DUPLICATE_DEVELOPER_NAME"):
                raise explained(error, where) from error

    def _sure(self, method: str, path: str, body: Mapping[str, Any], where: str) -> None:
        try:
            self._client.request(method, path, body=body, effect="create")
        except OutcomeUnknown as error:
            raise CrmUnavailable(
                f"Salesforce did not say whether it did it: {error}",
                where=where,
                todo="Run the command again: it looks first at what is there.",
            ) from error


def rows(body: Any) -> list[dict[str, Any]]:
    """The records of a query's answer."""
    return cast("list[dict[str, Any]]", cast("dict[str, Any]", body).get("records") or [])


def explained(error: RequestRefused, where: str) -> NightdeskError:
    """A refusal as one clear message."""
    said = f"{error.category} {error.message}".strip()
    return NightdeskError(f"Salesforce refused: {said}"[:500], where=where)


def _metadata(spec: PropertySpec) -> dict[str, Any]:
    """What the Tooling API calls the metadata of a custom field."""
    common: dict[str, Any] = {"label": spec.label, "description": "Written by Nightdesk"}
    if spec.is_unique:
        key = {"type": "Text", "length": KEY_LENGTH, "unique": True, "caseSensitive": True, "externalId": True}
        return common | key
    match spec.value_type:
        case "number":
            return common | {"type": "Number", "precision": 18, "scale": 4}
        case "date":
            return common | {"type": "Date"}
        case "datetime":
            return common | {"type": "DateTime"}
        case "boolean":
            return common | {"type": "Checkbox", "defaultValue": "false"}
        case "enumeration":
            values = [_value(option) for option in spec.options]
            value_set = {"restricted": True, "valueSetDefinition": {"sorted": False, "value": values}}
            return common | {"type": "Picklist", "valueSet": value_set}
        case _:
            return common | {"type": "LongTextArea", "length": TEXT_LENGTH, "visibleLines": 4}


def _value(option: str) -> dict[str, Any]:
    return {"fullName": option, "label": option, "default": False}


def _values(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """The list of values inside a picklist's metadata, to be extended in place."""
    value_set = cast("dict[str, Any]", metadata.setdefault("valueSet", {}))
    defined = cast("dict[str, Any]", value_set.setdefault("valueSetDefinition", {}))
    return cast("list[dict[str, Any]]", defined.setdefault("value", []))
