"""Transcripts from a folder to raw.duckdb: each call once and under one key, whatever comes later; the rest named."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import ValidationError

from nightdesk.erasure.tombstones import Tombstones, fresh_key, speaker
from nightdesk.errors import NightdeskError
from sources.kit.report import LoadReport
from sources.transcripts import TranscriptSettings, load

SAMPLES = Path(__file__).parents[1] / "fixtures" / "transcripts"
WRITTEN = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()


class Folder:
    """A folder of transcripts and what is loaded of it."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "calls"
        self._raw = tmp_path / "raw.duckdb"
        self._pipelines = tmp_path / "pipelines"

    def write(self, name: str, text: str | bytes, *, later: int = 0) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.utime(path, (WRITTEN + later, WRITTEN + later))

    def load(self, stones: Tombstones | None = None, **more: Any) -> LoadReport:
        settings = TranscriptSettings(name="recorder", path=self.path, **more)
        return load([settings], self._raw, self._pipelines, tombstones=stones)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self._raw), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def keys(self) -> dict[str, str]:
        rows = self.ask("select call_key, files from transcripts.calls")
        return {file: key for key, files in rows for file in json.loads(files)}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_folder_of_everything_loads_what_can_be_read_and_names_the_rest(folder: Folder) -> None:
    shutil.copytree(SAMPLES, folder.path)
    for path in folder.path.rglob("*.*"):
        os.utime(path, (WRITTEN, WRITTEN))
    report = folder.load(time_zone="Europe/Berlin", owner_email="Tom.Hale@harbourline.example")
    files = {
        file: json.loads(all_files)
        for (all_files,) in folder.ask("select files from transcripts.calls")
        for file in json.loads(all_files)
    }
    zoom = "recorder/zoom/GMT20261103-140509_Recording"
    assert files[f"{zoom}.transcript.vtt"] == [f"{zoom}.transcript.vtt", f"{zoom}.meta.json"]
    assert files["recorder/gong/calls.json#1"] == [  # one id, so one call: the export that broke off too
        "recorder/broken/truncated.json",
        "recorder/gong/transcripts.json#1",
        "recorder/gong/calls.json#1",
    ]
    assert "recorder/gong/calls.json#2" not in files  # never transcribed
    row = folder.ask(
        "select title, platform, started_at, started_how, duration_ms, crm_call_id, owner_email, turn_count, body,"
        " speakers from transcripts.calls where contains(files, 'GMT20261103')"
    )[0]
    assert row[:2] == ("Discovery call with Acme Freight", "zoom")
    assert row[2].astimezone(UTC) == datetime(2026, 11, 3, 14, 5, 9, tzinfo=UTC)
    assert row[3:8] == ("metadata", 66500, "hubspot:call:701", "tom.hale@harbourline.example", 4)
    assert row[8].split("\n")[1].startswith("[00:00:09] Dana Reyes (Acme Freight): Sure. I have to be honest")
    assert json.loads(row[9])[1]["email"] == "dana.reyes@acme-freight.example"
    problems = {(one.file.removeprefix("recorder/"), one.position) for one in report.problems}
    assert problems == {
        ("broken/cues.vtt", "line 4"),
        ("broken/cues.vtt", "line 8"),
        ("broken/cues.vtt", "line 12"),
        ("broken/cues.vtt", "line 15"),
        ("broken/empty.vtt", ""),
        ("broken/latin1.txt", "line 1"),
        ("broken/scan.txt", ""),
        ("broken/shopping.txt", "line 1"),
        ("broken/truncated.json", "line 9"),
    }
    assert report.rows_total == {"calls": 18, "files": 25, "problems": 9}
    assert folder.ask("select format, problems from transcripts.files where contains(file, 'cues')") == [("webvtt", 4)]
    quiet = folder.load(time_zone="Europe/Berlin", owner_email="Tom.Hale@harbourline.example")
    assert quiet.rows_moved == {"calls": 0, "files": 0, "problems": 0}
    assert quiet.problems == ()


