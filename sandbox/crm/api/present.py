"""How records look on the wire: properties asked for, history, associations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sandbox.crm import catalog
from sandbox.crm.api.call import association_types, plural
from sandbox.crm.associations import associated
from sandbox.crm.clock import iso
from sandbox.crm.store import HistoryRow, Record, Store

ASSOCIATIONS_SHOWN = 500  # per record and type; the rest is read from the associations API


def shown_properties(store: Store, object_type: str, asked: Iterable[str]) -> list[str]:
    """Names to answer with: those asked for that exist (unknown ones are left out silently), plus id and stamps."""
    known = store.definitions(object_type)
    always = ("hs_object_id", catalog.CREATED[object_type], catalog.MODIFIED[object_type])
    asked = list(asked) or list(catalog.DEFAULT_PROPERTIES[object_type])
    return list(dict.fromkeys([name for name in asked if name in known] + list(always)))


def present(record: Record, names: Iterable[str]) -> dict[str, Any]:
    """A record in HubSpot's shape; a property without a value is null."""
    get = record.properties.get
    found: dict[str, Any] = {
        "id": str(record.id),
        "properties": {name: get(name) for name in names},
        "createdAt": iso(record.created_at),
        "updatedAt": iso(record.updated_at),
        "archived": record.archived_at is not None,
    }
    if record.archived_at is not None:
        found["archivedAt"] = iso(record.archived_at)
    return found


def present_all(
    store: Store,
    object_type: str,
    records: Sequence[Record],
    *,
    properties: Iterable[str] = (),
    with_history: Sequence[str] = (),
    associations: Iterable[str] = (),
    base_path: str = "",
) -> list[dict[str, Any]]:
    """Records in HubSpot's shape with history and associations, read in one query each."""
    names = shown_properties(store, object_type, [*properties, *with_history] if properties or with_history else ())
    found = [present(record, names) for record in records]
    if with_history:
        _add_history(store, object_type, records, found, with_history)
    to_types = list(dict.fromkeys(plural(name) for name in associations))
    if to_types:
        _add_associations(store, object_type, records, found, to_types, base_path)
    return found


def history_of(record: Record, name: str, rows: list[HistoryRow]) -> list[dict[str, Any]]:
    """Values of one property, newest first. A value that was never tracked counts as set when the record was made."""
    if not rows and record.properties.get(name):
        rows = [HistoryRow(name, record.properties[name], record.created_at, "IMPORT", "", "")]
    return [
        {
            "value": row.value,
            "timestamp": iso(row.changed_at),
            "sourceType": row.source_type,
            **({"sourceId": row.source_id} if row.source_id else {}),
            **({"updatedByUserId": int(row.user_id)} if row.user_id.isdigit() else {}),
        }
        for row in rows
    ]


def _add_history(
    store: Store, object_type: str, records: Sequence[Record], found: list[dict[str, Any]], names: Sequence[str]
) -> None:
    known = store.definitions(object_type)
    names = [name for name in names if name in known]
    rows = store.history(object_type, [record.id for record in records], names)
    for record, item in zip(records, found, strict=True):
        own = rows.get(record.id, {})
        item["propertiesWithHistory"] = {name: history_of(record, name, own.get(name, [])) for name in names}


def _add_associations(
    store: Store,
    object_type: str,
    records: Sequence[Record],
    found: list[dict[str, Any]],
    to_types: list[str],
    base_path: str,
) -> None:
    types = association_types(store)
    names = {(t, kind.category, kind.type_id): kind.name for t in to_types for kind in types.between(object_type, t)}
    links = associated(store, object_type, [record.id for record in records], to_types)
    for record, item in zip(records, found, strict=True):
        by_type = links.get(record.id)
        if not by_type:
            continue
        item["associations"] = {}
        for to_type, targets in by_type.items():
            shown: dict[str, Any] = {
                "results": [
                    {"id": str(to_id), "type": names.get((to_type, category, type_id), "")}
                    for to_id, category, type_id in targets[:ASSOCIATIONS_SHOWN]
                ]
            }
            if len(targets) > ASSOCIATIONS_SHOWN:
                after = str(targets[ASSOCIATIONS_SHOWN][0])
                link = f"{base_path}/{record.id}/associations/{to_type}?after={after}"
                shown["paging"] = {"next": {"after": after, "link": link}}
            item["associations"][to_type] = shown
