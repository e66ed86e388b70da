"""What people and their tools do in a CRM while somebody else writes to it: fields change, records go, values move."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nightdesk.errors import NightdeskError
from sandbox import faults
from sandbox.crm.clock import iso
from sandbox.crm.store import Record, Store
from sandbox.crm.writes import Origin, Writer

PERSON = Origin("CRM_UI", "userId:11", "11", "POST", "a person", "record page")
WORKFLOW = Origin("AUTOMATION_PLATFORM", "enrollmentId:1", "", "", "a workflow", "workflow")
_TYPES = {
    "number": ("number", "number"),
    "text": ("string", "text"),
    "date": ("date", "date"),
    "boolean": ("bool", "booleancheckbox"),
    "enumeration": ("enumeration", "select"),
}


def happen(store: Store, fault: faults.AnyFault) -> bool:
    """Let it happen now, if the fault is something that changes the CRM; says whether it was.

    Raises:
        NightdeskError: There is no such field or record.
    """
    match fault:
        case faults.PropertyArchived():
            _define(store, fault, lambda found: None)
        case faults.PropertyRenamed():
            _rename(store, fault)
        case faults.PropertyReadOnly():
            _define(store, fault, _read_only)
        case faults.PropertyRetyped():
            kind, shown = _TYPES[fault.to]
            _define(store, fault, lambda found: {**found, "type": kind, "fieldType": shown, "options": []})
        case faults.OptionRemoved():
            gone = fault.option
            _define(store, fault, lambda found: {**found, "options": _without(found["options"], gone)})
        case faults.RecordArchived():
            with store.writing(PERSON) as writer:
                writer.archive(_record(store, fault.object_type, fault.record))
        case faults.RecordMerged():
            with store.writing(PERSON) as writer:
                into, gone_record = (_record(store, fault.object_type, i) for i in (fault.into, fault.record))
                writer.merge(into, gone_record, new_id=fault.new_id)
        case faults.RecordRecreated():
            with store.writing(PERSON) as writer:
                _recreate(store, writer, fault)
        case faults.PersonEdits():
            edit(store, fault.object_type, fault.record, fault.property, fault.value)
        case _:
            return False
    return True


def edit(store: Store, object_type: str, record: str, name: str, value: str, origin: Origin = PERSON) -> None:
    """Somebody else than us sets a value; a record merged away answers as its survivor.

    Raises:
        NightdeskError: There is no such record.
    """
    with store.writing(origin) as writer:
        writer.update(_record(store, object_type, record), {name: value})


def _record(store: Store, object_type: str, record: str) -> Record:
    number = int(record) if record.isdigit() else -1
    number = store.survivor_ids(object_type, [number]).get(number, number)
    found = store.get(object_type, number)
    if found is None or found.archived_at is not None:
        raise NightdeskError(f"A fault is about {object_type} {record}, which is not there", where="fault file")
    return found


def _recreate(store: Store, writer: Writer, fault: faults.RecordRecreated) -> None:
    old = _record(store, fault.object_type, fault.record)
    stamps = {"hs_object_id", "createdate", "lastmodifieddate", "hs_createdate", "hs_lastmodifieddate"}
    values = {name: value for name, value in old.properties.items() if name not in stamps}
    writer.archive(old)
    writer.create(fault.object_type, values)


def _read_only(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "modificationMetadata": {**found["modificationMetadata"], "readOnlyValue": True}}


def _without(options: list[dict[str, Any]], value: str) -> list[dict[str, Any]]:
    return [option for option in options if option["value"] != value]


_Property = (
    faults.PropertyArchived
    | faults.PropertyRenamed
    | faults.PropertyReadOnly
    | faults.PropertyRetyped
    | faults.OptionRemoved
)


def _rename(store: Store, fault: faults.PropertyRenamed) -> None:
    definition = store.definitions(fault.object_type).get(fault.property)
    _define(store, fault, lambda found: None)
    new = {**(definition or {}), "name": fault.to}
    with store.writing(PERSON) as writer:
        store.connection.execute(
            "insert or replace into properties values (?, ?, ?, 0)", (fault.object_type, fault.to, json.dumps(new))
        )
        # Values move with the field; whoever asks for the old name finds nothing.
        store.connection.execute(
            "update objects set properties = json_remove(json_set(properties, ?2, json_extract(properties, ?3)), ?3)"
            " where object_type = ?1 and json_extract(properties, ?3) is not null",
            (fault.object_type, f'$."{fault.to}"', f'$."{fault.property}"'),
        )
        writer.log("define", fault.object_type, f"property:{fault.to}", "", None, json.dumps(new))
    store.forget_cache()


def _define(store: Store, fault: _Property, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    found = store.definitions(fault.object_type).get(fault.property)
    if found is None:
        raise NightdeskError(
            f"A fault is about the property {fault.object_type}.{fault.property}, which is not there",
            where="fault file",
        )
    with store.writing(PERSON) as writer:
        after = change(found)
        kept = after if after is not None else {**found, "archived": True, "archivedAt": iso(writer.now)}
        store.connection.execute(
            "update properties set archived = ?, definition = ? where object_type = ? and name = ?",
            (int(after is None), json.dumps(kept), fault.object_type, fault.property),
        )
        writer.log(
            "define", fault.object_type, f"property:{fault.property}", "", json.dumps(found),
            None if after is None else json.dumps(after),
        )  # fmt: skip
    store.forget_cache()
