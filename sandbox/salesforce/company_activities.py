"""The sample company's emails, calls, meetings, notes and tasks as an org has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sandbox.salesforce import company_fields as where
from sandbox.salesforce.store import Row

if TYPE_CHECKING:
    from sandbox.salesforce.company import Move, Old

_A_YEAR = 365


def activities(move: Move) -> None:
    """Move all of them."""
    move.put(_emails(move))
    move.put(_calls(move))
    move.put(_meetings(move))
    move.put(_notes(move))
    move.put(_tasks(move))


class _Places:
    """What an activity hangs on: people, and one record besides, an opportunity before an account."""

    def __init__(self, move: Move, object_type: str) -> None:
        self._move = move
        self._people = move.links(object_type, "contacts")
        self._deals = move.links(object_type, "deals")
        self._companies = move.links(object_type, "companies")

    def people(self, record: Old) -> list[str]:
        """Those who took part, as new ids."""
        found = (self._move.new("contacts", one) for one in self._people.get(record.id, ()))
        return [one for one in found if one is not None]

    def what(self, record: Old) -> str | None:
        """The record besides."""
        deals = (self._move.new("deals", one) for one in self._deals.get(record.id, ()))
        companies = (self._move.new("companies", one) for one in self._companies.get(record.id, ()))
        return next((one for one in (*deals, *companies) if one is not None), None)

    def of(self, record: Old) -> dict[str, Any]:
        """The fields that say so. An activity with a lead has no other record."""
        people, what = self.people(record), self.what(record)
        who = people[0] if people else None
        if who is not None and who.startswith("00Q"):
            what = None
        account = what if what and what.startswith("001") else self._move.account_of.get(what or "")
        return {"WhoId": who, "WhatId": what, "AccountId": account or self._move.account_of.get(who or "")}


def _old(move: Move, moment: str | None) -> bool | None:
    """Whether an activity that ended then has been archived: a year later only those who ask for all still see it."""
    if not moment:
        return None
    then = datetime.fromisoformat(moment)
    return True if (move.org.clock.now() - then).days > _A_YEAR else None


def _relations(move: Move, row: Row, record: Old, people: Sequence[str]) -> Iterator[Row]:
    """The people of a task or an event, one by one."""
    for person in people:
        values = {f"{row.object}Id": row.id, "RelationId": person, "IsWhat": False}
        values |= {"AccountId": move.account_of.get(person)}
        values |= {"IsParent": True, "IsInvitee": False} if row.object == "Event" else {}
        yield move.row(f"{row.object}Relation", values, record, row.created_by)


def _emails(move: Move) -> Iterator[Row]:
    places = _Places(move, "emails")
    addresses: dict[str, str] = {}
    for record in move.old("contacts"):
        email, new = (record.get("email") or "").lower(), move.new("contacts", record.id)
        if email and new and record.archived is None:
            addresses[email] = new
    ours = {row.values["Email"].lower(): row.id for row in move.org.all("User") if row.values.get("Email")}
    for record in move.old("emails"):
        owner, people, what = move.owner(record), places.people(record), places.what(record)
        link = places.of(record)
        direction = record.get("hs_email_direction")
        parts = _headers(record)
        subject = record.get("hs_email_subject") or ""
        sent = record.get("hs_timestamp")
        task_values = {
            **link, "Subject": f"Email: {subject}"[:255], "TaskSubtype": "Email", "Status": "Completed",
            "Priority": "Normal", "IsClosed": True, "OwnerId": owner, "ActivityDate": (sent or "")[:10] or None,
            **move.values("Task", record, {"hs_timestamp": "CompletedDateTime"}), "IsArchived": _old(move, sent),
        }  # fmt: skip
        task = move.row("Task", task_values, record, owner)
        yield task
        yield from _relations(move, task, record, people)
        values = move.values("EmailMessage", record, where.EMAIL)
        values |= {
            "ActivityId": task.id,
            "RelatedToId": what if link["WhatId"] else None,
            "Incoming": direction != "EMAIL",
            "Status": {"EMAIL": "3", "FORWARDED_EMAIL": "4"}.get(direction or "", "1"),
            "FromName": parts.names.get("from"),
            "ToAddress": "; ".join(parts.to) or None,
            "CcAddress": "; ".join(parts.cc) or None,
            "MessageIdentifier": parts.headers.get("Message-ID"),
            "Headers": parts.text,
            "IsClientManaged": True,
        }
        row = move.row("EmailMessage", values, record, owner)
        move.made["emails"][record.id] = ("EmailMessage", row.id)
        yield row
        left = set(people)
        for kind, listed in (("FromAddress", [parts.sender]), ("ToAddress", parts.to), ("CcAddress", parts.cc)):
            for address in listed:
                if address:
                    known = addresses.get(address.lower()) or ours.get(address.lower())
                    left.discard(known or "")
                    yield _relation(move, row, record, kind, address, known)
        for person in sorted(left):  # people it is about who neither wrote nor got it
            yield _relation(move, row, record, "OtherAddress", None, person)


def _relation(move: Move, row: Row, record: Old, kind: str, address: str | None, known: str | None) -> Row:
    objects = {"003": "Contact", "00Q": "Lead", "005": "User"}
    values = {"EmailMessageId": row.id, "RelationType": kind, "RelationAddress": address, "RelationId": known,
              "RelationObjectType": objects.get((known or "")[:3])}  # fmt: skip
    return move.row("EmailMessageRelation", values, record, row.created_by)


class _Parts:
    """Who wrote to whom, as a mail's headers say it."""

    def __init__(self) -> None:
        self.sender = ""
        self.to: list[str] = []
        self.cc: list[str] = []
        self.names: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.text: str | None = None


