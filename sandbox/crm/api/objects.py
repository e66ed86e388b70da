"""Records one at a time: list, read, create, update, archive, merge, erase, search."""

from __future__ import annotations

from typing import Any

from sandbox.crm import catalog
from sandbox.crm.api.call import Call, Reply, association_types, externals, id_property, record_id, refused
from sandbox.crm.api.present import present, present_all, shown_properties
from sandbox.crm.associations import AssociationRow
from sandbox.crm.clock import from_ms
from sandbox.crm.errors import ApiError, invalid, not_found
from sandbox.crm.search import search
from sandbox.crm.store import Record, Store, unique_names
from sandbox.crm.values import Problem, check_properties
from sandbox.crm.wire import as_object, as_objects
from sandbox.crm.writes import Writer


def list_objects(call: Call) -> Reply:
    """GET /objects/{type}: by id, `after` is the id the next page starts with."""
    with_history = call.names("propertiesWithHistory")
    limit = call.number("limit", 10, 1, 50 if with_history else 100)
    after = record_id(call.text("after") or "0")
    if after is None:
        raise invalid("after is not a cursor this API gave out")
    object_type = call.object_type
    records = call.store.page(object_type, after=after, limit=limit + 1, archived=call.flag("archived"))
    payload: dict[str, Any] = {
        "results": present_all(
            call.store, object_type, records[:limit], properties=call.names("properties"), with_history=with_history,
            associations=call.names("associations"), base_path=call.path,
        )
    }  # fmt: skip
    if len(records) > limit:
        cursor = str(records[limit].id)
        payload["paging"] = {"next": {"after": cursor, "link": f"{call.path}?after={cursor}&limit={limit}"}}
    return Reply(200, payload)


def get_object(call: Call) -> Reply:
    """GET /objects/{type}/{id}: a record merged away answers as its survivor."""
    record = find(call.store, call.object_type, call.params["object_id"], call.text("idProperty"))
    if record is None or (record.archived_at is not None) != call.flag("archived"):
        raise not_found("Object not found.  objectId are usually numeric.")
    payload = present_all(
        call.store, call.object_type, [record], properties=call.names("properties"),
        with_history=call.names("propertiesWithHistory"), associations=call.names("associations"),
        base_path=call.path.rpartition("/")[0],
    )  # fmt: skip
    return Reply(200, payload[0])


def create_object(call: Call) -> Reply:
    """POST /objects/{type}."""
    body = call.json()
    clean = checked(call, body)
    links = association_specs(call, body.get("associations"))
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        record = writer.create(call.object_type, clean)
        writer.associate(link_rows(writer, record, links))
    return Reply(201, written(call, record, clean))


def update_object(call: Call) -> Reply:
    """PATCH /objects/{type}/{id}."""
    body = call.json()
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        record = find(call.store, call.object_type, call.params["object_id"], call.text("idProperty"))
        if record is None or record.archived_at is not None:
            raise not_found()
        clean = checked(call, body, record)
        writer.update(record, clean)
    return Reply(200, written(call, record, clean))


def archive_object(call: Call) -> Reply:
    """DELETE /objects/{type}/{id}: 204 also for a record that is not there."""
    number = record_id(call.params["object_id"])
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        record = None if number is None else call.store.get(call.object_type, number)
        if record is not None and record.archived_at is None:
            writer.archive(record)
    return Reply(204)


def merge_objects(call: Call) -> Reply:
    """POST /objects/{type}/merge: cannot be undone."""
    body = call.json()
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        both: list[Record] = []
        for name in ("primaryObjectId", "objectIdToMerge"):
            record = find(call.store, call.object_type, body.get(name), None)
            if record is None or record.archived_at is not None:
                raise not_found(f"{name} {body.get(name)} does not exist")
            both.append(record)
        if both[0].id == both[1].id:
            raise invalid("A record cannot be merged with itself")
        survivor = writer.merge(both[0], both[1], new_id=call.merge_new_id)
    return Reply(200, present(survivor, shown_properties(call.store, call.object_type, ())))


def erase_object(call: Call) -> Reply:
    """POST /objects/{type}/gdpr-delete: gone for good."""
    body = call.json()
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        record = find(call.store, call.object_type, body.get("objectId"), id_property(body))
        if record is None:
            raise not_found()
        writer.erase(record)
    return Reply(204)


def search_objects(call: Call) -> Reply:
    """POST /objects/{type}/search: what the index shows, which may be older than the records."""
    body = call.json()
    found = search(call.store, call.object_type, body, call.now)
    payload: dict[str, Any] = {
        "total": found.total,
        "results": present_all(call.store, call.object_type, found.records, properties=call.strings("properties")),
    }
    if found.next_after is not None:
        payload["paging"] = {"next": {"after": found.next_after}}
    return Reply(200, payload)


