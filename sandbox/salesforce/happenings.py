"""What people and administrators do in an org while somebody else writes to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from nightdesk.errors import NightdeskError
from sandbox import faults
from sandbox.salesforce.saving import Org, Origin, Saver
from sandbox.salesforce.store import Row, Store
from sandbox.salesforce.values import parse_cell

PERSON = "dana"
_TYPES: dict[str, dict[str, Any]] = {
    "number": {"type": "Number", "precision": 18, "scale": 4},
    "text": {"type": "Text", "length": 255},
    "date": {"type": "Date"},
    "boolean": {"type": "Checkbox", "defaultValue": "false"},
    "enumeration": {"type": "Picklist", "valueSet": {"restricted": True, "valueSetDefinition": {"value": []}}},
}


def happen(store: Store, org: Org, fault: faults.AnyFault) -> bool:
    """Let it happen now, if the fault is something that changes the org; says whether it was.

    Raises:
        NightdeskError: There is no such field or record, or Salesforce has no such thing.
    """
    saver = Saver(store, org, Origin(store.user(PERSON)))
    match fault:
        case faults.PropertyArchived():
            _custom(store, fault)
            store.drop_custom_field(fault.object_type, fault.property)
        case faults.PropertyRenamed():
            _rename(store, fault)
        case faults.PropertyRetyped():
            _redefine(store, fault, lambda found: {"label": found.get("label"), **_TYPES[fault.to]})
        case faults.OptionRemoved():
            _redefine(store, fault, lambda found: _without(found, fault.option))
        case faults.PropertyReadOnly():
            store.restrict(fault.object_type, fault.property, readable=True, editable=False)
        case faults.FieldHidden():
            store.restrict(fault.object_type, fault.property, readable=False, editable=False)
        case faults.RecordArchived():
            with store.transaction():
                saver.delete(fault.object_type, _record(store, fault.object_type, fault.record).id)
        case faults.RecordMerged():
            if fault.new_id:
                raise NightdeskError("In Salesforce a merged record keeps its id", where="fault file")
            into, gone = (_record(store, fault.object_type, i) for i in (fault.into, fault.record))
            with store.transaction():
                saver.merge(fault.object_type, into.id, gone.id)
        case faults.RecordRecreated():
            old = _record(store, fault.object_type, fault.record)
            with store.transaction():
                saver.delete(fault.object_type, old.id)
                store.insert(fault.object_type, old.values, user=store.user(PERSON))
        case faults.PersonEdits():
            edit(store, org, fault.object_type, fault.record, fault.property, fault.value)
        case _:
            return False
    return True


def edit(store: Store, org: Org, object_type: str, record: str, name: str, value: str, by: str = PERSON) -> None:
    """Somebody else than us sets a field, given as text (empty clears); a merged record is its survivor.

    Raises:
        NightdeskError: There is no such record or field.
    """
    row = _record(store, object_type, record)
    field = store.fields(object_type).get(name)
    if field is None or not field.updateable:
        raise NightdeskError(f"A fault is about the field {object_type}.{name}, which is not there", where="fault file")
    parsed = parse_cell(field, value) if value else None
    with store.transaction():
        Saver(store, org, Origin(store.user(by))).update(object_type, row.id, {name: parsed})


def _record(store: Store, object_type: str, record: str) -> Row:
    row = store.get(object_type, record)
    while row is not None and row.master_id:
        row = store.get(object_type, row.master_id)
    if row is None or row.is_deleted:
        raise NightdeskError(f"A fault is about {object_type} {record}, which is not there", where="fault file")
    return row


_Property = faults.PropertyArchived | faults.PropertyRenamed | faults.PropertyRetyped | faults.OptionRemoved


def _custom(store: Store, fault: _Property) -> dict[str, Any]:
    row = store.connection.execute(
        "select id from custom_fields where object = ? and name = ?", (fault.object_type, fault.property)
    ).fetchone()
    found = store.custom_field(row[0]) if row else None
    if found is None:
        raise NightdeskError(
            f"A fault is about the field {fault.object_type}.{fault.property}, which is no custom field there",
            where="fault file",
        )
    return found[2]


def _redefine(store: Store, fault: _Property, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    store.put_custom_field(fault.object_type, fault.property, change(_custom(store, fault)))


def _rename(store: Store, fault: faults.PropertyRenamed) -> None:
    store.put_custom_field(fault.object_type, fault.to, _custom(store, fault))
    store.drop_custom_field(fault.object_type, fault.property)
    for row in store.all("FieldPermissions"):  # rights go with the field
        if row.values.get("Field") == f"{fault.object_type}.{fault.property}":
            row.values["Field"] = f"{fault.object_type}.{fault.to}"
            store.put(row)
    for row in store.all(fault.object_type):
        if fault.property in row.values:
            row.values[fault.to] = row.values.pop(fault.property)
            store.put(row)
    store.forget()


def _without(metadata: dict[str, Any], option: str) -> dict[str, Any]:
    value_set = cast("dict[str, Any]", metadata.get("valueSet") or {})
    defined = cast("dict[str, Any]", value_set.get("valueSetDefinition") or {})
    kept = [one for one in cast("list[dict[str, Any]]", defined.get("value") or []) if one["fullName"] != option]
    return {**metadata, "valueSet": {**value_set, "valueSetDefinition": {**defined, "value": kept}}}
