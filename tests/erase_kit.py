"""Looks for what a person wrote and said in every byte and every value of a data directory. No tests of its own.

A piece is any 20 bytes in a row of a normalised text: ASCII letters lower case, white space (and what stands for it in
JSON) one blank. Every offset counts. Pieces that also stand in texts of other people which rightly stay (the same
phrase, the same signature line) prove nothing and are left out; `pieces` takes them as `others`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

LENGTH = 20
_EMPTY = re.compile(rb"\0{64,}")
_LOWER = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
_FACTORS = tuple(np.uint64(one) for one in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_BITS = 22


def normalised(text: str | bytes) -> bytes:
    """Lower case, every run of white space (escaped or not) and of quote marks one blank, a blank at both ends."""
    data = text.encode() if isinstance(text, str) else text
    return re.sub(rb"(?:[\s>]|\\+[nrt])+", b" ", b" " + data.translate(_LOWER) + b" ")


def windows(text: bytes) -> np.ndarray[Any, Any]:
    """A hash per 20 bytes in a row."""
    data = np.frombuffer(text, dtype=np.uint8)
    if len(data) < LENGTH:
        return np.zeros(0, dtype=np.uint64)
    # Eight bytes at every offset, as one number each: three of them (overlapping) make up a piece.
    eights = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(data, 8)).view(np.uint64).ravel()
    count = len(data) - LENGTH + 1
    found = np.zeros(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for factor, offset in zip(_FACTORS, (0, 8, LENGTH - 8), strict=True):
            mixed = eights[offset : offset + count] * factor
            found = (found ^ mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return found


@dataclass
class Pieces:
    """The pieces of one person, by hash; `texts` tells them again."""

    hashes: np.ndarray[Any, Any]
    texts: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def __post_init__(self) -> None:
        self._bloom = np.zeros(1 << _BITS, dtype=bool)
        self._bloom[(self.hashes >> np.uint64(64 - _BITS)).astype(np.int64)] = True

    def within(self, text: bytes) -> set[bytes]:
        """Those that stand in a normalised text."""
        found: set[bytes] = set()
        for start in range(0, max(len(text) - LENGTH + 1, 0), 8_000_000):
            hashes = windows(text[start : start + 8_000_000 + LENGTH - 1])
            maybe = hashes[self._bloom[(hashes >> np.uint64(64 - _BITS)).astype(np.int64)]]
            found.update(self.texts[int(one)] for one in np.intersect1d(maybe, self.hashes))
        return found


def pieces(theirs: Iterable[str], others: Iterable[str]) -> Pieces:
    """Every piece of somebody's texts that stands in no text of others."""
    texts: dict[int, bytes] = {}
    for text in {normalised(one) for one in theirs}:
        for position, digest in enumerate(windows(text).tolist()):
            texts[digest] = text[position : position + LENGTH]
    all_of_them = np.array(sorted(texts), dtype=np.uint64)
    shared = Pieces(all_of_them, texts).within(b"\0".join(normalised(one) for one in others))
    left = {digest: piece for digest, piece in texts.items() if piece not in shared}
    return Pieces(np.array(sorted(left), dtype=np.uint64), left)


def scan(data_dir: Path, wanted: Pieces) -> dict[str, set[bytes]]:
    """Where pieces stand: raw bytes of every file, and every value of every database and Parquet file.

    The sandbox is the CRM, not ours: it is left out.
    """
    found: dict[str, set[bytes]] = {}
    seen: set[str] = set()
    for path in sorted(one for one in data_dir.rglob("*") if one.is_file()):
        if "sandbox" in path.relative_to(data_dir).parts:
            continue
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest in seen:
            continue  # a copy, byte for byte
        seen.add(digest)
        name = str(path.relative_to(data_dir))
        # Most of a small database is empty blocks; no text holds a zero.
        hits = wanted.within(normalised(_EMPTY.sub(b"\0", data)))
        if path.suffix in (".json", ".jsonl", ".log"):
            hits |= wanted.within(normalised(_unescaped(data.decode(errors="replace"))))
        values: Iterator[bytes] = iter(())
        if path.suffix == ".duckdb":
            values = _database(path)
        elif path.suffix == ".parquet":
            values = _parquet(path)
        for value in values:
            hits |= wanted.within(value)
        if hits:
            found[name] = hits
    return found


def _unescaped(text: str) -> str:
    """JSON within JSON, read until nothing is escaped any more."""
    while True:
        plain = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda one: chr(int(one[1], 16)), text)
        if plain == text:
            return text
        text = plain


