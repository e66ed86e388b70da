"""Associations v4: which records belong together, with labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sandbox.crm import catalog
from sandbox.crm.api.call import Call, Reply, association_types, batch_reply, plural, record_id
from sandbox.crm.associations import AssociationRow, AssociationType, associated
from sandbox.crm.clock import from_ms
from sandbox.crm.errors import ApiError, invalid, not_found
from sandbox.crm.wire import as_list, as_objects

READ_LIMIT, WRITE_LIMIT, PAGE = 1000, 2000, 500


def _ends(call: Call) -> tuple[str, str]:
    return plural(call.params["from_type"]), plural(call.params["to_type"])


def read_batch(call: Call) -> Reply:
    """POST /associations/{from}/{to}/batch/read: up to 1,000 ids; records without associations are 207 errors."""
    from_type, to_type = _ends(call)
    inputs = call.inputs(READ_LIMIT)
    numbers = {str(item.get("id")): record_id(item.get("id")) for item in inputs}
    links = associated(call.store, from_type, [n for n in numbers.values() if n is not None], [to_type])
    labels = _labels(call, from_type, to_type)
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for item in inputs:
        number = record_id(item.get("id"))
        targets = links.get(-1 if number is None else number, {}).get(to_type, [])
        if targets:
            shown, cursor = _page(targets, labels, record_id(item.get("after")) or 0, PAGE)
            result: dict[str, Any] = {"from": {"id": str(item["id"])}, "to": shown}
            if cursor is not None:
                result["paging"] = {"next": {"after": cursor}}
            results.append(result)
        else:
            error = ApiError(
                404,
                "OBJECT_NOT_FOUND",
                f"No {catalog.SINGULAR[to_type]} is associated with {catalog.SINGULAR[from_type]} {item.get('id')}.",
                sub_category="crm.associations.NO_ASSOCIATIONS_FOUND",
                context={
                    "fromObjectId": [str(item.get("id"))],
                    "fromObjectType": [catalog.SINGULAR[from_type]],
                    "toObjectType": [catalog.SINGULAR[to_type]],
                },
            )
            errors.append(error.detail())
    return batch_reply(call, results, errors)


def list_one(call: Call) -> Reply:
    """GET /objects/{type}/{id}/associations/{to}: up to 500 a page."""
    from_type, to_type = _ends(call)
    number = _require(call, from_type, call.params["from_id"])
    targets = associated(call.store, from_type, [number], [to_type]).get(number, {}).get(to_type, [])
    limit, after = call.number("limit", PAGE, 1, PAGE), call.number("after", 0, 0, 10**18)
    shown, cursor = _page(targets, _labels(call, from_type, to_type), after, limit)
    payload: dict[str, Any] = {"results": shown}
    if cursor is not None:
        payload["paging"] = {"next": {"after": cursor, "link": f"{call.path}?after={cursor}&limit={limit}"}}
    return Reply(200, payload)


def put_default(call: Call) -> Reply:
    """PUT .../associations/default/{to}/{id}: the unlabelled association, both directions."""
    from_type, to_type = _ends(call)
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        pair = _pair(call, from_type, to_type, call.params["from_id"], call.params["to_id"])
        writer.associate(_default_rows(call, from_type, to_type, pair))
    return batch_reply(call, _default_results(call, from_type, to_type, pair), [])


def put_labelled(call: Call) -> Reply:
    """PUT .../associations/{to}/{id} with a list of types; a label brings the unlabelled association along."""
    from_type, to_type = _ends(call)
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        pair = _pair(call, from_type, to_type, call.params["from_id"], call.params["to_id"])
        kinds = _kinds(call, from_type, to_type, call.body)
        writer.associate(_labelled_rows(call, from_type, to_type, pair, kinds))
    return Reply(201, _pair_result(from_type, to_type, pair, kinds))


def delete_one(call: Call) -> Reply:
    """DELETE .../associations/{to}/{id}: all associations between two records, labels too."""
    from_type, to_type = _ends(call)
    first, second = record_id(call.params["from_id"]), record_id(call.params["to_id"])
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        if first is not None and second is not None:
            writer.dissociate(list(_existing(call, from_type, to_type, first, second)))
    return Reply(204)


def create_batch(call: Call) -> Reply:
    """POST .../batch/create: 201, or 207 when some records do not exist."""
    from_type, to_type = _ends(call)
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        for item in call.inputs(WRITE_LIMIT):
            first, second = _input_ids(item)
            kinds = _kinds(call, from_type, to_type, item.get("types"))
            try:
                pair = _pair(call, from_type, to_type, first, second)
            except ApiError as error:
                errors.append(error.detail())
                continue
            writer.associate(_labelled_rows(call, from_type, to_type, pair, kinds))
            results.append(_pair_result(from_type, to_type, pair, kinds))
    return batch_reply(call, results, errors, success=201)


def create_default_batch(call: Call) -> Reply:
    """POST .../batch/associate/default."""
    from_type, to_type = _ends(call)
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        for item in call.inputs(WRITE_LIMIT):
            try:
                pair = _pair(call, from_type, to_type, *_input_ids(item))
            except ApiError as error:
                errors.append(error.detail())
                continue
            writer.associate(_default_rows(call, from_type, to_type, pair))
            results += _default_results(call, from_type, to_type, pair)
    return batch_reply(call, results, errors)


def archive_batch(call: Call) -> Reply:
    """POST .../batch/archive: `to` is a list of ids; every association between the two records goes."""
    from_type, to_type = _ends(call)
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        for item in call.inputs(WRITE_LIMIT):
            for target in as_list(item.get("to")) or [item.get("to")]:
                first, second = _input_ids({"from": item.get("from"), "to": target})
                if first is not None and second is not None:
                    writer.dissociate(list(_existing(call, from_type, to_type, first, second)))
    return Reply(204)


def archive_labels_batch(call: Call) -> Reply:
    """POST .../batch/labels/archive: only the named types; the unlabelled association stays unless named."""
    from_type, to_type = _ends(call)
    types = association_types(call.store)
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        for item in call.inputs(WRITE_LIMIT):
            first, second = _input_ids(item)
            for kind in _kinds(call, from_type, to_type, item.get("types")):
                if first is not None and second is not None:
                    writer.dissociate(types.typed_rows(kind, first, second))
    return Reply(204)


def list_labels(call: Call) -> Reply:
    from_type, to_type = _ends(call)
    return Reply(200, {"results": [_label(kind) for kind in association_types(call.store).between(from_type, to_type)]})


def create_label(call: Call) -> Reply:
    """POST /associations/{from}/{to}/labels: both directions are made."""
    from_type, to_type = _ends(call)
    body = call.json()
    label, name, inverse = body.get("label"), body.get("name"), body.get("inverseLabel")
    if not isinstance(label, str) or not label or not isinstance(name, str) or not name:
        raise invalid("An association label needs a label and a name")
    if inverse is not None and not isinstance(inverse, str):
        raise invalid("inverseLabel must be a string")
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        types = association_types(call.store)
        if any(kind.name == name and kind.label for kind in types.between(from_type, to_type)):
            raise ApiError(409, "CONFLICT", f"An association label named {name} already exists")
        made = types.create_label(from_type, to_type, label, name, inverse)
        call.store.forget_cache()
        writer.log("define", from_type, f"label:{to_type}:{name}", "", None, label)
    return Reply(200, {"results": [_label(kind) for kind in made]})


# -- helpers ----------------------------------------------------------------------------------------------------------


def _label(kind: AssociationType) -> dict[str, Any]:
    return {"category": kind.category, "typeId": kind.type_id, "label": kind.label}


def _labels(call: Call, from_type: str, to_type: str) -> dict[tuple[str, int], dict[str, Any]]:
    return {(k.category, k.type_id): _label(k) for k in association_types(call.store).between(from_type, to_type)}


def _page(
    targets: list[tuple[int, str, int]], labels: dict[tuple[str, int], dict[str, Any]], after: int, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    found: dict[int, list[dict[str, Any]]] = {}
    for to_id, category, type_id in targets:
        if to_id < after:
            continue
        if to_id not in found and len(found) == limit:
            return [_target(i, kinds) for i, kinds in found.items()], str(to_id)
        found.setdefault(to_id, []).append(labels[(category, type_id)])
    return [_target(i, kinds) for i, kinds in found.items()], None


def _target(to_id: int, kinds: list[dict[str, Any]]) -> dict[str, Any]:
    return {"toObjectId": str(to_id), "associationTypes": kinds}


def _input_ids(item: dict[str, Any]) -> tuple[int | None, int | None]:
    try:
        return record_id(item["from"]["id"]), record_id(item["to"]["id"])
    except (KeyError, TypeError) as error:
        raise invalid("Invalid input JSON: an association needs from.id and to.id") from error


def _require(call: Call, object_type: str, raw: Any) -> int:
    number = record_id(raw)
    record = None if number is None else call.store.get(object_type, number)
    if record is None or record.archived_at is not None:
        raise not_found(f"{catalog.SINGULAR[object_type]} {raw} does not exist", context={"ids": [str(raw)]})
    return record.id


def _pair(call: Call, from_type: str, to_type: str, first: Any, second: Any) -> tuple[int, int]:
    return _require(call, from_type, first), _require(call, to_type, second)


def _kinds(call: Call, from_type: str, to_type: str, raw: Any) -> list[AssociationType]:
    specs = as_objects(raw)
    if not specs:
        raise invalid("Association types are required: [{associationCategory, associationTypeId}]")
    types = association_types(call.store)
    found: list[AssociationType] = []
    for spec in specs:
        try:
            kind = types.get(from_type, to_type, spec["associationCategory"], int(spec["associationTypeId"]))
        except (KeyError, TypeError, ValueError) as error:
            raise invalid("Invalid input JSON: a type needs associationCategory and associationTypeId") from error
        if kind is None:
            raise invalid(f"association type {spec} is not defined between {from_type} and {to_type}")
        found.append(kind)
    return found


def _default_kind(call: Call, from_type: str, to_type: str) -> AssociationType:
    kind = association_types(call.store).default(from_type, to_type)
    if kind is None:
        raise invalid(f"{from_type} and {to_type} cannot be associated")
    return kind


def _default_rows(call: Call, from_type: str, to_type: str, pair: tuple[int, int]) -> list[AssociationRow]:
    return association_types(call.store).typed_rows(_default_kind(call, from_type, to_type), *pair)


def _default_results(call: Call, from_type: str, to_type: str, pair: tuple[int, int]) -> list[dict[str, Any]]:
    kind = _default_kind(call, from_type, to_type)
    return [
        {
            "from": {"id": str(a)},
            "to": {"id": str(b)},
            "associationSpec": {"associationCategory": kind.category, "associationTypeId": type_id},
        }
        for a, b, type_id in ((pair[0], pair[1], kind.type_id), (pair[1], pair[0], kind.inverse_id))
    ]


def _labelled_rows(
    call: Call, from_type: str, to_type: str, pair: tuple[int, int], kinds: list[AssociationType]
) -> list[AssociationRow]:
    types = association_types(call.store)
    rows = _default_rows(call, from_type, to_type, pair)
    for kind in kinds:
        rows += types.typed_rows(kind, *pair)
    return rows


def _pair_result(from_type: str, to_type: str, pair: tuple[int, int], kinds: list[AssociationType]) -> dict[str, Any]:
    return {
        "fromObjectTypeId": catalog.TYPE_IDS[from_type],
        "fromObjectId": str(pair[0]),
        "toObjectTypeId": catalog.TYPE_IDS[to_type],
        "toObjectId": str(pair[1]),
        "labels": [kind.label for kind in kinds if kind.label],
    }


def _existing(call: Call, from_type: str, to_type: str, first: int, second: int) -> Iterator[AssociationRow]:
    types = association_types(call.store)
    targets = associated(call.store, from_type, [first], [to_type]).get(first, {}).get(to_type, [])
    for to_id, category, type_id in targets:
        kind = types.get(from_type, to_type, category, type_id)
        if to_id == second and kind is not None:
            yield from types.typed_rows(kind, first, second)
