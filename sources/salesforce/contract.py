"""The schema contract of Salesforce: what `describe` says against our columns, judged by `sources.kit.contract`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from sources.kit.contract import Field, Uses, judge, nowhere, options_text
from sources.kit.tables import Kind
from sources.salesforce.client import Json
from sources.salesforce.settings import SalesforceSourceSettings
from sources.salesforce.tables import ACCEPTED_TYPES, ObjectType

Row = tuple[str | None, ...]

# Without these nothing is loaded: a person whose opt-out cannot be read must never be taken for one who said yes.
_REQUIRED: Final = {
    "Email": "it tells who a person is, and who was erased or has unsubscribed",
    "HasOptedOutOfEmail": "without it, everybody who opted out would look as if they had not",
    "SystemModstamp": "it tells what moved since the last load",
    "IsDeleted": "without it, deleted records would look alive",
}
_PEOPLE: Final = ("Contact", "Lead")
_LISTS: Final = ("picklist", "multipicklist", "combobox")


@dataclass(frozen=True, slots=True)
class Definitions:
    """What the org says of one object.

    Attributes:
        kind: The object.
        fields: Column -> API name, of the columns that can be filled.
        namespaced: API name -> type of the fields Nightdesk itself writes.
        kept: Columns whose field is gone; their loaded values stay.
        refill: Whether a column can be filled that could not before, so that every record must be read anew.
        rows: For table `property_definitions`.
        picklists: For table `picklist_values`.
        changes: One line per change since the last load.
        tells_deleted: Whether the org can say which ids were deleted.
    """

    kind: ObjectType
    fields: Mapping[str, str]
    namespaced: Mapping[str, str]
    kept: tuple[str, ...]
    refill: bool
    rows: tuple[Row, ...]
    picklists: tuple[Row, ...]
    changes: tuple[str, ...]
    tells_deleted: bool

    @property
    def asked(self) -> tuple[str, ...]:
        """The API names to ask for, each once, Id first."""
        return tuple(dict.fromkeys(["Id", *self.fields.values(), *self.namespaced]))


def check(
    kind: ObjectType,
    described: Json,
    before: Collection[Field],
    settings: SalesforceSourceSettings,
    *,
    uses: Uses = nowhere,
) -> Definitions:
    """Compares what the org says of an object with our columns and with what it said at the last load.

    A standard field that the org has never shown (currencies in an org with one, country codes) is not worth a word; a
    custom one that a setting names is.

    Args:
        kind: The object.
        described: The org's `describe` answer.
        before: What was remembered at the last load, of any object.
        settings: Names custom fields, accepted changes and our namespace.
        uses: Names the policy files in which a value stands.

    Raises:
        NightdeskError: see `sources.kit.contract.judge`.
    """
    entries = {str(one["name"]): one for one in cast("list[Json]", described.get("fields") or [])}
    remembered = [field for field in before if field.object_type == kind.name]
    wanted = settings.fields_of(kind)
    kinds: dict[str, Kind] = {column.name: column.kind for column in kind.table.columns}
    fitting: dict[str, Collection[str]] = {}
    columns: dict[str, str] = {}
    told = {*entries, *(field.name for field in remembered if field.is_loaded), *_REQUIRED}
    for column, name in wanted.items():
        place = f"{kind.name}.{name}"
        if name in told or column in kind.customs:
            columns[place] = name
        accepted = ACCEPTED_TYPES.get(kinds[column])
        if accepted is not None:
            fitting[place] = accepted
    found = judge(
        remembered,
        [_field(kind.name, entry) for entry in entries.values()],
        columns=tuple(columns),
        required=_required(kind, columns),
        fitting=fitting,
        namespace=settings.namespace,
        accepted=settings.accept_type_changes,
        accept_missing=settings.accept_missing,
        uses=uses,
    )
    present = {columns[place] for place in found.present}
    kept = {columns[place] for place in found.kept}
    ours = {
        name: str(entries[name].get("type", ""))
        for name in sorted(entries)
        if name.startswith(settings.namespace) and _readable(entries[name])
    }
    loaded = [entries[name] for name in entries if name in present]
    return Definitions(
        kind=kind,
        fields={column: name for column, name in wanted.items() if name in present},
        namespaced=ours,
        kept=tuple(column for column, name in wanted.items() if name in kept),
        refill=bool(found.refill),
        rows=tuple(_rows(found.remembered, entries)),
        picklists=tuple(_picklists(kind.name, loaded)),
        changes=found.lines,
        tells_deleted=bool(described.get("replicateable")) and bool(kind.stamp),
    )


def _required(kind: ObjectType, columns: Mapping[str, str]) -> dict[str, str]:
    """Why a column cannot be done without, by place. People need address and opt-out; what moves needs its stamp."""
    names = {kind.stamp, "IsDeleted"} if kind.stamp else set[str]()
    if kind.name in _PEOPLE:
        names |= {"Email", "HasOptedOutOfEmail"}
    return {place: _REQUIRED[name] for place, name in columns.items() if name in names & set(_REQUIRED)}


def _readable(entry: Json) -> bool:
    """Whether a query may ask for a field: not for an address made of others, nor for a file inside a record."""
    return str(entry.get("type")) not in ("address", "location", "base64")


def _field(object_type: str, entry: Json) -> Field:
    return Field(
        object_type,
        str(entry["name"]),
        str(entry.get("label", "")),
        str(entry.get("type", "")),
        options=tuple((str(one["value"]), str(one.get("label") or "")) for one in _options(entry) if _is_active(one)),
    )


def _options(entry: Json) -> list[Json]:
    return cast("list[Json]", entry.get("picklistValues") or []) if entry.get("type") in _LISTS else []


def _is_active(option: Json) -> bool:
    return bool(option.get("active", True))


def _picklists(object_type: str, entries: Collection[Json]) -> Iterator[Row]:
    for entry in entries:
        for position, option in enumerate(_options(entry)):
            yield (
                object_type,
                str(entry["name"]),
                str(option["value"]),
                str(option.get("label") or ""),
                "true" if _is_active(option) else "false",
                "true" if option.get("defaultValue") else "false",
                str(position),
            )


def _rows(fields: Collection[Field], entries: Mapping[str, Json]) -> Iterator[Row]:
    for field in fields:
        entry = entries.get(field.name, {})
        targets = cast("list[Any]", entry.get("referenceTo") or [])
        yield (
            field.object_type,
            field.name,
            field.label,
            field.type,
            ", ".join(str(one) for one in targets) or None,
            "true" if entry.get("custom", field.name.endswith("__c")) else "false",
            "true" if field.is_loaded else "false",
            options_text(field.options) or None,
            "gone" if field.is_gone else None,
        )
