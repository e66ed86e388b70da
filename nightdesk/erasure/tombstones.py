"""Keyed hashes of whom and what was erased: enough to recognise a person, too little to name one.

A hash is HMAC-SHA256 under a random key that is made once per ledger. CRM ids are small numbers and addresses can be
guessed, so a plain hash would give them away to anybody who tries a few million; a keyed one gives nothing away
outside the ledger. The key is kept inside the ledger, beside the hashes: it is needed at every load, and a key that is
lost on its own would let everybody who was erased come back unnoticed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nightdesk.clock import Clock

if TYPE_CHECKING:
    import duckdb

Kind = Literal["contact", "email", "document", "thread", "speaker", "value"]
Subject = tuple[Kind, str]

ENGAGEMENTS = ("emails", "calls", "meetings", "notes", "tasks")
"""Record types that hold what somebody wrote, said or arranged; each record is erased as a whole."""

MASK = "erased:"
"""How everything begins that stands for something erased."""
SHORTEST_VALUE = 12  # a shorter value (a score, a tier, a date) tells nothing that a person wrote

_ADDRESS = re.compile(r"[a-z0-9._%+'\-]+@[a-z0-9\-]+(?:\.[a-z0-9\-]+)+")
_SPEAKER = re.compile(r"^\[[0-9:]+\] (?P<name>[^:\n(]+?)(?: \((?P<company>[^)\n]*)\))?:", re.MULTILINE)
# What opens or marks older text inside a mail: a quote mark, a rule, a block of headers, a line like "... wrote:".
_QUOTED = re.compile(
    r"^\s*>|^\s*[-_]{4,}|^\s*-{2,}.+-{2,}\s*$|^\s*(?:from|sent|von|gesendet|de|envoy\S+|enviado|van|verzonden)\s*:"
    r"|(?:wrote|writes|schrieb|crit|escribi\S+|schreef)[^\n]{0,80}:\s*$",
    re.MULTILINE | re.IGNORECASE,
)


def canonical(kind: Kind, text: str) -> str:
    """The one spelling of a subject that is hashed."""
    cleaned = " ".join(text.split())
    return cleaned.casefold() if kind in ("email", "speaker") else cleaned


def document(object_type: str, record_id: str) -> str:
    """The subject of a record of an engagement type: `emails:200586`."""
    return f"{object_type}:{record_id}"


def speaker(name: str, company: str) -> str:
    """The subject of a voice in a transcript: name and company as the transcript shows them."""
    return f"{name}|{company}"


def addresses_in(text: str) -> set[str]:
    """Every email address that stands in a text, lower case."""
    return {found.strip("'.-_") for found in _ADDRESS.findall(text.lower())} if "@" in text else set()


def speakers_in(transcript: str) -> set[tuple[str, str]]:
    """Name and company of everybody who speaks in a transcript."""
    return {(match["name"].strip(), (match["company"] or "").strip()) for match in _SPEAKER.finditer(transcript)}


def holds_older_text(body: str) -> bool:
    """Whether a mail carries text of earlier mails below or between its own."""
    return _QUOTED.search(body) is not None


@dataclass
class Tombstones:
    """Who was erased, as far as a hash can tell. Thread-safe.

    Attributes:
        key: The ledger's erasure key.
        known: (kind, hash) to the erasure it belongs to.
        learned: What was recognised as theirs since `known` was read (a new record of the same address, say).
    """

    key: bytes
    known: dict[tuple[Kind, str], str] = field(default_factory=dict[tuple[Kind, str], str])
    learned: dict[tuple[Kind, str], str] = field(default_factory=dict[tuple[Kind, str], str])
    _seen: dict[Subject, str | None] = field(default_factory=dict["Subject", "str | None"], repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def hash(self, kind: Kind, text: str) -> str:
        """The keyed hash of a subject, 64 hex characters."""
        return hmac.new(self.key, f"{kind}\n{canonical(kind, text)}".encode(), hashlib.sha256).hexdigest()

    def erasure_of(self, kind: Kind, text: str) -> str | None:
        """The erasure this subject belongs to, or None."""
        subject = (kind, text)
        if subject not in self._seen:
            self._seen[subject] = self.known.get((kind, self.hash(kind, text)))
        return self._seen[subject]

    def has(self, kind: Kind, text: str) -> bool:
        """Whether this subject was erased."""
        return self.erasure_of(kind, text) is not None

    def masked(self, value: str) -> str:
        """A value as it may be read: itself, or what stands for it when it held an erased person's texts."""
        if len(value) < SHORTEST_VALUE or not self.has("value", value):
            return value
        return MASK + self.hash("value", value)[:16]

    def learn(self, kind: Kind, text: str, erasure_id: str) -> None:
        """Note one more subject of an erasure; `keep` writes it to the ledger."""
        with self._lock:
            name = (kind, self.hash(kind, text))
            if name not in self.known:
                self.known[name] = self.learned[name] = erasure_id
            self._seen[kind, text] = self.known[name]

    def of(self, erasure_ids: Iterable[str]) -> Tombstones:
        """Only those of some erasures."""
        wanted = set(erasure_ids)
        return Tombstones(self.key, {name: erasure for name, erasure in self.known.items() if erasure in wanted})


def fresh_key() -> bytes:
    """A key nobody has."""
    return secrets.token_bytes(32)


def read(con: duckdb.DuckDBPyConnection) -> Tombstones | None:
    """Every tombstone of a ledger; None where nobody has ever been erased."""
    key = con.execute("select erasure_key from erasure_key order by created_at limit 1").fetchone()
    if key is None:
        return None
    rows = con.execute("select subject_kind, subject_hash, erasure_id from tombstones").fetchall()
    return Tombstones(bytes.fromhex(str(key[0])), {(kind, digest): erasure for kind, digest, erasure in rows})


def read_file(ledger: Path) -> Tombstones | None:
    """`read` of a ledger that is not open."""
    from nightdesk.ledger import connect

    with connect(ledger, read_only=True) as con:
        return read(con)


def insert(con: duckdb.DuckDBPyConnection, rows: Mapping[tuple[Kind, str], str], clock: Clock) -> None:
    """Append tombstones; each carries who asked and why from its erasure's row."""
    now = clock()
    con.executemany(
        """
        insert into tombstones
        select erasure_id, ?, ?, requested_by, reason, ? from erasures where erasure_id = ?
        on conflict do nothing
        """,
        [[kind, digest, now, erasure] for (kind, digest), erasure in sorted(rows.items())],
    )


def keep(ledger: Path, tombstones: Tombstones, clock: Clock) -> int:
    """Write what a load has learned into the ledger, before the load moves on; returns how many are new."""
    from nightdesk.ledger import connect

    if not tombstones.learned:
        return 0
    with connect(ledger) as con:
        con.begin()
        insert(con, tombstones.learned, clock)
        con.commit()
    count = len(tombstones.learned)
    tombstones.learned.clear()
    return count
