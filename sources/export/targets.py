"""Which raw tables of a CRM an export can fill, and under which names its files know tables and columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nightdesk.errors import NightdeskError
from sources.kit.tables import Table


@dataclass(frozen=True, slots=True)
class Target:
    """One raw table.

    Attributes:
        table: The table.
        names: What its files may be called, lower case.
        stamp: The column that says when a record was last changed.
        columns: File's name for a column, lower case -> raw column.
        filled: Raw column -> SQL over a row `new` that fills it where the file has nothing for it.
        required: Columns that a file must have beside the key: who cannot be seen to have opted out is not loaded.
        subject: The kind of tombstone a record has by its id: `contact`, `document:<object type>` or empty.
    """

    table: Table
    names: frozenset[str]
    stamp: str
    columns: Mapping[str, str]
    filled: Mapping[str, str] = field(default_factory=dict[str, str])
    required: tuple[str, ...] = ()
    subject: str = ""


def targets(crm: str, renamed: Mapping[str, str]) -> dict[str, Target]:
    """The tables of a CRM that its exports may fill, by name.

    Args:
        crm: `hubspot` or `salesforce`.
        renamed: `table.column` -> the file's name for it.

    Raises:
        NightdeskError: `renamed` names a column that is not there.
    """
    found = _hubspot(renamed) if crm == "hubspot" else _salesforce(renamed)
    for place in renamed:
        name, _, column = place.partition(".")
        if name not in found or column not in found[name].table.names:
            known = found[name].table.names if name in found else found
            raise NightdeskError(f"`{place}` is no column of {crm}", todo=f"There are {', '.join(known)}.")
    return found


def _known(table: Table, own: Mapping[str, str], renamed: Mapping[str, str]) -> dict[str, str]:
    names = {column: column for column in table.names} | {name.lower(): column for name, column in own.items()}
    chosen = {
        given.lower(): place.partition(".")[2]
        for place, given in renamed.items()
        if place.partition(".")[0] == table.name
    }
    return names | chosen


def _hubspot(renamed: Mapping[str, str]) -> dict[str, Target]:
    from nightdesk.erasure.tombstones import ENGAGEMENTS
    from sources.hubspot.tables import ASSOCIATIONS, OBJECTS, OWNERS

    found: dict[str, Target] = {}
    for kind in OBJECTS:
        own = {"hs_object_id": "id", "record id": "id"}
        created = "createdate" if "createdate" in kind.table.names else "hs_timestamp"
        filled = {"archived": "false", "created_at": f'new."{created}"', "updated_at": f'new."{kind.stamp}"'}
        subject = "contact" if kind.name == "contacts" else f"document:{kind.name}" if kind.name in ENGAGEMENTS else ""
        found[kind.name] = Target(
            kind.table,
            frozenset({kind.name}),
            "updated_at",
            _known(kind.table, own, renamed),
            filled,
            ("hs_email_optout",) if kind.name == "contacts" else (),
            subject,
        )
    for table in (ASSOCIATIONS, OWNERS):
        stamp = "updated_at" if table is OWNERS else ""
        found[table.name] = Target(table, frozenset({table.name}), stamp, _known(table, {}, renamed))
    return found


def _salesforce(renamed: Mapping[str, str]) -> dict[str, Target]:
    from sources.salesforce.tables import OBJECTS

    subjects = {
        "Contact": "contact", "Lead": "contact", "Task": "document:tasks", "Event": "document:meetings",
        "EmailMessage": "document:emails",
    }  # fmt: skip
    found: dict[str, Target] = {}
    for kind in OBJECTS:
        own = {name: column for column, name in (*kind.fields.items(), *kind.customs.items())}
        filled = {"is_deleted": "false"} if "is_deleted" in kind.table.names else {}
        stamp = "system_modstamp" if "system_modstamp" in kind.table.names else ""
        if "id" in kind.table.names:
            found[kind.table.name] = Target(
                kind.table,
                frozenset({kind.table.name, kind.name.lower()}),
                stamp,
                _known(kind.table, own, renamed),
                filled,
                ("has_opted_out_of_email",) if kind.name in ("Contact", "Lead") else (),
                subjects.get(kind.name, ""),
            )
    return found
