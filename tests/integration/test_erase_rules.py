"""What belongs to a person, what rests on it, and what stays: on a company of a dozen records, all written by hand."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nightdesk import ledger
from nightdesk.erasure import run as erasure
from nightdesk.erasure import tombstones
from nightdesk.errors import NightdeskError
from nightdesk.policy import Policy
from nightdesk.policy import load as load_policy
from nightdesk.prepare import Project
from nightdesk.settings import Settings
from reverse_etl import audit
from sources.registry import ensure_tables

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 17, 3, 0, tzinfo=UTC)
DANA = "dana.reyes@acme.example"
SAID = "The money came back in October, all of it."
TOLD = "Dana Reyes has the last word on the budget."


@cache
def _policy() -> Policy:
    return load_policy(ROOT / "policies")


def clock() -> datetime:
    return NOW


@dataclass
class World:
    """Contacts: 1 Dana (2 merged into her, 3 a namesake elsewhere, 4 Kim, a colleague, 5 Lou, nobody's colleague)."""

    settings: Settings

    @property
    def project(self) -> Project:
        return Project(ROOT, self.settings, _policy())

    def raw(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.settings.raw), read_only=True) as con:
            return con.execute(sql).fetchall()

    def ledger(self, sql: str) -> list[tuple[Any, ...]]:
        with ledger.connect(self.settings.ledger, read_only=True) as con:
            return con.execute(sql).fetchall()

    def ids(self, kind: str) -> set[str]:
        return {str(row[0]) for row in self.raw(f"select id from hubspot.{kind}")}

    def erase(self, named: str = DANA, observe: Any = lambda _: None, reason: str = "ticket 7") -> erasure.Report:
        return erasure.erase(self.project, named, reason=reason, clock=clock, progress=lambda *_: None, observe=observe)

    def bytes(self) -> bytes:
        """Every byte below the data directory."""
        files = sorted(one for one in self.settings.data_dir.rglob("*") if one.is_file())
        data = b"\n".join(one.read_bytes() for one in files)
        # One mail of somebody else shows addresses that only look like hers.
        return data.replace(f"not-{DANA}".encode(), b"").replace(f"{DANA}.org".encode(), b"")

    def state(self) -> dict[str, list[tuple[Any, ...]]]:
        """What an erasure leaves, without what is random or a time."""
        tables = {
            "answers": "select answer_id, record_id, reason from answers order by all",
            "facts": "select fact_id, quote from facts order by all",
            "evidence": "select * from evidence order by all",
            "sentences": "select * from sentences order by all",
            "attempts": "select attempt_id, starts_with(record_id, 'erased:'), error from attempts order by all",
            "outcomes": "select outcome, answer_id, reason, count(*) from outcomes group by all order by all",
            # A mask is made under each ledger's own key.
            "plan_ops": "select op_id, record_label, reason, regexp_replace(desired_value, '^erased:.*', 'mask'), "
            "evidence from plan_ops order by all",
            "op_results": "select op_id, crm_before, regexp_replace(crm_after, '^erased:.*', 'mask') "
            "from op_results order by all",
            "suppression": "select contact_id, quote from suppression order by all",
            "redacted": "select plan_id from redacted_plans order by all",
            "tombstones": "select subject_kind, count(*) from tombstones group by all order by all",
            "erasures": "select count(*), count(finished_at) from erasures",
            "audit": "select action, count(*) from audit_events group by all order by all",
        }
        found = {name: self.ledger(sql) for name, sql in tables.items()}
        found |= {kind: sorted((one,) for one in self.ids(kind)) for kind in ("contacts", "emails", "calls", "notes")}
        found["files"] = sorted(
            (
                str(one.relative_to(self.settings.data_dir)),
                re.sub(r"erased:[0-9a-f]{16}", "erased:?", one.read_text()) if one.suffix == ".jsonl" else "",
            )
            for one in self.settings.data_dir.rglob("*")
            if one.is_file() and one.name not in ("audit-anchor.jsonl",)
        )
        return found


