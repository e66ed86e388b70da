"""Which records of an object were deleted or changed in a span of time, as data replication asks for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sandbox.salesforce import catalog
from sandbox.salesforce.call import Call, Reply
from sandbox.salesforce.errors import SalesforceError
from sandbox.salesforce.values import stamp

BACK = timedelta(days=30)


def deleted(call: Call) -> Reply:
    """Records deleted in the span, merged ones too, with when; those removed for good from the bin are told as long."""
    start, end = _span(call)
    object_type = call.params["object"]
    rows = call.store.where(
        "object = ? and is_deleted = 1 and modified_at >= ? and modified_at < ?",
        [object_type, stamp(start), stamp(end)],
    )
    found = [{"id": row.id, "deletedDate": row.modified_at} for row in rows]
    found += [
        {"id": str(record_id), "deletedDate": str(at)}
        for record_id, at in call.store.connection.execute(
            "select id, deleted_at from purged where object = ? and deleted_at >= ? and deleted_at < ? order by id",
            (object_type, stamp(start), stamp(end)),
        )
    ]
    earliest = call.store.meta(f"purged {object_type}") or stamp(call.store.clock.now() - BACK)
    covered = {"earliestDateAvailable": earliest, "latestDateCovered": stamp(end)}
    return Reply(200, {"deletedRecords": found, **covered})


def updated(call: Call) -> Reply:
    """Ids of records made or changed in the span."""
    start, end = _span(call)
    rows = call.store.connection.execute(
        "select id from records where object = ? and is_deleted = 0 and modified_at >= ? and modified_at < ?"
        " order by id",
        (call.params["object"], stamp(start), stamp(end)),
    )
    return Reply(200, {"ids": [str(i) for (i,) in rows], "latestDateCovered": stamp(end)})


def _span(call: Call) -> tuple[datetime, datetime]:
    """The span asked for; seconds do not count."""
    if not call.store.has(call.params["object"]):
        raise SalesforceError("NOT_FOUND", "The requested resource does not exist", status=404)
    if call.params["object"] not in catalog.REPLICATED:
        raise SalesforceError("INVALID_TYPE", f"sObject type {call.params['object']} is not replicable")
    start, end = (_moment(call, name) for name in ("start", "end"))
    if end - start < timedelta(minutes=1):
        raise SalesforceError("INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than startDate")
    if start < call.store.clock.now() - BACK:
        raise SalesforceError("INVALID_REPLICATION_DATE", "startDate cannot be more than 30 days ago")
    return start, end


def _moment(call: Call, name: str) -> datetime:
    text = call.query.get(name, "").replace(" ", "+")  # an offset's plus that nobody encoded
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SalesforceError("INVALID_REPLICATION_DATE", f"{name} is not a date and time") from error
    return moment.replace(second=0, microsecond=0, tzinfo=moment.tzinfo or UTC)
