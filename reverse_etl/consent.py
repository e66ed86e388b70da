"""Who has said no by now: the last look before a write, because a plan may be days old and a no counts at once.

The plan knows the opt-outs of its night. What was heard since is on the ledger's suppression list, or stands in the
CRM on the contact itself; both are looked at again for every contact that is about to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightdesk.erasure import tombstones

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from reverse_etl.crms.protocol import CrmRecord

CONTACTS = "contacts"
LEAD_STATUS = "hs_lead_status"


@dataclass(frozen=True, slots=True)
class Consent:
    """What counts as a no.

    Attributes:
        listed: CRM ids of contacts on the suppression list.
        flags: CRM property to the values (lower case) that say no.
        lifted: CRM ids for which a person has lifted the no in `policies/suppression.yml`.
        is_erased: Whether a CRM id belongs to a person who was erased; nothing lifts that.
    """

    listed: frozenset[str] = frozenset()
    flags: Mapping[str, frozenset[str]] = field(default_factory=dict[str, "frozenset[str]"])
    lifted: frozenset[str] = frozenset()
    is_erased: Callable[[str], bool] = lambda _: False

    def properties(self, object_type: str) -> list[str]:
        """What has to be read of a record besides the fields that are written."""
        return sorted(self.flags) if object_type == CONTACTS else []

    def refusal(self, object_type: str, record_id: str, found: CrmRecord | None) -> str | None:
        """Why nothing may be written to this record, or None. A merged contact's no binds the survivor and back."""
        if object_type != CONTACTS:
            return None
        ids = {record_id, found.id if found else record_id}
        if any(self.is_erased(one) for one in ids):
            return "the person was erased"
        if ids & self.lifted:
            return None
        if ids & self.listed:
            return "the person opted out since the plan was made (suppression list)"
        for name, values in self.flags.items():
            if found and (found.values.get(name) or "").strip().casefold() in values:
                return f"the person opted out since the plan was made ({name} in the CRM)"
        return None


def of_now(con: duckdb.DuckDBPyConnection, crm: str, policy: Policy) -> Consent:
    """The suppression list as it is now, and the flags of `policies/suppression.yml`."""
    flags: dict[str, frozenset[str]] = {}
    for source in policy.suppression.sources:
        if source.source == "contact_property" and source.property:
            flags[source.property] = frozenset({"true"})
        elif source.source == "lead_status":
            flags[LEAD_STATUS] = frozenset(value.casefold() for value in source.values)
    prefix = f"{crm}:contact:"
    stones = tombstones.read(con)
    listed = con.execute("select distinct contact_id from suppression").fetchall()
    return Consent(
        frozenset(str(row[0]).removeprefix(prefix) for row in listed),
        flags,
        frozenset(item.contact_id.removeprefix(prefix) for item in policy.suppression.lifted),
        (lambda one: stones.has("contact", one)) if stones else lambda _: False,
    )
