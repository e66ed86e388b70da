"""What the Salesforce tests share: an org with a few records and the fields we need, and a way in without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trustme

from reverse_etl.crms.salesforce import SalesforceAdapter, SalesforceClient
from sandbox.crm.clock import ManualClock
from sandbox.salesforce.app import Api, Options
from sandbox.salesforce.saving import Origin, Saver
from sandbox.salesforce.store import Store
from sandbox.virtual import InProcess, VirtualTime

NOW = datetime(2026, 11, 17, 6, 0, tzinfo=UTC)
TEXT = {"type": "LongTextArea", "length": 32768, "visibleLines": 3}
NUMBER = {"type": "Number", "precision": 18, "scale": 4}


def picklist(*options: str) -> dict[str, Any]:
    """A restricted picklist's metadata."""
    values = [{"fullName": one, "label": one, "default": False} for one in options]
    return {"type": "Picklist", "valueSet": {"restricted": True, "valueSetDefinition": {"value": values}}}


FIELDS: dict[str, Mapping[str, Any]] = {
    "Nightdesk_Lead_Score__c": NUMBER,
    "Nightdesk_Lead_Tier__c": picklist("A", "B", "C", "D"),
    "Nightdesk_Lead_Reason__c": TEXT,
    "Nightdesk_Lead_Scored_On__c": {"type": "Date"},
    "Nightdesk_Is_Fit__c": {"type": "Checkbox", "defaultValue": "false"},
    "Nightdesk_Lead_Evidence__c": TEXT,
    "Nightdesk_Lead_Seen__c": {"type": "DateTime"},
}


@dataclass
class Org:
    """An org, its ids by object, and the clock everything runs on."""

    store: Store
    api: Api
    clock: VirtualTime
    ids: dict[str, list[str]]

    @property
    def waited(self) -> list[float]:
        return self.clock.waited

    @property
    def me(self) -> str:
        return self.store.user("integration")

    def edit(self, object_type: str, record_id: str, values: Mapping[str, Any], by: str = "dana") -> None:
        """Change a record as a person does, a second later."""
        self.clock.advance(1)
        with self.store.transaction():
            self.saver(by).update(object_type, record_id, dict(values))

    def saver(self, by: str = "dana") -> Saver:
        return Saver(self.store, self.api.state.org, Origin(self.store.user(by)))

    def value(self, object_type: str, record_id: str, name: str) -> Any:
        row = self.store.get(object_type, record_id)
        return row.get(name) if row else None

    def written(self, **where: str) -> list[tuple[str, str, Any]]:
        """What the integration user wrote: (record, field, value), in order."""
        rows = self.store.journal(user_id=self.me, **where)
        return [(row["record_id"], row["field"], row["after"]) for row in rows if row["action"] == "set"]


def prepare(path: Path, *, contacts: int = 5, accounts: int = 2, leads: int = 2, fields: bool = True) -> dict[str, Any]:
    """Make an org's file; returns the ids by object."""
    store = Store.create(path, clock=ManualClock(NOW))
    made = {"Account": store.seed("Account", [{"Name": f"Company {n}"} for n in range(accounts)])}
    people = [
        {"LastName": f"Person {n}", "Email": f"p{n}@example.com", "AccountId": made["Account"][n % accounts]}
        for n in range(contacts)
    ]
    made["Contact"] = store.seed("Contact", people)
    made["Lead"] = store.seed(
        "Lead",
        [{"LastName": f"Lead {n}", "Company": f"New {n}", "Status": "Open - Not Contacted"} for n in range(leads)],
    )
    if fields:
        add_fields(store)
    store.close()
    return made


def add_fields(store: Store) -> None:
    """Our fields, and the permission set that shows them to the integration user."""
    admin = store.user("dana")
    with store.transaction():
        parent = store.insert("PermissionSet", {"Name": "Nightdesk", "Label": "Nightdesk"}, user=admin)
        user = store.user("integration")
        store.insert("PermissionSetAssignment", {"AssigneeId": user, "PermissionSetId": parent}, user=admin)
        for object_type in ("Contact", "Lead", "Account"):
            for name, metadata in FIELDS.items():
                store.put_custom_field(object_type, name, {"label": name, **metadata})
                right = {"ParentId": parent, "SobjectType": object_type, "Field": f"{object_type}.{name}",
                         "PermissionsRead": True, "PermissionsEdit": True}  # fmt: skip
                store.insert("FieldPermissions", right, user=admin)


@contextmanager
def org(path: Path, ids: dict[str, Any] | None = None, *, options: Options | None = None, **size: Any) -> Iterator[Org]:
    """A running org without a network; made at `path` unless it is there."""
    made = ids if ids is not None else prepare(path, **size)
    clock = VirtualTime(NOW)
    with_store = Store.open(path, clock=clock)
    api = Api(with_store, options or Options())
    try:
        yield Org(with_store, api, clock, made)
    finally:
        with_store.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A server certificate for 127.0.0.1 and the authority that signed it, as PEM files."""
    authority = trustme.CA()
    server, ca = folder / "server.pem", folder / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server))
    authority.cert_pem.write_to_path(str(ca))
    return server, ca


def adapter(org: Org, **options: Any) -> SalesforceAdapter:
    """The real adapter on an org in this thread."""
    client = SalesforceClient(
        "https://org.test", org.api.options.token, transport=InProcess(org.api, org.clock), sleep=org.clock.sleep,
        now=org.clock.monotonic, **options,
    )  # fmt: skip
    return SalesforceAdapter(client, "Nightdesk_")
