"""What every kind of mail store hands over: the bytes of a message, where it lies, and how far the store was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sources.mailbox.direction import Place
from sources.mailbox.message import Attachment

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item:
    """One copy of a message, not yet read.

    Attributes:
        place: Folder or file.
        position: Where in it.
        raw: The message, or the part that was fetched.
        internal: When the store says it arrived.
        size: Bytes of the whole message when `raw` is less, else None.
        attachments: As the server lists them, when they were not fetched.
        cut: Why `raw` is not everything; empty when it is.
        said_at: File and place for the list of problems.
        is_draft: The store says that it was never sent.
    """

    place: Place
    position: str
    raw: bytes
    internal: datetime | None
    said_at: tuple[str, str]
    size: int | None = None
    attachments: tuple[Attachment, ...] | None = None
    cut: str = ""
    is_draft: bool = False


@dataclass
class FolderState:
    """How far a folder was read; one row of `mailbox.folders`."""

    container: str
    source: str
    kind: str
    folder: str
    special_use: str = ""
    uidvalidity: int | None = None
    uidnext: int | None = None
    last_uid: int | None = None
    messages: int | None = None
    read_to: int | None = None
    head_sha256: str = ""
    tail_sha256: str = ""
    is_gone: bool = False

    def row(self, read_at: datetime) -> tuple[str | None, ...]:
        """The row, in table order."""
        numbers = (self.uidvalidity, self.uidnext, self.last_uid, self.messages, self.read_to)
        return (
            self.container,
            self.source,
            self.kind,
            self.folder,
            self.special_use,
            *(None if one is None else str(one) for one in numbers),
            self.head_sha256,
            self.tail_sha256,
            str(self.is_gone).lower(),
            read_at.isoformat(),
        )


@dataclass
class Ledger:
    """What a store may ask of what is loaded, and what it says back.

    Attributes:
        ask: Questions to the raw database (`Run.previous`).
        problem: File, place, what is wrong, what to do.
        read_file: Source, file, size, modified at, sha256, format, records.
        now: The clock of the load.
        full: Read everything anew.
        folders: Said: folders read in this load.
        gone: Said: (container, position) of copies that are no longer there.
        replaced: Said: containers that were read anew from the start; what was known of their copies is void.
        requests: Said: requests to servers.
    """

    ask: Callable[[str], list[tuple[Any, ...]]]
    problem: Callable[[str, str, str, str], None]
    read_file: Callable[[str, str, int, datetime, str, str, int], None]
    now: datetime
    full: bool = False
    folders: list[FolderState] = field(default_factory=list[FolderState])
    gone: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    replaced: list[str] = field(default_factory=list[str])
    requests: int = 0

    def known_folder(self, container: str) -> FolderState | None:
        """How far a folder was read before; None when never, or when everything is read anew."""
        if self.full:
            return None
        rows = self.ask(
            "select container, source, kind, folder, special_use, uidvalidity, uidnext, last_uid, messages, read_to, "
            f"head_sha256, tail_sha256, is_gone from mailbox.folders where container = {literal(container)}"
        )
        return FolderState(*rows[0]) if rows else None

    def known_positions(self, container: str, among: Iterable[str] | None = None) -> set[str]:
        """Positions of a container's copies that are known and not gone."""
        if self.full:
            return set()
        narrowed = "" if among is None else f" and position in ({literals(among)})"
        return {
            str(position)
            for (position,) in self.ask(
                f"select position from mailbox.locations where container = {literal(container)} and not is_gone"
                + narrowed
            )
        }


def literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """SQL string literals for an `in`; one that matches nothing when there are none."""
    return ", ".join(literal(one) for one in texts) or "null"


def chunks(values: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    """Slices of a sequence."""
    return (values[start : start + size] for start in range(0, len(values), size))
