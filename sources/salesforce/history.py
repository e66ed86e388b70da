"""Field history as rows: one per field that changed, and one per field of an opportunity's snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sources.salesforce.pages import column
from sources.salesforce.tables import OBJECTS

Row = tuple[str | None, ...]
STAMP: Final = "CreatedDate"


@dataclass(frozen=True, slots=True)
class HistoryObject:
    """An object that keeps history.

    Attributes:
        name: API name.
        object_type: Whose history it is.
        parent: The field that names the record.
        snapshot: Fields of which each row holds a copy; none where a row is one field's old and new value.
    """

    name: str
    object_type: str
    parent: str
    snapshot: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """API names to ask for."""
        values = self.snapshot or ("Field", "OldValue", "NewValue")
        return ("Id", self.parent, *values, STAMP, "CreatedById")


HISTORIES: Final[tuple[HistoryObject, ...]] = (
    *(HistoryObject(kind.tracked[0], kind.name, kind.tracked[1]) for kind in OBJECTS if kind.tracked is not None),
    HistoryObject(
        "OpportunityHistory", "Opportunity", "OpportunityId", ("StageName", "Amount", "CloseDate", "Probability")
    ),
)


def history_rows(kind: HistoryObject, page: Any) -> Iterator[Row]:
    """Rows of `field_history`, in its column order."""
    ids, parents = column(page, "Id"), column(page, kind.parent)
    times, people = column(page, STAMP), column(page, "CreatedById")
    if kind.snapshot:
        for name in kind.snapshot:
            for one, parent, value, at, by in zip(ids, parents, column(page, name), times, people, strict=True):
                yield (kind.name, one, kind.object_type, parent, name, None, value, at, by)
        return
    for one, parent, name, old, new, at, by in zip(
        ids,
        parents,
        column(page, "Field"),
        column(page, "OldValue"),
        column(page, "NewValue"),
        times,
        people,
        strict=True,
    ):
        yield (kind.name, one, kind.object_type, parent, name or "", old, new, at, by)
