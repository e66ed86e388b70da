"""Takes a person out of the files that are no databases: spool, recordings, batch journals, logs, published files.

Files of JSON lines lose the lines that are theirs; whatever is made anew anyway (published files, dlt's working folder,
the border's results) is deleted as a whole. A file that is none of ours and holds something of theirs is left alone
and named.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nightdesk.erasure.needles import Needles
from nightdesk.erasure.rewrite import remove_database, replace_text

if TYPE_CHECKING:
    import duckdb

_TOKENS = re.compile(r"f_[0-9a-f]{12}|[an]_[0-9a-f]{24}|[0-9a-f]{64}|[a-z0-9]+:[a-z]+:[A-Za-z0-9]+")
_DATABASES = (".duckdb", ".duckdb.wal", ".duckdb.tmp")
_KEPT = ("audit-anchor.jsonl", "nightdesk.lock", "nightdesk.lock.json", ".nightdesk-demo")
_LARGEST = 64 * 1024 * 1024  # a text file of others beyond this is not looked into


@dataclass(frozen=True)
class Marks:
    """What tells a line of theirs.

    Attributes:
        tokens: Ids that occur in such lines only: facts, answers, calls, questions, records.
        aliases: Canonical ids of theirs to what they go by afterwards.
        near: Canonical ids of records that may name the person.
        needles: Addresses and names.
    """

    tokens: frozenset[str]
    aliases: Mapping[str, str]
    near: frozenset[str]
    needles: Needles

    @classmethod
    def read(cls, con: duckdb.DuckDBPyConnection, needles: Needles) -> Marks:
        """From the temp tables of `scope.build`."""
        tokens = con.execute(
            """
            select record_id from gone
            union all select fact_id from gone_facts
            union all select answer_id from rested
            union all select attempt_id from touched
            -- A question may be a twin's, too: then the answer there is the same, and asking again costs little.
            union all select input_hash from rested
            union all select input_hash from touched where is_theirs
            union all select context_hash from rested
            """
        ).fetchall()
        near = con.execute("select record_id from near").fetchall()
        aliases = {str(name): str(alias) for name, alias in con.execute("select record_id, alias from gone").fetchall()}
        return cls(frozenset(str(row[0]) for row in tokens), aliases, frozenset(str(row[0]) for row in near), needles)

    def hit(self, text: str, record_id: str | None) -> bool:
        """Whether a text is theirs or shows them; `record_id` says whose text it is, None when nobody knows."""
        if not self.tokens.isdisjoint(_TOKENS.findall(text)) or self.needles.has_address(text):
            return True
        return (record_id is None or record_id in self.near) and self.needles.has_name(text)


def count_lines(data_dir: Path, marks: Marks) -> dict[str, int]:
    """Lines of theirs per file (relative path), for the files of JSON lines."""
    found: dict[str, int] = {}
    for path in _line_files(data_dir):
        lines = sum(1 for line in path.read_bytes().splitlines() if _is_theirs(line, marks))
        if lines:
            found[str(path.relative_to(data_dir))] = lines
    return found


def clean_lines(data_dir: Path, marks: Marks) -> int:
    """Take their lines out of every file of JSON lines below the data directory; returns how many."""
    return sum(_clean(path, marks) for path in _line_files(data_dir))


def clean_logs(folder: Path, marks: Marks) -> int:
    """Take lines that show them out of log files, and delete results of dbt that do; returns lines and files."""
    cleaned = 0
    if not folder.is_dir():
        return 0
    for path in sorted(folder.parent.glob("*.json")) + sorted(folder.glob("*.json")):
        if path.name != "manifest.json" and _shows(path, marks):
            path.unlink()
            cleaned += 1
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and one.suffix != ".json"):
        data = path.read_bytes()
        lines = data.splitlines(keepends=True)
        kept = [line for line in lines if not marks.hit(_decoded(line), None)]
        if len(kept) < len(lines):
            if path.name in ("nightdesk.jsonl", "dbt.log"):
                # Open for appending in this process: its place in the file system must stay.
                path.write_bytes(b"".join(kept))
            else:
                replace_text(path, b"".join(kept))
            cleaned += len(lines) - len(kept)
    return cleaned


def remove_rebuilt(data_dir: Path, *, dlt: Path, published: Path, warehouse: Path) -> int:
    """Delete what is made anew by the next build or load; returns how many files."""
    count = 0
    for folder in (published, data_dir / "data_docs"):
        count += sum(1 for one in folder.rglob("*") if one.is_file()) if folder.is_dir() else 0
        shutil.rmtree(folder, ignore_errors=True)
    if dlt.is_dir():
        for entry in sorted(dlt.iterdir()):
            if entry.name == "load.lock":
                continue
            count += sum(1 for one in entry.rglob("*") if one.is_file()) if entry.is_dir() else 1
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    return count + remove_database(warehouse)


def strangers(data_dir: Path, marks: Marks) -> list[Path]:
    """Files below the data directory that no part of Nightdesk writes and that show the person."""
    ours = ("published", "data_docs", "dlt")
    found: list[Path] = []
    for path in _files(data_dir):
        if path.suffix == ".jsonl" or path.relative_to(data_dir).parts[0] in ours or path.name.endswith(".committed"):
            continue
        if _shows(path, marks):
            found.append(path)
    return found


def _files(data_dir: Path) -> Iterator[Path]:
    """Files below a data directory; not the sandbox (it is the CRM), nor other data directories inside this one."""
    for entry in sorted(data_dir.iterdir()) if data_dir.is_dir() else ():
        if entry.is_file():
            if entry.name not in _KEPT and not entry.name.endswith(_DATABASES):
                yield entry
        elif entry.is_dir() and entry.name != "sandbox":
            inner = any((entry / name).exists() for name in ("ledger.duckdb", ".nightdesk-demo"))
            if not inner and not entry.name.endswith(_DATABASES):
                yield from sorted(one for one in entry.rglob("*") if one.is_file())


def _line_files(data_dir: Path) -> Iterator[Path]:
    dlt = data_dir / "dlt"
    return (path for path in _files(data_dir) if path.suffix == ".jsonl" and dlt not in path.parents)


def _clean(path: Path, marks: Marks) -> int:
    lines = path.read_bytes().splitlines(keepends=True)
    # Calls name their line in a committed segment: there an empty object keeps the place of what is gone.
    place = b'{"erased":true}\n' if path.with_name(path.name + ".committed").exists() else b""
    gone = [number for number, line in enumerate(lines) if _is_theirs(line, marks)]
    if gone:
        for number in gone:
            lines[number] = _without_their_calls(lines[number], marks) or place
        replace_text(path, b"".join(lines))
    return len(gone)


def _without_their_calls(line: bytes, marks: Marks) -> bytes | None:
    """A batch's entry in the journal under aliases: it holds the calls of many people, and no text at all."""
    try:
        entry: Any = json.loads(line)
        if entry.get("kind") != "intent":
            return None
        entry["calls"] = [[key, kind, marks.aliases.get(one, one)] for key, kind, one in entry["calls"]]
    except (ValueError, AttributeError, KeyError, TypeError):
        return None
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _is_theirs(line: bytes, marks: Marks) -> bool:
    try:
        loaded: object = json.loads(line)
    except ValueError:
        # Torn by a crash: nobody can read it as an answer any more, so it is only searched.
        return marks.hit(_decoded(line), None)
    record_id = cast("dict[str, Any]", loaded).get("record_id") if isinstance(loaded, dict) else None
    # Written anew without escapes; strings inside strings (a response is JSON in a string) once more.
    text = json.dumps(loaded, ensure_ascii=False)
    return marks.hit(text, str(record_id) if record_id else None) or marks.hit(
        _decoded(text.encode()), str(record_id) if record_id else None
    )


def _decoded(line: bytes) -> str:
    text = line.decode(errors="replace")
    if "\\" not in text:
        return text
    plain = re.sub(r"(?:\\)+u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return re.sub(r"(?:\\)+[nrt]", "\n", plain)


def _shows(path: Path, marks: Marks) -> bool:
    if path.stat().st_size > _LARGEST:
        return False
    return marks.hit(_decoded(path.read_bytes()), None)
