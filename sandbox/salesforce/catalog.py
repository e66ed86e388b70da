"""The standard objects and fields this CRM has: those a seller's and an integration's work touches, no more.

One line per field: name, type, size (length, or precision.scale of a number), marks. Marks: U updateable, C createable,
N nillable, R restricted picklist, X external id. A reference names what it points to behind `>`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

# Fields every object has that sellers work with.
_SYSTEM = """
Id id 18
IsDeleted boolean 0
OwnerId reference 18 UC >User
CreatedDate datetime 0
CreatedById reference 18 >User
LastModifiedDate datetime 0
LastModifiedById reference 18 >User
SystemModstamp datetime 0
"""
_FIELDS: dict[str, str] = {
    "Lead": """
MasterRecordId reference 18 N >Lead
LastName string 80 UC
FirstName string 40 UCN
Salutation picklist 40 UCN
Name string 121
Title string 128 UCN
Company string 255 UC
City string 40 UCN
Country string 80 UCN
Phone phone 40 UCN
MobilePhone phone 40 UCN
Email email 80 UCN
Website url 255 UCN
Description textarea 32000 UCN
HasOptedOutOfEmail boolean 0 UC
LeadSource picklist 255 UCN
Status picklist 255 UC
Industry picklist 255 UCN
Rating picklist 255 UCN
AnnualRevenue currency 18.0 UCN
NumberOfEmployees int 0 UCN
CleanStatus picklist 40 UCNR
IsConverted boolean 0 C
ConvertedDate date 0 N
ConvertedAccountId reference 18 N >Account
ConvertedContactId reference 18 N >Contact
ConvertedOpportunityId reference 18 N >Opportunity
LastActivityDate date 0 N
""",
    "Contact": """
MasterRecordId reference 18 N >Contact
AccountId reference 18 UCN >Account
LastName string 80 UC
FirstName string 40 UCN
Salutation picklist 40 UCN
Name string 121
MailingCity string 40 UCN
MailingCountry string 80 UCN
MailingLatitude double 18.15 UCN
Phone phone 40 UCN
MobilePhone phone 40 UCN
ReportsToId reference 18 UCN >Contact
Email email 80 UCN
Title string 128 UCN
Department string 80 UCN
LeadSource picklist 255 UCN
Birthdate date 0 UCN
HasOptedOutOfEmail boolean 0 UC
Description textarea 32000 UCN
CleanStatus picklist 40 UCNR
EmailBouncedDate datetime 0 UCN
IsEmailBounced boolean 0
LastActivityDate date 0 N
""",
    "Account": """
MasterRecordId reference 18 N >Account
Name string 255 UC
Type picklist 40 UCN
ParentId reference 18 UCN >Account
BillingCity string 40 UCN
BillingCountry string 80 UCN
Phone phone 40 UCN
AccountNumber string 40 UCN
Website url 255 UCN
Industry picklist 40 UCN
AnnualRevenue currency 18.0 UCN
NumberOfEmployees int 0 UCN
Description textarea 32000 UCN
Rating picklist 40 UCN
CleanStatus picklist 40 UCNR
LastActivityDate date 0 N
""",
    "Task": """
WhoId reference 18 UCN >Contact
WhatId reference 18 UCN >Account
Subject combobox 255 UCN
ActivityDate date 0 UCN
Status picklist 255 UC
Priority picklist 255 UC
Description textarea 32000 UCN
Type picklist 40 UCN
IsClosed boolean 0
""",
    "User": """
Username string 80 UC
Name string 121
LastName string 80 UC
Email email 128 UC
UserType picklist 40 R
IsActive boolean 0 UC
""",
    "PermissionSet": """
Name string 80 UC
Label string 80 UC
""",
    "PermissionSetAssignment": """
AssigneeId reference 18 C >User
PermissionSetId reference 18 C >PermissionSet
""",
    "FieldPermissions": """