def _rows(con: duckdb.DuckDBPyConnection, table: str, *rows: dict[str, Any]) -> None:
    for row in rows:
        named = row | ({"_dlt_load_id": "1"} if table.startswith("hubspot.") else {})
        columns, marks = ", ".join(f'"{name}"' for name in named), ", ".join("?" for _ in named)
        con.execute(f"insert into {table} ({columns}) values ({marks})", list(named.values()))


def _link(kind: str, one: str, to: str, to_id: str) -> dict[str, Any]:
    return {
        "from_object_type": kind, "from_id": one, "to_object_type": to, "to_id": to_id, "association_type_id": 1
    }  # fmt: skip


def _mail(one: str, sender: str, to: str, text: str, thread: str = "") -> dict[str, Any]:
    headers = json.dumps({"from": {"email": sender, "firstName": "Dana", "lastName": "Reyes"}})
    return {
        "id": one, "archived": False, "hs_email_from_email": sender, "hs_email_to_email": to, "hs_email_text": text,
        "hs_email_thread_id": thread, "hs_email_headers": headers if sender.startswith("dana") else "{}",
    }  # fmt: skip


SELLER = "sam@harbourline.example"


def _make_raw(con: duckdb.DuckDBPyConnection) -> None:
    people = [
        ("1", DANA, "Dana", "Reyes"), ("3", "dana@other.example", "Dana", "Reyes"),
        ("4", "kim@acme.example", "Kim", "Ng"), ("5", "lou@else.example", "Lou", "Fox"),
    ]  # fmt: skip
    _rows(
        con,
        "hubspot.contacts",
        *({"id": one, "archived": False, "email": e, "firstname": f, "lastname": n} for one, e, f, n in people),
    )
    _rows(con, "hubspot.merges", {"object_type": "contacts", "merged_id": "2", "surviving_id": "1"})
    _rows(con, "hubspot.owners", {"id": "9", "email": SELLER})
    _rows(con, "hubspot.unsubscribes", {"email": DANA, "is_unsubscribed": True})
    _rows(
        con,
        "hubspot.namespaced_values",
        {"object_type": "contacts", "object_id": "1", "property": "nightdesk_x", "value": "7"},
    )
    _rows(
        con,
        "hubspot.property_history",
        {
            "object_type": "contacts",
            "object_id": "1",
            "property": "jobtitle",
            "value": "Chief of Dana",
            "changed_at": NOW,
        },
    )
    _rows(
        con,
        "hubspot.emails",
        _mail("10", DANA, SELLER, f"Hi Sam,\n\n{SAID}", "t1"),
        _mail("11", SELLER, DANA, "Hi Dana, glad to hear it.", "t1"),
        _mail("12", SELLER, "kim@acme.example", f"Hi Kim, see below.\n\n> {SAID}", "t1"),
        _mail("13", SELLER, "kim@acme.example", "Hi Kim, thanks for your time.", "t1"),
        _mail("14", "dana.private@mail.example", SELLER, "From my private address: call me on Monday.", "t2"),
        _mail("15", "postmaster@acme.example", SELLER, f"Delivery to <{DANA}> failed."),
        _mail("16", "kim@acme.example", SELLER, TOLD),
        _mail("17", "lou@else.example", SELLER, "Dana Reyes is somebody else, of another company."),
        _mail("18", "lou@else.example", SELLER, "Write to not-dana.reyes@acme.example or dana.reyes@acme.example.org."),
    )
    call = "[00:00:01] Sam Poe (Harbourline): Hello.\n[00:00:05] {} ({}): {}"
    _rows(
        con,
        "hubspot.calls",
        {"id": "20", "archived": False, "hs_call_body": call.format("Dana Reyes", "Acme", SAID)},
        {"id": "21", "archived": False, "hs_call_body": call.format("Dana Reyes", "Acme", "Not linked to me.")},
        {"id": "22", "archived": False, "hs_call_body": call.format("Dana Reyes", "Other", "I am the namesake.")},
        {"id": "23", "archived": False, "hs_call_body": call.format("Kim Ng", "Acme", "Only me here.")},
    )
    _rows(
        con,
        "hubspot.notes",
        {"id": "30", "archived": False, "hs_note_body": "Spoke with her."},
        {"id": "31", "archived": False, "hs_note_body": "Kim is on holiday."},
    )
    _rows(con, "hubspot.meetings", {"id": "40", "archived": False, "hs_meeting_title": "Kim and Dana"})
    links = [
        ("contacts", "1", "companies", "50"),
        ("contacts", "4", "companies", "50"),
        ("contacts", "3", "companies", "51"),
    ]
    links += [("emails", one, "contacts", "1") for one in ("10", "11", "14")]
    links += [("emails", one, "contacts", "4") for one in ("12", "13", "16")]
    links += [("calls", "20", "contacts", "1"), ("calls", "22", "contacts", "3"), ("calls", "23", "contacts", "4")]
    links += [("notes", "30", "contacts", "1"), ("notes", "31", "contacts", "4")]
    links += [
        ("meetings", "40", "contacts", "1"),
        ("meetings", "40", "contacts", "4"),
        ("emails", "17", "contacts", "5"),
    ]
    _rows(con, "hubspot.associations", *(_link(*one) for one in links))


