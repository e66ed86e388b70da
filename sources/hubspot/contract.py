"""The schema contract: a property whose type changed stops the load, new and missing ones are reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nightdesk.errors import NightdeskError
from sources.hubspot.client import Json
from sources.hubspot.tables import ACCEPTED_TYPES, ObjectType


@dataclass(frozen=True, slots=True)
class Definitions:
    """What the CRM says of one object type: which of our properties exist, which namespaced ones, what changed."""

    kind: ObjectType
    present: tuple[str, ...]
    namespaced: tuple[str, ...]
    rows: tuple[tuple[str, str, str, str, str, str], ...]
    changes: tuple[str, ...]


def check(
    kind: ObjectType,
    definitions: Collection[Json],
    before: Mapping[tuple[str, str], str],
    *,
    namespace: str,
    accepted: Collection[str] = (),
) -> Definitions:
    """Compares the CRM's property definitions with the columns we load and with what they were at the last load.

    Args:
        kind: The object type.
        definitions: The CRM's answer: name, label, type, fieldType per property.
        before: (object type, property) -> type at the last load.
        namespace: Prefix of our own properties.
        accepted: `object.property` whose new type was looked at and accepted.

    Raises:
        NightdeskError: a property that fills a column cannot be held by it, or changed its type. Names the object, the
            property, the old and the new type.
    """
    types = {str(one["name"]): str(one.get("type", "")) for one in definitions if not one.get("archived")}
    columns = {column.name: column for column in kind.table.columns if column.is_property}
    changes: list[str] = []
    for name, column in columns.items():
        new = types.get(name)
        if new is None:
            if (kind.name, name) in before:
                changes.append(f"{kind.name}.{name}: property no longer exists in the CRM; the column stays empty")
            continue
        old = before.get((kind.name, name))
        if old is not None and old != new and f"{kind.name}.{name}" not in accepted:
            raise _changed(kind.name, name, old, new)
        fitting = ACCEPTED_TYPES.get(column.kind)
        if fitting is not None and new not in fitting:
            raise _changed(kind.name, name, old or "/".join(sorted(fitting)), new)
    known = {name for object_type, name in before if object_type == kind.name}
    if known:
        changes += [
            f"{kind.name}.{name}: new property of type {types[name]} in the CRM; not loaded"
            for name in types
            if name not in known and name not in columns and not name.startswith(namespace)
        ]
        changes += [
            f"{kind.name}.{name}: property now exists and fills its column"
            for name in columns
            if name in types and name not in known
        ]
    else:
        changes += [
            f"{kind.name}.{name}: not in the CRM; the column stays empty" for name in columns if name not in types
        ]
    return Definitions(
        kind=kind,
        present=tuple(name for name in columns if name in types),
        namespaced=tuple(sorted(name for name in types if name.startswith(namespace))),
        rows=tuple(
            (
                kind.name,
                str(one["name"]),
                str(one.get("label", "")),
                str(one.get("type", "")),
                str(one.get("fieldType", "")),
                "true" if one["name"] in columns or str(one["name"]).startswith(namespace) else "false",
            )
            for one in definitions
            if not one.get("archived")
        ),
        changes=tuple(changes),
    )


def _changed(object_type: str, name: str, old: str, new: str) -> NightdeskError:
    return NightdeskError(
        f"Property `{name}` of {object_type} changed its type from {old} to {new}",
        where=f"{object_type}.{name}",
        todo=(
            "Change it back in the CRM, or adapt sources/hubspot/tables.py and the models that read it; if both "
            f"types mean the same to you, add `{object_type}.{name}` to accept_type_changes."
        ),
    )
