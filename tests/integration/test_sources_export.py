"""Export files: what is newer is loaded, what cannot be read is named with its line, and nothing comes twice."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nightdesk.erasure.tombstones import Tombstones
from nightdesk.errors import NightdeskError
from sources.export import ExportSettings, load
from sources.kit.report import LoadReport

ROOT = Path(__file__).parents[2]
CONTACTS = (
    "hs_object_id,Email,firstname,lastmodifieddate,hs_email_optout,Shoe size\n"
    '1,ann@one.example,"Ann\nMaria",2026-01-01T00:00:00Z,true,38\n'
    "2,bob@one.example,Bob,yesterday,false,45\n"
    "3,cem@one.example,Cem,1767225600000,false,43\n"
    ",dee@one.example,Dee,,false,\n"
    "4,eve@one.example\n"
    "5,fay@one.example,Fay,2026-01-02,,41\n"
)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "export"
        self.files.mkdir()
        self.raw = folder / "raw.duckdb"

    def write(self, name: str, text: str) -> None:
        path = self.files / name
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text, encoding="utf-8")

    def load(self, crm: str = "hubspot", stones: Tombstones | None = None, **columns: str) -> LoadReport:
        renamed = {name.replace("__", "."): value for name, value in columns.items()}
        settings = ExportSettings.model_validate({"crm": crm, "path": self.files, "columns": renamed})
        return load(settings, self.raw, self.folder / "dlt", tombstones=stones)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.raw), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql).fetchall()


@pytest.fixture
def it(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_can_be_read_is_loaded_and_the_rest_is_named_with_file_and_line(it: Bench) -> None:
    it.write("contacts.csv", CONTACTS)
    it.write(
        "emails_2.jsonl.gz",
        '{"id": "9", "hs_email_text": "hi", "hs_timestamp": "2026-01-01T00:00:00Z"}\n'
        '{broken\n\n["no", "object"]\n{"id": "10", "hs_email_text": "ho", "hs_timestamp": "noon"}\n',
    )
    it.write("notes.csv", "hs_note_body\nno id here\n")
    it.write("readme.txt", "what is this")
    report = it.load()
    assert report.rows_moved == {"contacts": 3, "emails": 1, "notes": 0}
    assert it.ask("select id, firstname, hs_email_optout, archived, updated_at from hubspot.contacts order by id") == [
        ("1", "Ann\nMaria", True, False, datetime(2026, 1, 1, tzinfo=UTC)),
        ("3", "Cem", False, False, datetime(2026, 1, 1, tzinfo=UTC)),
        ("5", "Fay", None, False, datetime(2026, 1, 2, tzinfo=UTC)),
    ]
    assert {(one.file, one.position): one.what for one in report.problems} == {
        # The first record has two lines: these are lines as an editor counts them.
        ("contacts.csv", "line 4"): "`lastmodifieddate` holds 'yesterday', which is no timestamp; the row was left out",
        ("contacts.csv", "line 6"): "the key is empty; the row was left out",
        ("contacts.csv", "line 7"): "Expected Number of Columns: 6 Found: 2",
        ("emails_2.jsonl.gz", "line 2"): "is no JSON object: '{broken'",
        ("emails_2.jsonl.gz", "line 4"): 'is no JSON object: \'["no", "object"]\'',
        ("emails_2.jsonl.gz", "record 10"): "`hs_timestamp` holds 'noon', which is no timestamp; the row was left out",
        ("notes.csv", ""): "No column is `id`, without which nothing of it is loaded",
        ("readme.txt", ""): "no table is known for it",
    }
    assert report.schema_changes == ["contacts.csv: column Shoe size is not loaded"]


def test_importing_twice_moves_nothing_and_only_a_newer_version_replaces_what_is_loaded(it: Bench) -> None:
    it.write("contacts.csv", CONTACTS)
    assert sum(it.load().rows_moved.values()) == 3
    assert sum(it.load().rows_moved.values()) == 0
    it.write(
        "contacts.csv",
        "id,lastname,hs_email_optout,lastmodifieddate\n1,New,false,2026-05-01T00:00:00Z\n3,Old,true,2025-01-01T00:00:00Z\n",
    )
    assert it.load().rows_moved == {"contacts": 1}
    assert it.ask(
        "select id, email, lastname, hs_email_optout from hubspot.contacts where id in ('1', '3') order by 1"
    ) == [
        ("1", "ann@one.example", "New", False),  # the file has no column for the address: it stays as it was loaded
        ("3", "cem@one.example", None, False),
    ]


def test_a_file_of_people_without_the_opt_out_flag_is_not_loaded(it: Bench) -> None:
    it.write("contacts.csv", "id,email,lastmodifieddate\n1,ann@one.example,2026-01-01T00:00:00Z\n")
    report = it.load()
    assert report.rows_moved == {"contacts": 0}
    assert "hs_email_optout" in report.problems[0].what
    it.write("contacts.csv", "id,email,lastmodifieddate,No mail\n1,ann@one.example,2026-01-01T00:00:00Z,true\n")
    assert it.load(contacts__hs_email_optout="No mail").rows_moved == {"contacts": 1}
    assert it.ask("select hs_email_optout from hubspot.contacts") == [(True,)]


def test_a_quote_that_is_never_closed_names_the_line_where_it_is_opened(it: Bench) -> None:
    body = "id,hs_note_body\n" + "".join(f'{n},"two\nlines"\n' for n in range(1, 4)) + '9,"open\n10,x\n'
    it.write("notes.csv", body)
    report = it.load()
    assert report.rows_moved == {"notes": 3}
    assert [(one.position, one.what) for one in report.problems] == [
        ("line 8", "a quote is opened and never closed; nothing of the file after it was read")
    ]


def test_salesforce_files_are_found_by_api_names_and_the_newest_of_two_versions_counts(it: Bench) -> None:
    head = "Id,AccountId,LastName,Email,HasOptedOutOfEmail,SystemModstamp\n"
    it.write("Contact.csv", head + "003A,001A,Fry,fry@one.example,false,2026-01-01T00:00:00.000+0000\n")
    it.write("Contact_2.csv", head + "003A,001A,Fry-Lee,fry@one.example,true,2026-02-01T00:00:00.000+0000\n")
    it.write("EmailMessage.csv", "Id,TextBody,SystemModstamp\n02sA,Hello,2026-03-01T00:00:00.000+0000\n")
    assert it.load("salesforce").rows_moved == {"contacts": 1, "email_messages": 1}
    assert it.ask("select last_name, has_opted_out_of_email, is_deleted from salesforce.contacts") == [
        ("Fry-Lee", True, False)
    ]
    # The API is asked for newer mail only; contacts have a history that no file holds, and are read again.
    assert it.ask("select stream, watermark from salesforce.load_watermarks") == [
        ("EmailMessage", datetime(2026, 3, 1, tzinfo=UTC))
    ]


def test_who_was_erased_stays_out(it: Bench) -> None:
    stones = Tombstones(b"key")
    stones.known[("email", stones.hash("email", "ann@one.example"))] = "e1"
    stones.known[("contact", stones.hash("contact", "3"))] = "e1"
    it.write("contacts.csv", CONTACTS)
    it.write(
        "emails.csv", "id,hs_email_to_email,hs_email_text\n1,x@y.example;ann@one.example,hi\n2,x@y.example,hello\n"
    )
    report = it.load(stones=stones)
    assert report.erased == {"contacts": 2, "emails": 1}
    assert it.ask("select id from hubspot.contacts union all select id from hubspot.emails order by 1") == [
        ("2",),
        ("5",),
    ]


def test_typed_files_need_no_reading_as_text(it: Bench) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            copy (
                select 7 as id, 12.5::double as amount, date '2026-01-02' as closedate, 'Deal' as dealname,
                    timestamp '2026-01-03 04:05:06' as hs_lastmodifieddate, true as hs_is_closed
            ) to '{it.files / "deals.parquet"}'
            """
        )
    assert it.load().rows_moved == {"deals": 1}
    assert it.ask("select id, amount, closedate, updated_at, hs_is_closed from hubspot.deals") == [
        ("7", 12.5, datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, 4, 5, 6, tzinfo=UTC), True)
    ]