def _answer(one: str, operation: str, record: str, *, reason: str | None = None) -> dict[str, Any]:
    return {
        "answer_id": f"n_{one * 24}"[:26], "operation": operation, "record_type": "r", "record_id": record,
        "input_hash": one * 64, "context_hash": f"{one}c" * 32, "agent": "rules", "operation_hash": "o",
        "policy_hash": "p", "run_id": "r1", "attempt_id": f"a_{one * 24}"[:26], "outcome": "enriched", "reason": reason,
        "evidence_count": 1, "dropped_count": 0, "answered_at": NOW,
    }  # fmt: skip


# Of Dana's mail; of Kim's record, citing it; of Kim's record with the fact in view; of Lou's; of the namesake's mail.
ANSWERS = [
    _answer("1", "extract_facts", "hubspot:email:10"),
    _answer("2", "lead_quality", "hubspot:contact:4"),
    _answer("3", "meeting_brief", "hubspot:meeting:41"),
    _answer("4", "lead_quality", "hubspot:contact:5", reason="(same context as hubspot:contact:1)"),
    _answer("5", "extract_facts", "hubspot:call:22"),
]
FACT, OTHER_FACT = "f_0123456789ab", "f_ba9876543210"


def _make_ledger(con: duckdb.DuckDBPyConnection) -> None:
    for number, found in enumerate(("contacts: days_ahead is 3 (1, 9)", "contacts: days_ahead is 3 (31)", DANA)):
        con.execute(
            "insert into border_checks values "
            "(?, 'r', 'raw', 'hubspot', null, 's', 'contacts', 'e', 'm', 'warn', false, false, ?, ?)",
            [f"check-{number}", json.dumps([found]), NOW],
        )
    con.execute(
        "insert into border_verdicts values (1, 'plan-x', 'd', 'refused', ?, 'r', ?)",
        [json.dumps(["contacts 2 nightdesk_lead_score"]), NOW],
    )
    _rows(con, "runs", {"run_id": "r1", "command": "refresh", "as_of": date(2026, 11, 17), "started_at": NOW})
    _rows(con, "answers", *ANSWERS)
    for answer in ANSWERS:
        attempt = {
            name: answer[name]
            for name in ("attempt_id", "run_id", "operation", "record_type", "record_id", "input_hash", "agent")
        }
        _rows(
            con,
            "attempts",
            attempt | {"status": "ok", "requested_at": NOW, "error": "said: " + SAID if answer is ANSWERS[1] else None},
        )
        outcome = {
            name: answer[name]
            for name in ("run_id", "operation", "record_type", "record_id", "outcome", "answer_id", "reason")
        }
        _rows(con, "outcomes", outcome | {"recorded_at": NOW})
    fact = {
        "predicate": "budget",
        "fact_value": "available",
        "polarity": "affirmed",
        "author_side": "theirs",
        "span_start": 0,
        "span_end": 9,
    }
    _rows(
        con,
        "facts",
        fact
        | {
            "fact_id": FACT,
            "answer_id": ANSWERS[0]["answer_id"],
            "document_id": "hubspot:email:10",
            "quote": SAID,
            "author": DANA,
        },
        fact
        | {
            "fact_id": OTHER_FACT,
            "answer_id": ANSWERS[4]["answer_id"],
            "document_id": "hubspot:call:22",
            "quote": "I am the namesake.",
            "author": "Dana Reyes (Other)",
        },
    )
    cite = {"item_kind": "judgement", "item_key": "x", "position": 0, "evidence_kind": "fact"}
    _rows(
        con,
        "evidence",
        cite | {"answer_id": ANSWERS[1]["answer_id"], "evidence_id": FACT, "quote": SAID},
        cite | {"answer_id": ANSWERS[3]["answer_id"], "evidence_id": OTHER_FACT, "quote": "I am the namesake."},
    )
    _rows(
        con,
        "sentences",
        {"answer_id": ANSWERS[1]["answer_id"], "section": "reason", "position": 0, "body": f"They said “{SAID}”"},
    )
    _rows(
        con,
        "rejections",
        {
            "attempt_id": ANSWERS[1]["attempt_id"],
            "item_kind": "s",
            "item_key": "k",
            "position": 0,
            "body": SAID,
            "reason": "no",
        },
    )
    _rows(
        con,
        "recall_similarity",
        {
            "operation": "meeting_brief",
            "query_hash": "q",
            "fact_id": FACT,
            "text_id": "t",
            "similarity": 0.5,
            "computed_at": NOW,
        },
    )
    _rows(
        con,
        "recall_log",
        {
            "operation": "meeting_brief",
            "record_id": "hubspot:meeting:41",
            "context_hash": ANSWERS[2]["context_hash"],
            "decision": "included",
            "fact_id": FACT,
            "estimated_tokens": 1,
            "fact_count": 1,
            "run_id": "r1",
            "logged_at": NOW,
        },
    )
    _rows(
        con,
        "suppression",
        {"contact_id": "hubspot:contact:1", "source": "fact", "quote": SAID, "run_id": "r1", "suppressed_at": NOW},
    )
    _plan(con)