def _headers(record: Old) -> _Parts:
    found = _Parts()
    text = record.get("hs_email_headers")
    if text is None:
        found.sender = record.get("hs_email_from_email") or ""
        found.to = (record.get("hs_email_to_email") or "").split(";")
        found.cc = (record.get("hs_email_cc_email") or "").split(";")
        return found
    known = json.loads(text)
    found.sender = known["from"]["email"]
    found.names["from"] = _name(known["from"])
    found.to = [one["email"] for one in known.get("to", [])]
    found.cc = [one["email"] for one in known.get("cc", [])]
    found.headers = known.get("headers", {})
    lines = [f"From: {_mailbox(known['from'])}"]
    for name in ("to", "cc"):
        if known.get(name):
            lines.append(f"{name.capitalize()}: {', '.join(map(_mailbox, known[name]))}")
    lines += [f"{name}: {value}" for name, value in found.headers.items()]
    found.text = "\n".join(lines)
    return found


def _name(one: dict[str, str]) -> str:
    return " ".join(part for part in (one.get("firstName"), one.get("lastName")) if part)


def _mailbox(one: dict[str, str]) -> str:
    name = _name(one)
    return f'"{name}" <{one["email"]}>' if name else f"<{one['email']}>"


def _calls(move: Move) -> Iterator[Row]:
    places = _Places(move, "calls")
    for record in move.old("calls"):
        owner = move.owner(record)
        values = move.values("Task", record, where.CALL)
        body = "Call_Transcript__c" if record.get("hs_call_has_transcript") == "true" else "Description"
        values |= move.values("Task", record, {"hs_call_body": body})
        disposition = record.get("hs_call_disposition") or ""
        duration = record.get("hs_call_duration")
        values |= {
            **places.of(record), "TaskSubtype": "Call", "Type": "Call", "OwnerId": owner,
            "Status": where.TASK_STATUS.get(record.get("hs_call_status") or "COMPLETED", "Completed"),
            "IsClosed": True, "Priority": "Normal", "ActivityDate": (record.get("hs_timestamp") or "")[:10] or None,
            "CallType": (record.get("hs_call_direction") or "").capitalize() or None,
            "CallDisposition": where.DISPOSITIONS.get(disposition, disposition) or None,
            "CallDurationInSeconds": None if duration is None else int(duration) // 1000,
            "IsArchived": _old(move, record.get("hs_timestamp")),
        }  # fmt: skip
        row = move.row("Task", values, record, owner)
        move.made["calls"][record.id] = ("Task", row.id)
        yield row
        yield from _relations(move, row, record, places.people(record))


def _meetings(move: Move) -> Iterator[Row]:
    places = _Places(move, "meetings")
    for record in move.old("meetings"):
        owner = move.owner(record)
        values = move.values("Event", record, where.MEETING)
        start, end = values.get("StartDateTime"), values.get("EndDateTime")
        values |= {**places.of(record), "OwnerId": owner, "ShowAs": "Busy", "IsArchived": _old(move, end or start)}
        values |= {"EventSubtype": "Event", "ActivityDateTime": start, "ActivityDate": start[:10] if start else None}
        if start and end:
            span = datetime.fromisoformat(end) - datetime.fromisoformat(start)
            values |= {"DurationInMinutes": int(span.total_seconds() // 60), "EndDate": end[:10]}
        row = move.row("Event", values, record, owner)
        move.made["meetings"][record.id] = ("Event", row.id)
        yield row
        yield from _relations(move, row, record, places.people(record))


def _notes(move: Move) -> Iterator[Row]:
    places = _Places(move, "notes")
    for record in move.old("notes"):
        owner, people = move.owner(record), places.people(record)
        body = record.get("hs_note_body") or ""
        title = body.strip().partition("\n")[0][:80] or "Note"
        values = {"Title": title, "Body": body or None, "OwnerId": owner}
        row = move.row("Note", {**values, "ParentId": people[0] if people else places.what(record)}, record, owner)
        move.made["notes"][record.id] = ("Note", row.id)
        yield row


def _tasks(move: Move) -> Iterator[Row]:
    places = _Places(move, "tasks")
    for record in move.old("tasks"):
        owner = move.owner(record)
        status = where.TASK_STATUS.get(record.get("hs_task_status") or "", "Not Started")
        kind = record.get("hs_task_type") or ""
        values = move.values("Task", record, where.TASK)
        values |= {
            **places.of(record), "TaskSubtype": "Task", "OwnerId": owner, "Status": status,
            "Type": where.TASK_TYPE.get(kind, kind) or None, "IsClosed": status == "Completed",
            "Priority": where.TASK_PRIORITY.get(record.get("hs_task_priority") or "", "Normal"),
            "ActivityDate": (record.get("hs_timestamp") or "")[:10] or None,
        }  # fmt: skip
        values["IsHighPriority"] = values["Priority"] == "High"
        if status == "Completed":
            values |= {"CompletedDateTime": move.row("Task", {}, record, owner).modified_at}
            values |= {"IsArchived": _old(move, record.get("hs_timestamp"))}
        row = move.row("Task", values, record, owner)
        move.made["tasks"][record.id] = ("Task", row.id)
        yield row
        yield from _relations(move, row, record, places.people(record))
