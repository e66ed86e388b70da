"""Fields the org fills by itself when others are written, and the rows it adds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sandbox.salesforce import catalog, setup
from sandbox.salesforce.store import Row, Store
from sandbox.salesforce.values import stamp

_SNAPSHOT = ("StageName", "Amount", "CloseDate", "Probability", "ForecastCategory")

_TIMES = frozenset({"StartDateTime", "ActivityDateTime", "EndDateTime", "DurationInMinutes"})


def of(store: Store, row: Row, values: Mapping[str, Any], now: str) -> dict[str, Any]:
    """What follows for the record itself from the values it is about to get.

    Args:
        store: The org's data.
        row: The record as it is.
        values: What is written.
        now: The second it happens in.
    """
    match row.object:
        case "Opportunity":
            return _opportunity(store, row, values, now)
        case "Task":
            return _task(store, row, values, now)
        case "Event":
            return _event(store, row, values)
        case "EmailMessageRelation" if "RelationId" in values:
            return {"RelationObjectType": catalog.OBJECT_OF_PREFIX.get((values["RelationId"] or "")[:3])}
        case _:
            return {}


def _opportunity(store: Store, row: Row, values: Mapping[str, Any], now: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    stage_name = values.get("StageName")
    if stage_name and stage_name != row.values.get("StageName"):
        stage = setup.stage_of(store, stage_name) or {}
        found |= {"IsClosed": stage.get("IsClosed", False), "IsWon": stage.get("IsWon", False),
                  "ForecastCategory": stage.get("ForecastCategory"), "LastStageChangeDate": now}  # fmt: skip
        if "Probability" not in values:
            found["Probability"] = stage.get("DefaultProbability")
    amount = values.get("Amount", row.values.get("Amount"))
    chance = values.get("Probability", found.get("Probability", row.values.get("Probability")))
    if amount is not None and chance is not None:
        found["ExpectedRevenue"] = round(float(amount) * float(chance) / 100, 2)
    return found


def _task(store: Store, row: Row, values: Mapping[str, Any], now: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "Status" in values:
        closed = values["Status"] == "Completed"
        found["IsClosed"] = closed
        if closed and not row.values.get("IsClosed"):
            found["CompletedDateTime"] = now
        elif not closed and row.values.get("CompletedDateTime"):
            found["CompletedDateTime"] = None
    if "Priority" in values:
        found["IsHighPriority"] = values["Priority"] == "High"
    return found | _account(store, row, values)


def _event(store: Store, row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
    found = _account(store, row, values)
    start = values.get("StartDateTime") or values.get("ActivityDateTime") or row.values.get("StartDateTime")
    if not start or not values.keys() & _TIMES:
        return found
    found |= {"StartDateTime": start, "ActivityDateTime": start, "ActivityDate": start[:10]}
    end, minutes = values.get("EndDateTime"), values.get("DurationInMinutes")
    if end is None and minutes is None:
        minutes = row.values.get("DurationInMinutes")
    if end is not None:
        span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
        found |= {"EndDateTime": end, "EndDate": end[:10], "DurationInMinutes": int(span.total_seconds() // 60)}
    elif minutes is not None:
        end = stamp(datetime.fromisoformat(start) + timedelta(minutes=minutes))
        found |= {"EndDateTime": end, "EndDate": end[:10], "DurationInMinutes": minutes}
    return found


def _account(store: Store, row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
    if "WhoId" not in values and "WhatId" not in values:
        return {}
    after = {**row.values, **values}
    return {"AccountId": account_of(store, after.get("WhoId"), after.get("WhatId"))}


def account_of(store: Store, who: str | None, what: str | None) -> str | None:
    """The account of an activity: of the record it is about, else of the person."""
    if what and what.startswith("001"):
        return what
    for object_type, record_id in (("Opportunity", what), ("Contact", who)):
        if record_id and record_id.startswith({"Opportunity": "006", "Contact": "003"}[object_type]):
            row = store.get(object_type, record_id)
            if row is not None and row.values.get("AccountId"):
                return str(row.values["AccountId"])
    return None


def follow(store: Store, row: Row, before: Mapping[str, Any], user: str, now: str) -> None:
    """The rows the org adds once a record was written: snapshots of opportunities, the people of activities."""
    if row.object == "Opportunity" and any(before.get(name) != row.values.get(name) for name in _SNAPSHOT):
        values = {name: row.values.get(name) for name in (*_SNAPSHOT, "ExpectedRevenue", "CurrencyIsoCode")}
        kept = {name: value for name, value in values.items() if value is not None}
        record_id = store.new_id("OpportunityHistory")
        store.put(Row("OpportunityHistory", record_id, {**kept, "OpportunityId": row.id}, now, user, now, user))
    if row.object in ("Task", "Event") and before.get("WhoId") != row.values.get("WhoId"):
        _person(store, row, before.get("WhoId"), row.values.get("WhoId"), user, now)


def _person(store: Store, row: Row, old: str | None, new: str | None, user: str, now: str) -> None:
    relation, link = f"{row.object}Relation", f"{row.object}Id"
    listed = [one for one in children(store, relation, link, row.id) if not one.is_deleted]
    gone = [one for one in listed if one.values.get("RelationId") == old and old]
    for one in gone:
        one.is_deleted, one.modified_at, one.modified_by = True, now, user
        store.put(one)
    if new and not any(one.values.get("RelationId") == new for one in listed):
        values = {link: row.id, "RelationId": new, "IsWhat": False, "AccountId": account_of(store, new, None)}
        values |= {"IsParent": True, "IsInvitee": False} if row.object == "Event" else {}
        kept = {name: value for name, value in values.items() if value is not None}
        store.put(Row(relation, store.new_id(relation), kept, now, user, now, user))


def children(store: Store, object_type: str, field: str, parent: str) -> list[Row]:
    """Records that point to another one by this field, deleted ones too."""
    return store.where("object = ? and json_extract(body, ?) = ?", [object_type, f"$.{field}", parent])
