"""What was erased from mail, transcripts and calendars stays out, also once no file shows an address any more."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nightdesk.erasure import raw_rows
from nightdesk.erasure.tombstones import Tombstones, document
from sources.calendar import CalendarSettings
from sources.calendar import load as load_calendar
from sources.mailbox import MailboxSettings
from sources.mailbox import load as load_mailbox
from sources.transcripts import TranscriptSettings
from sources.transcripts import load as load_transcripts
from tests.calendar_kit import AS_OF, calendar, event
from tests.mailbox_kit import OWNER, mail

NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)
ANN = "ann@client.example"


def _mailbox(folder: Path, raw: Path, stones: Tombstones | None, full: bool) -> Any:
    settings = MailboxSettings(name="box", kind="eml", owner_email=OWNER, path=folder)
    return load_mailbox([settings], raw, raw.parent / "dlt", full=full, tombstones=stones, clock=lambda: NOW)


def _transcripts(folder: Path, raw: Path, stones: Tombstones | None, _: bool) -> Any:
    return load_transcripts(
        [TranscriptSettings(name="recorder", path=folder)], raw, raw.parent / "dlt", tombstones=stones
    )


def _calendar(folder: Path, raw: Path, stones: Tombstones | None, _: bool) -> Any:
    settings = CalendarSettings(name="sam", path=folder)
    return load_calendar([settings], raw, raw.parent / "dlt", as_of=AS_OF, default_time_zone="UTC", tombstones=stones)


def _talk(*lines: str) -> str:
    cues = (f"00:00:0{n}.000 --> 00:00:0{n + 1}.000\n{line}\n" for n, line in enumerate(lines))
    return "WEBVTT\n\n" + "\n".join(cues)


_WHEN = "DTSTART:20261118T090000Z"


@pytest.mark.soak  # what decides is tried without files in test_erase_sources
@pytest.mark.parametrize(
    ("load", "table", "kind", "first", "later", "other"),
    [
        (
            _mailbox, "messages", "emails",
            ("1.eml", mail(1, sender=f"Ann <{ANN}>")),
            mail(1, sender="undisclosed", body="Only this is left of it."),
            ("2.eml", mail(2, sender="Bob <bob@client.example>")),
        ),
        (
            _transcripts, "calls", "calls",
            ("ann.vtt", _talk("<v Ann Lee>Our budget is open.", "<v Sam Poe>Good.")),
            _talk("<v Ann Lee>Our budget is open.", "<v Sam Poe>Good to know."),
            ("bob.vtt", _talk("<v Bob Ott>Ours is not.", "<v Sam Poe>I see.")),
        ),
        (
            _calendar, "events", "meetings",
            ("1.ics", calendar(event(_WHEN, "SUMMARY:Budget", f"ATTENDEE:mailto:{ANN}", uid="one"))),
            calendar(event(_WHEN, "SUMMARY:Budget talk", uid="one")),
            ("2.ics", calendar(event(_WHEN, "SUMMARY:Orchard", uid="two"))),
        ),
    ],
    ids=["mailbox", "transcripts", "calendar"],
)  # fmt: skip
def test_what_was_erased_stays_out_by_its_key(
    tmp_path: Path,
    load: Callable[[Path, Path, Tombstones | None, bool], Any],
    table: str,
    kind: str,
    first: tuple[str, Any],
    later: Any,
    other: tuple[str, Any],
) -> None:
    folder, raw = tmp_path / "files", tmp_path / "raw.duckdb"
    folder.mkdir()
    for name, text in (first, other):
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    load(folder, raw, None, False)
    dataset = load.__name__.removeprefix("_")
    key = {"messages": "key", "calls": "call_key", "events": "id"}[table]

    def keys() -> dict[str, bool]:
        with duckdb.connect(str(raw), read_only=True) as con:
            texts = {"messages": "from_email", "calls": "body", "events": "attendees"}[table]
            rows = con.execute(f"select {key}, lower({texts}) like '%ann%' from {dataset}.{table}").fetchall()
            return {str(one): bool(is_ann) for one, is_ann in rows}

    before = keys()
    (theirs,) = (one for one, is_ann in before.items() if is_ann)
    stones = Tombstones(b"k" * 32)
    stones.learn("document", document(kind, theirs), "e1")
    with duckdb.connect(str(raw)) as con:
        assert raw_rows.remove(con, stones)[f"{dataset}.{table}"] == 1
    left = keys()
    assert set(before) - set(left) == {theirs}

    path = folder / first[0]
    path.write_bytes(later if isinstance(later, bytes) else later.encode())
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    report = load(folder, raw, stones, True)
    assert report.erased == {table: 1}
    assert keys() == left
    # The other side of it: nothing but the tombstone keeps it out.
    path.write_bytes(path.read_bytes().replace(b"SUMMARY:Budget", b"SUMMARY:The budget") + b"\n")
    os.utime(path, (NOW.timestamp() + 60, NOW.timestamp() + 60))
    load(folder, raw, None, True)
    assert set(keys()) == set(before)
