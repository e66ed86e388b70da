"""Custom fields: what the metadata an administrator gives means in `describe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from sandbox.salesforce.catalog import Field
from sandbox.salesforce.errors import SalesforceError


def custom_field(name: str, metadata: Mapping[str, Any]) -> Field:
    """What a custom field's metadata (`Metadata` of the Tooling API's `CustomField`) means in `describe`."""
    kind = str(metadata.get("type"))
    label = str(metadata.get("label") or name)
    plain = Field(name, label, "string", updateable=True, createable=True, nillable=True, custom=True,
                  external_id=bool(metadata.get("externalId")), unique=bool(metadata.get("unique")),
                  calculated=bool(metadata.get("formula")))  # fmt: skip
    if plain.calculated:
        plain = replace(plain, updateable=False, createable=False)
    match kind:
        case "Text":
            return replace(plain, length=int(metadata.get("length", 255)))
        case "LongTextArea":
            return replace(plain, type="textarea", length=int(metadata.get("length", 32768)))
        case "TextArea":
            return replace(plain, type="textarea", length=255)
        case "Number":
            return replace(
                plain, type="double", precision=int(metadata.get("precision", 18)), scale=int(metadata.get("scale", 0))
            )
        case "Checkbox":
            return replace(plain, type="boolean", nillable=False)
        case "Currency":
            return replace(
                plain,
                type="currency",
                precision=int(metadata.get("precision", 18)),
                scale=int(metadata.get("scale", 2)),
            )
        case "Date":
            return replace(plain, type="date")
        case "DateTime":
            return replace(plain, type="datetime")
        case "Picklist":
            given = cast("dict[str, Any]", metadata.get("valueSet") or {})
            defined = cast("dict[str, Any]", given.get("valueSetDefinition") or {})
            values = cast("list[dict[str, Any]]", defined.get("value") or [])
            names = [(str(one["fullName"]), bool(one.get("isActive", True))) for one in values]
            return replace(
                plain,
                type="picklist",
                length=255,
                restricted=bool(given.get("restricted")),
                options=tuple(name for name, active in names if active),
                inactive=tuple(name for name, active in names if not active),
                labels=tuple((str(one["fullName"]), str(one.get("label") or one["fullName"])) for one in values),
                default=next((str(one["fullName"]) for one in values if one.get("default")), None),
            )
        case _:
            raise SalesforceError("FIELD_INTEGRITY_EXCEPTION", f"{name}: unknown field type {kind}", ["Metadata"])