def test_a_folder_without_an_export_is_one_clear_error(it: Bench) -> None:
    with pytest.raises(NightdeskError, match="There is no file of an export in it"):
        it.load()
    it.files.rmdir()
    with pytest.raises(NightdeskError, match="There is no such folder"):
        it.load()


def test_files_as_programs_write_them_are_read_whatever_their_dialect(it: Bench) -> None:
    row = '1;"Two\r\nlines; and ""quotes""";2026-01-01T00:00:00Z\r\n'
    head = '"id";"hs_note_body";"hs_lastmodifieddate"\r\n'
    long = "x" * 200_000
    for number, content in enumerate(
        (
            ("\ufeff" + head + row).encode(),
            (head + row).replace("1;", "2;", 1).encode("utf-16"),
            f"id\ths_note_body\ths_lastmodifieddate\n3\t{long}\t\n4\tx\tnoon\n".encode(),
            b"",
            b"id,hs_note_body\n",
            b"id,hs_note_body\n5," + b"y" * 9_000_000 + b"\n6,short\n",
            b"id,hs_note_body\r\n7,a\r\n8,b\n9,c\r\n",  # lines that end in two ways
        )
    ):
        (it.files / f"notes_{number}.csv").write_bytes(content)
    (it.files / "notes_8.csv.gz").write_bytes(b"no gzip")
    report = it.load()
    assert it.ask("select id, hs_note_body from hubspot.notes order by id") == [
        ("1", 'Two\r\nlines; and "quotes"'),
        ("2", 'Two\r\nlines; and "quotes"'),
        ("3", long),
        ("6", "short"),
    ]
    said = {(one.file, one.position): one for one in report.problems}
    assert "line 3" in {place for file, place in said if file == "notes_2.csv"}
    assert said["notes_3.csv", ""].what == "It is empty"
    assert ("notes_4.csv", "") not in said
    assert "Maximum line size" in said["notes_5.csv", "line 2"].what
    assert "line ending" in said["notes_6.csv", ""].todo
    assert ("notes_8.csv.gz", "") in said
    assert all(one.todo for one in report.problems)


