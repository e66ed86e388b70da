"""Reads the files of one calendar through once: which events stand where, what their zones mean, what is broken."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import BinaryIO, Final
from zoneinfo import ZoneInfo

from sources.calendar.blocks import Broken, Component, Definition, Header, pieces, plain, read
from sources.calendar.event import Event, parse
from sources.calendar.expand import Horizon
from sources.calendar.library import zone_provider
from sources.calendar.normalise import Unreadable, normalised
from sources.calendar.zones import FileZones, known_zone

# Answers and counter-proposals tell nothing about when a meeting is; the organizer's own file does.
SKIPPED_METHODS: Final = frozenset({"REPLY", "REFRESH", "COUNTER", "DECLINECOUNTER", "ADD"})

Problem = Callable[[int | None, str, str], None]


@dataclass
class ScannedFile:
    """One file after it was read through.

    Attributes:
        name: What the file is called in rows and messages.
        path: Where its plain bytes are (a copy when it was packed).
        order: Its place among the calendar's files.
        zones: What its zone names mean.
        method: METHOD, upper case.
        title: X-WR-CALNAME.
        zone: IANA name of X-WR-TIMEZONE, None where there is none.
        components: Its events.
        is_whole: Whether it reads as a calendar from beginning to end; only then is a missing event a deleted one.
    """

    name: str
    path: Path
    order: int
    zones: FileZones
    problem: Problem
    method: str = ""
    title: str = ""
    zone: str | None = None
    components: list[Component] = field(default_factory=list[Component])
    is_whole: bool = True
    encoding: str = ""

    def decode(self, data: bytes, line: int) -> str:
        """Bytes as text. What is not UTF-8 is guessed once for the file, and said."""
        if not self.encoding:
            try:
                return data.decode("utf-8")
            except UnicodeDecodeError:
                self.encoding = guessed(data)
                self.problem(
                    line,
                    f"the file is not UTF-8 from here on; read as {self.encoding}",
                    "Export it as UTF-8 if names or titles look wrong.",
                )
        try:
            return data.decode("utf-8")  # other lines of it may well be UTF-8
        except UnicodeDecodeError:
            return data.decode(self.encoding, "replace")

    @property
    def salt(self) -> str:
        """All that changes how its events are read."""
        return f"{self.name}|{self.method}|{self.zones.salt}"


def guessed(data: bytes) -> str:
    """The most likely encoding of text that is not UTF-8; Windows' western one where nothing speaks against it."""
    from charset_normalizer import from_bytes

    western = data.decode("cp1252", "ignore")
    foreign = [one for one in western if one > "\x7f"]
    if foreign and all(one.isalpha() or one in "‘’“”–—…€ °§«»" for one in foreign) and len(foreign) * 4 < len(western):
        return "cp1252"
    best = from_bytes(data).best()
    return best.encoding if best is not None else "cp1252"


def scan(
    path: Path,
    name: str,
    order: int,
    scratch: Path,
    fallback_zone: Callable[[str | None], str],
    problem: Problem,
) -> ScannedFile:
    """Reads a file through. Memory: its events' places, not their text.

    Args:
        path: The file.
        name: What to call it.
        order: Its place among the calendar's files.
        scratch: Where a plain copy may be put.
        fallback_zone: The zone of floating times, given the file's own X-WR-TIMEZONE.
        problem: Told what is wrong: (line, what, what to do).
    """
    zones = FileZones("UTC")
    found = ScannedFile(name, path, order, zones, problem)
    try:
        found.path = plain(path, scratch)
        with found.path.open("rb") as stream:
            for piece in pieces(stream, found.decode):
                if isinstance(piece, Component):
                    found.components.append(piece)
                elif isinstance(piece, Header):
                    _header(found, piece)
                elif isinstance(piece, Definition):
                    if (what := zones.define(piece.text)) is not None:
                        problem(piece.line, what, "Its times are read in the calendar's own zone.")
                else:
                    _broken(found, piece)
    except (OSError, EOFError, zlib.error) as error:
        first = (str(error) or type(error).__name__).splitlines()[0][:160]
        found.is_whole = False
        problem(None, f"the file cannot be read ({first})", "Check the file and its rights; what is loaded stays.")
    zones.fallback = fallback_zone(found.zone)
    return found


def _header(found: ScannedFile, header: Header) -> None:
    if header.name == "METHOD":
        found.method = header.value.upper()
    elif header.name == "X-WR-CALNAME" and not found.title:
        found.title = header.value.replace("\\,", ",").replace("\\;", ";")[:200]
    elif header.name in ("X-WR-TIMEZONE", "TIMEZONE-ID") and found.zone is None:
        found.zone = known_zone(header.value)
        if found.zone is None and header.value:
            found.problem(
                None, f"the calendar's time zone `{header.value[:60]}` is not known", "Set `time_zone` in the settings."
            )


def _broken(found: ScannedFile, piece: Broken) -> None:
    found.is_whole = False
    found.problem(piece.line, piece.what, "The rest is loaded; no event is taken for deleted while the file is broken.")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one version of an event stands."""

    file: ScannedFile
    component: Component


def series_digest(places: Iterable[Place], salt: str) -> str:
    """What an event says, all its versions together."""
    parts = sorted(f"{place.file.salt}|{place.component.digest.hex()}" for place in places)
    return hashlib.sha256("\n".join([salt, *parts]).encode()).hexdigest()[:32]


class Reader:
    """Parses events out of scanned files, keeping one file open at a time."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._stream: BinaryIO | None = None

    def close(self) -> None:
        """Closes the file."""
        if self._stream is not None:
            self._stream.close()
        self._stream = self._path = None

    def parse(self, place: Place, horizon: Horizon) -> Event:
        """One version of an event.

        Raises:
            Unreadable: It cannot be read at all; its `line` is the file's.
        """
        file, component = place.file, place.component
        if self._stream is None or self._path != file.path:
            self.close()
            self._path, self._stream = file.path, file.path.open("rb")
        lines = [(number, file.decode(raw, number)) for number, raw in read(self._stream, component)]

        def wrong(line: int, what: str) -> None:
            file.problem(line, what, "")

        stamp = next((text.partition(":")[2].strip() for _, text in lines if text[:7].upper() == "DTSTAMP"), "")
        ready, zone = normalised(lines, file.zones, zone_of, horizon.last, wrong)
        parsed = parse(ready, component.line, wrong, lines)
        return Event(parsed, file.name, file.order, component.line, file.method, zone, stamp)


def zone_of(name: str) -> tzinfo:
    """The zone that a file's zone name was resolved to.

    Raises:
        Unreadable: It is neither an IANA name nor defined by the file.
    """
    if not name.startswith("nightdesk-"):
        return ZoneInfo(name)
    found: tzinfo | None = zone_provider().timezone(name)
    if found is None:
        raise Unreadable(0, f"the time zone {name} is not known")
    return found