def test_a_call_keeps_its_key_whatever_is_found_of_it_later(folder: Folder) -> None:
    zoom = (SAMPLES / "zoom/GMT20261103-140509_Recording.transcript.vtt").read_text()
    folder.write("one.vtt", zoom)
    folder.write("other.txt", (SAMPLES / "text/plain.txt").read_text())
    folder.load()
    before = folder.keys()

    # A description beside it, an older copy elsewhere whose name sorts first, and a file that was only touched.
    folder.write(
        "one.json",
        json.dumps({"title": "Discovery", "id": "abc", "platform": "zoom", "start_time": "2026-11-03T14:05:09Z"}),
    )
    folder.write("copies/a.vtt", zoom, later=-90_000)
    folder.write("other.txt", (SAMPLES / "text/plain.txt").read_text(), later=60)
    report = folder.load()
    assert report.rows_moved == {"calls": 1, "files": 3, "problems": 0}
    assert set(folder.keys()) == {
        "recorder/one.vtt",
        "recorder/one.json",
        "recorder/copies/a.vtt",
        "recorder/other.txt",
    }
    assert set(folder.keys().values()) == set(before.values())
    assert folder.keys()["recorder/one.json"] == before["recorder/one.vtt"]
    assert folder.ask("select title, external_ids from transcripts.calls where title = 'Discovery'") == [
        ("Discovery", '["zoom:abc"]')
    ]

    # Its files are gone and a better export with its id comes: what was said stays, under the same key.
    for name in ("one.vtt", "copies/a.vtt", "one.json"):
        (folder.path / name).unlink()
    assert folder.load().rows_moved["calls"] == 0
    folder.write("late.json", json.dumps({"external_id": "abc", "platform": "zoom", "crm_call_id": "hubspot:call:9"}))
    folder.load()
    row = folder.ask(
        "select call_key, title, crm_call_id, turn_count from transcripts.calls where crm_call_id is not null"
    )
    assert row == [(before["recorder/one.vtt"], "Discovery", "hubspot:call:9", 4)]


def test_a_changed_file_changes_its_call_and_what_was_wrong_is_forgotten(folder: Folder) -> None:
    folder.write("a.vtt", "WEBVTT\n\n00:01.000 --> 00:00.500\n<v Ann Poe>Good morning to you.</v>\n")
    assert [one.position for one in folder.load().problems] == ["line 3"]
    folder.write("a.vtt", "WEBVTT\n\n00:01.000 --> 00:01.500\n<v Ann Poe>Good evening to you.</v>\n", later=5)
    report = folder.load()
    assert (report.problems, report.rows_total) == ((), {"calls": 1, "files": 1, "problems": 0})
    assert folder.ask("select body from transcripts.calls") == [("[00:00:01] Ann Poe: Good evening to you.",)]


def test_who_was_erased_does_not_come_back(folder: Folder) -> None:
    stones = Tombstones(fresh_key())
    stones.learn("speaker", speaker("Dana Reyes", "Acme Freight"), "e1")
    stones.learn("email", "lena.vogt@nordwind.example", "e2")
    for name in ("text/company.txt", "text/plain.txt", "text/utf16.txt"):
        folder.write(Path(name).name, (SAMPLES / name).read_bytes())
    report = folder.load(stones)
    assert report.erased == {"calls": 2}
    assert list(folder.keys()) == ["recorder/utf16.txt"]


def test_a_folder_that_is_not_there_and_settings_that_cannot_be(folder: Folder, tmp_path: Path) -> None:
    settings = TranscriptSettings(name="gone", path=tmp_path / "nowhere")
    with pytest.raises(NightdeskError, match="is not there"):
        load([settings], tmp_path / "raw.duckdb", tmp_path / "pipelines")
    with pytest.raises(NightdeskError, match="called `gone`"):
        load([settings, settings], tmp_path / "raw.duckdb", tmp_path / "pipelines")
    for wrong in ({"time_zone": "Mars/Base"}, {"name": "No Name"}, {"owner_email": "nobody"}, {"colour": "blue"}):
        with pytest.raises(ValidationError):
            TranscriptSettings.model_validate({"name": "x", "path": "."} | wrong)
