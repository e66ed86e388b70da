"""The schema contract of HubSpot: its property definitions against our columns, judged by `sources.kit.contract`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from sources.hubspot.client import Json
from sources.hubspot.rows import Row
from sources.hubspot.tables import ACCEPTED_TYPES, ObjectType
from sources.kit.contract import Field, Uses, judge, nowhere, options_text

# Without these nothing is loaded: a contact whose opt-out cannot be read must never be taken for one who said yes.
_REQUIRED: Final = {
    "contacts.email": "it tells who a contact is, and who was erased or has unsubscribed",
    "contacts.hs_email_optout": "without it, everybody who opted out would look as if they had not",
}
_STAMP: Final = "it tells what moved since the last load"


@dataclass(frozen=True, slots=True)
class Definitions:
    """What the CRM says of one object type.

    Attributes:
        kind: The object type.
        present: Our properties that exist: the ones to ask for.
        namespaced: Those under our own prefix.
        rows: For table `property_definitions`.
        changes: One line per change since the last load.
        kept: Our columns whose property is gone; their loaded values stay.
        refill: Whether a column can be filled that could not before, so that every record must be read anew.
    """

    kind: ObjectType
    present: tuple[str, ...]
    namespaced: tuple[str, ...]
    rows: tuple[Row, ...]
    changes: tuple[str, ...]
    kept: tuple[str, ...]
    refill: bool


def check(
    kind: ObjectType,
    definitions: Collection[Json],
    before: Collection[Field],
    *,
    namespace: str,
    accepted: Collection[str] = (),
    accept_missing: Collection[str] = (),
    uses: Uses = nowhere,
) -> Definitions:
    """Compares the CRM's property definitions with the columns we load and with what they were at the last load.

    Args:
        kind: The object type.
        definitions: The CRM's answer: name, label, type, fieldType, options per property.
        before: What was remembered at the last load, of any object type.
        namespace: Prefix of our own properties.
        accepted: `object.property` whose new type was looked at and accepted.
        accept_missing: Required `object.property` that the company does without.
        uses: Names the policy files in which a value stands.

    Raises:
        NightdeskError: see `sources.kit.contract.judge`.
    """
    columns = {f"{kind.name}.{column.name}": column for column in kind.table.columns if column.is_property}
    found = judge(
        [field for field in before if field.object_type == kind.name],
        [_field(kind.name, one) for one in definitions],
        columns=columns,
        required={f"{kind.name}.{kind.stamp}": _STAMP} | {p: why for p, why in _REQUIRED.items() if p in columns},
        fitting={p: ACCEPTED_TYPES[column.kind] for p, column in columns.items() if column.kind in ACCEPTED_TYPES},
        namespace=namespace,
        accepted=accepted,
        accept_missing=accept_missing,
        uses=uses,
    )
    types = {str(one["name"]): str(one.get("fieldType", "")) for one in definitions}
    alive = [str(one["name"]) for one in definitions if not one.get("archived")]
    return Definitions(
        kind=kind,
        present=tuple(column.name for place, column in columns.items() if place in found.present),
        namespaced=tuple(sorted(name for name in alive if name.startswith(namespace))),
        rows=tuple(_rows(found.remembered, types)),
        changes=found.lines,
        kept=tuple(column.name for place, column in columns.items() if place in found.kept),
        refill=bool(found.refill),
    )


def _field(object_type: str, definition: Json) -> Field:
    """A definition as a field. Options that another object holds (owners, stages) are no list of values."""
    options = [] if definition.get("externalOptions") else cast("list[dict[str, Any]]", definition.get("options") or [])
    return Field(
        object_type,
        str(definition["name"]),
        str(definition.get("label", "")),
        str(definition.get("type", "")),
        options=tuple((str(one["value"]), str(one.get("label", ""))) for one in options),
        is_archived=bool(definition.get("archived")),
    )


def _rows(fields: Collection[Field], types: dict[str, str]) -> Iterator[Row]:
    for field in fields:
        yield (
            field.object_type,
            field.name,
            field.label,
            field.type,
            types.get(field.name),
            "true" if field.is_loaded else "false",
            options_text(field.options) or None,
            "gone" if field.is_gone else None,
        )
