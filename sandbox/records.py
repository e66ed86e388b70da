"""What a sample company is made of: the rows that fill the sandbox CRM's store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

# HubSpot's default association type ids, from its public documentation (from type, to type) -> id.
ASSOCIATION_TYPES: dict[tuple[str, str], int] = {
    ("contacts", "companies"): 279,
    ("companies", "contacts"): 280,
    ("deals", "contacts"): 3,
    ("contacts", "deals"): 4,
    ("deals", "companies"): 341,
    ("companies", "deals"): 342,
    ("emails", "contacts"): 198,
    ("emails", "companies"): 186,
    ("emails", "deals"): 210,
    ("calls", "contacts"): 194,
    ("calls", "companies"): 182,
    ("calls", "deals"): 206,
    ("meetings", "contacts"): 200,
    ("meetings", "companies"): 188,
    ("meetings", "deals"): 212,
    ("notes", "contacts"): 202,
    ("notes", "companies"): 190,
    ("notes", "deals"): 214,
    ("tasks", "contacts"): 204,
    ("tasks", "companies"): 192,
    ("tasks", "deals"): 216,
}


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One earlier or current value of a property. `source_type` is HubSpot's (CRM_UI, IMPORT, INTEGRATION, ...)."""

    value: str
    changed_at: datetime
    source_type: str = "CRM_UI"
    source_id: str = ""
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class SeedObject:
    """One CRM record. Values are strings as HubSpot sends them; times are UTC.

    `history` holds tracked properties only, newest entry first; its first entry equals the property's current value.
    `merged_into` is set on a record that was merged away (it then answers under the surviving id).
    """

    object_type: str  # contacts companies deals emails calls meetings notes tasks
    id: str
    properties: dict[str, str]
    created_at: datetime
    updated_at: datetime
    history: dict[str, tuple[HistoryEntry, ...]] = field(default_factory=dict)
    archived_at: datetime | None = None
    merged_into: str | None = None


@dataclass(frozen=True, slots=True)
class SeedAssociation:
    """One direction is enough; the store writes the other. Labels are user-defined association types."""

    from_type: str
    from_id: str
    to_type: str
    to_id: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class SeedOwner:
    id: str
    email: str
    first_name: str
    last_name: str
    user_id: str
    team: str
    created_at: datetime
    archived: bool = False


@dataclass(frozen=True, slots=True)
class SeedStage:
    id: str
    label: str
    display_order: int
    probability: str
    is_closed: bool


@dataclass(frozen=True, slots=True)
class SeedPipeline:
    id: str
    object_type: str
    label: str
    display_order: int
    stages: tuple[SeedStage, ...]


@dataclass(frozen=True, slots=True)
class SeedUnsubscribe:
    """An entry of the CRM's communication preferences: this address is unsubscribed from everything."""

    email: str
    changed_at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class SeedCompany:
    """Everything the store is seeded with. `as_of` is the sample's fixed today, midnight UTC."""

    as_of: datetime
    owners: tuple[SeedOwner, ...]
    pipelines: tuple[SeedPipeline, ...]
    objects: Iterable[SeedObject]
    associations: Iterable[SeedAssociation]
    unsubscribes: tuple[SeedUnsubscribe, ...]
