"""Fills an empty store with a sample company, fast."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Set
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from sandbox.crm import catalog
from sandbox.crm.associations import AssociationTypes
from sandbox.crm.clock import iso, to_ms
from sandbox.crm.store import Store, dump, unique_names

if TYPE_CHECKING:
    from sandbox.records import SeedCompany, SeedObject, SeedOwner, SeedPipeline

BATCH = 1000


def seed(store: Store, company: SeedCompany, on_progress: Callable[[int], None] | None) -> None:
    """See `Store.seed`."""
    if store.meta("as_of") is not None:
        raise NightdeskError(
            "This sandbox CRM already holds a company.", where=str(store.path), todo="Create a new store."
        )
    with store.transaction():
        store.set_meta("as_of", company.as_of.isoformat())
        _insert_settings(store, company)
        _insert_objects(store, company, on_progress)
        _insert_associations(store, company)
        store.connection.execute(
            "update counters set next_id = 1 + coalesce("
            "(select max(id) from objects where object_type = counters.object_type), 0)"
        )
    store.connection.execute("analyze")
    # Everything into the one file at once: a caller may move it as soon as this returns.
    store.connection.execute("pragma wal_checkpoint(truncate)")


def _insert_settings(store: Store, company: SeedCompany) -> None:
    created = iso(to_ms(company.as_of))
    store.connection.executemany(
        "insert into owners values (?, ?, ?)",
        [(int(o.id), json.dumps(_owner(o)), int(o.archived)) for o in company.owners],
    )
    store.connection.executemany(
        "insert into pipelines values (?, ?, ?)",
        [(p.object_type, p.id, json.dumps(_pipeline(p, created))) for p in company.pipelines],
    )
    store.connection.executemany(
        "insert or replace into unsubscribes values (?, ?, ?)",
        [(u.email.strip().lower(), to_ms(u.changed_at), u.source) for u in company.unsubscribes],
    )


def _owner(owner: SeedOwner) -> dict[str, object]:
    created = iso(to_ms(owner.created_at))
    return {
        "id": owner.id,
        "email": owner.email,
        "type": "PERSON",
        "firstName": owner.first_name,
        "lastName": owner.last_name,
        "userId": int(owner.user_id),
        "userIdIncludingInactive": int(owner.user_id),
        "createdAt": created,
        "updatedAt": created,
        "archived": owner.archived,
        "teams": [{"id": str(1 + sum(owner.team.encode()) % 9973), "name": owner.team, "primary": True}]
        if owner.team
        else [],
    }


def _pipeline(pipeline: SeedPipeline, created: str) -> dict[str, object]:
    stamps = {"createdAt": created, "updatedAt": created, "archived": False}
    return {
        "id": pipeline.id,
        "label": pipeline.label,
        "displayOrder": pipeline.display_order,
        "stages": [
            {
                "id": s.id,
                "label": s.label,
                "displayOrder": s.display_order,
                "metadata": {"probability": s.probability, "isClosed": "true" if s.is_closed else "false"},
                "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
                **stamps,
            }
            for s in pipeline.stages
        ],
        **stamps,
    }


def _insert_objects(store: Store, company: SeedCompany, on_progress: Callable[[int], None] | None) -> None:
    known = {t: store.definitions(t).keys() for t in catalog.OBJECT_TYPES}
    unique = {t: unique_names(store.definitions(t), t) for t in catalog.OBJECT_TYPES}
    objects: list[tuple[object, ...]] = []
    history: list[tuple[object, ...]] = []
    uniques: list[tuple[str, str, str, int]] = []
    count = 0
    for item in company.objects:
        objects.append(_object_row(item, known))
        history.extend(_history_rows(item))
        if item.archived_at is None and item.merged_into is None:
            for name in unique[item.object_type] & item.properties.keys():
                if item.properties[name]:
                    uniques.append((item.object_type, name, item.properties[name].strip().lower(), int(item.id)))
        count += 1
        if len(objects) == BATCH:
            _write(store, objects, history, uniques)
            if on_progress is not None:
                on_progress(count)
    _write(store, objects, history, uniques)
    if on_progress is not None:
        on_progress(count)


def _object_row(item: SeedObject, known: Mapping[str, Set[str]]) -> tuple[object, ...]:
    names = known.get(item.object_type)
    if names is None:
        raise NightdeskError(
            f"The sandbox CRM has no object type `{item.object_type}`.", where=f"seed object {item.id}"
        )
    unknown = item.properties.keys() - names
    if unknown:
        raise NightdeskError(
            f"The sandbox CRM has no property {', '.join(f'`{n}`' for n in sorted(unknown))} on {item.object_type}.",
            where=f"{item.object_type} {item.id}", todo="Add it to sandbox/crm/catalog.py or leave it out.",
        )  # fmt: skip
    created, updated = to_ms(item.created_at), to_ms(item.updated_at)
    properties = {name: value for name, value in item.properties.items() if value != ""}
    properties["hs_object_id"] = item.id
    properties[catalog.CREATED[item.object_type]] = iso(created)
    properties[catalog.MODIFIED[item.object_type]] = iso(updated)
    archived = None if item.archived_at is None else to_ms(item.archived_at)
    merged = None if item.merged_into is None else int(item.merged_into)
    if merged is not None and archived is None:
        archived = updated  # a record merged away is never live
    return (item.object_type, int(item.id), created, updated, archived, merged, dump(properties))


def _history_rows(item: SeedObject) -> Iterator[tuple[object, ...]]:
    for name, entries in item.history.items():
        if entries and entries[0].value != item.properties.get(name, ""):
            raise NightdeskError(
                f"The newest history value of `{name}` differs from its current value.",
                where=f"{item.object_type} {item.id}",
            )
        for entry in reversed(entries):
            yield (
                item.object_type, int(item.id), name, entry.value, to_ms(entry.changed_at),
                entry.source_type, entry.source_id, entry.user_id,
            )  # fmt: skip


def _write(
    store: Store,
    objects: list[tuple[object, ...]],
    history: list[tuple[object, ...]],
    uniques: list[tuple[str, str, str, int]],
) -> None:
    try:
        store.connection.executemany("insert into objects values (?, ?, ?, ?, ?, ?, ?)", objects)
    except sqlite3.IntegrityError as error:
        raise NightdeskError("Two seed objects of one type share an id.", where=str(store.path)) from error
    store.connection.executemany(
        "insert into history (object_type, object_id, property, value, changed_at, source_type, source_id, user_id)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        history,
    )
    for row in uniques:
        try:
            store.connection.execute("insert into unique_values values (?, ?, ?, ?)", row)
        except sqlite3.IntegrityError as error:
            raise NightdeskError(
                f"Two live {row[0]} have the {row[1]} {row[2]!r}; HubSpot refuses the second one.",
                where=f"{row[0]} {row[3]}", todo="Give it another value or none, or mark it merged or archived.",
            ) from error  # fmt: skip
    objects.clear()
    history.clear()
    uniques.clear()


def _insert_associations(store: Store, company: SeedCompany) -> None:
    types = AssociationTypes(store)
    rows: list[tuple[object, ...]] = []
    for link in company.associations:
        for from_type, from_id, to_type, to_id, category, type_id in types.rows(
            link.from_type, int(link.from_id), link.to_type, int(link.to_id), link.label
        ):
            rows.append((from_type, from_id, to_type, to_id, category, type_id))
        if len(rows) >= 5 * BATCH:
            store.connection.executemany("insert or ignore into associations values (?, ?, ?, ?, ?, ?)", rows)
            rows.clear()
    store.connection.executemany("insert or ignore into associations values (?, ?, ?, ?, ?, ?)", rows)
    orphan = store.connection.execute(
        "select from_type, from_id, to_type, to_id from associations where not exists"
        " (select 1 from objects where object_type = to_type and id = to_id) limit 1"
    ).fetchone()
    if orphan is not None:
        raise NightdeskError(
            f"An association leads to {orphan[2]} {orphan[3]}, which does not exist.", where=f"{orphan[0]} {orphan[1]}"
        )
