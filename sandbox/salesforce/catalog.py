"""The standard objects and fields this CRM has: those that sellers' work and an integration's touches, no more."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sandbox.salesforce import objects

KEY_PREFIXES = objects.KEY_PREFIXES
OBJECTS = tuple(objects.FIELDS)
# Those that exist only once an administrator switched several currencies on, and the objects with a currency then.
CURRENCY_OBJECTS = ("CurrencyType", "DatedConversionRate")
WITH_CURRENCY = frozenset({"Account", "Contact", "Lead", "Opportunity", "OpportunityHistory", "User", "Task", "Event"})
# What Salesforce keeps a field history of (per object switched on, and then per field).
HISTORY_OBJECTS = {
    "ContactHistory": ("Contact", "ContactId"),
    "LeadHistory": ("Lead", "LeadId"),
    "AccountHistory": ("Account", "AccountId"),
    "OpportunityFieldHistory": ("Opportunity", "OpportunityId"),
}
# Objects that tell which of their records were deleted or changed in a span of time.
REPLICATED = frozenset({
    "Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Task", "Event", "EventRelation",
    "TaskRelation", "EmailMessage", "EmailMessageRelation", "Note", "User",
})  # fmt: skip
MERGEABLE = frozenset({"Account", "Contact", "Lead"})
# What goes into the bin with a record, as real describe answers mark it (cascadeDelete): object -> children by field.
CASCADES: dict[str, tuple[tuple[str, str], ...]] = {
    "Account": (("Contact", "AccountId"), ("Opportunity", "AccountId"), ("Task", "WhatId"), ("Event", "WhatId"),
                ("Note", "ParentId")),
    "Contact": (("OpportunityContactRole", "ContactId"), ("Task", "WhoId"), ("Event", "WhoId"), ("Note", "ParentId"),
                ("TaskRelation", "RelationId"), ("EventRelation", "RelationId"),
                ("EmailMessageRelation", "RelationId")),
    "Lead": (("Task", "WhoId"), ("Event", "WhoId"), ("Note", "ParentId"), ("TaskRelation", "RelationId"),
             ("EventRelation", "RelationId"), ("EmailMessageRelation", "RelationId")),
    "Opportunity": (("OpportunityContactRole", "OpportunityId"), ("OpportunityHistory", "OpportunityId"),
                    ("Task", "WhatId"), ("Event", "WhatId"), ("Note", "ParentId")),
    "Task": (("TaskRelation", "TaskId"),),
    "Event": (("EventRelation", "EventId"),),
    "EmailMessage": (("EmailMessageRelation", "EmailMessageId"),),
}  # fmt: skip
# Fields whose values together are used once.
UNIQUE_TOGETHER = {
    "PermissionSet": ("Name",),
    "PermissionSetAssignment": ("AssigneeId", "PermissionSetId"),
    "FieldPermissions": ("ParentId", "Field"),
}
OBJECT_OF_PREFIX = {prefix: name for name, prefix in KEY_PREFIXES.items()}


@dataclass(frozen=True, slots=True)
class Field:
    """One field as `describe` shows it. `length` is 0 for anything that is not text; numbers have precision and
    scale. `options` are a picklist's active values, `inactive` those that stay on records that had them before."""

    name: str
    label: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    updateable: bool = False
    createable: bool = False
    nillable: bool = False
    calculated: bool = False
    restricted: bool = False
    custom: bool = False
    external_id: bool = False
    unique: bool = False
    reference_to: tuple[str, ...] = ()
    options: tuple[str, ...] = field(default=())
    inactive: tuple[str, ...] = field(default=())
    labels: tuple[tuple[str, str], ...] = field(default=())
    default: str | None = None

    @property
    def relationship(self) -> str:
        """What a query calls the record this field points to; empty where it points to none."""
        if not self.reference_to:
            return ""
        return f"{self.name[:-3]}__r" if self.custom else self.name.removesuffix("Id")

    def describe(self) -> dict[str, Any]:
        """The field in an object's `describe` answer."""
        labels = dict(self.labels)
        values = [(value, True) for value in self.options] + [(value, False) for value in self.inactive]
        return {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "length": self.length,
            "precision": self.precision,
            "scale": self.scale,
            "updateable": self.updateable,
            "createable": self.createable,
            "nillable": self.nillable,
            "calculated": self.calculated,
            "restrictedPicklist": self.restricted,
            "custom": self.custom,
            "externalId": self.external_id,
            "idLookup": self.external_id or self.name == "Id",
            "unique": self.unique,
            "filterable": not (self.type == "textarea" and self.length > 255),
            "sortable": not (self.type == "textarea" and self.length > 255),
            "compoundFieldName": None,
            "deprecatedAndHidden": False,
            "polymorphicForeignKey": len(self.reference_to) > 1,
            "referenceTo": list(self.reference_to),
            "relationshipName": self.relationship or None,
            "picklistValues": [
                {"active": active, "defaultValue": value == self.default, "label": labels.get(value, value),
                 "validFor": None, "value": value}
                for value, active in values
            ],
        }  # fmt: skip


@cache
def standard_fields(object_type: str) -> dict[str, Field]:
    """The standard fields of an object, by name; of a history object too."""
    if object_type in HISTORY_OBJECTS:
        parent, id_field = HISTORY_OBJECTS[object_type]
        lines = [line.replace("PARENT_ID", id_field).replace("PARENT", parent) for line in _HISTORY.split("\n") if line]
        return {one.name: one for one in (_parse(object_type, line) for line in lines)}
    lines = [*objects.SYSTEM.strip().splitlines(), *objects.FIELDS[object_type].strip().splitlines()]
    found = [_parse(object_type, line) for line in lines if line]
    return {one.name: one for one in found if one.name not in objects.WITHOUT.get(object_type, ())}


_HISTORY = """
Id id 18
IsDeleted boolean 0
PARENT_ID reference 18 >PARENT
CreatedById reference 18 >User
CreatedDate datetime 0
Field picklist 255 R
DataType picklist 40 N
OldValue anyType 0 N
NewValue anyType 0 N
"""


def _parse(object_type: str, line: str) -> Field:
    name, kind, size, *rest = line.split()
    marks = "".join(part for part in rest if not part.startswith(">"))
    precision, _, scale = size.partition(".")
    key = f"{object_type}.{name}"
    return Field(
        name=name,
        label=name.removesuffix("Id"),
        type=kind,
        length=0 if "." in size else int(size),
        precision=int(precision) if "." in size else 0,
        scale=int(scale or 0),
        updateable="U" in marks,
        createable="C" in marks,
        nillable="N" in marks,
        restricted="R" in marks,
        reference_to=tuple(part[1:] for part in rest if part.startswith(">")),
        options=objects.PICKLISTS.get(key, objects.PICKLISTS.get(name, ())) if kind in ("picklist", "combobox") else (),
        labels=tuple(objects.LABELS.get(key, {}).items()),
        default=objects.DEFAULTS.get(key),
    )


def currency_field(codes: tuple[str, ...], corporate: str) -> Field:
    """`CurrencyIsoCode`, which every object with money has once several currencies are on."""
    return Field("CurrencyIsoCode", "Currency ISO Code", "picklist", 3, updateable=True, createable=True,
                 nillable=True, restricted=True, options=codes, default=corporate)  # fmt: skip


@cache
def references_to(object_type: str) -> tuple[tuple[str, str], ...]:
    """Which standard fields of which objects point to this one; what a merge moves."""
    return tuple(
        (name, one.name)
        for name in OBJECTS
        for one in standard_fields(name).values()
        if object_type in one.reference_to and one.name != "MasterRecordId"
    )
