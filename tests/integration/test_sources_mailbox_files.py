"""Mail in files: what is new, what is the same message, what conversation it belongs to, and whose it is."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nightdesk.erasure.tombstones import Tombstones
from nightdesk.errors import NightdeskError
from sources.kit.report import LoadReport
from sources.mailbox import MailboxSettings, load
from tests.mailbox_kit import OWNER, as_mbox, mail, without_dlt

NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)
MAIL = Path(__file__).parents[1] / "fixtures" / "mail"


class Desk:
    """A folder of mail and the raw database it is loaded into."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.mail = base / "mail"
        self.mail.mkdir()

    def settings(self, kind: str, **more: Any) -> MailboxSettings:
        given: dict[str, Any] = {"name": "tom", "kind": kind, "path": self.mail, "owner_email": OWNER, "workers": 1}
        return MailboxSettings(**{**given, **more})

    def load(self, *settings: MailboxSettings, **more: Any) -> LoadReport:
        return load(settings, self.base / "raw.duckdb", self.base / "pipelines", clock=lambda: NOW, **more)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.base / "raw.duckdb"), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql).fetchall()

    def write(self, name: str, text: str) -> Path:
        path = self.mail / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    without_dlt(monkeypatch)
    return Desk(tmp_path)


def test_a_load_goes_through_dlt_and_the_next_one_finds_nothing_to_do(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for name in ("gmail_reply", "calendar_invite", "bounce_postfix"):
        shutil.copy(MAIL / f"{name}.eml", desk.mail)
    report = desk.load(desk.settings("eml"))
    moved = {"messages": 3, "locations": 3, "folders": 1, "files": 3, "problems": 0}
    assert {name: report.rows_moved[name] for name in moved} == moved
    assert not any(desk.load(desk.settings("eml")).rows_moved.values())
    assert desk.rows("select message_class, occurred_at, size_bytes > 500 from mailbox.messages order by 1") == [
        ("bounce", datetime(2026, 11, 16, 12, 0, 5, tzinfo=UTC), True),
        ("calendar", datetime(2026, 11, 16, 11, 0, tzinfo=UTC), True),
        ("person", datetime(2026, 11, 17, 2, 45, 30, tzinfo=UTC), True),
    ]


def test_an_mbox_that_grew_is_read_on_and_one_that_changed_is_read_anew(desk: Desk) -> None:
    path = desk.write("INBOX.mbox", as_mbox(mail(1, more="X-Mozilla-Status: 0000\n"), mail(2)))
    mbox = desk.settings("mbox")
    assert desk.load(mbox).rows_moved["messages"] == 2

    # Somebody read the first one, and a third arrived.
    path.write_text(path.read_text().replace("Status: 0000", "Status: 0001") + as_mbox(mail(3)))
    grown = desk.load(mbox)
    assert (grown.rows_moved["messages"], grown.rows_moved["locations"]) == (1, 1)
    assert desk.rows("select messages, read_to from mailbox.folders") == [(3, path.stat().st_size)]

    # The first was deleted for good: all offsets are others now.
    path.write_text(as_mbox(mail(2), mail(3)))
    changed = desk.load(mbox)
    assert changed.rows_moved["messages"] == 0
    assert desk.rows("select count(*) from mailbox.messages") == [(3,)]
    assert desk.rows("select count(*), count(distinct message_key) from mailbox.locations") == [(2, 2)]


def test_copies_in_folders_files_and_mailboxes_are_one_message(desk: Desk) -> None:
    desk.write("a/one.eml", mail(1))
    desk.write("b/again.eml", mail(1, more="X-Folder: b\n"))
    with gzip.open(desk.mail / "b" / "packed.eml.gz", "wb") as packed:
        packed.write(mail(2).encode())
    desk.write("c/no-id.eml", mail(3, own_id=""))
    desk.write("d/no-id.eml", mail(3, own_id="", more="X-Folder: d\n"))
    other = desk.base / "jane.mbox"
    other.write_text(as_mbox(mail(1), mail(2)))
    jane = desk.settings("mbox", name="jane", path=other, owner_email="jane@ours.example")
    desk.load(desk.settings("eml"), jane)
    assert desk.rows("select count(*) from mailbox.messages") == [(3,)]
    places = desk.rows(
        "select internet_message_id, count(distinct container || position) "
        "from mailbox.locations join mailbox.messages on key = message_key group by all order by 1 nulls last"
    )
    assert places == [
        ("m1@client.example", 3),
        ("m2@client.example", 2),
        (None, 2),
    ]


def test_two_mails_under_one_message_id_are_two_mails(desk: Desk) -> None:
    desk.write("1.eml", mail(1, own_id="same@device", day=2))
    desk.write("2.eml", mail(2, own_id="same@device", day=9))  # a week later: a device that counts wrong
    desk.write("3.eml", mail(3, own_id="same@device", day=2, sender="Eve <eve@evil.example>", subject="Other"))
    # What a list does to a mail leaves it the same mail.
    listed = mail(
        1, own_id="same@device", day=2, sender="Ann via list <list@lists.example>", subject="[list] Question 1"
    )
    desk.write("4.eml", listed)
    desk.load(desk.settings("eml"))
    found = desk.rows("select subject, internet_message_id from mailbox.messages order by occurred_at, subject")
    assert found == [("Question 1", "same@device"), ("Other", None), ("Question 2", None)]
    assert not any(desk.load(desk.settings("eml"), full=True).rows_moved[name] for name in ("messages", "locations"))


def test_the_sent_copy_is_what_we_sent_whatever_a_later_copy_says(desk: Desk) -> None:
    own = "Tom <tom@ours.example>"
    forged = mail(1, sender=own, to="ann@client.example", own_id="s1@ours.example", body="It is free of charge.")
    desk.write("INBOX.mbox", as_mbox(forged))
    desk.load(desk.settings("mbox"))
    assert desk.rows("select email_direction, is_sent, body from mailbox.messages") == [
        ("INCOMING_EMAIL", False, "It is free of charge.")
    ]
    ((thread,),) = desk.rows("select thread_id from mailbox.messages")
    true = mail(1, sender=own, to="ann@client.example", own_id="s1@ours.example", body="It costs 90 EUR.", hop="")
    desk.write("Sent.mbox", as_mbox(true))
    desk.load(desk.settings("mbox"))
    assert desk.rows("select email_direction, is_sent, body, thread_id from mailbox.messages") == [
        ("EMAIL", True, "It costs 90 EUR.", thread)
    ]
    desk.write("INBOX.mbox", as_mbox(forged, mail(2)))
    desk.load(desk.settings("mbox"))
    assert desk.rows("select body from mailbox.messages where is_sent") == [("It costs 90 EUR.",)]


def test_conversations_are_told_by_references_and_subjects_and_keep_their_ids(desk: Desk) -> None:
    tom, ann = "Tom <tom@ours.example>", "Ann <ann@client.example>"
    desk.write("1.eml", mail(1, own_id="root@x", subject="Offer"))
    # Its parent is missing, its first reference is known.
    desk.write("2.eml", mail(2, own_id="c@x", subject="Re: Offer", references="<root@x> <missing@x>"))
    # Two that answer the same missing mail.
    desk.write("3.eml", mail(3, own_id="d@x", subject="Re: Lunch", references="<lost@x>"))
    desk.write("4.eml", mail(4, own_id="e@x", subject="AW: Lunch", references="<lost@x>"))
    # Without references: by subject and people, not by subject alone.
    desk.write("5.eml", mail(5, own_id="f@x", sender=tom, to="ann@client.example", subject="RE: Offer", hop=""))
    desk.write("6.eml", mail(6, own_id="g@x", sender="Bob <bob@else.example>", subject="Re: Offer"))
    # References in a circle.
    desk.write("7.eml", mail(7, own_id="h@x", references="<i@x>"))
    desk.write("8.eml", mail(8, own_id="i@x", references="<h@x>"))
    eml = desk.settings("eml")
    desk.load(eml)

    def threads() -> dict[str, str]:
        return dict(desk.rows("select internet_message_id, thread_id from mailbox.messages"))

    before = threads()
    together = [{"root@x", "c@x", "f@x"}, {"d@x", "e@x"}, {"g@x"}, {"h@x", "i@x"}]
    assert {frozenset(one for one in before if before[one] == thread) for thread in before.values()} == {
        frozenset(group) for group in together
    }
    # The missing ones turn up, and answers to all of it.
    desk.write("9.eml", mail(9, own_id="missing@x", subject="Re: Offer", references="<root@x>"))
    desk.write("10.eml", mail(10, own_id="lost@x", subject="Lunch", sender=tom, to="ann@client.example", hop=""))
    desk.write("11.eml", mail(11, own_id="j@x", subject="Re: Offer", references="<c@x>", sender=ann))
    desk.write("12.eml", mail(12, own_id="k@x", subject="Re: Lunch", sender=ann))
    desk.load(eml)
    after = threads()
    assert {name: after[name] for name in before} == before, "a conversation's id changed"
    assert after["missing@x"] == after["j@x"] == before["root@x"]
    assert after["lost@x"] == after["k@x"] == before["d@x"]


def test_moving_and_flagging_a_maildir_message_changes_nothing(desk: Desk) -> None:
    for folder in ("new", "cur", "tmp", ".Sent/cur", ".Sent/new", ".Entw&APw-rfe/cur"):
        (desk.mail / folder).mkdir(parents=True)
    desk.write("new/1700000001.M1.host", mail(1))
    desk.write("cur/1700000002.M2.host:2,S", mail(2))
    desk.write("cur/1700000003.M3.host:2,DS", mail(3))
    own = mail(4, sender="Tom <tom@ours.example>", to="ann@client.example", hop="")
    desk.write(".Sent/cur/1700000004.M4.host:2,S", own)
    desk.write(".Entw&APw-rfe/cur/1700000005.M5.host:2,D", mail(5))
    maildir = desk.settings("maildir")
    desk.load(maildir)
    assert desk.rows("select folder, is_sent, count(*) from mailbox.locations group by all order by all") == [
        (".Sent", True, 1),
        ("INBOX", False, 2),
    ]
    os.rename(desk.mail / "new/1700000001.M1.host", desk.mail / "cur/1700000001.M1.host:2,RS")
    os.remove(desk.mail / "cur/1700000002.M2.host:2,S")
    moved = desk.load(maildir)
    assert (moved.rows_moved["messages"], moved.rows_moved["locations"]) == (0, 1)
    assert desk.rows("select position from mailbox.locations where is_gone") == [("1700000002.M2.host",)]


def test_what_is_broken_is_named_with_its_place_and_the_rest_loads(desk: Desk) -> None:
    for name in ("broken_cut_short", "broken_empty", "gmail_reply", "bounce_postfix"):
        shutil.copy(MAIL / f"{name}.eml", desk.mail)
    (desk.mail / "torn.eml.gz").write_bytes(gzip.compress(mail(1).encode())[:40])
    good = mail(2)
    cut = (MAIL / "broken_cut_short.eml").read_text()
    box = desk.base / "box.mbox"
    box.write_text(as_mbox(good, cut))
    report = desk.load(desk.settings("eml"), desk.settings("mbox", name="box", path=box))
    said = {(Path(one.file).name, one.position): one.what for one in report.problems}
    assert said == {
        ("broken_cut_short.eml", ""): "it is cut short: a part does not end",
        ("broken_empty.eml", ""): "it is empty",
        (
            "torn.eml.gz",
            "",
        ): "the file cannot be read: Compressed file ended before the end-of-stream marker was reached",
        ("box.mbox", f"byte {len(as_mbox(good))}"): "it is cut short: a part does not end",
    }
    assert desk.rows("select count(*) from mailbox.messages") == [(5,)]
    assert desk.rows(
        "select bounced_address, bounce_kind, bounce_reason from mailbox.messages where message_class = 'bounce'"
    ) == [("gone@kunde.example", "permanent", "bad_address")]
    assert desk.rows("select count(*) from mailbox.problems") == [(4,)]


def test_a_mailbox_that_is_not_there_is_an_error_that_spares_the_others(desk: Desk) -> None:
    desk.write("1.eml", mail(1))
    missing = desk.settings("mbox", name="gone", path=desk.base / "gone.mbox")
    with pytest.raises(NightdeskError, match="no mail at the path"):
        desk.load(missing)
    # What it would have said may be somebody's opt-out: it is an error, but the others are loaded.
    with pytest.raises(NightdeskError, match="no mail at the path of mailbox gone"):
        desk.load(missing, desk.settings("eml"))
    assert desk.rows("select count(*) from mailbox.messages") == [(1,)]
    with pytest.raises(NightdeskError, match="Two mailboxes are named tom"):
        desk.load(desk.settings("eml"), desk.settings("eml"))


def test_who_was_erased_stays_out_and_old_mail_and_drafts_have_a_place_and_no_text(desk: Desk) -> None:
    stones = Tombstones(b"key of a test")
    stones.known[("email", stones.hash("email", "ann@client.example"))] = "e1"
    desk.write("1.eml", mail(1))
    desk.write("2.eml", mail(2, sender="Bob <bob@client.example>", body="As ann@client.example said."))
    desk.write("3.eml", mail(3, sender="Bob <bob@client.example>"))
    desk.write("4.eml", mail(4, sender="Bob <bob@client.example>", day=1))
    desk.write("5.eml", mail(5, sender="Bob <bob@client.example>", more="X-Unsent: 1\n"))
    report = desk.load(desk.settings("eml", since="2026-11-10"), tombstones=stones)
    assert report.erased == {"messages": 2}
    assert desk.rows("select count(*) from mailbox.locations") == [(5,)]
    assert desk.rows("select internet_message_id from mailbox.messages") == [("m3@client.example",)]


GROWTH = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from sources.mailbox.collate import Copies
from sources.mailbox.mbox import pieces
from sources.mailbox.direction import Place
from sources.mailbox.rows import read_all
from sources.mailbox.stores import Item

now, place = datetime(2026, 11, 17, tzinfo=UTC), Place("m", "m/I", "I", "tom@ours.example", frozenset(), is_mbox=True)
peaks = []
with Path(sys.argv[1]).open("rb") as file, Copies(Path(sys.argv[2]), lambda _: []) as copies:
    found = pieces(file, most=1_000_000)
    items = (Item(place, str(one.offset), one.raw, None, ("f", "")) for one in found)
    for number, (rows, _) in enumerate(read_all(items, now, 1)):
        copies.add(rows)
        if number % 50 == 49:
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    copies.settle()
    settled = sum(page.num_rows for page in copies.messages())
peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(settled, *peaks)
"""


@pytest.mark.soak
def test_memory_does_not_grow_with_the_mailbox(tmp_path: Path) -> None:
    box = tmp_path / "box.mbox"
    with box.open("w") as file:
        for number in range(60_000):
            one = mail(number % 60, own_id=f"{number}@x", references=f"<{number - number % 5}@x>", body="word " * 150)
            file.write(as_mbox(one))
    program = [sys.executable, "-c", GROWTH, str(box), str(tmp_path / "scratch")]
    done = subprocess.run(
        program, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    settled, *peaks = (int(one) for one in done.stdout.split())
    assert settled == 60_000
    # The scratch database may fill its 192 MB; what is above grows with nothing.
    assert peaks[-2] - peaks[0] < 150 and peaks[-1] - peaks[0] < 300, peaks
