"""Who changed a field of a record last, from Tryton's log of modifications (`ir.model.log`), which it keeps by itself.

The log names user, time and fields of every write that came through its API or clients; not the values. What code
inside Tryton changes (a scheduled task, another module) is not logged; the record's own stamp is then newer than its
log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from reverse_etl.crms.http import RequestRefused
from reverse_etl.crms.protocol import Change
from reverse_etl.crms.tryton.wire import moment

if TYPE_CHECKING:
    from reverse_etl.crms.tryton.client import TrytonClient

_MOST = 2000
# The log entry of a write is stored at the end of its transaction, the record's stamp within it.
_SAME_WRITE = timedelta(seconds=2)


def read_log(client: TrytonClient, object_type: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Log entries of modifications of some records, newest first; none where our user may not read the log."""
    resources = [f"{object_type},{number}" for number in numbers]
    domain = [["resource", "in", resources], ["event", "=", "write"]]
    order = [["create_date", "DESC"], ["id", "DESC"]]
    names = ["create_date", "target", "user", "resource"]
    try:
        found = client.call("model.ir.model.log.search_read", domain, 0, _MOST, order, names)
    except RequestRefused:
        return []
    return cast("list[dict[str, Any]]", found)


def names_of_users(client: TrytonClient, entries: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """Names of the users in log entries; where our user may not read them, their ids."""
    ids = sorted({int(entry["user"]) for entry in entries if entry.get("user") is not None})
    names = {user: str(user) for user in ids}
    try:
        rows = client.call(
            "model.res.user.search_read",
            [["id", "in", ids]],
            0,
            None,
            None,
            ["rec_name"],
            context={"active_test": False},
        )
    except RequestRefused:
        return names
    return {**names, **{int(row["id"]): str(row["rec_name"]) for row in cast("list[dict[str, Any]]", rows)}}


def newest(
    name: str,
    value: str | None,
    log: Sequence[Mapping[str, Any]],
    row: Mapping[str, Any],
    users: Mapping[int, str],
    us: int,
) -> tuple[Change, ...]:
    """The newest change of one field of one record, or nothing when it was never changed.

    Args:
        name: The field.
        value: Its value now.
        log: The record's log entries, newest first.
        row: The record, with its stamps.
        users: Names by id.
        us: The id of our own user.
    """

    def change(source: str, at: Mapping[str, Any] | None, user: Any, *, known: bool) -> Change:
        person = user is not None and int(user) not in (0, us)
        return Change(
            value=value or "",
            changed_at=moment(dict(at)).isoformat().replace("+00:00", "Z") if at else "",
            source=source,
            user=users.get(int(user), str(user)) if user is not None else "",
            by_person=known and person,
        )

    stamp = row.get("write_date")
    logged = log[0]["create_date"] if log else None
    if stamp and (logged is None or moment(stamp) - moment(dict(logged)) > _SAME_WRITE):
        # Something changed the record without a log entry, or our user cannot see the log: a person only if they are
        # named and there is no log to say otherwise.
        return (change("record changed", stamp, row.get("write_uid"), known=logged is None),)
    for entry in log:
        if name in str(entry.get("target") or "").split(","):
            return (change("field changed", entry["create_date"], entry.get("user"), known=True),)
    if value:
        return (change("record created", row.get("create_date"), row.get("create_uid"), known=True),)
    return ()
