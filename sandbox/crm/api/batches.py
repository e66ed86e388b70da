"""Records a hundred at a time, with HubSpot's partial success rules.

A batch is refused as a whole (400, 409) unless every input carries its own `objectWriteTraceId`; then a bad value or a
duplicate fails its own input only (207). A property that does not exist, or is read-only, always refuses the whole
batch. Records that do not exist are reported per input always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.crm import catalog
from sandbox.crm.api.call import Call, Reply, batch_reply, externals, id_property, record_id, refused
from sandbox.crm.api.objects import (
    association_specs,
    check_input,
    link_rows,
    require_mandatory,
    require_unique,
    written,
)
from sandbox.crm.api.present import present_all
from sandbox.crm.clock import from_ms
from sandbox.crm.errors import ApiError, invalid
from sandbox.crm.store import Record
from sandbox.crm.values import Problem, ValueRefused, check_value
from sandbox.crm.writes import Writer

ALWAYS_WHOLE = {"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"}
Input = dict[str, Any]


def batch_read(call: Call) -> Reply:
    """POST batch/read: by id or by a unique property; ids nobody has are 207 errors."""
    body = call.json()
    with_history = call.strings("propertiesWithHistory")
    inputs = call.inputs(50 if with_history else 100)
    unique_name = id_property(body)
    keys = list(dict.fromkeys(str(item.get("id", "")).strip() for item in inputs))
    records, missing = _lookup(call, keys, unique_name, archived=call.flag("archived"))
    unique = list({record.id: record for record in records.values()}.values())
    results = present_all(
        call.store, call.object_type, unique, properties=call.strings("properties"), with_history=with_history
    )
    return batch_reply(call, results, [_missing_error(call, missing)] if missing else [])


def batch_update(call: Call) -> Reply:
    """POST batch/update."""
    inputs = call.inputs()
    unique_name = _id_property(inputs)
    if unique_name == "email":
        raise invalid("idProperty email is a non-unique 0-1 property and cannot be used in batch update")
    keys = _keys(inputs)
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        records, _ = _lookup(call, keys, unique_name, archived=False)

        def one(item: Input, key: str) -> dict[str, Any]:
            record = records.get(key)
            if record is None:
                raise _missing(call, [key])
            clean = _clean(call, item, record)
            writer.update(record, clean)
            return written(call, record, clean)

        results, errors = _each(call, writer, inputs, keys, one)
    return batch_reply(call, results, errors)


def batch_create(call: Call) -> Reply:
    """POST batch/create: 201, or 207 when some inputs failed and every input has its own trace id."""
    inputs = call.inputs()
    keys = [""] * len(inputs)
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:

        def one(item: Input, key: str) -> dict[str, Any]:
            clean = _clean(call, item, None)
            require_mandatory(call.object_type, clean)
            links = association_specs(call, item.get("associations"))
            record = writer.create(call.object_type, clean)
            writer.associate(link_rows(writer, record, links))
            return written(call, record, clean)

        results, errors = _each(call, writer, inputs, keys, one)
    return batch_reply(call, results, errors, success=201)


def batch_upsert(call: Call) -> Reply:
    """POST batch/upsert: by a unique property; each result says whether it is `new`."""
    inputs = call.inputs()
    unique_name = _id_property(inputs)
    if unique_name is None or unique_name == "hs_object_id":
        raise invalid("batch upsert needs an idProperty that names a unique property")
    require_unique(call.store, call.object_type, unique_name)
    definition = call.store.definitions(call.object_type)[unique_name]
    keys = _keys(inputs)
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        records, _ = _lookup(call, [key.lower() for key in keys], unique_name, archived=False)

        def one(item: Input, key: str) -> dict[str, Any]:
            record = records.get(key.lower())
            try:
                value = check_value(definition, key, externals(call.store))
            except ValueRefused as error:
                raise refused([Problem(unique_name, error.code, error.message)]) from error
            clean = _clean(call, item, record)
            if record is not None:
                writer.update(record, clean)
                return written(call, record, clean) | {"new": False}
            clean = {unique_name: value} | clean
            require_mandatory(call.object_type, clean)
            made = writer.create(call.object_type, clean)
            return written(call, made, clean) | {"new": True}

        results, errors = _each(call, writer, inputs, keys, one)
    return batch_reply(call, results, errors)


def batch_archive(call: Call) -> Reply:
    """POST batch/archive: 204, also for records that are not there."""
    inputs = call.inputs()
    numbers = [number for item in inputs if (number := record_id(item.get("id"))) is not None]
    with call.store.writing(call.origin, at=from_ms(call.now)) as writer:
        for record in call.store.get_many(call.object_type, numbers).values():
            if record.archived_at is None:
                writer.archive(record)
    return Reply(204)


# -- the partition rule -----------------------------------------------------------------------------------------------


def _each(
    call: Call, writer: Writer, inputs: list[Input], keys: list[str], one: Callable[[Input, str], dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every input ends as one result or in one error; without trace ids the first refusal refuses the batch."""
    traces = [item.get("objectWriteTraceId") for item in inputs]
    partial = all(isinstance(t, str) and t for t in traces) and len(set(traces)) == len(traces)
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    missing: list[str] = []
    for item, key, trace in zip(inputs, keys, traces, strict=True):
        try:
            result = one(item, key)
        except ApiError as error:
            whole = any(detail.get("code") in ALWAYS_WHOLE for detail in error.errors)
            if error.category == "OBJECT_NOT_FOUND" and not trace:
                missing.append(key)
            elif error.category == "OBJECT_NOT_FOUND" or (partial and not whole):
                errors.append(error.detail() | {"context": error.context | {"objectWriteTraceId": [trace]}})
            else:
                raise
        else:
            results.append(result | ({"objectWriteTraceId": trace} if trace else {}))
    if missing:
        errors.append(_missing_error(call, missing))
    return results, errors


