"""What an administrator sets up: opportunity stages, lead statuses, picklists, record types, currencies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.salesforce import objects
from sandbox.salesforce.catalog import Field

if TYPE_CHECKING:
    from sandbox.salesforce.store import Store


@dataclass(frozen=True, slots=True)
class Value:
    """One picklist value. Renaming in Salesforce changes the label; the value stays, unless it is replaced."""

    value: str
    label: str = ""
    active: bool = True
    default: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage an opportunity can be in; `probability` in per cent."""

    value: str
    label: str
    probability: int
    closed: bool = False
    won: bool = False
    active: bool = True

    @property
    def forecast(self) -> str:
        """The forecast category such a stage has."""
        return "Closed" if self.won else "Omitted" if self.closed else "Pipeline"


def standard(store: Store) -> None:
    """What a new org has: ten stages and four lead statuses."""
    stages(store, [Stage(label, label, chance, closed, won) for label, closed, won, _, chance in objects.STAGES])
    user = store.user("dana")
    for number, label in enumerate(objects.PICKLISTS["Lead.Status"], 1):
        store.insert(
            "LeadStatus",
            {"MasterLabel": label, "ApiName": label, "SortOrder": number, "IsDefault": number == 1,
             "IsConverted": label == "Closed - Converted"},
            user=user,
        )  # fmt: skip


def stages(store: Store, wanted: Sequence[Stage], *, retire: bool = True) -> None:
    """Replace the stages of this org. The ones it had before become inactive and stay on records; without `retire`
    they are deleted, which is possible while no opportunity has them."""
    user, new = store.user("dana"), {one.value for one in wanted}
    for row in store.all("OpportunityStage"):
        if row.values["ApiName"] in new or not retire:
            store.purge("OpportunityStage", [row.id])
        else:
            store.put(replace(row, values=row.values | {"IsActive": False}, modified_at=store.now()))
    for number, one in enumerate(wanted, 1):
        values = {
            "MasterLabel": one.label, "ApiName": one.value, "IsActive": one.active, "SortOrder": number,
            "IsClosed": one.closed, "IsWon": one.won, "ForecastCategory": one.forecast,
            "ForecastCategoryName": one.forecast, "DefaultProbability": one.probability,
        }  # fmt: skip
        store.insert("OpportunityStage", values, user=user)
    picklist(store, "Opportunity", "StageName", [Value(one.value, one.label, one.active) for one in wanted])


def stage_of(store: Store, value: str) -> Mapping[str, Any] | None:
    """What is known of a stage, under the names `OpportunityStage` has."""
    return next((row.values for row in store.all("OpportunityStage") if row.values["ApiName"] == value), None)


def picklist(store: Store, object_type: str, field: str, values: Sequence[Value]) -> None:
    """Replace a standard picklist's values; those left out are there no more, not even as inactive ones."""
    rows = [[one.value, one.label or one.value, one.active, one.default] for one in values]
    store.connection.execute(
        "insert or replace into picklists values (?, ?, ?)", (object_type, field, json.dumps(rows))
    )
    store.forget()


def rename(store: Store, object_type: str, field: str, old: str, *, label: str, value: str = "") -> None:
    """Rename a picklist value. With another label alone no record changes; with another value the records that have
    it get the new one, and so the stamps of now.

    Raises:
        KeyError: There is no such field or value.
    """
    one = store.fields(object_type)[field]
    if old not in (*one.options, *one.inactive):
        raise KeyError(old)
    new = value or old
    if one.custom:
        _rename_custom(store, object_type, field, old, new, label)
    else:
        labels = {**dict(one.labels), old: label}
        listed = [(each, True) for each in one.options] + [(each, False) for each in one.inactive]
        picklist(store, object_type, field, [
            Value(new if each == old else each, labels.get(each, each), active, each == one.default)
            for each, active in listed
        ])  # fmt: skip
    for name, key in (("OpportunityStage", "Opportunity.StageName"), ("LeadStatus", "Lead.Status")):
        for row in store.all(name) if key == f"{object_type}.{field}" else ():
            if row.values["ApiName"] == old:
                values = row.values | {"ApiName": new, "MasterLabel": label}
                store.put(replace(row, values=values, modified_at=store.now()))
    if new != old:
        condition = "object = ? and json_extract(body, ?) = ?"
        for row in store.where(condition, [object_type, f"$.{field}", old]):
            store.put(replace(row, values=row.values | {field: new}, modified_at=store.now()))


