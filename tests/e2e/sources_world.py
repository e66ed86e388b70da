"""A company whose memory lies in five places: HubSpot, a Salesforce org, a mailbox, transcripts and a calendar."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from sandbox.salesforce import sample
from sandbox.salesforce.app import TOKEN
from tests.e2e.world import World, free_port

CONTACTS = "50"
SEED = "7"
CRMS = ("hubspot", "salesforce")
NEW, COPY, STRANGER, SPOOFED, PRIVATE = (
    f"{name}@mail.example" for name in ("new", "copy", "alien", "spoof", "private")
)
BUDGET = "We have 40k set aside for this in January."
ONLY_HERE, IN_BOTH, CALLED_OFF, BROKEN = (f"{name}@calendar.example" for name in ("only", "both", "off", "broken"))


@dataclass
class SourcesWorld(World):
    """A world with a second CRM at `org_port` and a `sources.yml` of its own, which says what a night loads."""

    org_port: int = field(default_factory=free_port)

    @property
    def org(self) -> Path:
        return self.data / "sandbox" / sample.ORG

    @property
    def exports(self) -> Path:
        return self.folder / "exports"

    def environment(self) -> dict[str, str]:
        return (
            super().environment()
            | {
                "NIGHTDESK_SOURCES": str(self.folder / "sources.yml"),
                "NIGHTDESK_SALESFORCE_URL": f"http://127.0.0.1:{self.org_port}",
                "NIGHTDESK_SALESFORCE_TOKEN": TOKEN,
            }
            | self.extra
        )

    @contextmanager
    def serving_org(self) -> Iterator[None]:
        process = self.start("sandbox", "serve", "--crm", "salesforce", "--port", str(self.org_port))
        try:
            deadline = time.monotonic() + 60
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", self.org_port)) == 0:
                        break
                assert process.poll() is None and time.monotonic() < deadline, "the sandbox org did not start"
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)

    @contextmanager
    def serving_all(self) -> Iterator[None]:
        with ExitStack() as both:
            both.enter_context(self.serving())
            both.enter_context(self.serving_org())
            yield

    def copy(self, folder: Path) -> SourcesWorld:
        shutil.copytree(self.folder, folder)
        return SourcesWorld(folder)

    def write_sources(self, **changes: object) -> None:
        """`sources.yml` as JSON, which is YAML; `changes` take the place of keys, None takes one out."""
        told = self.told()
        owner = told["seller_email"]
        content: dict[str, object] = {
            "crms": list(CRMS),
            "mailboxes": [{"name": "ann", "kind": "mbox", "path": "exports/ann.mbox", "owner_email": owner}],
            "transcripts": [{"name": "calls", "path": "exports/calls"}],
            "calendars": [{"name": "ann", "path": "exports/ann.ics", "owner_email": owner}],
        }
        content = {key: value for key, value in (content | changes).items() if value is not None}
        (self.folder / "sources.yml").write_text(json.dumps(content, indent=1), encoding="utf-8")

    def told(self) -> dict[str, Any]:
        """Who is who in the exports, as they were made."""
        return json.loads((self.folder / "told.json").read_text(encoding="utf-8"))

    def objects(self, kind: str) -> dict[str, dict[str, str]]:
        """Records of HubSpot that are live: id to properties."""
        found = self.crm("select id, properties from objects where object_type = ? and archived_at is null", [kind])
        return {str(key): json.loads(body) for key, body in sorted(found)}

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        """Records of the org that are live: id to fields."""
        with closing(sqlite3.connect(self.org)) as connection:
            found = connection.execute("select id, body from records where object = ? and is_deleted = 0", [kind])
            return {key: json.loads(body) for key, body in found.fetchall()}

    def twins(self) -> dict[str, str]:
        """Whom the org was made from: `hubspot:contact:1` to the id of its lead or contact."""
        with (self.data / "sandbox" / sample.LINKS).open(encoding="utf-8") as file:
            return {
                row["record_id"]: row["crm_record_id"]
                for row in csv.DictReader(file)
                if row["record_id"].startswith("hubspot:contact:")
            }

    def org_values(self) -> dict[tuple[str, str, str], Any]:
        """Every value of ours that the org holds, empty ones left out."""
        return {
            (kind, key, name): value
            for kind in ("Account", "Contact", "Lead", "Opportunity")
            for key, fields in self.records(kind).items()
            for name, value in fields.items()
            if name.startswith("Nightdesk_") and value not in (None, "")
        }

    def plan(self, crm: str) -> str:
        """The newest plan of a CRM."""
        return self.one(
            "ledger",
            "select plan_id from plans where crm = ? and kind = 'sync' order by created_at desc limit 1",
            [crm],
        )

    def end_state(self) -> dict[str, list[tuple[Any, ...]]]:
        found = super().end_state()
        del found["changes"]  # of the newest plan only; here are two
        for crm in CRMS:
            found[f"changes of {crm}"] = self.rows(
                "ledger",
                "select object_type, record_id, property, before_value, desired_value, decision, deciding_rule "
                "from plan_ops where plan_id = ? order by all",
                [self.plan(crm)],
            )
        for table in ("emails", "calls", "meetings", "identity_links", "opt_outs"):
            key = {"identity_links": "link_id, status", "opt_outs": "contact_id, source, evidence_id"}
            columns = key.get(table, f"{table.removesuffix('s')}_id")
            found[table] = self.rows("warehouse", f"select {columns} from {table} order by all")
        return found


def make(world: SourcesWorld) -> None:
    """The company, its org, and what people exported. Salesforce alone knows the no of one of them."""
    world.folder.mkdir(parents=True)
    world.run("sandbox", "generate", "--contacts", CONTACTS, "--seed", SEED)
    sample.make(world.data / "sandbox")
    with world.serving_all():
        for crm in CRMS:
            world.run("crm", "setup", "--apply", "--crm", crm)
    told = _people(world)
    (world.folder / "told.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    with closing(sqlite3.connect(world.org)) as org, org:
        for kind in ("Lead", "Contact"):
            org.execute(
                "update records set body = json_set(body, '$.HasOptedOutOfEmail', json('true')) "
                "where object = ? and id = ?",
                [kind, told["no_in_org"]["org_id"]],
            )
    (world.exports / "calls").mkdir(parents=True)
    (world.exports / "ann.mbox").write_bytes(_mbox(told))
    _calls(world.exports / "calls", told)
    (world.exports / "ann.ics").write_bytes(_calendar(told))
    world.write_sources()


def _people(world: SourcesWorld) -> dict[str, Any]:
    """Who plays which part: chosen by what the CRMs say of them, so that another seed would do as well."""
    contacts, emails, twins = world.objects("contacts"), world.objects("emails"), world.twins()
    unsubscribed = {str(row[0]).lower() for row in world.crm("select email from unsubscribes")}
    by_address = {person["email"].lower(): key for key, person in contacts.items() if person.get("email")}
    incoming = [one for one in emails.values() if one["hs_email_direction"] == "INCOMING_EMAIL"]
    wrote = {one["hs_email_from_email"].lower() for one in incoming}
    stop = {
        one["hs_email_from_email"].lower()
        for one in incoming
        if any(word in f"{one['hs_email_subject']} {one['hs_email_text']}".lower() for word in ("stop", "opt ", "opt-"))
    }
    names = [f"{one.get('firstname')} {one.get('lastname')}" for one in contacts.values()]

    def fits(address: str) -> bool:
        person = contacts[by_address[address]]
        name = f"{person.get('firstname')} {person.get('lastname')}"
        return (
            address not in stop | unsubscribed
            and person.get("hs_email_optout") != "true"
            and person.get("hs_lead_status") not in ("UNQUALIFIED", "BAD_TIMING")
            and bool(person.get("firstname") and person.get("lastname"))
            and person["lastname"].isascii()
            and names.count(name) == 1
            and f"hubspot:contact:{by_address[address]}" in twins
        )

    willing = [address for address in sorted(by_address) if fits(address)]
    writers = [address for address in willing if address in wrote]
    met = _meeting(world, set(willing))

    def person(address: str) -> dict[str, str]:
        key = by_address[address]
        return {
            "email": address,
            "id": f"hubspot:contact:{key}",
            "org_id": twins[f"hubspot:contact:{key}"],
            "name": f"{contacts[key]['firstname']} {contacts[key]['lastname']}",
        }

    others = [address for address in willing if address not in (writers[0], met["with"])]
    logged = next(one for one in incoming if one["hs_email_from_email"].lower() in willing)
    call = next(one for one in world.objects("calls").items() if not one[1].get("hs_call_body"))
    return {
        "seller_email": logged["hs_email_to_email"],
        "writer": person(writers[0]),
        "no_by_mail": person(others[0]),
        "no_in_org": person(others[1]),
        "met": met,
        "logged": {
            "message_id": json.loads(logged["hs_email_headers"])["headers"]["Message-ID"].strip("<>"),
            "from": logged["hs_email_from_email"],
            "subject": logged["hs_email_subject"],
            "text": logged["hs_email_text"],
            "at": logged["hs_timestamp"],
            "id": f"hubspot:email:{logged['hs_object_id']}",
        },
        "call": {"id": f"hubspot:call:{call[0]}", "title": call[1].get("hs_call_title"), "at": call[1]["hs_timestamp"]},
    }


def _meeting(world: SourcesWorld, willing: set[str]) -> dict[str, str]:
    """A meeting of today that the CRM knows, with somebody who may be written to."""
    contacts = world.objects("contacts")
    for key, meeting in world.objects("meetings").items():
        if not meeting["hs_meeting_start_time"].startswith("2026-11-17"):
            continue
        found = world.crm(
            "select to_id from associations where from_type = 'meetings' and from_id = ? and to_type = 'contacts'",
            [int(key)],
        )
        for (contact,) in sorted(found):
            address = contacts.get(str(contact), {}).get("email", "").lower()
            if address in willing:
                return {
                    "id": f"hubspot:meeting:{key}",
                    "title": meeting["hs_meeting_title"],
                    "starts": meeting["hs_meeting_start_time"],
                    "with": address,
                }
    raise AssertionError("nobody meets anybody today in this company")


def _mail(
    sender: str, to: str, subject: str, text: str, message_id: str, at: str = "2026-11-16T10:00:00Z", **headers: str
) -> EmailMessage:
    message, stamp = EmailMessage(), format_datetime(datetime.fromisoformat(at))
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Message-ID"], message["Date"] = f"<{message_id}>", stamp
    message["Received"] = f"from outside.example by mx.ours.example id {message_id}; {stamp}"
    for name, value in headers.items():
        message[name] = value
    message.set_content(text)
    return message


def _mbox(told: dict[str, Any]) -> bytes:
    seller, logged, writer, private = (told[name] for name in ("seller_email", "logged", "writer", "no_by_mail"))
    home = private["name"].lower().replace(" ", ".") + "@gmx.example"
    mails = [
        _mail(logged["from"], seller, logged["subject"], logged["text"], logged["message_id"], logged["at"]),
        _mail(
            f"{writer['name']} <{writer['email']}>",
            seller,
            "Budget",
            f"Hello,\n\n{BUDGET} Could we meet next week?\n\nBest\n",
            NEW,
        ),
        _mail(
            "Lou <lou@nowhere.example>", seller, "Private", "Dinner on Friday? We have 90k set aside for it.", STRANGER
        ),
        _mail(
            f"Sales <{seller}>",
            writer["email"],
            "News",
            "We have 75k set aside for this. Our budget is approved.",
            SPOOFED,
        ),
        _mail(
            f"{private['name']} <{home}>",
            seller,
            "Please stop",
            "Please do not write to me again. Take me off your list.\n",
            PRIVATE,
            Cc=private["email"],
        ),
    ]
    return b"".join(b"From sender Mon Nov 16 10:00:00 2026\n" + bytes(mail) + b"\n" for mail in mails)


def _calls(folder: Path, told: dict[str, Any]) -> None:
    """One call in two files that nobody logged, and the words of one that HubSpot knows."""
    writer, seller, known = told["writer"], told["seller_email"], told["call"]
    (folder / "intro.vtt").write_text(
        "WEBVTT\n\n"
        f"00:00:01.000 --> 00:00:05.000\n<v {writer['name']}>We are looking at two other vendors for this.\n\n"
        "00:00:06.000 --> 00:00:09.000\n<v Our Seller>I will send the security pack on Friday.\n",
        encoding="utf-8",
    )
    meta = {
        "title": "Intro call",
        "started": "2026-11-12T10:00:00Z",
        "participants": [{"name": writer["name"], "email": writer["email"]}, {"name": "Our Seller", "email": seller}],
    }
    (folder / "intro.json").write_text(json.dumps(meta), encoding="utf-8")
    (folder / "logged.vtt").write_text(
        "WEBVTT\n\n00:00:01.000 --> 00:00:05.000\n<v Guest>The forklift talked about pelicans.\n", encoding="utf-8"
    )
    about = {"started": known["at"], "hubspot_call_id": int(known["id"].split(":")[2])}
    (folder / "logged.json").write_text(json.dumps(about), encoding="utf-8")


def _calendar(told: dict[str, Any]) -> bytes:
    seller, writer, met = told["seller_email"], told["writer"], told["met"]

    def event(uid: str, starts: str, title: str, guest: str, *more: str) -> Sequence[str]:
        return (
            "BEGIN:VEVENT",
            f"UID:{uid}",
            "DTSTAMP:20261110T090000Z",
            starts,
            f"SUMMARY:{title}",
            f"ORGANIZER:mailto:{seller}",
            f"ATTENDEE;PARTSTAT=ACCEPTED:mailto:{guest}",
            *more,
            "END:VEVENT",
        )

    guest, zone = writer["email"], "TZID=America/Los_Angeles"
    stamp = met["starts"][:19].replace("-", "").replace(":", "") + "Z"
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//calendar.example//EN", "X-WR-TIMEZONE:America/Los_Angeles",
        # 20:30 in Los Angeles is half past four of the next day in UTC: today is the seller's.
        *event(ONLY_HERE, f"DTSTART;{zone}:20261117T203000", "Next steps", guest, "DURATION:PT1H"),
        *event(IN_BOTH, f"DTSTART:{stamp}", met["title"], met["with"], "DURATION:PT1H"),
        *event(CALLED_OFF, "DTSTART:20261117T120000Z", "Called off", guest, "DURATION:PT1H", "STATUS:CANCELLED"),
        *event(BROKEN, "DTSTART:yesterday", "Broken", guest),
        "END:VCALENDAR", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()