def _plan(con: duckdb.DuckDBPyConnection) -> None:
    _rows(
        con,
        "plans",
        {
            "plan_id": "plan-1", "run_id": "r1", "crm": "hubspot", "kind": "sync", "as_of": date(2026, 11, 17),
            "digest": "d",
            "policy_hash": "p", "mapping_hash": "m", "schema_hash": "s", "operation_count": 4, "guards": "[]",
            "created_by": "nightdesk", "created_at": NOW, "expires_at": NOW,
        },
    )  # fmt: skip
    base = {
        "plan_id": "plan-1", "crm": "hubspot", "value_type": "text", "conflict_class": "new", "evidence_count": 1,
        "operation": "lead_quality", "field_class": "owned", "risk": "low", "autonomy_level": 2, "is_stale": False,
        "is_suppressed": False, "is_namespaced": True, "decision": "auto", "deciding_rule": "x",
        "object_type": "contacts", "property": "nightdesk_reason",
    }  # fmt: skip
    quoting = json.dumps([{"id": FACT, "quote": SAID, "url": "/records/emails/10"}])
    for op, record, label, text, evidence, answer in (
        ("op1", "1", "Dana Reyes", SAID, quoting, None),
        ("op2", "4", "Kim Ng", f"They said “{SAID}”", quoting, ANSWERS[1]["answer_id"]),
        ("op3", "5", "Lou Fox", "Lou likes trains.", "[]", ANSWERS[3]["answer_id"]),
        ("op4", "3", "Dana Reyes", "The namesake's.", "[]", None),
    ):
        values = {
            "record_id": record,
            "record_label": label,
            "desired_value": text,
            "wire_value": text,
            "answer_id": answer,
        }
        _rows(con, "plan_ops", base | values | {"op_id": op, "reason": text, "evidence": evidence})
    _rows(
        con,
        "apply_runs",
        {
            "apply_run_id": "apply-1",
            "run_id": "r1",
            "plan_id": "plan-1",
            "digest": "d",
            "dry_run": False,
            "actor": "a",
            "fencing_token": 1,
            "started_at": NOW,
        },
    )
    for op, text in (("op1", SAID), ("op2", f"They said “{SAID}”"), ("op3", "Lou likes trains.")):
        done = {"apply_run_id": "apply-1", "op_id": op, "recorded_at": NOW}
        _rows(con, "op_results", done | {"result": "applied", "crm_after": text})
        _rows(con, "write_attempts", done | {"sequence": 1, "state": "verified", "crm_value": text})
    audit.append(con, clock, "a", "plan_created", "plan-1", {"digest": "d"})
    audit.anchor(con, clock)


