"""A company of a dozen records, for tests and examples that need a CRM and not a crowd."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sandbox.crm.clock import Clock
from sandbox.crm.store import Store
from sandbox.records import (
    HistoryEntry,
    SeedAssociation,
    SeedCompany,
    SeedObject,
    SeedOwner,
    SeedPipeline,
    SeedStage,
    SeedUnsubscribe,
)

AS_OF = datetime(2026, 11, 17, tzinfo=UTC)
STAGES = (
    SeedStage("qualified", "Qualified", 0, "0.2", False),
    SeedStage("won", "Closed won", 1, "1.0", True),
    SeedStage("lost", "Closed lost", 2, "0.0", True),
)


def tiny_company(extra_contacts: int = 0) -> SeedCompany:
    """Contacts 101-105 (104 archived, 105 merged into 101), a company, a deal, one activity of each kind.

    Args:
        extra_contacts: More contacts from id 1001 on, one changed every second before `AS_OF`.
    """
    early, late = AS_OF - timedelta(days=300), AS_OF - timedelta(days=2)
    titles = (
        HistoryEntry("Head of Logistics", late, "CRM_UI", "userId:11", "11"),
        HistoryEntry("Analyst", early, "IMPORT"),
    )
    objects = [
        _object("companies", 501, {"name": "Acme Freight", "domain": "acme.example", "industry": "RETAIL"}),
        SeedObject(
            "contacts", "101",
            {
                "email": "dana@acme.example", "firstname": "Dana", "lastname": "Reyes", "jobtitle": "Head of Logistics",
                "lifecyclestage": "lead", "hubspot_owner_id": "1", "hs_merged_object_ids": "105",
            },
            early, late, {"jobtitle": titles},
        ),
        _object("contacts", 102, {"email": "ng@acme.example", "firstname": "<b>Kim</b>", "lastname": "Ng"}),
        _object("contacts", 103, {"email": "lee@acme.example", "firstname": "Bo", "lastname": "Lee", **_CFO}),
        SeedObject("contacts", "104", {"email": "gone@acme.example"}, early, late, archived_at=late),
        SeedObject("contacts", "105", {"email": "dana.old@acme.example"}, early, late, merged_into="101"),
        _object(
            "deals", 301,
            {"dealname": "Rollout", "amount": "48000.00", "pipeline": "default", "dealstage": "qualified"},
        ),
        _object("emails", 901, {"hs_email_subject": "Re: Budget", "hs_email_text": "Frozen until July.", **_at(40)}),
        _object("calls", 701, {"hs_call_title": "Discovery", "hs_call_body": _TRANSCRIPT, **_at(20)}),
        _object("meetings", 801, {"hs_meeting_title": "Pilot scope", "hs_meeting_outcome": "SCHEDULED", **_at(0)}),
        _object("notes", 601, {"hs_note_body": "CFO must sign.", **_at(19)}),
        _object("tasks", 401, {"hs_task_subject": "Send questionnaire", "hs_task_status": "NOT_STARTED", **_at(18)}),
    ]  # fmt: skip
    for n in range(extra_contacts):
        changed = AS_OF - timedelta(seconds=n)
        objects.append(
            SeedObject(
                "contacts", str(1001 + n), {"email": f"c{n}@many.example", "lastname": f"Number {n}"}, early, changed
            )
        )
    links = [SeedAssociation(kind, number, "contacts", "101") for kind, number in _ACTIVITIES]
    links += [SeedAssociation("contacts", n, "companies", "501") for n in ("101", "102", "103")]
    links += [
        SeedAssociation("deals", "301", "contacts", "101", "Decision maker"),
        SeedAssociation("deals", "301", "companies", "501"),
    ]
    owner = SeedOwner("1", "ann@harbourline.example", "Ann", "Lee", "11", "North", early)
    return SeedCompany(
        AS_OF, (owner,), (SeedPipeline("default", "deals", "Sales", 0, STAGES),), objects, links,
        (SeedUnsubscribe("Lee@acme.example", late, "link in email"),),
    )  # fmt: skip


def tiny_store(path: str | Path, *, extra_contacts: int = 0, clock: Clock | None = None) -> Path:
    """Creates and seeds a store at `path` and closes it."""
    with Store.create(path, clock=clock) as store:
        store.seed(tiny_company(extra_contacts))
    return Path(path)


_CFO = {"jobtitle": "CFO"}
_ACTIVITIES = (("emails", "901"), ("calls", "701"), ("meetings", "801"), ("notes", "601"), ("tasks", "401"))
_TRANSCRIPT = (
    "[00:00:05] Ann Lee (Harbourline): Thanks for your time.\n"
    "[00:12:31] Dana Reyes (Acme Freight): The money came back in October."
)


def _object(object_type: str, number: int, properties: dict[str, str]) -> SeedObject:
    return SeedObject(object_type, str(number), properties, AS_OF - timedelta(days=100), AS_OF - timedelta(days=50))


def _at(days_ago: int) -> dict[str, str]:
    moment = AS_OF - timedelta(days=days_ago)
    return {"hs_timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
