"""What happens to whole records: the recycle bin and out of it again, merges, conversions, and the end for good."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.salesforce import catalog, derived, ids
from sandbox.salesforce.errors import SalesforceError
from sandbox.salesforce.store import Row, Store

if TYPE_CHECKING:
    from sandbox.salesforce.saving import Saver

_SAME_NAME = (
    "Salutation", "FirstName", "LastName", "Title", "Email", "Phone", "MobilePhone", "Fax", "LeadSource", "Description",
    "HasOptedOutOfEmail", "OwnerId", "CurrencyIsoCode",
)  # fmt: skip
_OTHER_NAME = {"Street": "MailingStreet", "City": "MailingCity", "State": "MailingState",
               "PostalCode": "MailingPostalCode", "Country": "MailingCountry"}  # fmt: skip
_ACCOUNT = {"Company": "Name", "Website": "Website", "Industry": "Industry", "AnnualRevenue": "AnnualRevenue",
            "NumberOfEmployees": "NumberOfEmployees", "City": "BillingCity", "Country": "BillingCountry",
            "OwnerId": "OwnerId", "CurrencyIsoCode": "CurrencyIsoCode"}  # fmt: skip


def delete(saver: Saver, row: Row) -> None:
    """Into the recycle bin, with what hangs on it."""
    _into_the_bin(saver, row, row.id)


def _into_the_bin(saver: Saver, row: Row, root: str) -> None:
    row.is_deleted, row.modified_at, row.modified_by = True, saver.now, saver.user
    saver.store.put(row)
    saver.store.connection.execute("insert or replace into bin values (?, ?, ?)", (row.object, row.id, root))
    saver.journal("delete", row)
    for child, field in catalog.CASCADES.get(row.object, ()):
        for one in derived.children(saver.store, child, field, row.id):
            if not one.is_deleted:
                _into_the_bin(saver, one, root)


def undelete(saver: Saver, object_type: str, record_id: str) -> None:
    """Out of the bin, with everything that went in at the same stroke."""
    row = saver.store.get(object_type, record_id)
    if row is None or not row.is_deleted:
        raise SalesforceError("UNDELETE_FAILED", "entity is not in the recycle bin")
    if row.master_id:
        raise SalesforceError("UNDELETE_FAILED", "a record that was merged away cannot be undeleted")
    together = saver.store.connection.execute("select object, id from bin where root = ?", (row.id,)).fetchall()
    for kind, one in together or [(object_type, row.id)]:
        back = saver.store.get(kind, one)
        if back is not None and back.is_deleted and not back.master_id:
            back.is_deleted, back.modified_at, back.modified_by = False, saver.now, saver.user
            saver.store.put(back)
            saver.journal("undelete", back)
    saver.store.connection.execute("delete from bin where root = ?", (row.id,))


def merge(saver: Saver, keeps: Row, goes: Row) -> None:
    """The loser into the bin for ever, and what hung on it onto the master."""
    if keeps.object not in catalog.MERGEABLE or keeps.id == goes.id:
        raise SalesforceError("INVALID_OPERATION", "these records cannot be merged")
    move(saver, goes.object, goes.id, keeps.id)
    goes.is_deleted, goes.master_id, goes.modified_at, goes.modified_by = True, keeps.id, saver.now, saver.user
    keeps.modified_at, keeps.modified_by = saver.now, saver.user
    saver.store.put(goes)
    saver.store.put(keeps)
    saver.journal("merge", goes, None, None, keeps.id)
    saver.note(keeps, f"{keeps.object.lower()}Merged")


def move(saver: Saver, object_type: str, old: str, new: str) -> None:
    """Everything that points to one record points to another."""
    for child, field in catalog.references_to(object_type):
        for one in derived.children(saver.store, child, field, old):
            if one.id != new:
                saver.touch(one, {field: new} | _with_it(saver, one, {field: new}), "move")


def _with_it(saver: Saver, row: Row, values: dict[str, Any]) -> dict[str, Any]:
    """What else changes on a record whose link moves."""
    return derived.of(saver.store, row, values, saver.now) if row.object == "EmailMessageRelation" else {}


def convert(saver: Saver, lead: Row, deal: str = "") -> tuple[str, str]:
    """A lead becomes an account, a contact and perhaps an opportunity; what hung on it goes to them."""
    store = saver.store
    if lead.values.get("IsConverted"):
        raise SalesforceError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    read = lead.values.get
    account = _made(saver, "Account", {field: read(name) for name, field in _ACCOUNT.items()})
    person = {name: read(name) for name in _SAME_NAME} | {field: read(name) for name, field in _OTHER_NAME.items()}
    known = store.fields("Contact")
    person |= {name: value for name, value in lead.values.items() if name.endswith("__c") and name in known}
    contact = _made(saver, "Contact", {**person, "AccountId": account})
    opportunity = None
    if deal:
        first = next(iter(store.fields("Opportunity")["StageName"].options))
        opportunity = _made(saver, "Opportunity", {"Name": deal, "AccountId": account, "StageName": first,
                                                   "CloseDate": saver.now[:10], "OwnerId": read("OwnerId"),
                                                   "CurrencyIsoCode": read("CurrencyIsoCode")})  # fmt: skip
        _made(saver, "OpportunityContactRole",
              {"OpportunityId": opportunity, "ContactId": contact, "IsPrimary": True})  # fmt: skip
    what = opportunity or account
    for child, field in catalog.references_to("Lead"):
        for one in derived.children(store, child, field, lead.id):
            about = {"WhatId": what, "AccountId": account} if child in ("Task", "Event") else {}
            saver.touch(one, {field: contact, **about} | _with_it(saver, one, {field: contact}), "move")
    saver.touch(lead, {
        "IsConverted": True, "ConvertedDate": saver.now[:10], "ConvertedContactId": contact,
        "ConvertedAccountId": account, "ConvertedOpportunityId": opportunity, "Status": _converted_status(store),
    }, "convert")  # fmt: skip
    saver.note(lead, "leadConverted")
    return account, contact


def _converted_status(store: Store) -> str:
    return next(str(row.values["ApiName"]) for row in store.all("LeadStatus") if row.values.get("IsConverted"))


def _made(saver: Saver, object_type: str, values: dict[str, Any]) -> str:
    kept = {name: value for name, value in values.items() if value is not None}
    record_id = saver.store.insert(object_type, {}, user=saver.user)
    row = saver.store.get(object_type, record_id)
    assert row is not None
    saver.journal("create", row)
    saver.touch(row, kept | derived.of(saver.store, row, kept, saver.now), "convert")
    derived.follow(saver.store, row, {}, saver.user, saver.now)
    return record_id


def series(saver: Saver, values: dict[str, Any], starts: Sequence[str]) -> tuple[str, list[str]]:
    """An event that comes again: a record for the series, which is no meeting itself, and one for each time.

    Args:
        saver: Who arranges it.
        values: What all of them share, `DurationInMinutes` among it.
        starts: When each of them starts.

    Returns:
        The id of the series and those of the events.
    """
    rule = {"IsRecurrence": True, "RecurrenceType": "RecursWeekly", "RecurrenceInterval": 1,
            "RecurrenceStartDateTime": starts[0], "RecurrenceEndDateOnly": starts[-1][:10],
            "RecurrenceTimeZoneSidKey": "GMT"}  # fmt: skip
    master = saver.create("Event", {**values, **rule, "StartDateTime": starts[0]})
    events: list[str] = []
    for start in starts:
        record_id = saver.create("Event", {**values, "StartDateTime": start})
        row = saver.store.get("Event", record_id)
        assert row is not None
        saver.touch(row, {"RecurrenceActivityId": master})
        events.append(record_id)
    return master, events


def erase(store: Store, object_type: str, record_ids: Iterable[str], now: str) -> int:
    """Empty these records out of the bin, with what went in with them: no query finds them again. Returns how many
    records are gone."""
    gone = 0
    for record_id in record_ids:
        row = store.get(object_type, ids.long(record_id))
        if row is None or not row.is_deleted:
            raise SalesforceError("INVALID_ID_FIELD", "the record is not in the recycle bin")
        together = store.connection.execute("select object, id from bin where root = ?", (row.id,)).fetchall()
        for kind, one in {(object_type, row.id), *((str(k), str(i)) for k, i in together)}:
            found = store.get(kind, one)
            if found is None:
                continue
            store.connection.execute(
                "insert or replace into purged values (?, ?, ?, ?)", (kind, one, found.modified_at, now)
            )
            store.purge(kind, [one])
            store.connection.execute("delete from history where object = ? and record_id = ?", (kind, one))
            store.connection.execute("delete from bin where object = ? and id = ?", (kind, one))
            store.set_meta(f"purged {kind}", now)
            gone += 1
    return gone