def _database(path: Path) -> Iterator[bytes]:
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where not internal order by all"
        ).fetchall()
        for schema, table in tables:
            yield from _values(connection, f'"{schema}"."{table}"')


def _parquet(path: Path) -> Iterator[bytes]:
    with duckdb.connect(":memory:") as connection:
        yield from _values(connection, f"read_parquet('{path}')")


def _values(connection: duckdb.DuckDBPyConnection, relation: str) -> Iterator[bytes]:
    """The distinct values of every column that can hold text, normalised."""
    columns = [
        str(name)
        for name, kind, *_ in connection.execute(f"describe select * from {relation}").fetchall()
        if re.search(r"VARCHAR|JSON|BLOB|\[|STRUCT|MAP", str(kind))
    ]
    if not columns:
        return
    chosen = ", ".join(f'"{name}"::varchar as "{name}"' for name in columns)
    table: Any = connection.execute(f"select {chosen} from {relation}").to_arrow_table()
    values: set[str] = set()
    for name in columns:
        values.update(value for value in table.column(name).unique().to_pylist() if value)
    yield normalised("\0".join(sorted(values)))


@dataclass(frozen=True)
class Subject:
    """One person of the sample company and everything they wrote and said, as the CRM itself has it.

    `near` are the contacts who share a company, a mail, a call or a meeting with them.
    """

    contact_id: str
    email: str
    name: str
    texts: tuple[str, ...]
    others: tuple[str, ...]
    near: frozenset[str]


Record = tuple[str, str]
_OLDER = re.compile(r"^\s*>|^\s*-----|wrote:|schrieb|crit :|escribi|schreef|^(?:From|Von|De|Van): ", re.MULTILINE)
_TURN = re.compile(r"^\[[0-9:]+\] (?P<who>[^:\n]+): (?P<said>.*)$", re.MULTILINE)


def subject(store: Path, contact_id: str) -> Subject:
    """Read a person from the CRM's own store, with no help of the code under test.

    `texts`: bodies (up to the first quoted line) and subjects of mails they sent, the turns they spoke, name and
    address. `others`: what rightly stays. That is every text of records that belong to other companies and show
    neither link nor address of theirs, and of their own company what others themselves wrote (mails up to the first
    quoted line) and said (their turns).
    """
    records, links = _crm(store)
    me = ("contacts", contact_id)
    email = records[me]["email"].lower()
    name = f"{records[me]['firstname']} {records[me]['lastname']}"
    linked = links.get(me, set())
    companies = {one for kind, one in linked if kind == "companies"}
    texts = [name, email, f"{name} <{email}>"]
    others: list[str] = []
    for record, properties in records.items():
        values = [value for value in properties.values() if value]
        shows = record in linked or any(email in value.lower() for value in values)
        ours = record[0] in ("emails", "calls", "meetings", "notes", "tasks")
        if record == me:
            continue
        if record[0] == "emails" and properties.get("hs_email_from_email", "").lower() == email:
            texts += [_new(properties), properties.get("hs_email_subject", "")]
        elif record[0] == "calls":
            for turn in _TURN.finditer(properties.get("hs_call_body", "")):
                if turn["who"].startswith(name):
                    texts.append(turn["said"])
                elif not shows:
                    others += [turn["said"], turn["who"]]
        elif ours and not shows and not any(("companies", one) in links.get(record, set()) for one in companies):
            others += values
        elif record[0] == "emails" and not shows:
            others += [_new(properties), properties.get("hs_email_subject", "")]
        elif not ours:
            others += values
    near = {one for record in linked for kind, one in links.get(record, set()) if kind == "contacts"}
    return Subject(contact_id, email, name, tuple(texts), tuple(others), frozenset(near))


def _new(mail: dict[str, str]) -> str:
    """What the sender of a mail wrote, without what it quotes."""
    body = mail.get("hs_email_text", "")
    older = _OLDER.search(body)
    return body[: older.start()] if older else body


def _crm(store: Path) -> tuple[dict[Record, dict[str, str]], dict[Record, set[Record]]]:
    with closing(sqlite3.connect(store)) as connection:
        records = {
            (str(kind), str(one)): json.loads(properties)
            for kind, one, properties in connection.execute(
                "select object_type, id, properties from objects where merged_into is null"
            )
        }
        links: dict[Record, set[Record]] = {}
        for a, b, c, d in connection.execute("select from_type, from_id, to_type, to_id from associations"):
            links.setdefault((a, str(b)), set()).add((c, str(d)))
            links.setdefault((c, str(d)), set()).add((a, str(b)))
    return records, links