def _make_files(data: Path) -> None:
    spool = data / "spool" / "r1"
    spool.mkdir(parents=True)

    def line(answer: dict[str, Any], text: str) -> str:
        names = ("attempt_id", "record_id", "operation", "input_hash", "context_hash")
        return (
            json.dumps({name: answer[name] for name in names} | {"response": {"text": json.dumps({"said": text})}})
            + "\n"
        )

    (spool / "lead_quality-0001.jsonl").write_text(line(ANSWERS[1], SAID) + line(ANSWERS[3], "Lou likes trains."))
    (spool / "lead_quality-0001.jsonl.committed").touch()
    (spool / "extract_facts-0001.jsonl").write_text(line(ANSWERS[0], SAID) + line(ANSWERS[4], "I am the namesake."))
    recorded = [
        {
            "kind": "answer",
            "key": "k",
            "operation": a["operation"],
            "record_id": a["record_id"],
            "response": {"text": t},
        }
        for a, t in ((ANSWERS[0], SAID), (ANSWERS[3], "Lou likes trains."))
    ]
    (data / "recordings.jsonl").write_text("".join(json.dumps(one) + "\n" for one in recorded))
    (data / "batches").mkdir()
    batch = {
        "kind": "intent",
        "intent": "b",
        "operation": "lead_quality",
        "model": "m",
        "sent_at": NOW.isoformat(),
        "written_at": 1.0,
        "calls": [["x", "contact", "hubspot:contact:1"], ["y", "contact", "hubspot:contact:5"]],
    }
    (data / "batches" / "claude.jsonl").write_text(json.dumps(batch) + "\n" + '{"kind":"collected","intent":"b"}\n')
    for folder in ("published", "data_docs", "dlt/nightdesk_hubspot"):
        (data / folder).mkdir(parents=True)
        (data / folder / "something.json").write_text(json.dumps({"text": SAID}))
    (data / "my notes.txt").write_text(f"Ask {DANA} about it.")
    (data / "sandbox").mkdir()
    (data / "sandbox" / "crm.txt").write_text("the CRM's own")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("erase") / "data"
    data.mkdir()
    ensure_tables(data / "raw.duckdb")
    with duckdb.connect(str(data / "raw.duckdb")) as con:
        _make_raw(con)
    ledger.migrate(data / "ledger.duckdb", clock)
    with ledger.connect(data / "ledger.duckdb") as con:
        _make_ledger(con)
    _make_files(data)
    return data


