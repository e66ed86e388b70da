"""From bytes to transcripts: the encoding, then the format by what is in the file, hardly ever by its name."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import PurePosixPath

from sources.transcripts.captions import is_captions, read_captions
from sources.transcripts.encodings import decoded
from sources.transcripts.jsontext import parsed
from sources.transcripts.metadata import read_yaml
from sources.transcripts.model import Reading, Transcript
from sources.transcripts.plain import read_plain
from sources.transcripts.stamps import moment_in_name
from sources.transcripts.vendors import read_json

_TODO = "Export it as WebVTT, SRT, JSON or text with a speaker on each turn, or leave it out by the source's `pattern`."


def read_bytes(name: str, data: bytes, zone: tzinfo = UTC) -> Reading:
    """Reads one file, whatever it is. Never raises for what a file may hold.

    Args:
        name: The file's name; decides only between a sidecar in YAML and plain text.
        data: Its bytes.
        zone: Whose clock times without a zone are.
    """
    if data[:4] == b"PK\x03\x04" or data[:5] == b"%PDF-":
        reading = Reading("unknown")
        kind = "a PDF" if data[:1] == b"%" else "a Word or zip file"
        reading.trouble(None, f"The file is {kind}, not a transcript in text", _TODO)
        return reading
    text, troubles = decoded(data)
    reading = _read(name, text, zone)
    reading.troubles[:0] = troubles
    reading.troubles.sort(key=lambda one: one.place if isinstance(one.place, int) else 0)
    return reading


def _read(name: str, text: str, zone: tzinfo) -> Reading:
    head = text.lstrip()
    if not head:
        reading = Reading("unknown")
        reading.trouble(None, "The file is empty", "Export it again.")
        return reading
    suffix = PurePosixPath(name).suffix.casefold()
    if head[0] in "{[" and not (head[0] == "[" and head[1:2].isdigit()):
        reading = Reading("json")
        documents = parsed(text, reading)
        if documents or suffix == ".json":
            for document in documents:
                read_json(document, reading, zone)
            if documents and not reading.transcripts:
                reading.trouble(None, "The JSON holds neither a transcript nor anything about one", _TODO)
            return reading
    if suffix in (".yml", ".yaml"):
        reading = Reading("metadata")
        read_yaml(text, reading, zone)
        return reading
    if is_captions(text):
        return read_captions(text)
    found = read_plain(text, zone)
    if found is not None:
        return found
    reading = Reading("unknown")
    reading.trouble(1, f"The format is unknown: `{_shown(head)}`", _TODO)
    return reading


def dated(one: Transcript, name: str, modified_at: datetime, zone: tzinfo) -> Transcript:
    """A transcript with a start: its own, else the one in the file's name, else the file's time stamp less its length.

    The last is a guess that is marked as one (`file_time`): copying a file may change it.
    """
    if not one.platform and re.match(r"GMT\d{8}-\d{6}", name):
        one = replace(one, platform="zoom")
    if one.started_at is not None or not one.turns:
        return one
    named = moment_in_name(name, zone)
    if named is not None:
        return replace(one, started_at=named, started_how="file_name")
    length = timedelta(milliseconds=one.duration_ms or 0)
    return replace(one, started_at=(modified_at - length).replace(microsecond=0), started_how="file_time")


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text[:40].split("\n")[0])