def test_a_file_without_a_column_leaves_it_though_another_file_has_it(it: Bench) -> None:
    it.write(
        "contacts.csv",
        "id,lastname,phone,hs_email_optout,lastmodifieddate\n1,Fry,12,true,2026-01-01\n2,Lee,34,false,2026-01-01\n",
    )
    it.load()
    it.write("contacts.csv", "id,lastname,hs_email_optout,lastmodifieddate\n1,Fry-Lee,true,2026-02-01\n")
    it.write("contacts_2.csv", "id,phone,hs_email_optout,lastmodifieddate\n2,,true,2026-02-01\n")
    assert it.load().rows_moved == {"contacts": 2}
    assert it.ask("select id, lastname, phone, hs_email_optout from hubspot.contacts order by 1") == [
        ("1", "Fry-Lee", "12", True),
        ("2", "Lee", None, True),
    ]


def test_an_erased_document_is_known_by_its_key_before_anything_is_written(it: Bench) -> None:
    stones = Tombstones(b"key")
    stones.known[("email", stones.hash("email", "ann@one.example"))] = "e1"
    it.write("emails.csv", "id,hs_email_to_email,hs_email_text\n1,ann@one.example,hi\n2,x@y.example,hello\n")
    seen: list[tuple[int, int]] = []

    def learned() -> None:
        rows = it.ask("select count(*) from hubspot.emails")
        seen.append((len(stones.learned), int(rows[0][0])))

    load(
        ExportSettings.model_validate({"crm": "hubspot", "path": it.files}),
        it.raw,
        it.folder / "dlt",
        tombstones=stones,
        on_learned=learned,
    )
    assert seen == [(1, 0)]
    assert stones.has("document", "emails:1")


def test_a_column_that_is_not_there_is_refused_by_its_name(it: Bench) -> None:
    it.write("notes.csv", "id,Text\n1,hi\n")
    with pytest.raises(NightdeskError, match=r"`notes\.text` is no column") as caught:
        it.load(notes__text="Text")
    assert "hs_note_body" in caught.value.todo


_VICTIM = """
import os, signal, sys
from pathlib import Path
import sources.kit.pipeline as pipeline
from sources.export import ExportSettings, load

pipeline._dlt()
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
left = [int(sys.argv[2])]
original = DuckDbSqlClient.execute_query
def counted(*args, **kwargs):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
DuckDbSqlClient.execute_query = counted
folder = Path(sys.argv[1])
load(ExportSettings(crm="hubspot", path=folder / "export"), folder / "raw.duckdb", folder / "dlt")
"""


@pytest.mark.parametrize(
    "statement", [1, 6, pytest.param(9, marks=pytest.mark.soak), pytest.param(12, marks=pytest.mark.soak)]
)
def test_a_killed_import_loses_and_doubles_nothing(it: Bench, statement: int) -> None:
    it.write("companies.csv", "id,name,hs_lastmodifieddate\n" + "".join(f"{n},C{n},2026-01-01\n" for n in range(50)))
    it.write("notes.csv", "id,hs_note_body\n" + "".join(f"{n},N{n}\n" for n in range(50)))
    command = [sys.executable, "-c", _VICTIM, str(it.folder), str(statement)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    it.load()
    for table in ("companies", "notes"):
        assert it.ask(f"select count(*), count(distinct id) from hubspot.{table}") == [(50, 50)]
