"""mbox files, streamed: one message in memory at a time, however large the file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from sources.mailbox.dates import parse_date
from sources.mailbox.direction import Place, is_read, is_sent_folder, last_name
from sources.mailbox.settings import MailboxSettings
from sources.mailbox.stores import FolderState, Item, Ledger, literal

_BLOCK: Final = 1 << 20
_EDGE: Final = 1 << 16  # bytes of head and tail that tell whether a grown file is the same file
_LOOKAHEAD: Final = 2_000

# A separator: "From ", a sender, a date with a clock time (or Thunderbird's dash), then a line that begins a header.
# Sentences that begin with "From" have no clock time, and no header on the next line.
_SEPARATOR: Final = re.compile(
    rb"From (?:[^\n]{0,400}?\d{1,2}:\d\d[^\n]{0,100}|-[^\n]{0,200})\r?\n(?=>?[!-9;-~]{1,100}:[ \t\r\n]|>?From )"
)
_ESCAPED: Final = re.compile(rb"^>(>*From )", re.MULTILINE)
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_LENGTH: Final = re.compile(rb"^Content-Length:[ \t]*(\d{1,12})[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
_ENVELOPE_DATE: Final = re.compile(
    r"(\w{3}) +(\d{1,2}) (\d{1,2}:\d\d(?::\d\d)?)((?: [+-]\d{4})?) (\d{4})((?: [+-]\d{4})?)"
)
# Thunderbird and others change these in place when a message is read or deleted; that is no new message.
_STATUS: Final = re.compile(rb"^(?:X-Mozilla-Status2?|Status|X-Status|X-Keywords|X-Mozilla-Keys):[^\n]*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Piece:
    """One message of an mbox file.

    Attributes:
        offset: Where its separator stands.
        size: Bytes from its first header to its end.
        raw: The message, at most as many bytes as were asked for.
        envelope: The separator line.
        is_cut: `raw` is not all of it.
    """

    offset: int
    size: int
    raw: bytes
    envelope: bytes
    is_cut: bool


def pieces(file: BinaryIO, *, start: int = 0, most: int) -> Iterator[Piece]:
    """The messages of an mbox file.

    Understands the variants: `>From ` and `>>From ` unescaped (mboxo, mboxrd), Content-Length honoured where a
    separator really follows (mboxcl, mboxcl2), CRLF line ends, separators without an empty line before them.

    Args:
        file: Open for reading bytes, seekable.
        start: Where to begin; a separator stands there, or the file ends.
        most: Bytes of a message that are kept.
    """
    file.seek(start)
    buffer, base = b"\n", start - 1  # `base`: offset in the file of the buffer's first byte
    at = 0  # where to search on; what stands before it is done with
    opened: _Open | None = None
    at_end = False
    while True:
        found = buffer.find(b"\nFrom ", at)
        if not at_end and (found < 0 or len(buffer) - found < _LOOKAHEAD):
            # Nothing certain is left in it: keep the end, which may be half a separator, and read on.
            keep = max(at, len(buffer) - _LOOKAHEAD) if found < 0 else found
            if opened is not None:
                opened.take(buffer, base, keep, most)
            more = file.read(_BLOCK)
            at_end = not more
            buffer, base, at = buffer[keep:] + more, base + keep, 0
            continue
        if found < 0:
            if opened is not None:
                opened.take(buffer, base, len(buffer), most)
                yield opened.closed(base + len(buffer))
            return
        line = _SEPARATOR.match(buffer, found + 1)
        if line is None or (opened is not None and base + found + 1 < opened.sure_until):
            at = found + 6
            continue
        if opened is not None:
            opened.take(buffer, base, found + 1, most)
            yield opened.closed(base + found + 1)
        opened = _Open(base + found + 1, line[0].rstrip(b"\r\n"), base + line.end())
        opened.sure_until = _by_length(file, buffer, base, line.end())
        at = line.end() - 1


class _Open:
    """A message whose end was not seen yet."""

    def __init__(self, offset: int, envelope: bytes, first: int) -> None:
        self.offset = offset
        self.envelope = envelope
        self.first = first  # offset of its first header
        self.sure_until = 0  # up to here it goes on, by its Content-Length, whatever its lines look like
        self._taken = first
        self._kept = bytearray()

    def take(self, buffer: bytes, base: int, end: int, most: int) -> None:
        """Takes over what the buffer holds of it, up to `end`."""
        begin = self._taken - base
        if end > begin:
            self._kept += buffer[begin : min(end, begin + most - len(self._kept))] if len(self._kept) < most else b""
            self._taken = base + end

    def closed(self, end: int) -> Piece:
        """The message, now that its end is known."""
        raw = bytes(self._kept)
        if b">From " in raw:
            raw = _ESCAPED.sub(rb"\1", raw)
        return Piece(self.offset, end - self.first, raw, self.envelope, len(self._kept) < end - self.first)


def _by_length(file: BinaryIO, buffer: bytes, base: int, begin: int) -> int:
    """Where a message ends by its Content-Length, when a separator or the end of the file really follows; else 0.

    Args:
        begin: Where its headers begin in the buffer.
    """
    head_end = _HEAD_END.search(buffer, begin)
    if head_end is None:
        return 0
    length = _LENGTH.search(buffer, begin, head_end.end())
    if length is None:
        return 0
    stop = head_end.end() + int(length[1])
    after = buffer[stop : stop + _LOOKAHEAD]
    if len(after) < _LOOKAHEAD:
        position = file.tell()
        file.seek(base + stop)
        after = file.read(_LOOKAHEAD)
        is_end = not after.strip() and base + stop <= file.seek(0, 2)
        file.seek(position)
        if is_end:
            return base + stop
    blank = re.match(rb"(?:\r?\n){0,2}", after)
    skipped = 0 if blank is None else blank.end()
    return base + stop if _SEPARATOR.match(after, skipped) else 0


def envelope_date(line: bytes) -> datetime | None:
    """The date in a separator line, in UTC (it hardly ever has a zone)."""
    text = line.decode("latin-1")
    found = re.search(
        r"(?:\w{3},? )?(\w{3}) +(\d{1,2}) (\d{1,2}:\d\d(?::\d\d)?)((?: [+-]\d{4})?) (\d{4})((?: [+-]\d{4})?)", text
    )
    if found is None:
        return None
    month, day, clock, zone, year, late_zone = found.groups()
    return parse_date(f"{day} {month} {year} {clock}{zone or late_zone or ' +0000'}")


# -- the store -------------------------------------------------------------------------------------------------------


def read(settings: MailboxSettings, ledger: Ledger) -> Iterator[Item]:
    """What is new in the mbox files of a mailbox."""
    assert settings.path is not None
    for path, folder in files(settings.path):
        name = last_name(Path(folder).stem if folder.endswith(".mbox") else folder)
        # A single file that the settings name is read whatever it is called.
        if path != settings.path and not is_read(folder, name, (), settings.folders, settings.exclude_folders):
            continue
        place = Place(
            source=settings.name,
            container=f"{settings.name}/{folder}",
            folder=folder,
            owner_email=settings.owner_email.lower(),
            own_addresses=settings.own_addresses,
            is_sent=is_sent_folder(name),
            is_export=True,
            is_mbox=True,
        )
        try:
            yield from _file(path, place, settings, ledger)
        except OSError as error:
            ledger.problem(str(path), "", f"the file cannot be read: {error.strerror or error}", "Check its rights.")


def files(path: Path) -> Iterator[tuple[Path, str]]:
    """(file, name of its folder) of every mbox at a path: the file itself, or those in a folder, in a stable order."""
    if path.is_file():
        yield path, path.name
        return
    for one in sorted(path.rglob("*")):
        if not one.is_file() or one.name.startswith("."):
            continue
        if one.suffix.lower() in {".mbox", ".mbx"} or (one.suffix in {"", ".sbd"} and _opens_like_mbox(one)):
            yield one, one.relative_to(path).as_posix()


def _opens_like_mbox(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _SEPARATOR.match(file.read(_LOOKAHEAD)) is not None
    except OSError:
        return False


def _file(path: Path, place: Place, settings: MailboxSettings, ledger: Ledger) -> Iterator[Item]:
    stat = path.stat()
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    if not ledger.full and ledger.ask(
        "select 1 from mailbox.files where source = " + literal(settings.name) + f" and file = {literal(str(path))} "
        f"and size_bytes = {stat.st_size} and modified_at = timestamptz '{modified.isoformat()}'"
    ):
        return
    before = ledger.known_folder(place.container)
    with path.open("rb") as file:
        start = _resumes_at(file, before, stat.st_size)
        if before is not None and start == 0:
            ledger.replaced.append(place.container)
        count = 0
        if start == 0 and stat.st_size and not _SEPARATOR.match(file.read(_LOOKAHEAD)):
            ledger.problem(
                str(path),
                "byte 0",
                "an mbox begins with a line `From sender date`, this file does not",
                "Messages are read from the first such line on; a single message belongs in a folder of .eml files.",
            )
        for piece in pieces(file, start=start, most=settings.max_message_bytes):
            count += 1
            cut = f"it has {piece.size} bytes, of which the first {len(piece.raw)} were read" if piece.is_cut else ""
            yield Item(
                place=place,
                position=str(piece.offset),
                raw=piece.raw,
                internal=envelope_date(piece.envelope),
                said_at=(str(path), f"byte {piece.offset}"),
                size=piece.size,
                cut=cut,
            )
        head, tail = _edges(file, stat.st_size)
    known = before.messages or 0 if before is not None and start else 0
    ledger.folders.append(
        FolderState(
            place.container,
            settings.name,
            "mbox",
            place.folder,
            "\\Sent" if place.is_sent else "",
            messages=known + count,
            read_to=stat.st_size,
            head_sha256=head,
            tail_sha256=tail,
        )
    )
    ledger.read_file(settings.name, str(path), stat.st_size, modified, "", "mbox", known + count)


def _resumes_at(file: BinaryIO, before: FolderState | None, size: int) -> int:
    """Where new messages begin: at the old end when head and tail up to there are as they were, else at 0."""
    if before is None or before.read_to is None or before.read_to > size:
        return 0
    if _edges(file, before.read_to) != (before.head_sha256, before.tail_sha256):
        return 0
    file.seek(before.read_to)
    after = file.read(_LOOKAHEAD)
    blank = re.match(rb"(?:\r?\n)*", after)
    skipped = 0 if blank is None else blank.end()
    if after[skipped:] and not _SEPARATOR.match(after, skipped):
        return 0  # the last message went on: it was being written when we read it
    return before.read_to + skipped


def _edges(file: BinaryIO, end: int) -> tuple[str, str]:
    """Digests of the first and the last bytes before `end`, marks of having been read left out."""
    file.seek(0)
    head = file.read(min(_EDGE, end))
    file.seek(max(0, end - _EDGE))
    tail = file.read(min(_EDGE, end))
    return _digest(head), _digest(tail)


def _digest(data: bytes) -> str:
    return hashlib.sha256(_STATUS.sub(b"", data)).hexdigest()