@pytest.fixture
def world(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return _world(template, tmp_path, monkeypatch)


@dataclass(frozen=True)
class Done:
    """An erasure that many tests look at and none changes."""

    world: World
    report: erasure.Report
    before: bytes
    chain: list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def done(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    with pytest.MonkeyPatch.context() as patch:
        world = _world(template, tmp_path_factory.mktemp("done"), patch)
        before, chain = world.bytes(), world.ledger("select sequence, hash from audit_events order by 1")
        yield Done(world, world.erase(), before, chain)


def _world(template: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    import shutil

    shutil.copytree(template, folder / "data")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DBT_TARGET_PATH", raising=False)
    (folder / "target" / "logs").mkdir(parents=True)
    log = f'{{"message": "asked {DANA}"}}\n{{"message": "hubspot:contact:5 is fine"}}\n'
    (folder / "target" / "logs" / "nightdesk.jsonl").write_text(log)
    settings = Settings(_env_file=None, data_dir=folder / "data", actor="tester", as_of=date(2026, 11, 17))  # pyright: ignore[reportCallIssue]
    return World(settings)


def test_everything_they_wrote_said_or_are_named_in_goes_and_everybody_else_stays(done: Done) -> None:
    world, report = done.world, done.report
    assert world.ids("contacts") == {"3", "4", "5"}
    # 13 is a mail in the same thread without older text; 17 and 18 only look like hers.
    assert world.ids("emails") == {"13", "17", "18"}
    assert world.ids("calls") == {"22", "23"}
    assert (world.ids("notes"), world.ids("meetings")) == ({"31"}, set())
    assert world.raw("select count(*) from hubspot.merges") == [(0,)]
    assert world.raw("select count(*) from hubspot.unsubscribes") == [(0,)]
    assert world.raw("select count(*) from hubspot.property_history") == [(0,)]
    assert world.raw("select count(*) from hubspot.associations where '1' in (from_id, to_id)") == [(0,)]
    assert report.person.contacts == {"1", "2"}
    assert report.person.addresses == {DANA, "dana.private@mail.example"}
    assert report.person.by_type() == {"emails": 6, "calls": 2, "notes": 1, "meetings": 1}
    assert report.numbers["documents_shared_with_others"] == 3  # mails 12 and 16, meeting 40
    assert world.ledger("select check_id, json_array_length(failures) from border_checks order by all") == [
        ("check-0", 0), ("check-1", 1), ("check-2", 0)
    ]  # fmt: skip
    assert world.ledger("select verdict, failed::varchar from border_verdicts") == [("refused", "[]")]


def test_answers_that_rest_on_them_go_and_others_are_not_asked_again(done: Done) -> None:
    world, report = done.world, done.report
    left = {row[0] for row in world.ledger("select answer_id from answers")}
    assert left == {ANSWERS[3]["answer_id"], ANSWERS[4]["answer_id"]}
    assert (report.numbers["answers_about_them"], report.numbers["answers_of_others"]) == (1, 2)
    assert world.ledger("select fact_id from facts") == [(OTHER_FACT,)]
    assert world.ledger("select evidence_id from evidence") == [(OTHER_FACT,)]
    for table in ("sentences", "rejections", "recall_log", "recall_similarity", "suppression"):
        assert world.ledger(f"select count(*) from {table}") == [(0,)], table
    # Calls were paid for and past nights had outcomes: they still count, without saying whose.
    assert world.ledger("select count(*) from attempts") == [(5,)]
    assert world.ledger("select count(*) from outcomes") == [(5,)]
    assert world.ledger("select count(*) from outcomes where record_id like 'erased:%'") == [(1,)]


def test_plans_are_redacted_refused_and_never_rolled_back_to_what_was_there(done: Done) -> None:
    world, report = done.world, done.report
    from reverse_etl import gate
    from reverse_etl.rollback import _WRITTEN_SQL  # pyright: ignore[reportPrivateUsage]

    stones = tombstones.read_file(world.settings.ledger)
    assert stones is not None
    mask = stones.masked(f"They said “{SAID}”")
    assert mask.startswith("erased:")
    ops = {row[0]: row[1:] for row in world.ledger("select op_id, record_label, reason, desired_value from plan_ops")}
    assert ops == {
        "op2": ("Kim Ng", "Erased", mask),
        "op3": ("Lou Fox", "Lou likes trains.", "Lou likes trains."),
        "op4": ("Dana Reyes", "The namesake's.", "The namesake's."),
    }
    with ledger.connect(world.settings.ledger) as con:
        with pytest.raises(NightdeskError, match="a person was erased") as refused:
            gate.require_valid(con, "plan-1", world.project.policy, clock)
        assert refused.value.exit_code == 4
        undone = con.execute(f"select op.op_id, restored, left_behind from ({_WRITTEN_SQL})", [["apply-1"]]).fetchall()
    # What we wrote on Kim is known by its mask, which is what is read in the CRM, too: it may be cleared, not restored.
    assert sorted(undone) == [("op2", None, mask), ("op3", None, "Lou likes trains.")]
    assert report.in_crm == [
        ("contacts", "1", ["nightdesk_reason", "nightdesk_x"]),
        ("contacts", "4", ["nightdesk_reason"]),
    ]


def test_no_byte_of_theirs_is_left_in_any_file(done: Done) -> None:
    world, report = done.world, done.report
    before = done.before
    assert report.strangers == [world.settings.data_dir / "my notes.txt"]
    stranger = report.strangers[0].read_bytes()  # what the command asks a person to delete
    after = world.bytes().replace(stranger, b"")
    for text in (
        SAID,
        TOLD,
        DANA,
        "Not linked to me.",
        "Spoke with her.",
        "dana.private@mail.example",
        "Chief of Dana",
    ):
        assert text.encode() in before, text
        assert text.encode() not in after, text
    assert b"I am the namesake." in after and b"Lou likes trains." in after
    logs = (world.settings.data_dir.parent / "target" / "logs" / "nightdesk.jsonl").read_text()
    assert DANA not in logs and "hubspot:contact:5 is fine" in logs
    spool = (world.settings.spool / "r1" / "lead_quality-0001.jsonl").read_text().splitlines()
    assert spool[0] == '{"erased":true}' and "Lou" in spool[1]  # the ledger knows answers by their line
    batch = json.loads((world.settings.data_dir / "batches" / "claude.jsonl").read_text().splitlines()[0])
    assert batch["calls"][0][2].startswith("erased:") and batch["calls"][1] == ["y", "contact", "hubspot:contact:5"]


def test_the_audit_chain_is_whole_and_says_what_was_done(done: Done) -> None:
    world, report = done.world, done.report
    before = done.chain
    assert audit.verify(world.settings.ledger).ok
    assert world.ledger("select sequence, hash from audit_events order by 1")[: len(before)] == before
    ((body,),) = world.ledger("select body::varchar from audit_events where action = 'person_erased'")
    assert json.loads(body)["erasure_id"] == report.erasure_id
    assert json.loads(body)["removed"] == report.numbers
    assert not any(text in body for text in ("dana", "Dana", "Reyes"))


def test_tombstones_know_the_person_again_and_name_nobody(done: Done) -> None:
    world = done.world
    stones = tombstones.read_file(world.settings.ledger)
    assert stones is not None
    assert stones.has("contact", "1") and stones.has("contact", "2") and stones.has("email", DANA.upper())
    assert stones.has("document", "emails:10") and not stones.has("contact", "3")
    assert stones.has("speaker", "dana reyes|acme") and not stones.has("speaker", "Dana Reyes|Other")
    other = tombstones.Tombstones(b"another key" * 3, stones.known)
    assert not other.has("contact", "1"), "without the key a hash says nothing"


def test_nobody_erased_is_written_to_even_by_an_older_plan(done: Done) -> None:
    world = done.world
    from reverse_etl import consent

    with ledger.connect(world.settings.ledger) as con:
        said_no = consent.of_now(con, "hubspot", world.project.policy)
    assert said_no.refusal("contacts", "1", None) == "the person was erased"
    assert said_no.refusal("contacts", "5", None) is None


def test_a_dry_run_counts_the_same_and_changes_nothing(world: World) -> None:
    before = world.state()
    dry = erasure.look(world.settings, "hubspot:contact:2")  # an id that was merged away finds her, too
    assert world.state() == before
    assert dry.erasure_id == "" and dry.numbers == world.erase().numbers


def test_somebody_unknown_is_one_clear_error_and_somebody_erased_is_not(world: World) -> None:
    with pytest.raises(NightdeskError, match="Nobody here is known") as unknown:
        erasure.look(world.settings, "nobody@acme.example")
    assert "raw.duckdb" in unknown.value.where and "ledger.duckdb" in unknown.value.where
    with pytest.raises(NightdeskError, match="no person"):
        erasure.look(world.settings, "company:50")
    done = world.erase()
    again = erasure.look(world.settings, DANA)
    assert (again.person.erased_before, again.is_empty) == (done.erasure_id, True)


def test_a_reason_that_names_the_person_is_refused(world: World) -> None:
    with pytest.raises(NightdeskError, match="reason names the person"):
        world.erase(reason="Dana Reyes asked for it")
    assert world.ledger("select count(*) from tombstones") == [(0,)]


def test_a_person_who_left_the_crm_is_found_by_what_the_ledger_holds(world: World) -> None:
    with duckdb.connect(str(world.settings.raw)) as con:
        for table in ("contacts", "emails", "calls", "associations", "merges"):
            con.execute(f"delete from hubspot.{table}")
    assert SAID.encode() in world.settings.ledger.read_bytes()
    by_address = world.erase()
    assert by_address.numbers["facts"] == 1 and by_address.numbers["answers_of_others"] == 2
    # Nothing tells any more that the record and the address are one person: each has to be named.
    by_record = world.erase("contact:1")
    assert by_record.numbers["planned_changes_of_theirs"] == 1
    assert SAID.encode() not in world.settings.ledger.read_bytes()


def test_questions_of_theirs_that_are_with_the_provider_come_first(world: World) -> None:
    journal = world.settings.data_dir / "batches" / "claude.jsonl"
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    with pytest.raises(NightdeskError, match="1 questions that show this person are with the model provider"):
        world.erase()
    assert world.ledger("select count(*) from tombstones") == [(0,)]


class _Killed(BaseException):
    """Ends an erasure as a kill would: nothing after it runs."""


def test_killed_after_any_step_and_gone_on_with_it_ends_the_same(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    (tmp_path / "whole").mkdir()
    whole = _world(template, tmp_path / "whole", monkeypatch)
    whole.erase(observe=steps.append)
    expected = whole.state()
    assert steps == [
        "tombstones", "lines", "logs", "ledger rows", "ledger copied", "ledger replaced", "rebuilt files",
        "raw rows", "raw copied", "raw replaced", "finished",
    ]  # fmt: skip
    # One erasure that dies one step later each time: every step is repeated after every crash.
    (tmp_path / "killed").mkdir()
    world = _world(template, tmp_path / "killed", monkeypatch)
    for number, step in enumerate(steps[:-1]):

        def die(reached: str, step: str = step) -> None:
            if reached == step:
                raise _Killed

        with pytest.raises(_Killed):
            if number == 0:
                world.erase(observe=die)
            else:
                erasure.finish(world.project, clock=clock, progress=lambda *_: None, observe=die)
        with pytest.raises(NightdeskError, match="begun and not finished"):
            erasure.require_none_pending(world.settings)
    assert len(erasure.finish(world.project, clock=clock, progress=lambda *_: None)) == 1
    found = world.state()
    assert {name: rows for name, rows in found.items() if rows != expected[name]} == {}
    assert erasure.finish(world.project, clock=clock, progress=lambda *_: None) == []


_VICTIM = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from datetime import date
from pathlib import Path
from nightdesk.erasure import run
from nightdesk.clock import system_clock
from nightdesk.policy import load
from nightdesk.prepare import Project
from nightdesk.settings import Settings

root, data, step = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
settings = Settings(_env_file=None, data_dir=data, actor="tester", as_of=date(2026, 11, 17))

def observe(reached):
    if reached == step:
        os.kill(os.getpid(), signal.SIGKILL)

run.erase(Project(root, settings, load(root / "policies")), sys.argv[4], reason="ticket 7", clock=system_clock,
          progress=lambda *_: None, observe=observe)
"""


def test_kill_9_and_finish_leaves_nothing(world: World) -> None:
    step = "ledger rows"  # every other step is ended by an exception, above
    command = [sys.executable, "-c", _VICTIM, str(ROOT), str(world.settings.data_dir), step, DANA]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(erasure.finish(world.project, clock=clock, progress=lambda *_: None)) == 1
    (world.settings.data_dir / "my notes.txt").unlink()
    assert SAID.encode() not in world.bytes() and DANA.encode() not in world.bytes()
    assert world.ids("contacts") == {"3", "4", "5"}
    assert audit.verify(world.settings.ledger).ok
    assert not list(world.settings.data_dir.rglob("*.erasing*"))
