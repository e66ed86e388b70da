"""What a CRM must be able to do for Nightdesk. A new CRM is one class with these methods (docs/adapters.md).

Every method may raise `CrmUnavailable` (nothing can be done now; run again later) or `CrmRefused` (token, scope or
shape is wrong; a person must act). `write` never raises for single records: each input ends in exactly one outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from nightdesk.errors import NightdeskError


class CrmUnavailable(NightdeskError):
    """The CRM does not answer, or asks to come back later. What is journaled stays; the same command resumes."""


class CrmRefused(NightdeskError):
    """The CRM answers, but not to us: wrong token, missing scope, wrong address."""


@dataclass(frozen=True, slots=True)
class PropertySchema:
    """A property as the CRM describes it. `value_type` is ours (number, enumeration, text, date, datetime,
    boolean) or `other`."""

    name: str
    label: str
    value_type: str
    crm_type: str
    group: str = ""
    options: tuple[str, ...] = ()
    is_read_only: bool = False
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class ObjectSchema:
    """The properties of one object type that concern us, and the groups there are."""

    object_type: str
    properties: Mapping[str, PropertySchema]
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class PropertySpec:
    """A property to create. `is_unique`: no two records may hold the same value (our key on records we create)."""

    name: str
    label: str
    value_type: str
    group: str
    options: tuple[str, ...] = ()
    is_unique: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of a property's history, newest first in `CrmRecord.history`. `source` is the CRM's own word."""

    value: str
    changed_at: str
    source: str
    user: str = ""
    by_person: bool = False


@dataclass(frozen=True, slots=True)
class CrmRecord:
    """A record as read now. `id` differs from the id asked for when that one was merged into it.

    `version` is what the CRM would compare in a conditional write (an ETag, a time stamp), where it has such a thing.
    """

    id: str
    values: Mapping[str, str | None]
    history: Mapping[str, tuple[Change, ...]] = field(default_factory=dict[str, "tuple[Change, ...]"])
    modified_at: datetime | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class ReadResult:
    """Every id asked for is in exactly one of the two: found (by the id asked for) or missing (with the reason)."""

    found: Mapping[str, CrmRecord]
    missing: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """All values to set on one record, in wire form (`""` clears). `trace_id` is unique per request.

    `version` is the `CrmRecord.version` the write was decided on: an adapter whose CRM can compare sends it along and
    answers `rejected`/`stale` when the record has moved on; one whose CRM cannot ignores it.
    """

    id: str
    trace_id: str
    values: Mapping[str, str]
    version: str | None = None


# Why a CRM refused a record, in words that are the same for every CRM. `locked` and `stale` are looked at again and
# sent again; the others end the operation.
#   bad_value   wrong type, too long, not an option, a validation rule of the CRM
#   no_right    the user may not write this record or this field
#   gone        deleted, archived, never there
#   converted   the record became another one (a Salesforce lead)
#   stale       changed since it was read (a conditional write failed)
#   duplicate   a uniqueness or duplicate rule
#   locked      somebody else holds the row now
#   schema      the field does not exist, or is read-only
#   automation  code of the CRM's owner (trigger, flow, workflow) failed
#   other       none of these; the message says what the CRM said
Refusal = Literal[
    "bad_value",
    "no_right",
    "gone",
    "converted",
    "stale",
    "duplicate",
    "locked",
    "schema",
    "automation",
    "other",
]
TRY_AGAIN: frozenset[str] = frozenset({"locked", "stale"})

# Properties of records that we create ourselves (see `CrmAdapter.keyed_types`): `@record` is `present` while the record
# is there and clearing it archives the record; `@<object type>` is the id of the record it hangs on.
RECORD = "@record"
PRESENT = "present"


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What the CRM said about one record. `unknown`: sent, but nobody knows; only a read-back can tell.

    `refusal` classifies a rejection and is None otherwise.
    """

    state: Literal["acknowledged", "rejected", "unknown"]
    message: str = ""
    refusal: Refusal | None = None


class CrmAdapter(Protocol):
    """One CRM. `batch_size` is the most records one `read` may ask for."""

    @property
    def crm(self) -> str: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def keyed_types(self) -> frozenset[str]:
        """Object types whose records we create (tasks, notes), each known by a key of ours instead of the CRM's id.

        For these, `read` takes our keys for ids, answers a key the CRM does not know with a record whose values are all
        None (there is nothing yet, and that is no error), and one that a person deleted as missing. `write` creates or
        updates by key, so that sending twice makes one record.
        """
        ...

    def write_batch(self, records: int) -> int:
        """How many records one `write` may hold when `records` are waiting in all (a bulk interface takes more)."""
        ...

    def describe(self, object_type: str) -> ObjectSchema:
        """Read the properties and groups of an object type."""
        ...

    def create_group(self, object_type: str, name: str, label: str) -> None:
        """Create a property group; it may exist already."""
        ...

    def create_property(self, object_type: str, spec: PropertySpec) -> None:
        """Create one namespaced property."""
        ...

    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None:
        """Add options to one of our enumerations; those it has stay."""
        ...

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        """Read records as they are now (never through a search index): at most `batch_size`, or what `write_batch`
        allows, whichever is more."""
        ...

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        """Update at most `write_batch` records; one outcome per `trace_id`, whatever the CRM answers."""
        ...


@runtime_checkable
class RoutesRecords(Protocol):
    """A CRM in which a record may have become one of another type (a Salesforce lead that was converted)."""

    def route(self, object_type: str, ids: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """Where writes for these records belong now: id -> (object type, id); records that stayed are left out."""
        ...


class NotOurProperty(NightdeskError):
    """A write to a property that is neither namespaced nor listed as an exception: refused before any request."""

    def __init__(self, object_type: str, name: str, what: str, *, todo: str) -> None:
        super().__init__(what, where=f"{object_type}.{name}", todo=todo, exit_code=5)
        self.object_type, self.name = object_type, name


def require_ours(
    namespace: str, exceptions: frozenset[tuple[str, str]], object_type: str, names: Sequence[str]
) -> None:
    """Refuse property names outside the namespace, unless `(object_type, name)` is a listed exception.

    Raises:
        NotOurProperty: Names the property.
    """
    for name in names:
        if not name.startswith(namespace) and (object_type, name) not in exceptions:
            raise NotOurProperty(
                object_type,
                name,
                f"`{name}` is not one of Nightdesk's properties and was not written",
                todo=f"Map to a property that begins with `{namespace}`, or list it under `exceptions` in its mapping.",
            )