def _clean(call: Call, item: Input, record: Record | None) -> dict[str, str]:
    clean, problems = check_input(call, item, record)
    if problems:
        raise refused(problems)
    return clean


def _keys(inputs: list[Input]) -> list[str]:
    keys = [str(item.get("id", "")).strip() for item in inputs]
    if "" in keys:
        raise invalid("Invalid input JSON: every input needs an id")
    if len(set(keys)) != len(keys):
        doubled = sorted({key for key in keys if keys.count(key) > 1})
        raise invalid(f"Duplicate IDs found in batch input: [{', '.join(doubled[:10])}]. IDs must be unique")
    return keys


def _id_property(inputs: list[Input]) -> str | None:
    names = {id_property(item) for item in inputs}
    if len(names) != 1:
        raise invalid("All inputs of a batch must use the same idProperty")
    return names.pop()


def _lookup(
    call: Call, keys: list[str], unique_name: str | None, *, archived: bool
) -> tuple[dict[str, Record], list[str]]:
    """Records by the key they were asked with (merges followed, one object per record), and the keys nobody has."""
    store, object_type = call.store, call.object_type
    if unique_name in (None, "hs_object_id"):
        numbers = {key: number for key in keys if (number := record_id(key)) is not None}
    else:
        require_unique(store, object_type, unique_name)
        find = store.find_archived if archived else store.find_unique
        by_value = find(object_type, unique_name, [key.lower() for key in keys])
        numbers = {key: by_value[key.lower()] for key in keys if key.lower() in by_value}
    found = store.get_many(object_type, numbers.values())
    merged = [number for number, record in found.items() if record.merged_into is not None]
    if merged:
        survivors = store.survivor_ids(object_type, merged)
        living = {**store.get_many(object_type, survivors.values()), **found}
        found |= {number: living[survivor] for number, survivor in survivors.items()}
    records = {
        key: found[number]
        for key, number in numbers.items()
        if number in found and (found[number].archived_at is not None) == archived
    }
    return records, [key for key in keys if key not in records]


def _missing(call: Call, keys: list[str]) -> ApiError:
    singular = catalog.SINGULAR[call.object_type].upper()
    return ApiError(
        404,
        "OBJECT_NOT_FOUND",
        f"Could not get some {singular} objects, they may be deleted or not exist. Check that ids are valid.",
        context={"ids": keys},
    )


def _missing_error(call: Call, keys: list[str]) -> dict[str, Any]:
    return _missing(call, keys).detail()
