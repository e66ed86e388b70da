"""sObject collections: up to 200 records in one request, each with its own result."""

from __future__ import annotations

from typing import Any, cast

from sandbox.salesforce import catalog, ids
from sandbox.salesforce.call import MAX_CHUNKS, MAX_COLLECTION, MAX_RETRIEVE, Call, Reply
from sandbox.salesforce.errors import SalesforceError, malformed
from sandbox.salesforce.rows import find_external, read_values, shown, visible

Prepared = tuple[str, str, dict[str, Any]]


class _Undo(Exception):
    """`allOrNone`, and one record failed."""


def _records(call: Call) -> list[dict[str, Any]]:
    """The records of a request, in order; one that is malformed spoils all."""
    given = call.object().get("records")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in cast("list[Any]", given)):
        raise malformed("records must be a list of objects")
    records = cast("list[dict[str, Any]]", given)
    if len(records) > MAX_COLLECTION:
        raise SalesforceError(
            "EXCEEDED_ID_LIMIT",
            f"record limit reached. cannot submit more than {MAX_COLLECTION} records into this call",
        )
    types = [_type(one) for one in records]
    chunks = sum(1 for n, name in enumerate(types) if n == 0 or types[n - 1] != name)
    if chunks > MAX_CHUNKS:
        raise SalesforceError("LIMIT_EXCEEDED", f"Cannot have more than {MAX_CHUNKS} chunks in a single operation.")
    return records


def _type(record: dict[str, Any]) -> str:
    attributes = record.get("attributes")
    if not isinstance(attributes, dict) or "type" not in attributes:
        raise SalesforceError("INVALID_INPUT", "attributes.type is missing", whole=True)
    return str(cast("dict[str, Any]", attributes)["type"])


def _id(record: dict[str, Any]) -> str:
    return str(record.get("id") or record.get("Id") or "")


def _save_all(call: Call, prepared: list[Prepared], keyed: str | None = None) -> Reply:
    """Save each record; a failed one leaves the others alone unless `allOrNone`."""
    all_or_none = bool(call.object().get("allOrNone", False))
    results: list[dict[str, Any]] = []
    saver = call.saver()
    try:
        with call.store.transaction():
            for object_type, record_id, values in prepared:
                try:
                    with saver.alone():
                        if record_id:
                            saver.update(object_type, record_id, values)
                            done, created = record_id, False
                        else:
                            done, created = saver.create(object_type, values), True
                    result: dict[str, Any] = {"id": ids.long(done), "success": True, "errors": []}
                    results.append(result | ({"created": created} if keyed else {}))
                except SalesforceError as error:
                    if error.whole:
                        raise
                    results.append({"success": False, "errors": [error.in_collection()]})
            if all_or_none and not all(one["success"] for one in results):
                raise _Undo
    except _Undo:
        rolled = SalesforceError(
            "ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid"
        )
        results = [
            one if not one["success"] else {"success": False, "errors": [rolled.in_collection()]} for one in results
        ]
    return Reply(200, results)


def update(call: Call) -> Reply:
    """Change records; results come in the order of the request."""
    records = _records(call)
    for record in records:
        if not _id(record):
            raise SalesforceError("MISSING_ARGUMENT", "Id not specified in an update call", ["Id"])
    prepared = [(_type(one), _id(one), read_values(call, _type(one), one)) for one in records]
    if len({record_id for _, record_id, _ in prepared}) != len(prepared):
        raise SalesforceError("DUPLICATE_VALUE", "duplicate id specified in the request")
    return _save_all(call, prepared)


def create(call: Call) -> Reply:
    """Make records."""
    return _save_all(call, [(_type(one), "", read_values(call, _type(one), one)) for one in _records(call)])


def upsert(call: Call) -> Reply:
    """Change or make records by an external id."""
    object_type, field = call.params["object"], call.params["field"]
    prepared: list[Prepared] = []
    ambiguous: dict[int, SalesforceError] = {}
    for n, record in enumerate(_records(call)):
        if _type(record) != object_type:
            raise SalesforceError("INVALID_TYPE", "all records of an upsert are of the type in its address")
        values = read_values(call, object_type, record)
        rows = find_external(call, object_type, field, values.get(field))
        if len(rows) > 1 or call.state.ambiguous_key:
            call.state.ambiguous_key = False
            ambiguous[n] = SalesforceError(
                "DUPLICATE_EXTERNAL_ID",
                f"{field}: more than one record found for external id field",
                [field],
            )
        prepared.append((object_type, rows[0].id if rows else "", values))
    good = [one for n, one in enumerate(prepared) if n not in ambiguous]
    saved = iter(_save_all(call, good, keyed=field).payload)
    results = [
        {"success": False, "errors": [ambiguous[n].in_collection()]} if n in ambiguous else next(saved)
        for n in range(len(prepared))
    ]
    return Reply(200, results)


def delete(call: Call) -> Reply:
    """Put records into the recycle bin."""
    results: list[dict[str, Any]] = []
    saver = call.saver()
    with call.store.transaction():
        for record_id in call.query.get("ids", "").split(","):
            try:
                with saver.alone():
                    saver.delete(catalog.OBJECT_OF_PREFIX.get(record_id[:3], "Contact"), record_id)
                results.append({"id": record_id, "success": True, "errors": []})
            except SalesforceError as error:
                results.append({"id": record_id, "success": False, "errors": [error.in_collection()]})
    return Reply(200, results)


def retrieve(call: Call) -> Reply:
    """Read up to 2,000 records by id, in order; null for one that is not there or deleted."""
    object_type = call.params["object"]
    if call.method == "GET":
        wanted = call.query.get("ids", "").split(",")
        names = call.query.get("fields", "").split(",")
    else:
        wanted = [str(one) for one in cast("list[Any]", call.object().get("ids") or [])]
        names = [str(one) for one in cast("list[Any]", call.object().get("fields") or [])]
    if len(wanted) > MAX_RETRIEVE:
        raise SalesforceError("EXCEEDED_ID_LIMIT", f"cannot retrieve more than {MAX_RETRIEVE} records")
    known = visible(call, object_type)
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise SalesforceError(
            "INVALID_FIELD", f"No such column '{wrong[0] if wrong else ''}' on sobject of type {object_type}"
        )
    bad = [one for one in wanted if not ids.is_id(one)]
    if bad:
        raise SalesforceError("MALFORMED_ID", f"malformed id {bad[0]}")
    rows = call.store.many(object_type, wanted)
    answer: list[Any] = []
    for one in wanted:
        row = rows.get(ids.long(one))
        answer.append(None if row is None or row.is_deleted else shown(call, row, names))
    return Reply(200, answer)
