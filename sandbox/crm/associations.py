"""Association types and rows: which records belong together, in both directions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sandbox.crm.store import Store

HUBSPOT, USER = "HUBSPOT_DEFINED", "USER_DEFINED"
FIRST_USER_TYPE = 1001

AssociationRow = tuple[str, int, str, int, str, int]  # from_type, from_id, to_type, to_id, category, type_id


@dataclass(frozen=True, slots=True)
class AssociationType:
    from_type: str
    to_type: str
    category: str
    type_id: int
    name: str
    label: str | None
    inverse_id: int


class AssociationTypes:
    """The association types of a store, read once; labels asked for by name are made when missing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_key: dict[tuple[str, str, str, int], AssociationType] = {}
        self._labels: dict[tuple[str, str, str], AssociationType] = {}
        for row in store.connection.execute(
            "select from_type, to_type, category, type_id, name, label, inverse_id from association_types"
        ):
            self._add(AssociationType(*row))

    def _add(self, found: AssociationType) -> None:
        self._by_key[(found.from_type, found.to_type, found.category, found.type_id)] = found
        if found.label is not None:
            self._labels[(found.from_type, found.to_type, found.label)] = found

    def between(self, from_type: str, to_type: str) -> list[AssociationType]:
        """All types from one object type to another, by id."""
        return sorted(
            (t for k, t in self._by_key.items() if k[:2] == (from_type, to_type)), key=lambda t: (t.category, t.type_id)
        )

    def default(self, from_type: str, to_type: str) -> AssociationType | None:
        """The unlabelled type between two object types; None where HubSpot has none."""
        return next((t for t in self.between(from_type, to_type) if t.category == HUBSPOT), None)

    def get(self, from_type: str, to_type: str, category: str, type_id: int) -> AssociationType | None:
        return self._by_key.get((from_type, to_type, category, type_id))

    def create_label(
        self, from_type: str, to_type: str, label: str, name: str, inverse_label: str | None = None
    ) -> list[AssociationType]:
        """Makes a user-defined type and its inverse; both are returned (one when a type is its own inverse)."""
        next_id = self._store.connection.execute(
            "select max(?, coalesce(max(type_id), 0) + 1) from association_types where category = ?",
            (FIRST_USER_TYPE, USER),
        ).fetchone()[0]
        back = next_id + 1
        made = [
            AssociationType(from_type, to_type, USER, next_id, name, label, back),
            AssociationType(to_type, from_type, USER, back, name, inverse_label or label, next_id),
        ]
        for item in made:
            self._store.connection.execute(
                "insert into association_types values (?, ?, ?, ?, ?, ?, ?)",
                (item.from_type, item.to_type, item.category, item.type_id, item.name, item.label, item.inverse_id),
            )
            self._add(item)
        return made

    def rows(
        self, from_type: str, from_id: int, to_type: str, to_id: int, label: str | None = None
    ) -> list[AssociationRow]:
        """Rows to store for one association: unlabelled both ways, and the label both ways when there is one.

        A label always brings the unlabelled association with it, as in HubSpot.

        Raises:
            KeyError: HubSpot has no association between these object types.
        """
        default = self.default(from_type, to_type)
        if default is None:
            raise KeyError(f"no association from {from_type} to {to_type}")
        found: list[AssociationRow] = [
            (from_type, from_id, to_type, to_id, HUBSPOT, default.type_id),
            (to_type, to_id, from_type, from_id, HUBSPOT, default.inverse_id),
        ]
        if label is not None:
            kind = self._labels.get((from_type, to_type, label))
            if kind is None:
                kind = self.create_label(from_type, to_type, label, label.lower().replace(" ", "_"))[0]
            found += self.typed_rows(kind, from_id, to_id)
        return found

    def typed_rows(self, kind: AssociationType, from_id: int, to_id: int) -> list[AssociationRow]:
        """Both directions of one association of a given type."""
        return [
            (kind.from_type, from_id, kind.to_type, to_id, kind.category, kind.type_id),
            (kind.to_type, to_id, kind.from_type, from_id, kind.category, kind.inverse_id),
        ]


def associated(
    store: Store, from_type: str, ids: Iterable[int], to_types: Iterable[str]
) -> dict[int, dict[str, list[tuple[int, str, int]]]]:
    """Live associated records: {from id: {to type: [(to id, category, type id), ...]}}, by to id."""
    rows = store.connection.execute(
        """
        select a.from_id, a.to_type, a.to_id, a.category, a.type_id
        from associations as a
        inner join objects as o on o.object_type = a.to_type and o.id = a.to_id
        where a.from_type = ? and a.from_id in (select value from json_each(?))
            and a.to_type in (select value from json_each(?)) and o.archived_at is null
        order by a.from_id, a.to_type, a.to_id, a.category, a.type_id
        """,
        (from_type, json.dumps(list(ids)), json.dumps(list(to_types))),
    )
    found: dict[int, dict[str, list[tuple[int, str, int]]]] = {}
    for from_id, to_type, to_id, category, type_id in rows:
        found.setdefault(from_id, {}).setdefault(to_type, []).append((to_id, category, type_id))
    return found