def _rename_custom(store: Store, object_type: str, field: str, old: str, new: str, label: str) -> None:
    (text,) = store.connection.execute(
        "select metadata from custom_fields where object = ? and name = ?", (object_type, field)
    ).fetchone()
    metadata = json.loads(text)
    for one in metadata["valueSet"]["valueSetDefinition"]["value"]:
        if one["fullName"] == old:
            one |= {"fullName": new, "label": label}
    store.put_custom_field(object_type, field, metadata)


def with_values(field: Field, rows: Sequence[Sequence[Any]]) -> Field:
    """The field with the values an administrator gave it."""
    return replace(
        field,
        options=tuple(value for value, _, active, _ in rows if active),
        inactive=tuple(value for value, _, active, _ in rows if not active),
        labels=tuple((value, label) for value, label, _, _ in rows),
        default=next((value for value, _, _, default in rows if default), field.default),
    )


def record_type(
    store: Store, object_type: str, developer_name: str, name: str, values: Mapping[str, Sequence[str]]
) -> str:
    """A record type: a kind of records with picklist values of its own (`{field: values}`). Returns its id."""
    row = {"Name": name, "DeveloperName": developer_name, "SobjectType": object_type, "IsActive": True}
    record_id = store.insert("RecordType", row, user=store.user("dana"))
    store.set_meta(f"record type {record_id}", json.dumps({key: list(chosen) for key, chosen in values.items()}))
    return record_id


def show(store: Store, name: str, fields: Mapping[str, Sequence[str]], *, edit: bool = False) -> None:
    """A permission set of this name that lets the integration user see these fields, by object."""
    user = store.user("dana")
    parent = store.insert("PermissionSet", {"Name": name, "Label": name.replace("_", " ")}, user=user)
    link = {"AssigneeId": store.user("integration"), "PermissionSetId": parent}
    store.insert("PermissionSetAssignment", link, user=user)
    for object_type, names in fields.items():
        for field in names:
            right = {"ParentId": parent, "SobjectType": object_type, "Field": f"{object_type}.{field}",
                     "PermissionsRead": True, "PermissionsEdit": edit}  # fmt: skip
            store.insert("FieldPermissions", right, user=user)


def currencies(store: Store, corporate: str, rates: Mapping[str, float]) -> None:
    """Switch several currencies on; `rates` are units of a currency for one of the corporate one. Cannot be undone."""
    user = store.user("dana")
    known = {corporate: 1.0, **rates}
    store.set_meta("currency", json.dumps({"corporate": corporate, "codes": list(known)}))
    for code, rate in known.items():
        values = {"IsoCode": code, "ConversionRate": rate, "DecimalPlaces": 2, "IsActive": True,
                  "IsCorporate": code == corporate}  # fmt: skip
        store.insert("CurrencyType", values, user=user)


def dated_rate(store: Store, code: str, start: str, rate: float) -> None:
    """A rate that holds from a day on; the one before ends there."""
    user = store.user("dana")
    earlier = [r for r in store.all("DatedConversionRate") if r.values["IsoCode"] == code]
    for row in earlier:
        if row.values["StartDate"] < start and row.values.get("NextStartDate", "9999-12-31") > start:
            store.put(replace(row, values=row.values | {"NextStartDate": start}, modified_at=store.now()))
    values = {"IsoCode": code, "StartDate": start, "NextStartDate": "9999-12-31", "ConversionRate": rate}
    store.insert("DatedConversionRate", values, user=user)