# -- shared with the batch handlers -----------------------------------------------------------------------------------


def find(store: Store, object_type: str, raw_id: Any, unique_name: str | None) -> Record | None:
    """The record of an id or a unique value, merges followed; None when there is none.

    Raises:
        ApiError: 400, `unique_name` is not a unique property.
    """
    if unique_name in (None, "", "hs_object_id"):
        number = record_id(raw_id)
        record = None if number is None else store.get(object_type, number)
        if record is not None and record.merged_into is not None:
            record = store.get(object_type, store.survivor_ids(object_type, [record.id])[record.id])
        return record
    require_unique(store, object_type, unique_name)
    value = str(raw_id).strip().lower()
    number = store.find_unique(object_type, unique_name, [value]).get(value)
    return None if number is None else store.get(object_type, number)


def require_unique(store: Store, object_type: str, name: str) -> None:
    """Refuses an idProperty that does not identify one record."""
    if name not in unique_names(store.definitions(object_type), object_type):
        raise invalid(f"idProperty {name} is not a unique property of {object_type}")


def checked(call: Call, body: dict[str, Any], record: Record | None = None) -> dict[str, str]:
    """The input's properties, validated and normalised.

    Raises:
        ApiError: 400 with one entry per refused value.
    """
    clean, problems = check_input(call, body, record)
    if problems:
        raise refused(problems)
    if record is None:
        require_mandatory(call.object_type, clean)
    return clean


def check_input(call: Call, body: dict[str, Any], record: Record | None = None) -> tuple[dict[str, str], list[Problem]]:
    """Values to store and problems of one input's `properties`."""
    given = as_object(body.get("properties", {}))
    if given is None:
        raise invalid("Invalid input JSON: properties must be an object")
    definitions = call.store.definitions(call.object_type)
    return check_properties(definitions, given, externals(call.store), record.properties if record else None)


def require_mandatory(object_type: str, clean: dict[str, str]) -> None:
    """Activities cannot be created without their time."""
    if object_type in catalog.ENGAGEMENTS and not clean.get("hs_timestamp"):
        singular = catalog.SINGULAR[object_type].upper()
        raise invalid(
            f"Error creating {singular}. Some required properties were not set.",
            errors=[
                {
                    "message": "hs_timestamp is required",
                    "code": "REQUIRED_PROPERTY_MISSING",
                    "context": {"properties": ["hs_timestamp"]},
                }
            ],
        )


LinkSpec = tuple[str, int, str, int]  # to_type, to_id, category, type_id


def association_specs(call: Call, raw: Any) -> list[LinkSpec]:
    """The `associations` of a create input, checked.

    Raises:
        ApiError: 400, an unknown association type or a record that does not exist.
    """
    found: list[LinkSpec] = []
    types = association_types(call.store)
    items = as_objects(raw or [])
    if items is None:
        raise invalid("Invalid input JSON: associations must be a list of objects")
    for item in items:
        try:
            target = record_id(item["to"]["id"])
            specs = as_objects(item["types"]) or []
            wanted = [(str(s["associationCategory"]), int(s["associationTypeId"])) for s in specs]
        except (KeyError, TypeError, ValueError) as error:
            raise invalid("Invalid input JSON: an association needs to.id and types") from error
        for category, type_id in wanted:
            to_type = next((t for t in catalog.OBJECT_TYPES if types.get(call.object_type, t, category, type_id)), None)
            if to_type is None:
                raise invalid(f"association type {category} {type_id} does not start at {call.object_type}")
            record = None if target is None else call.store.get(to_type, target)
            if record is None or record.archived_at is not None:
                raise invalid(f"{to_type} {item['to']['id']} does not exist, so nothing can be associated with it")
            found.append((to_type, record.id, category, type_id))
    return found


def link_rows(writer: Writer, record: Record, links: list[LinkSpec]) -> list[AssociationRow]:
    """Rows, both directions, of the associations asked for with a new record; a label brings the default one along."""
    types = association_types(writer.store)
    rows: list[AssociationRow] = []
    for to_type, to_id, category, type_id in links:
        kind = types.get(record.object_type, to_type, category, type_id)
        if kind is None:
            raise ApiError(500, "INTERNAL_ERROR", "an association type vanished")
        rows += types.rows(record.object_type, record.id, to_type, to_id) + types.typed_rows(kind, record.id, to_id)
    return rows


def written(call: Call, record: Record, clean: dict[str, str]) -> dict[str, Any]:
    """What a write answers: the properties written, id and stamps."""
    return present(record, shown_properties(call.store, record.object_type, clean or ()))
