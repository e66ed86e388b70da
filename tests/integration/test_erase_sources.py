"""A person who stands in two CRMs, a mailbox, transcripts and a calendar goes from all of them; nobody else does."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from test_erase_rules import (
    _VICTIM,  # pyright: ignore[reportPrivateUsage]
    DANA,
    NOW,
    ROOT,
    SAID,
    World,
    _make_ledger,  # pyright: ignore[reportPrivateUsage]
    _make_raw,  # pyright: ignore[reportPrivateUsage]
    clock,
)

from nightdesk import ledger
from nightdesk.erasure import places, tombstones
from nightdesk.erasure import run as erasure
from nightdesk.settings import Settings
from reverse_etl import audit
from sources.registry import datasets, ensure_tables
from sources.salesforce.contract import Definitions
from sources.salesforce.erased import Erased
from sources.salesforce.tables import CONTACT
from tests.erase_kit import pieces, scan

LEAD, TWIN, KIM = "dana@lead.example", "d.r@private.example", "kim@acme.example"
OURS, OMAR = "sam@harbourline.example", "omar@mill.example"
ADDRESSES = (DANA, LEAD, TWIN)

# What stands where. Everything under `gone` has to be nowhere afterwards, everything under `kept` where it was.
GONE: dict[str, str] = {
    "account": "A person who buys copper in person",
    "task": "Wants the slate quarry folder by Thursday noon.",
    "related task": "Sent the brochure with the copper roofs.",
    "call": "Our barges cannot moor there before spring.",
    "activity": "Copy of the message on umbrella stands.",
    "event": "Walk through the glasshouse with her team.",
    "related event": "Dinner at the lighthouse with four others.",
    "message": "Umbrella stands are what we need, forty of them.",
    "quoting message": "Passing this on to you, see underneath please.",
    "note": "Prefers telephone calls after the school run.",
    "history": "Director of Rivers and Canals",
    "value": "Their quarry folder is what convinces them.",
    "mail": "The ferry timetable is pinned to our door.",
    "bounce": "The postmaster could not find that mailbox.",
    "reply": "I am travelling on horseback until the ninth.",
    "quote": "Kim here, this is what I was told earlier today.",
    "copy": "Same mail, as the archive keeps it undisclosed.",
    "transcript": "We paint every lock gate green in autumn.",
    "voice": "Nobody told me about the second invoice.",
    "transcript of a call": "The recording of that call in other words.",
    "recognised": "Yes, that was me speaking, as I said before.",
    "meeting": "Agenda: the towpath and its seventeen bridges.",
    "problem": "the attachment of this one could not be opened",
}
KEPT: dict[str, str] = {
    "task": "Kim asked for a second set of window keys.",
    "event": "Omar and Sam look at the orchard together.",
    "message": "Omar ordered nine crates of plum preserve.",
    "note": "Omar answers best on Wednesday mornings.",
    "mail": "Omar has moved into the house by the mill.",
    "namesake": "I am called the same but live elsewhere.",
    "meeting": "Orchard planning with Omar and his cousin.",
    "problem": "a header of another mail is not readable",
}


def _sf(kind: str, number: str) -> str:
    return f"{kind}{number:0>12}AAA"


C_DANA, C_OLD, C_KIM, C_OMAR = (_sf("003", one) for one in ("1", "2", "3", "4"))
L_OLD, L_TWIN, L_MAYBE = (_sf("00Q", one) for one in ("1", "2", "3"))


def _turn(name: str, company: str, text: str) -> str:
    return f"[00:00:01] Sam Poe (Harbourline): Hello.\n[00:00:05] {name}{f' ({company})' if company else ''}: {text}"


def _person(**found: Any) -> str:
    return json.dumps([{"name": None, "email": None, "crm_id": ""} | found])


def _salesforce() -> dict[str, list[dict[str, Any]]]:
    mail = {"thread_identifier": "s1", "message_date": NOW}
    return {
        "contacts": [
            {"id": C_DANA, "email": DANA.upper(), "first_name": "Dana", "last_name": "Reyes", "account_id": "001A"},
            {"id": C_KIM, "email": KIM, "first_name": "Kim", "last_name": "Ng", "account_id": "001A",
             "reports_to_id": C_DANA},
            {"id": C_OMAR, "email": OMAR, "first_name": "Omar", "last_name": "Saa", "account_id": "001B"},
        ],
        "accounts": [
            {"id": "001P", "name": GONE["account"], "person_contact_id": C_DANA}, {"id": "001A", "name": "Acme"},
        ],
        "leads": [
            {"id": L_OLD, "email": LEAD, "last_name": "Reyes", "converted_contact_id": C_DANA},
            {"id": L_TWIN, "email": TWIN, "first_name": "D.", "last_name": "Reyes"},
            {"id": L_MAYBE, "email": "dreyes@maybe.example", "first_name": "D.", "last_name": "Reyes"},
        ],
        "merges": [
            {"object_type": "Contact", "merged_id": C_OLD, "surviving_type": "Contact", "surviving_id": C_DANA,
             "reason": "merged"},
            {"object_type": "Lead", "merged_id": L_OLD, "surviving_type": "Contact", "surviving_id": C_DANA,
             "reason": "converted"},
        ],
        "deletions": [{"object_type": "Contact", "object_id": C_OLD, "deleted_at": NOW}],
        "field_history": [
            {"source_object": "ContactHistory", "history_id": "017A", "object_type": "Contact", "record_id": C_DANA,
             "field": "Title", "new_value": GONE["history"]},
        ],
        "namespaced_values": [
            {"object_type": "Contact", "object_id": C_DANA, "property": "Nightdesk_Reason__c", "value": GONE["value"]},
            {"object_type": "Contact", "object_id": C_OMAR, "property": "Nightdesk_Reason__c", "value": "Likes plums."},
        ],
        "opportunities": [{"id": "006A", "name": "Locks", "account_id": "001A", "contact_id": C_DANA}],
        "opportunity_contact_roles": [{"id": "00KA", "opportunity_id": "006A", "contact_id": C_DANA}],
        "tasks": [
            {"id": _sf("00T", "1"), "who_id": C_DANA, "description": GONE["task"]},
            {"id": _sf("00T", "2"), "who_id": C_KIM, "description": GONE["related task"]},
            {"id": _sf("00T", "3"), "who_id": C_KIM, "task_subtype": "Call",
             "call_transcript": _turn("Dana Reyes", "Acme", GONE["call"])},
            {"id": _sf("00T", "4"), "who_id": C_KIM, "description": KEPT["task"]},
            {"id": _sf("00T", "5"), "task_subtype": "Email", "description": GONE["activity"]},
        ],
        "task_relations": [{"id": "0RTA", "task_id": _sf("00T", "2"), "relation_id": L_OLD}],
        "events": [
            {"id": _sf("00U", "1"), "who_id": L_TWIN, "description": GONE["event"]},
            {"id": _sf("00U", "2"), "who_id": C_OMAR, "description": GONE["related event"]},
            {"id": _sf("00U", "3"), "who_id": C_OMAR, "description": KEPT["event"]},
        ],
        "event_relations": [
            {"id": "0REA", "event_id": _sf("00U", "2"), "relation_id": C_DANA},
            {"id": "0REB", "event_id": _sf("00U", "3"), "relation_id": C_OMAR},
        ],
        "email_messages": [
            mail | {"id": _sf("02s", "1"), "from_address": DANA, "from_name": "Dana Reyes", "to_address": OURS,
                    "text_body": GONE["message"], "activity_id": _sf("00T", "5")},
            mail | {"id": _sf("02s", "2"), "from_address": OURS, "to_address": OMAR,
                    "text_body": f"{GONE['quoting message']}\n\n> {GONE['message']}"},
            mail | {"id": _sf("02s", "3"), "from_address": OURS, "to_address": OMAR,
                    "text_body": KEPT["message"]},
        ],
        "email_message_relations": [
            {"id": "0RMA", "email_message_id": _sf("02s", "1"), "relation_id": C_DANA, "relation_address": DANA},
        ],
        "notes": [
            {"id": _sf("002", "1"), "parent_id": C_DANA, "body": GONE["note"]},
            {"id": _sf("002", "2"), "parent_id": C_OMAR, "body": KEPT["note"]},
        ],
    }  # fmt: skip


def _key(number: int, length: int = 32) -> str:
    return f"{number:x}".rjust(length, "b")


def _mailbox() -> dict[str, list[dict[str, Any]]]:
    def message(number: int, sender: str, to: str, body: str, **more: Any) -> dict[str, Any]:
        return {"key": _key(number), "from_email": sender, "to_email": to, "body": body, "thread_id": "m1"} | more

    return {
        "messages": [
            message(1, DANA, OURS, GONE["mail"], from_name="Dana Reyes", new_text=GONE["mail"]),
            message(2, "postmaster@acme.example", OURS, f"{GONE['bounce']}\n<{LEAD}>: unknown", thread_id="m2",
                    bounced_address=LEAD, message_class="bounce", bounce_reason=f"550 <{LEAD}> unknown"),
            message(3, TWIN, OURS, GONE["reply"], message_class="auto_reply", thread_id="m3"),
            message(4, KIM, OURS, f"{GONE['quote']}\n\n> {GONE['mail']}"),
            message(5, "", "", GONE["copy"], thread_id="m5", internet_message_id="<one@acme.example>"),
            message(6, OMAR, OURS, KEPT["mail"]),
        ],
        "threads": [{"message_id": f"{number}@x", "thread_id": "m1"} for number in (1, 6)],
        "locations": [{"container": "c", "position": str(one), "message_key": _key(one)} for one in (1, 6)],
        "files": [{"source": "box", "file": "/mail/archive.mbox"}, {"source": "box", "file": f"/mail/{DANA}.mbox"}],
        "problems": [
            {"file": "/mail/archive.mbox", "position": "1", "what": f"{GONE['problem']} ({DANA})"},
            {"file": "/mail/archive.mbox", "position": "2", "what": KEPT["problem"]},
        ],
    }  # fmt: skip


def _transcripts() -> dict[str, list[dict[str, Any]]]:
    def call(number: int, body: str, **more: Any) -> dict[str, Any]:
        return {
            "call_key": _key(number, 16),
            "body": body,
            "speakers": "[]",
            "turns": json.dumps([{"text": body}]),
        } | more

    return {
        "calls": [
            call(1, _turn("D. R.", "", GONE["transcript"]), speakers=_person(name="D. R.", email=TWIN)),
            call(2, _turn("Dana Reyes", "Acme", GONE["voice"])),
            call(3, _turn("Dana Reyes", "Other", KEPT["namesake"])),
            call(4, _turn("Speaker 2", "", GONE["transcript of a call"]), crm_call_id="20"),
            call(5, _turn("Somebody", "", GONE["recognised"])),
        ]
    }


def _calendar() -> dict[str, list[dict[str, Any]]]:
    def event(number: int, title: str, *emails: str) -> dict[str, Any]:
        people = json.dumps([{"email": one, "name": None} for one in emails])
        return {"id": _key(number, 24), "calendar": "sam", "uid": f"u{number}", "title": title, "attendees": people}

    return {
        "events": [
            event(1, GONE["meeting"], DANA, OMAR),
            event(2, KEPT["meeting"], OMAR),
        ],
        "series": [{"id": _key(1, 24), "calendar": "sam", "uid": "u1", "files": "[]"}],
    }


def _insert(con: duckdb.DuckDBPyConnection, dataset: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    for table, rows in tables.items():
        for row in rows:
            named = row | {"_dlt_load_id": "1"}
            columns = ", ".join(f'"{name}"' for name in named)
            marks = ", ".join("?" for _ in named)
            con.execute(f'insert into {dataset}."{table}" ({columns}) values ({marks})', list(named.values()))


# Every document of theirs has a fact in the ledger; so has one of somebody else.
READ = {
    f"salesforce:task:{_sf('00T', '1')}": GONE["task"],
    f"salesforce:email:{_sf('02s', '1')}": GONE["message"],
    # A call by the time it was read, whatever Salesforce says of the task today.
    f"salesforce:call:{_sf('00T', '2')}": GONE["related task"],
    f"salesforce:meeting:{_sf('00U', '1')}": GONE["event"],
    f"mailbox:email:{_key(1)}": GONE["mail"],
    f"transcripts:call:{_key(2, 16)}": GONE["voice"],
    f"calendar:meeting:{_key(1, 24)}": GONE["meeting"],
    f"mailbox:email:{_key(6)}": KEPT["mail"],
    f"transcripts:call:{_key(3, 16)}": KEPT["namesake"],
}
_SIMPLE = {
    "predicate": "budget", "fact_value": "yes", "polarity": "affirmed", "author_side": "theirs",
    "span_start": 0, "span_end": 9, "author": "somebody",
}  # fmt: skip


def _add_to_ledger(con: duckdb.DuckDBPyConnection) -> None:
    def add(table: str, **row: Any) -> None:
        columns, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" for _ in row)
        con.execute(f"insert into {table} ({columns}) values ({marks})", list(row.values()))

    for number, (record, text) in enumerate(READ.items()):
        answer = f"n_5{number:0>23}"
        con.execute(
            "insert into answers by name select * replace (? as answer_id, ? as record_id, ? as input_hash, "
            "? as context_hash, ? as attempt_id) from answers order by answer_id limit 1",
            [answer, record, f"{number:0>64}", f"{number:c>64}", f"a_5{number:0>23}"],
        )
        add("facts", **_SIMPLE, fact_id=f"f_5{number:0>11}", answer_id=answer, document_id=record, quote=text)
        add(
            "evidence", answer_id=answer, item_kind="fact", item_key=str(number), position=0, evidence_kind="fact",
            evidence_id=f"f_5{number:0>11}", quote=text,
        )  # fmt: skip
    for op, record, text in (("sf1", C_DANA, GONE["value"]), ("sf2", C_KIM, f"Dana said: {GONE['mail']}")):
        con.execute(
            "insert into plan_ops by name select * replace (? as op_id, 'salesforce' as crm, 'Contact' as object_type, "
            "? as record_id, ? as desired_value, ? as wire_value, ? as reason, '[]' as evidence, null as answer_id, "
            "null as record_label) from plan_ops where op_id = 'op4'",
            [op, record, text, text, text],
        )
    add(
        "identity_reviews", review_id="rv1", link_id="l1", object_type="contacts", kind="same_person",
        left_record_id="hubspot:contact:1", right_record_id=f"salesforce:lead:{L_TWIN}", decision="confirmed",
        reviewed_by="kit", inputs_hash="h", sequence=1, reviewed_at=NOW,
    )  # fmt: skip
    add(
        "quarantine", crm="salesforce", object_type="Lead", record_id=L_TWIN, property="x", reason="r",
        quarantined_at=NOW,
    )  # fmt: skip


def _make_warehouse(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        f"""
        create table identity_links as
        select 'contacts' as object_type, 'same_person' as kind, 'hubspot:contact:1' as left_record_id,
            'salesforce:lead:{L_MAYBE}' as right_record_id, 'suggested' as status, false as is_in_force;
        create table int_call_speakers as
        select 'transcripts:call:{_key(5, 16)}' as transcript_id, 'hubspot:contact:1' as contact_id
        """
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("erase-sources") / "data"
    data.mkdir()
    ensure_tables(data / "raw.duckdb")
    with duckdb.connect(str(data / "raw.duckdb")) as con:
        _make_raw(con)
        con.execute("update hubspot.emails set hs_email_message_id = '<ONE@acme.example>' where id = '10'")
        for dataset, tables in (
            ("salesforce", _salesforce()),
            ("mailbox", _mailbox()),
            ("transcripts", _transcripts()),
            ("calendar", _calendar()),
        ):
            _insert(con, dataset, tables)
    ledger.migrate(data / "ledger.duckdb", clock)
    with ledger.connect(data / "ledger.duckdb") as con:
        _make_ledger(con)
        _add_to_ledger(con)
    with duckdb.connect(str(data / "warehouse.duckdb")) as con:
        _make_warehouse(con)
    (data / "published").mkdir()
    (data / "published" / "documents.json").write_text(json.dumps({"text": GONE["mail"]}))
    return data


def _world(template: Path, folder: Path, patch: pytest.MonkeyPatch) -> World:
    shutil.copytree(template, folder / "data")
    patch.chdir(folder)
    patch.delenv("DBT_TARGET_PATH", raising=False)
    return World(Settings(_env_file=None, data_dir=folder / "data", actor="tester", as_of=date(2026, 11, 17)))  # pyright: ignore[reportCallIssue]


@dataclass(frozen=True)
class Done:
    """An erasure that many tests look at and none changes."""

    world: World
    report: erasure.Report


@pytest.fixture(scope="module")
def done(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    with pytest.MonkeyPatch.context() as patch:
        world = _world(template, tmp_path_factory.mktemp("done"), patch)
        assert len(_shown(world.settings.data_dir)) == len(GONE) + len(KEPT) + 1
        yield Done(world, world.erase(f"salesforce:contact:{C_DANA}"))


def _shown(data: Path) -> set[str]:
    """Which of the texts stand anywhere, by 20 bytes of them at any offset."""
    texts = {f"gone {name}": text for name, text in GONE.items()} | {f"kept {name}": KEPT[name] for name in KEPT}
    texts["gone said in HubSpot"] = SAID
    found = set[bytes]().union(*scan(data, pieces(texts.values(), ())).values())
    return {name for name, text in texts.items() if found & set(pieces([text], ()).texts.values())}


# One mail of somebody else shows addresses that only look like hers.
_IDS = f"(^|[^a-z0-9-])({'|'.join((*ADDRESSES, C_DANA, C_OLD, L_OLD, L_TWIN)).lower()})($|[^.a-z0-9])"


def _no_trace(world: World) -> None:
    with duckdb.connect(str(world.settings.raw)) as con:
        con.execute("update mailbox.files set file = '' where contains(file, '@')")  # the name of somebody's file
    assert _shown(world.settings.data_dir) == {f"kept {name}" for name in KEPT}
    for path in (world.settings.raw, world.settings.ledger):
        with duckdb.connect(str(path), read_only=True) as con:
            for schema, table in con.execute(
                "select schema_name, table_name from duckdb_tables() where estimated_size > 0"
            ).fetchall():
                rows = f'select lower(to_json(found)::varchar) as text from {schema}."{table}" as found'
                shown = con.execute(f"select text from ({rows}) where regexp_matches(text, ?)", [_IDS]).fetchall()
                assert shown == [], table
    assert audit.verify(world.settings.ledger).ok


def test_nothing_of_theirs_is_left_in_any_source_and_everything_of_others_is(done: Done) -> None:
    world, report = done.world, done.report
    assert report.person.contacts == {"1", "2", C_DANA, C_OLD, L_OLD, L_TWIN}
    assert report.person.addresses == {*ADDRESSES, "dana.private@mail.example"}
    assert report.person.suggested == (f"salesforce:lead:{L_MAYBE}",)
    assert report.named_files == [f"/mail/{DANA}.mbox"]
    _no_trace(world)
    left = {
        "salesforce.accounts": 1,
        "salesforce.contacts": 2, "salesforce.leads": 1, "salesforce.merges": 0, "salesforce.deletions": 0,
        "salesforce.tasks": 1, "salesforce.task_relations": 0, "salesforce.events": 1, "salesforce.event_relations": 1,
        "salesforce.email_messages": 1, "salesforce.email_message_relations": 0, "salesforce.notes": 1,
        "salesforce.field_history": 0, "salesforce.namespaced_values": 1, "salesforce.opportunity_contact_roles": 0,
        "salesforce.opportunities": 1, "mailbox.messages": 1, "mailbox.locations": 2, "mailbox.threads": 2,
        "mailbox.problems": 1, "mailbox.files": 2, "transcripts.calls": 1, "calendar.events": 1, "calendar.series": 1,
    }  # fmt: skip
    assert {name: world.raw(f"select count(*) from {name}")[0][0] for name in left} == left


def test_the_ledger_forgets_them_under_every_source_and_the_numbers_say_so(done: Done) -> None:
    world, report = done.world, done.report
    left = {row[0] for row in world.ledger("select document_id from facts where starts_with(fact_id, 'f_5')")}
    assert left == {f"mailbox:email:{_key(6)}", f"transcripts:call:{_key(3, 16)}"}
    assert report.numbers["facts"] == 1 + len(READ) - 2
    ops = dict(world.ledger("select op_id, reason from plan_ops where crm = 'salesforce'"))  # pyright: ignore
    assert ops == {"sf2": "Erased"}
    assert ("Contact", C_DANA, ["Nightdesk_Reason__c"]) in report.in_crm
    assert world.ledger("select count(*) from identity_reviews") == [(0,)]
    assert world.ledger("select count(*) from quarantine") == [(0,)]
    by_type = report.person.by_type()
    assert (by_type["notes"], by_type["tasks"], by_type["meetings"]) == (2, 2, 4)


def test_whoever_is_named_by_any_record_of_theirs_or_by_any_address_is_the_same(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _world(template, tmp_path, monkeypatch)
    found = {named: erasure.look(world.settings, named) for named in (LEAD, f"salesforce:lead:{L_TWIN}", C_OLD[:15])}
    assert len({json.dumps(report.numbers) for report in found.values()}) == 1
    assert len({report.person.contacts for report in found.values()}) == 1


def test_no_later_load_brings_back_what_says_less_by_then(done: Done) -> None:
    from sources.kit.erased import is_erased

    stones = tombstones.read_file(done.world.settings.ledger)
    assert stones is not None
    tables = datasets()
    held: list[tuple[str, str, dict[str, Any], bool]] = [
        ("mailbox", "messages", {"key": _key(1), "from_email": "", "body": "Only this is left of it."}, True),
        ("mailbox", "messages", {"key": _key(5), "from_email": "", "body": "Only this is left of it."}, True),
        ("mailbox", "messages", {"key": _key(6), "from_email": KIM, "body": "Not theirs."}, False),
        # New ones: by the conversation and what is quoted, by address, by voice.
        ("mailbox", "messages", {"key": _key(7), "thread_id": "m1", "body": "See:\n\n> The ferry timetable"}, True),
        ("mailbox", "messages", {"key": _key(8), "thread_id": "m1", "body": "Thanks."}, False),
        ("mailbox", "messages", {"key": _key(9), "bounce_reason": f"550 <{LEAD}> unknown"}, True),
        ("transcripts", "calls", {"call_key": _key(5, 16), "body": "[00:00:01] Somebody: Yes."}, True),
        ("transcripts", "calls", {"call_key": _key(6, 16), "body": "[00:00:01] Dana Reyes (Acme): Me."}, True),
        ("transcripts", "calls", {"call_key": _key(7, 16), "body": "[00:00:01] Dana Reyes (Other): Not me."}, False),
        # New ones, too: the transcript of an erased call, and a call with an erased record among the speakers.
        ("transcripts", "calls", {"call_key": _key(8, 16), "crm_call_id": "hubspot:call:20", "body": "Yes."}, True),
        ("transcripts", "calls", {"call_key": _key(9, 16), "crm_call_id": "22", "body": "Yes."}, False),
        (
            "transcripts",
            "calls",
            {"call_key": _key(10, 16), "speakers": _person(crm_id=f"salesforce:lead:{L_TWIN}")},
            True,
        ),
        ("calendar", "events", {"id": _key(1, 24), "attendees": "[]"}, True),
        ("calendar", "events", {"id": _key(3, 24), "attendees": _person(email=TWIN)}, True),
        ("calendar", "events", {"id": _key(4, 24), "attendees": _person(email=KIM)}, False),
    ]
    for dataset, table, row, expected in held:
        assert is_erased(stones, tables[dataset][table], row) is expected, row
    # What was recognised is known by its key from then on.
    assert stones.has("document", f"calls:{_key(6, 16)}") and len(stones.learned) == 6


def test_records_that_stay_are_loaded_without_the_id_of_the_erased_person() -> None:
    stones = tombstones.Tombstones(b"k" * 32)
    stones.learn("contact", C_DANA, "e1")
    kind = CONTACT
    page = pa.table({"Id": [C_KIM, C_DANA], "ReportsToId": [C_DANA, None], "LastName": ["Ng", "Reyes"]})
    rows, dropped = Erased(stones).kept(Definitions(kind, kind.fields, {}, (), False, (), (), (), True), page)
    assert dropped == [C_DANA]
    assert rows.to_pylist() == [{"Id": C_KIM, "ReportsToId": None, "LastName": "Ng"}]


def test_an_id_as_people_see_it_is_the_one_programs_see() -> None:
    assert places.long_id("003A0000006Vm9u") == "003A0000006Vm9uIAC"
    assert places.long_id("123") == "123" and places.long_id(C_DANA) == C_DANA


class _Killed(BaseException):
    """Ends an erasure as a kill would: nothing after it runs."""


@pytest.mark.parametrize(
    "step",
    ["ledger rows", pytest.param("logs", marks=pytest.mark.soak), pytest.param("raw rows", marks=pytest.mark.soak)],
)
def test_killed_in_the_middle_and_finished_leaves_nothing_in_any_source(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    world = _world(template, tmp_path, monkeypatch)

    def die(reached: str) -> None:
        if reached == step:
            raise _Killed

    with pytest.raises(_Killed):
        world.erase(observe=die)
    assert len(erasure.finish(world.project, clock=clock, progress=lambda *_: None)) == 1
    _no_trace(world)


@pytest.mark.soak
def test_kill_9_and_finish_leaves_nothing_in_any_source(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = _world(template, tmp_path, monkeypatch)
    command = [sys.executable, "-c", _VICTIM, str(ROOT), str(world.settings.data_dir), "raw rows", DANA]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert len(erasure.finish(world.project, clock=clock, progress=lambda *_: None)) == 1
    _no_trace(world)
