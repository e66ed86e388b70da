"""The whole sample company as an org: users, accounts, people, opportunities with their histories; activities follow.

Every record keeps its stamps, owner, links, merges and deletions; where each fact stands is told in `company_fields`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, cast

from nightdesk.errors import NightdeskError
from sandbox.salesforce import company_fields as where
from sandbox.salesforce import setup
from sandbox.salesforce.catalog import Field
from sandbox.salesforce.store import Row, Store
from sandbox.salesforce.values import NUMBERS, stamp

People = Literal["contacts", "leads"]
_EARLY = frozenset({"subscriber", "lead", "marketingqualifiedlead"})
_CHUNK = 2_000
_SINGULAR = {"companies": "company", "contacts": "contact", "deals": "deal", "emails": "email", "calls": "call",
             "meetings": "meeting", "notes": "note", "tasks": "task", "owners": "owner"}  # fmt: skip


@lru_cache(maxsize=4096)
def at(ms: int) -> str:
    """An instant in epoch milliseconds as Salesforce keeps it: whole seconds."""
    return stamp(datetime.fromtimestamp(ms // 1000, UTC))


class Old:
    """One record of the sample company as it is in its file; archived and merged ones too."""

    __slots__ = ("archived", "created", "id", "merged_into", "properties", "updated")

    def __init__(self, row: tuple[Any, ...]) -> None:
        self.id, self.created, self.updated, self.archived, self.merged_into = row[:5]
        self.properties = cast("dict[str, str]", json.loads(row[5]))

    def get(self, name: str) -> str | None:
        """A property; None where it is empty."""
        return self.properties.get(name) or None


class _Blocks(dict[str, Iterator[str]]):
    """New ids by object, taken from the org in blocks."""

    def __init__(self, org: Store) -> None:
        super().__init__()
        self._org = org

    def __missing__(self, object_type: str) -> Iterator[str]:
        self[object_type] = found = self._endless(object_type)
        return found

    def _endless(self, object_type: str) -> Iterator[str]:
        while True:
            yield from self._org.new_ids(object_type, 1_000)


class Move:
    """Moves the sample company into an org.

    Args:
        crm: The sample company's own file.
        org: An org without records.
        people: Whether everybody is a contact, or those not yet far along are leads and some contacts were leads.
    """

    def __init__(self, crm: sqlite3.Connection, org: Store, people: People) -> None:
        self.crm, self.org, self.people = crm, org, people
        self.made: dict[str, dict[int, tuple[str, str]]] = defaultdict(dict)  # old type -> old id -> (object, new id)
        self.owners: dict[str, str] = {}
        self.person: dict[str, str] = {}  # of those who changed something, by their number in a history
        self.account_of: dict[str, str] = {}  # opportunity or person -> its account
        self._fields: dict[str, dict[str, Field]] = {}
        self._ids: dict[str, Iterator[str]] = _Blocks(org)

    # what is there ------------------------------------------------------------------------------------------------

    def old(self, object_type: str) -> Iterator[Old]:
        """All records of one kind, by id."""
        cursor = self.crm.execute(
            "select id, created_at, updated_at, archived_at, merged_into, properties from objects"
            " where object_type = ? order by id",
            (object_type,),
        )
        return map(Old, cursor)

    def links(self, from_type: str, to_type: str) -> dict[int, list[int]]:
        """Which records of one kind each record of another is associated with."""
        found: dict[int, list[int]] = defaultdict(list)
        for left, right in self.crm.execute(
            "select distinct from_id, to_id from associations where from_type = ? and to_type = ? order by 1, 2",
            (from_type, to_type),
        ):
            found[left].append(right)
        return found

    # what is made -------------------------------------------------------------------------------------------------

    def owner(self, record: Old) -> str:
        """The new owner of a record; somebody stands for nobody."""
        return self.owners.get(record.get("hubspot_owner_id") or "", self.owners[""])

    def values(self, object_type: str, record: Old, names: Mapping[str, str]) -> dict[str, Any]:
        """A record's properties as values of fields.

        Raises:
            NightdeskError: A value that the field cannot hold.
        """
        if object_type not in self._fields:
            self._fields[object_type] = self.org.fields(object_type)
        fields = self._fields[object_type]
        found: dict[str, Any] = {}
        for name, field in names.items():
            text = record.get(name)
            if text is None:
                continue
            try:
                found[field] = _value(fields[field], text)
            except ValueError as error:
                raise NightdeskError(
                    f"{object_type}.{field} cannot hold what the sample company has there: {error}",
                    where=f"{name} of record {record.id}",
                ) from error
        return found

    def row(self, object_type: str, values: Mapping[str, Any], record: Old, by: str, **more: Any) -> Row:
        """A new record with an old one's stamps."""
        kept = {name: value for name, value in values.items() if value is not None}
        gone = {"is_deleted": True} if record.archived is not None else {}
        modified = max(record.updated, record.archived or 0)
        record_id = next(self._ids[object_type])
        return Row(object_type, record_id, kept, at(record.created), by, at(modified), by, **gone, **more)

    def put(self, rows: Iterable[Row]) -> None:
        """Write rows, many at once."""
        waiting: list[Row] = []
        for row in rows:
            waiting.append(row)
            if len(waiting) >= _CHUNK:
                self.org.put_all(waiting)
                waiting.clear()
        self.org.put_all(waiting)

    def new(self, object_type: str, old_id: int) -> str | None:
        """The new id of an old record."""
        found = self.made[object_type].get(old_id)
        return None if found is None else found[1]

    # the steps ----------------------------------------------------------------------------------------------------

    def everything(self) -> None:
        """Move all of it; inside one transaction."""
        from sandbox.salesforce.company_activities import activities

        self.set_up()
        self.users()
        self.accounts()
        self.persons()
        self.opportunities()
        for object_type in where.HISTORY:
            self.history(object_type)
        activities(self)

    def set_up(self) -> None:
        """What an administrator did: custom fields, picklists, stages, record types, currencies, tracked fields."""
        org = self.org
        for object_type, fields in where.CUSTOM.items():
            for name, metadata in fields.items():
                org.put_custom_field(object_type, name, metadata)
        setup.show(org, "Sales_data", {one: tuple(fields) for one, fields in where.CUSTOM.items()})
        codes = {*self._distinct("deals", "deal_currency_code"), *where.RATES} - {"EUR"}
        setup.currencies(org, "EUR", {one: where.RATES.get(one, 1.0) for one in sorted(codes)})
        for code, rates in where.DATED_RATES.items():
            for start, rate in rates.items():
                setup.dated_rate(org, code, start, rate)
        industries = self._distinct("companies", "industry")
        known = [setup.Value(one, one.replace("_", " ").capitalize()) for one in industries]
        setup.picklist(org, "Account", "Industry", known)
        setup.picklist(org, "Opportunity", "Type", [setup.Value(one, label) for one, label in where.DEAL_TYPES.items()])
        for object_type, names in (("Contact", "contacts"), ("Account", "companies"), ("Opportunity", "deals")):
            org.track(object_type, *where.HISTORY[names].values())
        org.track("Lead", *where.HISTORY["contacts"].values())
        self.record_types = dict(self._pipelines())

    def _distinct(self, object_type: str, name: str) -> list[str]:
        """The values a property has."""
        rows = self.crm.execute(
            "select distinct properties ->> ? from objects where object_type = ? order by 1", (f"$.{name}", object_type)
        )
        return [str(value) for (value,) in rows if value]

    def _pipelines(self) -> Iterator[tuple[str, str]]:
        stages: dict[str, setup.Stage] = {}
        pipelines = [
            json.loads(text)
            for (text,) in self.crm.execute("select definition from pipelines where object_type = 'deals' order by id")
        ]
        for one in pipelines:
            for stage in one["stages"]:
                chance = round(float(stage["metadata"]["probability"]) * 100)
                closed = stage["metadata"]["isClosed"] == "true"
                stages[stage["id"]] = setup.Stage(stage["id"], stage["label"], chance, closed, closed and chance == 100)
        if stages:
            setup.stages(self.org, list(stages.values()), retire=False)
        for one in pipelines:
            chosen = {"StageName": [stage["id"] for stage in one["stages"]]}
            yield one["id"], setup.record_type(self.org, "Opportunity", one["id"], one["label"], chosen)

    def users(self) -> None:
        """Owners as users, those who left as inactive ones, and a user who owns what nobody owns."""
        rows: list[Row] = []
        admin = self.org.user("dana")
        for number, text in self.crm.execute("select id, definition from owners order by id"):
            one = json.loads(text)
            created = stamp(datetime.fromisoformat(one["createdAt"]))
            team = next((t["name"] for t in one.get("teams", []) if t.get("primary")), None)
            values = {
                "Username": one["email"], "FirstName": one["firstName"], "LastName": one["lastName"],
                "Name": f"{one['firstName']} {one['lastName']}", "Email": one["email"], "UserType": "Standard",
                "IsActive": not one["archived"], "Department": team,
                "TimeZoneSidKey": where.TIME_ZONES.get(team or "", "Europe/London"),
            }  # fmt: skip
            kept = {name: value for name, value in values.items() if value is not None}
            row = Row("User", next(self._ids["User"]), kept, created, admin, created, admin)
            rows.append(row)
            self.made["owners"][number] = ("User", row.id)
            self.owners[str(number)] = self.person[str(one["userIdIncludingInactive"])] = row.id
        self.put(rows)
        nobody = {"Username": "unassigned@org.example", "Name": "Unassigned", "LastName": "Unassigned",
                  "Email": "unassigned@org.example", "UserType": "Standard", "IsActive": True}  # fmt: skip
        self.owners[""] = self.org.insert("User", nobody, user=admin)

    def accounts(self) -> None:
        """Companies; those merged away know what they went into."""

        def becomes(record: Old) -> tuple[str, dict[str, Any]]:
            return "Account", self.values("Account", record, where.ACCOUNT)

        self._with_masters("companies", becomes)

    def persons(self) -> None:
        """Contacts, and leads where the org has any."""
        employer, deals = self.links("contacts", "companies"), self.links("contacts", "deals")
        said = {email: (ms, source) for email, ms, source in self.crm.execute(
            "select email, changed_at, source from unsubscribes")}  # fmt: skip

        everybody = {record.id: record for record in self.old("contacts")}

        def is_lead(record: Old) -> bool:
            while record.merged_into is not None and record.merged_into in everybody:
                record = everybody[record.merged_into]  # leads are merged with leads, contacts with contacts
            early = record.id not in employer or record.get("lifecyclestage") in _EARLY
            return self.people == "leads" and early and record.id not in deals

        def becomes(record: Old) -> tuple[str, dict[str, Any]]:
            account = next((self.new("companies", one) for one in employer.get(record.id, ())), None)
            lead = is_lead(record)
            kind = "Lead" if lead else "Contact"
            values = self.values(kind, record, where.LEAD if lead else where.CONTACT)
            values.setdefault("LastName", where.NOT_PROVIDED)
            bounces = values.get("Email_Bounce_Count__c")
            if bounces:
                values["EmailBouncedReason"] = "the address refused an email"
                values["EmailBouncedDate"] = at(record.updated)
                values |= {} if lead else {"IsEmailBounced": True}
            no = said.get((record.get("email") or "").lower())
            if no is not None:
                values |= {"Email_Opt_Out_Date_Time__c": at(no[0]), "Email_Opt_Out_Source__c": no[1]}
            if lead:
                values.setdefault("Company", where.NOT_PROVIDED)
                values["Status"] = "Working - Contacted" if record.get("hs_lead_status") else "Open - Not Contacted"
            else:
                values["AccountId"] = account
            return kind, values

        self._with_masters("contacts", becomes)
        for new, row in self._row_of.items():
            if row.values.get("AccountId"):
                self.account_of[new] = row.values["AccountId"]
        if self.people == "leads":
            self._converted()

    def _with_masters(self, object_type: str, becomes: Callable[[Old], tuple[str, dict[str, Any]]]) -> None:
        """Make the records of a kind that can be merged."""
        self._row_of: dict[str, Row] = {}
        merged: list[tuple[Row, int]] = []
        for record in self.old(object_type):
            kind, values = becomes(record)
            owner = self.owner(record)
            row = self.row(kind, {**values, "OwnerId": owner}, record, owner)
            self.made[object_type][record.id] = (kind, row.id)
            self._row_of[row.id] = row
            if record.merged_into is not None:
                merged.append((row, record.merged_into))
        for row, master in merged:
            row.master_id = self.new(object_type, master)
        self.put(self._row_of.values())

    def _converted(self) -> None:
        """Every third contact of an account was a lead once; the lead is still there, converted."""
        rows: list[Row] = []
        for number, (new, row) in enumerate(self._row_of.items()):
            if row.object != "Contact" or row.is_deleted or number % 3 or not row.values.get("AccountId"):
                continue
            read = row.values.get
            values = {
                "FirstName": read("FirstName"), "LastName": read("LastName"), "Email": read("Email"),
                "Title": read("Title"), "Company": read("Company_Name__c") or where.NOT_PROVIDED,
                "Status": "Closed - Converted", "IsConverted": True, "ConvertedDate": row.created_at[:10],
                "ConvertedContactId": new, "ConvertedAccountId": read("AccountId"), "OwnerId": read("OwnerId"),
                "HasOptedOutOfEmail": read("HasOptedOutOfEmail"),
            }  # fmt: skip
            kept = {name: value for name, value in values.items() if value is not None}
            lead = next(self._ids["Lead"])
            rows.append(Row("Lead", lead, kept, row.created_at, row.created_by, row.created_at, row.created_by))
        self.put(rows)

    def opportunities(self) -> None:
        """Deals, who plays a part in them, and what they looked like after each change."""
        accounts, people = self.links("deals", "companies"), self.links("deals", "contacts")
        stages = {row.values["ApiName"]: row.values for row in self.org.all("OpportunityStage")}
        rows: list[Row] = []
        self._amounts: dict[str, Row] = {}
        for record in self.old("deals"):
            values = self.values("Opportunity", record, where.OPPORTUNITY)
            stage = stages.get(values.get("StageName", ""), {})
            owner = self.owner(record)
            values |= {
                "OwnerId": owner,
                "RecordTypeId": self.record_types.get(record.get("pipeline") or ""),
                "AccountId": next((self.new("companies", one) for one in accounts.get(record.id, ())), None),
                "CloseDate": (record.get("closedate") or at(record.created))[:10],
                "Probability": stage.get("DefaultProbability"),
                "ForecastCategory": stage.get("ForecastCategory"),
            }
            row = self.row("Opportunity", values, record, owner)
            rows.append(row)
            self._amounts[row.id] = row
            self.made["deals"][record.id] = ("Opportunity", row.id)
            if values["AccountId"]:
                self.account_of[row.id] = values["AccountId"]
            for number, person in enumerate(people.get(record.id, ())):
                kind, contact = self.made["contacts"].get(person, ("", ""))
                if kind == "Contact":
                    role = {"OpportunityId": row.id, "ContactId": contact, "IsPrimary": number == 0}
                    rows.append(self.row("OpportunityContactRole", role, record, owner))
        self.put(rows)

    def history(self, object_type: str) -> None:
        """Field history: every change of a tracked field, with what was there before."""
        names = where.HISTORY[object_type]
        rows: list[tuple[Any, ...]] = []
        earlier: dict[tuple[int, str], Any] = {}
        marks = ", ".join("?" * len(names))
        changes: dict[int, list[tuple[int, str, Any, str]]] = defaultdict(list)
        for number, name, text, ms, user in self.crm.execute(
            f"select object_id, property, value, changed_at, user_id from history where object_type = ? and property in"
            f" ({marks}) order by object_id, changed_at, seq",
            (object_type, *names),
        ):
            kind, new = self.made[object_type].get(number, ("", ""))
            if not kind:
                continue
            value = _value(self.org.fields(kind)[names[name]], text) if text else None
            by = self.person.get(user) or self.org.user("sam")
            if (number, name) in earlier:
                before = earlier[number, name]
                rows.append((kind, new, names[name], json.dumps(before), json.dumps(value), by, at(ms)))
                if name == "closedate" and before and value and before[:10] != value[:10]:
                    day = (json.dumps(before[:10]), json.dumps(value[:10]))
                    rows.append((kind, new, "CloseDate", *day, by, at(ms)))
            earlier[number, name] = value
            changes[number].append((ms, names[name], value, by))
        rows.sort(key=lambda one: one[-1])  # the numbers of history rows go with time
        self.org.connection.executemany(
            "insert into history (object, record_id, field, old, new, user_id, at) values (?, ?, ?, ?, ?, ?, ?)", rows
        )
        if object_type == "deals":
            self.put(self._snapshots(changes))

    def _snapshots(self, changes: Mapping[int, list[tuple[int, str, Any, str]]]) -> Iterator[Row]:
        """OpportunityHistory: stage, amount and close date after each change of one of them, the first one included."""
        stages = {row.values["ApiName"]: row.values for row in self.org.all("OpportunityStage")}
        for number, listed in changes.items():
            opportunity = self._amounts[self.made["deals"][number][1]]
            state: dict[str, Any] = {}
            by_second: dict[str, list[tuple[int, str, Any, str]]] = defaultdict(list)
            for one in listed:
                by_second[at(one[0])].append(one)
            for second, together in by_second.items():
                state |= {field: value for _, field, value, _ in together}
                stage = stages.get(state.get("StageName", ""), {})
                closes = state.get("Closed_At__c")
                values = {
                    "OpportunityId": opportunity.id, "StageName": state.get("StageName"), "Amount": state.get("Amount"),
                    "CloseDate": closes[:10] if closes else None, "Probability": stage.get("DefaultProbability"),
                    "ForecastCategory": stage.get("ForecastCategory"),
                    "CurrencyIsoCode": opportunity.values.get("CurrencyIsoCode"),
                }  # fmt: skip
                kept = {name: value for name, value in values.items() if value is not None}
                by = together[-1][3]
                record_id = next(self._ids["OpportunityHistory"])
                yield Row("OpportunityHistory", record_id, kept, second, by, second, by)

    def ids(self) -> Iterator[tuple[str, str, str, str]]:
        """Who is who: old type and id, new object and id; owners and pipelines too."""
        for object_type, made in self.made.items():
            for old, (kind, new) in made.items():
                yield _SINGULAR[object_type], str(old), kind, new
        yield "owner", "", "User", self.owners[""]
        for old, new in self.record_types.items():
            yield "pipeline", old, "RecordType", new


def _value(field: Field, text: str) -> Any:
    if field.type == "boolean":
        return text == "true"
    if field.type in NUMBERS:
        number = float(text)
        return int(number) if field.type == "int" else number
    if field.type == "datetime":
        return stamp(datetime.fromisoformat(text))
    if field.type == "date":
        return text[:10]
    if field.name in where.CUT:
        return text[: field.length]
    if field.length and len(text) > field.length:
        raise ValueError(f"{len(text)} characters in a field of {field.length}")
    return text
