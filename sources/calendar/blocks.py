"""Cuts a calendar file into its components, one at a time, so that its size does not matter."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

# An event with pictures inside is not an event one can keep in memory with its neighbours.
MAX_COMPONENT_BYTES: Final = 4_000_000

_FOLD: Final = re.compile(rb"\r?\n[ \t]")
_UID: Final = re.compile(rb"(?mi)^UID(?:;[^:\n]*)?:[ \t]*(.*?)[ \t\r]*$")
_STAMP: Final = re.compile(rb"(?mi)^DTSTAMP[^\n]*\n")
_REPEATS: Final = re.compile(rb"(?mi)^(?:RRULE|RDATE|RECURRENCE-ID)\b")
_STARTS: Final = re.compile(rb"(?mi)^DTSTART[^\n]*?:(\d{8})")
_ENDS: Final = re.compile(rb"(?mi)^(DTEND|DURATION)[^\n]*?:(\d{8})?")
_INNER: Final = re.compile(rb"(?msi)^BEGIN:(?!VEVENT)([A-Z0-9-]+)[ \t]*\r?\n.*?^END:\1[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class Component:
    """One VEVENT, not parsed yet.

    Attributes:
        uid: Empty where it has none.
        line: Line of its BEGIN, from 1.
        offset: Byte at which it begins.
        length: Bytes up to the end of its END line.
        digest: Of everything but DTSTAMP, which many exports renew each time.
        first_day: `20261117` for an event that does not repeat; empty where that is not plain.
        last_day: The day it ends on, likewise.
    """

    uid: str
    line: int
    offset: int
    length: int
    digest: bytes
    first_day: str
    last_day: str


@dataclass(frozen=True, slots=True)
class Header:
    """One property of the calendar itself, such as METHOD or X-WR-TIMEZONE."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Definition:
    """One VTIMEZONE, unfolded."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Broken:
    """A place where the file is not a calendar."""

    line: int
    what: str


Piece = Component | Header | Definition | Broken


def plain(path: Path, scratch: Path) -> Path:
    """A file that can be read byte by byte from any place: unpacked, in UTF-8 where it was UTF-16, with `\\n` lines.

    Args:
        path: The file as it stands.
        scratch: Where to put a copy when one is needed.

    Raises:
        OSError: The file cannot be read, or is not gzip although its name says so.
        EOFError: The gzip file ends early.
        zlib.error: What is packed is damaged.
    """
    with path.open("rb") as stream:
        head = stream.read(65_536)
    if head[:2] == b"\x1f\x8b":
        with gzip.open(path, "rb") as packed, scratch.open("wb") as copy:
            shutil.copyfileobj(packed, copy, 1 << 20)
        with scratch.open("rb") as stream:
            head = stream.read(65_536)
        path = scratch
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _rewritten(path, scratch, "utf-16")
    if b"\n" not in head and b"\r" in head:
        return _rewritten(path, scratch, "latin-1")
    return path


def _rewritten(path: Path, scratch: Path, encoding: str) -> Path:
    other = scratch.with_suffix(".utf8")
    with (
        path.open(encoding=encoding, errors="replace", newline=None) as text,
        other.open("w", encoding="utf-8" if encoding == "utf-16" else encoding, newline="\r\n") as copy,
    ):
        while chunk := text.read(1 << 20):
            copy.write(chunk)
    return other


def pieces(stream: BinaryIO, decode: Callable[[bytes, int], str]) -> Iterator[Piece]:
    """What a calendar file is made of, in its order. Memory: one component.

    Args:
        stream: The file, at its beginning.
        decode: Reads bytes at a line as text.
    """
    line = offset = start = start_line = 0
    kind = b""  # the component we are in, empty at the calendar's own level
    depth = 0
    parts: list[bytes] = []
    size = 0
    seen_calendar = open_calendar = False
    head: list[tuple[int, bytes]] = []
    for raw in stream:
        line += 1
        here, offset = offset, offset + len(raw)
        if line == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        mark = raw[:6].upper()
        if mark == b"BEGIN:":
            name = raw[6:].strip().upper()
            if name == b"VCALENDAR":
                if kind:
                    yield _unended(kind, start_line)
                kind, parts, size, depth = b"", [], 0, 0
                seen_calendar = open_calendar = True
                continue
            if not kind or (kind == b"VEVENT" and name == b"VEVENT"):
                if kind:
                    yield _unended(kind, start_line)
                kind, start, start_line, depth, parts, size = name, here, line, 1, [raw], len(raw)
                yield from _headers(head, decode)
                head = []
                continue
            depth += 1
        elif raw[:4].upper() == b"END:":
            name = raw[4:].strip().upper()
            if name == b"VCALENDAR":
                if kind:
                    yield _unended(kind, start_line)
                    kind = b""
                yield from _headers(head, decode)
                head, open_calendar = [], False
                continue
            if not kind:
                yield Broken(line, f"`END:{_shown(name)}` without its BEGIN")
                continue
            depth -= 1
            if depth <= 0 or name == kind:
                parts.append(raw)
                if kind in (b"VEVENT", b"VTIMEZONE"):
                    if size > MAX_COMPONENT_BYTES:
                        yield Broken(start_line, f"an event of {size:,} bytes is too large to be one")
                    elif kind == b"VEVENT":
                        yield _component(b"".join(parts), start, offset - start, start_line, decode)
                    else:
                        yield Definition(decode(unfolded(b"".join(parts)), start_line), start_line)
                kind = b""
                continue
        if kind:
            size += len(raw)
            if size <= MAX_COMPONENT_BYTES:
                parts.append(raw)
        elif raw.strip():
            if raw[:1] in b" \t" and head:
                head[-1] = (head[-1][0], head[-1][1].rstrip(b"\r\n") + raw[1:])
            elif len(head) < 1000:
                head.append((line, raw))
    if kind:
        yield _unended(kind, start_line)
    yield from _headers(head, decode)
    if not seen_calendar:
        yield Broken(1, "no calendar begins here (`BEGIN:VCALENDAR` is missing)")
    elif open_calendar:
        yield Broken(line, "the file ends in the middle of the calendar (`END:VCALENDAR` is missing)")


def read(stream: BinaryIO, component: Component) -> list[tuple[int, bytes]]:
    """The logical lines of a component with their line numbers, without the components inside it (alarms)."""
    stream.seek(component.offset)
    logical: list[tuple[int, bytes]] = []
    inside = 0
    for number, raw in enumerate(stream.read(component.length).split(b"\n"), start=component.line):
        raw = raw.removesuffix(b"\r")
        if raw[:1] in (b" ", b"\t"):
            if inside <= 1 and logical:
                logical[-1] = (logical[-1][0], logical[-1][1] + raw[1:])
            continue
        upper = raw[:6].upper()
        if upper == b"BEGIN:":
            inside += 1
        elif upper[:4] == b"END:":
            inside -= 1
        elif inside == 1 and raw.strip():
            logical.append((number, raw))
    return logical


def unfolded(data: bytes) -> bytes:
    """Lines as they were before they were folded (also in the middle of a character)."""
    return _FOLD.sub(b"", data)


def _component(data: bytes, offset: int, length: int, line: int, decode: Callable[[bytes, int], str]) -> Component:
    text = unfolded(data)
    if b"\nBEGIN:" in text or b"\nbegin:" in text:
        text = _INNER.sub(b"", text)
    found = _UID.search(text)
    uid = decode(found.group(1), line) if found else ""
    first = last = ""
    if _REPEATS.search(text) is None and (starts := _STARTS.search(text)) is not None:
        ends = _ENDS.search(text)
        # With a duration the end is not plain to see; then the event counts as one that may reach anywhere.
        if ends is None or ends.group(1).upper() == b"DTEND":
            first = starts.group(1).decode()
            last = first if ends is None or ends.group(2) is None else ends.group(2).decode()
    digest = hashlib.sha256(_STAMP.sub(b"", text)).digest()
    return Component(uid, line, offset, length, digest, first, last)


def _headers(lines: list[tuple[int, bytes]], decode: Callable[[bytes, int], str]) -> Iterator[Piece]:
    for number, raw in lines:
        text = decode(raw.strip(), number)
        name, colon, value = text.partition(":")
        if not colon:
            yield Broken(number, f"`{_shown(raw.strip())}` is not a line of a calendar")
            continue
        yield Header(name.partition(";")[0].strip().upper(), value.strip())


def _unended(kind: bytes, line: int) -> Broken:
    return Broken(line, f"`BEGIN:{_shown(kind)}` without its END")


def _shown(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "·" for letter in text[:60])