ParentId reference 18 C >PermissionSet
SobjectType picklist 40 C
Field picklist 240 C
PermissionsRead boolean 0 UC
PermissionsEdit boolean 0 UC
""",
}
_PICKLISTS: dict[str, tuple[str, ...]] = {
    "Lead.Status": ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
    "Rating": ("Hot", "Warm", "Cold"),
    "Salutation": ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof."),
    "LeadSource": ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
    "Industry": ("Banking", "Biotechnology", "Consulting", "Manufacturing", "Retail", "Technology", "Other"),
    "Account.Type": ("Prospect", "Customer - Direct", "Customer - Channel", "Competitor", "Other"),
    "CleanStatus": (
        "Matched",
        "Different",
        "Acknowledged",
        "NotFound",
        "Inactive",
        "Pending",
        "SelectMatch",
        "Skipped",
    ),
    "Task.Status": ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"),
    "Task.Priority": ("High", "Normal", "Low"),
    "Task.Type": ("Call", "Meeting", "Other"),
    "User.UserType": ("Standard", "AutomatedProcess"),
}
_DEFAULTS = {"Lead.Status": "Open - Not Contacted", "Task.Status": "Not Started", "Task.Priority": "Normal"}
_NO_OWNER = frozenset({"User", "PermissionSet", "PermissionSetAssignment", "FieldPermissions"})
KEY_PREFIXES = {
    "Account": "001",
    "Contact": "003",
    "User": "005",
    "Task": "00T",
    "Lead": "00Q",
    "PermissionSet": "0PS",
    "PermissionSetAssignment": "0Pa",
    "FieldPermissions": "01k",
}
OBJECTS = tuple(_FIELDS)
# What Salesforce keeps a field history of (per object switched on, and then per field).
HISTORY_OBJECTS = {
    "ContactHistory": ("Contact", "ContactId"),
    "LeadHistory": ("Lead", "LeadId"),
    "AccountHistory": ("Account", "AccountId"),
}
# Fields whose values together are used once.
UNIQUE_TOGETHER = {
    "PermissionSet": ("Name",),
    "PermissionSetAssignment": ("AssigneeId", "PermissionSetId"),
    "FieldPermissions": ("ParentId", "Field"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field as `describe` shows it. `length` is 0 for anything that is not text; numbers have precision and
    scale."""

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
    reference_to: str = ""
    options: tuple[str, ...] = field(default=())
    default: str | None = None

    def describe(self) -> dict[str, Any]:
        """The field in an object's `describe` answer."""
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
            "referenceTo": [self.reference_to] if self.reference_to else [],
            "picklistValues": [
                {"active": True, "defaultValue": value == self.default, "label": value, "value": value}
                for value in self.options
            ],
        }


@cache
def standard_fields(object_type: str) -> dict[str, Field]:
    """The standard fields of an object, by name."""
    lines = [*_SYSTEM.strip().splitlines(), *_FIELDS[object_type].strip().splitlines()]
    found = [_parse(object_type, line) for line in lines if line]
    return {one.name: one for one in found if not (one.name == "OwnerId" and object_type in _NO_OWNER)}


def _parse(object_type: str, line: str) -> Field:
    name, kind, size, *rest = line.split()
    marks = "".join(part for part in rest if not part.startswith(">"))
    target = next((part[1:] for part in rest if part.startswith(">")), "")
    precision, _, scale = size.partition(".")
    options = _PICKLISTS.get(f"{object_type}.{name}", _PICKLISTS.get(name, ()))
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
        reference_to=target,
        options=options if kind in ("picklist", "combobox") else (),
        default=_DEFAULTS.get(f"{object_type}.{name}"),
    )


def history_fields(id_field: str) -> tuple[str, ...]:
    """The columns of a history object."""
    return ("Id", id_field, "Field", "OldValue", "NewValue", "CreatedById", "CreatedDate", "IsDeleted")
