"""Rounds of edits as an org lives through between two loads, and the org's own count of what is there after each.

A round is drawn from its seed alone: the same org and the same seed give the same round. It happens within a few
seconds, many records in each, so that whole pages of records share one second; and it may begin in the very second the
last load looked.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sandbox.salesforce import catalog, life
from sandbox.salesforce.errors import SalesforceError
from sandbox.salesforce.saving import Org, Origin, Saver
from sandbox.salesforce.store import Row, Store
from sandbox.salesforce.values import stamp

# Objects whose records people make and change.
EDITED = ("Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Task", "Event", "EmailMessage",
          "EmailMessageRelation", "TaskRelation", "EventRelation", "Note")  # fmt: skip
_WORDS = ("harbour", "lane", "pallet", "invoice", "pilot", "renewal", "warehouse", "carrier", "quote", "delay")
_ROLES = ("Decision Maker", "Influencer", "Evaluator", "Executive Sponsor", None)
_TEXTS = {"Account": ("BillingCity", "Phone", "Site"), "Contact": ("Title", "Phone", "Department"),
          "Lead": ("Title", "Phone", "City"), "Opportunity": ("NextStep", "Description")}  # fmt: skip


def edit_round(store: Store, seed: int, *, size: int = 40, hard: bool = False, late: int = 0) -> dict[str, int]:
    """Let people and the org itself work for a few seconds.

    Args:
        store: An org with some accounts, contacts and leads; its clock moves a few seconds if it can be moved.
        seed: What is drawn.
        size: How many things happen, about.
        hard: Whether records deleted in this very round are also emptied out of the bin: no query will ever tell of
            them. Without it only those deleted in an earlier round are.
        late: Some new records bear a stamp up to this many seconds old, as those of a transaction that took so long
            do: nobody saw them when that second was loaded.

    Returns:
        What happened, counted.
    """
    return dict(_Round(store, seed, hard=hard, late=late).play(size))


class _Round:
    def __init__(self, store: Store, seed: int, *, hard: bool, late: int) -> None:
        self.store, self.draw, self.hard, self.late = store, random.Random(f"round {seed}"), hard, late
        self.counts: Counter[str] = Counter()
        self.org = Org()
        self.users = [row.id for row in store.all("User") if row.values.get("IsActive")]
        self.binned = [(name, row.id) for name in catalog.MERGEABLE for row in self._in_bin(name)]
        self.saver = Saver(store, self.org, Origin(self.users[0]))

    def play(self, size: int) -> Counter[str]:
        steps: tuple[tuple[Callable[[], str], int], ...] = (
            (self._create, 6), (self._update, 10), (self._many_at_once, 2), (self._delete, 4), (self._undelete, 3),
            (self._merge, 3), (self._convert, 2), (self._log_task, 5), (self._log_email, 5), (self._log_event, 4),
            (self._take_note, 2), (self._finish_task, 3), (self._role, 4), (self._stage, 4), (self._erase, 1),
        )  # fmt: skip
        acts, weights = [act for act, _ in steps], [weight for _, weight in steps]
        for number in range(size):
            if number and self.draw.random() < 0.08:
                _pass_a_second(self.store)
            with self.store.transaction():
                user, act = self.draw.choice(self.users), self.draw.choices(acts, weights)[0]
                slow = self.late and act == self._create and self.draw.random() < 0.5
                moment = self._earlier() if slow else ""
                self.saver = Saver(self.store, self.org, Origin(user), now=moment)
                try:
                    with self.saver.alone():
                        done = act()
                except SalesforceError as error:
                    done = f"refused {error.code}"
            self.counts[done or "nothing to do"] += 1
        return self.counts

    def _earlier(self) -> str:
        self.counts["late"] += 1
        return stamp(self.store.clock.now() - timedelta(seconds=self.draw.randint(1, self.late)))

    # finding ------------------------------------------------------------------------------------------------------

    def _living(self, object_type: str) -> list[str]:
        more = " and json_extract(body, '$.IsConverted') is not 1" if object_type == "Lead" else ""
        rows = self.store.connection.execute(
            f"select id from records where object = ? and is_deleted = 0{more} order by id", (object_type,)
        )
        return [str(i) for (i,) in rows]

    def _one(self, object_type: str) -> str | None:
        found = self._living(object_type)
        return self.draw.choice(found) if found else None

    def _in_bin(self, object_type: str) -> list[Row]:
        return self.store.where("object = ? and is_deleted = 1 and master_id is null", [object_type])

    def _text(self) -> str:
        return " ".join(self.draw.sample(_WORDS, 2))

    # making and changing ------------------------------------------------------------------------------------------

    def _create(self) -> str:
        kind = self.draw.choice(("Account", "Contact", "Contact", "Lead", "Opportunity"))
        number = self.draw.randrange(10**6)
        values: dict[str, Any] = {
            "Account": {"Name": f"Company {number}", "Website": f"company{number}.example"},
            "Contact": {"LastName": f"Person {number}", "Email": f"p{number}@example.com",
                        "AccountId": self._one("Account")},
            "Lead": {"LastName": f"Lead {number}", "Company": f"Company {number}", "Email": f"l{number}@example.com"},
            "Opportunity": {"Name": f"Deal {number}", "AccountId": self._one("Account"), "CloseDate": "2026-12-18",
                            "StageName": self._stage_name(), "Amount": float(self.draw.randrange(1, 90) * 500)},
        }[kind]  # fmt: skip
        self.saver.create(kind, values)
        return f"create {kind}"

    def _stage_name(self) -> str:
        return self.draw.choice(self.store.fields("Opportunity")["StageName"].options)

    def _update(self) -> str:
        kind = self.draw.choice(tuple(_TEXTS))
        record = self._one(kind)
        if record is None:
            return ""
        values: dict[str, Any] = {self.draw.choice(_TEXTS[kind]): self._text()}
        if self.draw.random() < 0.2:
            values["OwnerId"] = self.draw.choice(self.users)
        if kind in ("Contact", "Lead") and self.draw.random() < 0.15:
            values["HasOptedOutOfEmail"] = True
        if self.draw.random() < 0.1:
            values = dict.fromkeys(values, None) if "OwnerId" not in values and len(values) == 1 else values
        self.saver.update(kind, record, values)
        return f"update {kind}"

    def _many_at_once(self) -> str:
        """An import: many records in one second, more than fit on the rest of a page."""
        kind = self.draw.choice(("Contact", "Lead", "Task"))
        name = {"Task": "Subject"}.get(kind, "Phone")
        found = self._living(kind)
        for record in self.draw.sample(found, min(len(found), self.draw.randrange(20, 60))):
            self.saver.update(kind, record, {name: self._text()})
        return f"many {kind}"

    # whole records ------------------------------------------------------------------------------------------------

    def _delete(self) -> str:
        kind = self.draw.choice(("Contact", "Lead", "Opportunity", "Task", "Event", "EmailMessage", "Note", "Account"))
        if kind == "Account" and self.draw.random() < 0.4:
            kind = "Contact"  # an account takes a lot with it
        record = self._one(kind)
        if record is None:
            return ""
        self.saver.delete(kind, record)
        return f"delete {kind}"

    def _undelete(self) -> str:
        kind = self.draw.choice(("Account", "Contact", "Lead", "Opportunity", "Task", "Note"))
        roots = {str(r) for (r,) in self.store.connection.execute("select distinct root from bin")}
        found = [row.id for row in self._in_bin(kind) if row.id in roots]
        if not found:
            return ""
        self.saver.undelete(kind, self.draw.choice(found))
        return f"undelete {kind}"

    def _merge(self) -> str:
        kind = self.draw.choice(("Contact", "Contact", "Lead", "Account"))
        found = self._living(kind)
        if len(found) < 3:
            return ""
        survivor, loser = self.draw.sample(found, 2)
        self.saver.merge(kind, survivor, loser)
        return f"merge {kind}"

    def _convert(self) -> str:
        lead = self._one("Lead")
        if lead is None:
            return ""
        self.saver.convert(lead, deal="A first deal" if self.draw.random() < 0.5 else "")
        return "convert Lead"

    def _erase(self) -> str:
        found = [(name, row.id) for name in sorted(catalog.MERGEABLE) for row in self._in_bin(name)]
        known = {str(r) for (r,) in self.store.connection.execute("select distinct root from bin")}
        earlier = set(self.binned)
        found = [one for one in found if one[1] in known and (self.hard or one in earlier)]
        if not found:
            return ""
        kind, record = self.draw.choice(found)
        life.erase(self.store, kind, [record], self.saver.now)
        return f"erase {kind}"

    # activities ---------------------------------------------------------------------------------------------------

    def _place(self) -> dict[str, str | None]:
        if self.draw.random() < 0.2 and (lead := self._one("Lead")):
            return {"WhoId": lead}
        what = self._one(self.draw.choice(("Account", "Opportunity")))
        return {"WhoId": self._one("Contact"), "WhatId": what}

    def _log_task(self) -> str:
        call = self.draw.random() < 0.5
        values: dict[str, Any] = {
            **self._place(), "Subject": self._text(), "TaskSubtype": "Call" if call else "Task",
            "Status": "Completed" if call else "Not Started", "Priority": self.draw.choice(("High", "Normal", "Low")),
            "ActivityDate": "2026-11-17", "Description": self._text(),
        }  # fmt: skip
        if call:
            values |= {"CallType": "Outbound", "CallDurationInSeconds": self.draw.randrange(900),
                       "CallDisposition": "Connected"}  # fmt: skip
        self.saver.create("Task", values)
        return "log call" if call else "log task"

    def _log_event(self) -> str:
        hour = self.draw.randrange(7, 18)
        whole = self.draw.random() < 0.15
        values = {
            **self._place(), "Subject": self._text(), "Location": "Video call", "IsAllDayEvent": whole,
            "StartDateTime": f"2026-11-{self.draw.randrange(18, 28)}T{0 if whole else hour:02}:00:00.000+0000",
            "DurationInMinutes": 1440 if whole else 30, "ShowAs": "Free" if whole else "Busy",
        }  # fmt: skip
        self.saver.create("Event", values)
        return "log event"

    def _log_email(self) -> str:
        place = self._place()
        person = place["WhoId"]
        row = self.store.get(catalog.OBJECT_OF_PREFIX[person[:3]], person) if person else None
        address = str(row.values.get("Email") or "nobody@example.com") if row else "nobody@example.com"
        task = self.saver.create("Task", {**place, "Subject": "Email: " + self._text(), "TaskSubtype": "Email",
                                          "Status": "Completed", "Priority": "Normal"})  # fmt: skip
        incoming = self.draw.random() < 0.5
        number = self.draw.randrange(10**9)
        ours = "sam@org.example"
        sender, receiver = (address, ours) if incoming else (ours, address)
        message = self.saver.create("EmailMessage", {
            "ActivityId": task, "RelatedToId": place.get("WhatId"), "Subject": self._text(), "TextBody": self._text(),
            "FromAddress": sender, "ToAddress": receiver, "Incoming": incoming, "Status": "1" if incoming else "3",
            "MessageDate": self.saver.now, "MessageIdentifier": f"<{number}@org.example>",
            "ThreadIdentifier": f"t{number % 50}",
        })  # fmt: skip
        for kind, one, known in (("FromAddress", sender, person if incoming else None),
                                 ("ToAddress", receiver, None if incoming else person)):  # fmt: skip
            self.saver.create("EmailMessageRelation", {"EmailMessageId": message, "RelationType": kind,
                                                       "RelationAddress": one, "RelationId": known})  # fmt: skip
        return "log email"

    def _take_note(self) -> str:
        parent = self._one(self.draw.choice(("Contact", "Lead", "Account", "Opportunity")))
        if parent is None:
            return ""
        self.saver.create("Note", {"ParentId": parent, "Title": self._text(), "Body": self._text()})
        return "take note"

    def _finish_task(self) -> str:
        task = self._one("Task")
        if task is None:
            return ""
        self.saver.update("Task", task, {"Status": "Completed"})
        return "finish task"

    # deals --------------------------------------------------------------------------------------------------------

    def _role(self) -> str:
        role = self._one("OpportunityContactRole")
        what = self.draw.random()
        if role is not None and what < 0.3:
            self.saver.delete("OpportunityContactRole", role)
            return "remove role"
        if role is not None and what < 0.6:
            self.saver.update("OpportunityContactRole", role, {"Role": self.draw.choice(_ROLES)})
            return "change role"
        deal, contact = self._one("Opportunity"), self._one("Contact")
        if deal is None or contact is None:
            return ""
        values = {"OpportunityId": deal, "ContactId": contact, "Role": self.draw.choice(_ROLES)}
        self.saver.create("OpportunityContactRole", values)
        return "add role"

    def _stage(self) -> str:
        deal = self._one("Opportunity")
        if deal is None:
            return ""
        values: dict[str, Any] = {"StageName": self._stage_name()}
        if self.draw.random() < 0.4:
            values["Amount"] = float(self.draw.randrange(1, 90) * 500)
        self.saver.update("Opportunity", deal, values)
        return "move stage"


def _pass_a_second(store: Store) -> None:
    advance = getattr(store.clock, "advance", None)
    if advance is not None:
        advance(1)


def truth(store: Store) -> dict[str, int]:
    """The org's own count: for each object `<name>.living`, `.deleted` (in the bin, merged ones apart) and `.merged`,
    and for leads `Lead.converted` (living ones that are)."""
    found: dict[str, int] = {}
    for name in EDITED:
        living, deleted, merged = store.connection.execute(
            "select count(*) filter (where is_deleted = 0), count(*) filter (where is_deleted and master_id is null),"
            " count(*) filter (where master_id is not null) from records where object = ?",
            (name,),
        ).fetchone()
        found |= {f"{name}.living": living, f"{name}.deleted": deleted}
        if name in catalog.MERGEABLE:
            found[f"{name}.merged"] = merged
    found["Lead.converted"] = sum(bool(row.values.get("IsConverted")) for row in store.all("Lead"))
    for name in catalog.HISTORY_OBJECTS:
        found[f"{name}.living"] = sum(not row.is_deleted for row in store.history(name))
    return found


def contents(store: Store, object_type: str) -> dict[str, dict[str, Any]]:
    """Every record of an object by id, deleted and merged ones too, with the values people see and the system's own."""
    names = store.fields(object_type)
    return {
        row.id: {name: bool(row.get(name)) if one.type == "boolean" else row.get(name) for name, one in names.items()}
        for row in store.all(object_type, deleted=True)
    }
