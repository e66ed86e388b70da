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
        crm: The CRM that is written to.
        listed: Our ids (`hubspot:contact:12`) of the people on the suppression list.
        flags: Object types of people: CRM property to the values (lower case) that say no.
        lifted: Our ids for which a person has lifted the no in `policies/suppression.yml`.
        is_erased: Whether one of our ids belongs to a person who was erased; nothing lifts that.
    """

    crm: str = "hubspot"
    listed: frozenset[str] = frozenset()
    flags: Mapping[str, Mapping[str, frozenset[str]]] = field(default_factory=dict[str, "Mapping[str, frozenset[str]]"])
    lifted: frozenset[str] = frozenset()
    is_erased: Callable[[str], bool] = lambda _: False

    def properties(self, object_type: str) -> list[str]:
        """What has to be read of a record besides the fields that are written."""
        return sorted(self.flags.get(object_type, {}))

    def person_of(self, subject_id: str | None) -> str | None:
        """CRM id of the person that an operation on another record (a task) is about, if this CRM holds that person."""
        prefix = f"{self.crm}:contact:"
        return subject_id.removeprefix(prefix) if subject_id and subject_id.startswith(prefix) else None

    def refusal(
        self, object_type: str, record_id: str, found: CrmRecord | None, subject_id: str | None = None
    ) -> str | None:
        """Why nothing may be written to this record, or None. A merged contact's no binds the survivor and back."""
        ids: set[str] = {subject_id} if subject_id else set()
        if object_type in self.flags:
            ids |= {f"{self.crm}:contact:{one}" for one in (record_id, found.id if found else record_id)}
        if any(self.is_erased(one) for one in ids):
            return "the person was erased"
        if ids & self.lifted:
            return None
        if ids & self.listed:
            return "the person opted out since the plan was made (suppression list)"
        return self.flagged(object_type, found)

    def flagged(self, object_type: str, found: CrmRecord | None) -> str | None:
        """Why a person's own record in the CRM says no, or None."""
        for name, values in self.flags.get(object_type, {}).items():
            if found and (found.values.get(name) or "").strip().casefold() in values:
                return f"the person opted out since the plan was made ({name} in the CRM)"
        return None


def of_now(con: duckdb.DuckDBPyConnection, crm: str, policy: Policy) -> Consent:
    """The suppression list as it is now, and the flags of `policies/suppression.yml` or of the CRM's mapping."""
    flags: dict[str, dict[str, frozenset[str]]] = {
        object_type: {name: frozenset(value.casefold() for value in values) for name, values in said.items()}
        for object_type, said in policy.mapping(crm).people.items()
    }
    if crm == "hubspot":
        contacts = flags.setdefault(CONTACTS, {})
        for source in policy.suppression.sources:
            if source.source == "contact_property" and source.property:
                contacts[source.property] = frozenset({"true"})
            elif source.source == "lead_status":
                contacts[LEAD_STATUS] = frozenset(value.casefold() for value in source.values)
    stones = tombstones.read(con)
    listed = con.execute("select distinct contact_id from suppression").fetchall()
    return Consent(
        crm,
        frozenset(str(row[0]) for row in listed),
        flags,
        frozenset(
            item.contact_id if ":" in item.contact_id else f"hubspot:contact:{item.contact_id}"
            for item in policy.suppression.lifted
        ),
        (lambda one: one.split(":")[1:2] in (["contact"], ["lead"]) and stones.has("contact", one.rpartition(":")[2]))
        if stones
        else lambda _: False,
    )
