"""What is with the provider, written down before it is sent: one JSON line per event, fsynced, ids and hashes only.

    intent -> created -> ended -> collected          refused: the API said no        lost: it never reached the API

A batch may be paid for from the moment it is sent. The intent is on disk before that, so whatever the moment of a
crash, the next run knows which calls may be with the provider: it waits for them or looks for them, and never just
sends them again.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

from enrich.agents.protocol import AgentRequest
from enrich.spool import sync_folder
from nightdesk.errors import NightdeskError

Status = Literal["intent", "created", "ended", "collected", "refused", "lost"]

_OPEN: tuple[Status, ...] = ("intent", "created", "ended")
_FORGET_AFTER = timedelta(days=60)  # results are gone from the provider after 29
_REWRITE_FROM_BYTES = 8 * 1024 * 1024


@dataclass(slots=True)
class Batch:
    """One batch as far as is known.

    Attributes:
        intent: Our own id of it.
        operation: The operation its calls belong to.
        model: The model they were sent to.
        sent_at: UTC, just before it was sent; also the time its calls bear in the ledger.
        written_at: Seconds since the epoch by this machine's clock: what is in the spool of it was written later.
        calls: Call hash to (record type, record id).
        status: How far it has come.
        batch_id: The provider's id, once it is known.
        leftovers: Calls that were answered and paid for, and that nobody asked about any more.
    """

    intent: str
    operation: str
    model: str
    sent_at: datetime
    written_at: float
    calls: dict[str, tuple[str, str]]
    status: Status = "intent"
    batch_id: str | None = None
    leftovers: frozenset[str] = frozenset()
    not_it: set[str] = field(default_factory=set[str])
    """Ids of batches that look like it and are not (this process only)."""

    @property
    def is_open(self) -> bool:
        """Whether its calls are, or may be, with the provider, or their results not yet kept."""
        return self.status in _OPEN

    @property
    def is_unknown(self) -> bool:
        """Whether it may have been created without us being told."""
        return self.status == "intent"


class Journal:
    """The journal of one data directory. For one process at a time (the ledger's lock sees to that).

    Args:
        path: The file; created when missing, with its folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._batches: dict[str, Batch] = {}
        self._read()

    @property
    def batches(self) -> list[Batch]:
        """Everything that is not long over, oldest first."""
        return list(self._batches.values())

    def open_batches(self, operation: str) -> list[Batch]:
        """Those of an operation that are not collected, oldest first."""
        return [batch for batch in self._batches.values() if batch.operation == operation and batch.is_open]

    def known_ids(self) -> set[str]:
        """The provider's ids of all batches that are ours."""
        return {batch.batch_id for batch in self._batches.values() if batch.batch_id is not None}

    def intend(self, operation: str, model: str, requests: Iterable[AgentRequest], sent_at: datetime) -> Batch:
        """Write down what is about to be sent; only then may it be."""
        calls = {request.input_hash: (request.record_type, request.record_id) for request in requests}
        batch = Batch(uuid.uuid4().hex, operation, model, sent_at, time.time(), calls)
        self._write(_intent(batch))
        self._batches[batch.intent] = batch
        return batch

    def move(
        self, batch: Batch, status: Status, *, batch_id: str | None = None, leftovers: Iterable[str] = (), why: str = ""
    ) -> None:
        """Write down that a batch has come further."""
        entry: dict[str, Any] = {"kind": status, "intent": batch.intent}
        if batch_id is not None:
            entry["batch_id"] = batch_id
        if kept := sorted(leftovers):
            entry["leftovers"] = kept
        if why:
            entry["why"] = why
        self._write(entry)
        self._apply(entry)

    def close(self) -> None:
        """Close the file. Safe to call twice; the next event opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def forget(self, now: datetime) -> None:
        """Rewrite a journal that has grown large: what is over needs its id and its leftovers only."""
        if not self._path.exists() or self._path.stat().st_size < _REWRITE_FROM_BYTES:
            return
        lines: list[Mapping[str, Any]] = []
        for batch in self._batches.values():
            if not batch.is_open and batch.sent_at < now - _FORGET_AFTER:
                continue
            if not batch.is_open:
                batch.calls = {key: call for key, call in batch.calls.items() if key in batch.leftovers}
            lines.append(_intent(batch))
            if batch.status != "intent":
                event: dict[str, Any] = {"kind": batch.status, "intent": batch.intent}
                lines.append({**event, "batch_id": batch.batch_id, "leftovers": sorted(batch.leftovers)})
        self.close()
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(_line(line) for line in lines)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        sync_folder(self._path.parent)

    def _read(self) -> None:
        if not self._path.exists():
            return
        text = self._path.read_bytes()
        # A last line without its end was being written when the process died: what it says had not begun to happen, or
        # (created, ended, collected) is found out again.
        for number, line in enumerate(text.splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):
                break
            try:
                self._apply(cast("dict[str, Any]", json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise NightdeskError(
                    f"Line {number} of the batch journal cannot be read: {error}",
                    where=str(self._path),
                    todo="Restore it from a backup. Without it, calls that are with the provider are paid for twice.",
                ) from error

    def _apply(self, entry: Mapping[str, Any]) -> None:
        if entry["kind"] == "intent":
            self._batches[entry["intent"]] = Batch(
                entry["intent"],
                entry["operation"],
                entry["model"],
                datetime.fromisoformat(entry["sent_at"]),
                float(entry["written_at"]),
                {key: (record_type, record_id) for key, record_type, record_id in entry["calls"]},
            )
            return
        batch = self._batches[entry["intent"]]
        batch.status = entry["kind"]
        batch.batch_id = entry.get("batch_id") or batch.batch_id
        batch.leftovers = frozenset(entry.get("leftovers", ())) or batch.leftovers

    def _write(self, entry: Mapping[str, Any]) -> None:
        try:
            file = self._open()
            data = memoryview(_line(entry).encode())
            size = os.fstat(file).st_size
            try:
                while data:
                    data = data[os.write(file, data) :]
                os.fsync(file)
            except OSError:
                os.ftruncate(file, size)
                raise
        except OSError as error:
            raise NightdeskError(
                f"The batch journal cannot be written: {error.strerror}",
                where=str(self._path),
                todo="Free some space (or fix the folder), then run again: nothing is sent that is not written down.",
            ) from error

    def _open(self) -> int:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self._path.exists()
            self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
            if is_new:
                sync_folder(self._path.parent)
            else:
                _cut_torn_line(self._file)
        return self._file


def open_calls(path: Path, operation: str) -> int:
    """How many calls of an operation are with the provider, by the journal at `path`; 0 without one."""
    if not path.exists():
        return 0
    return sum(len(batch.calls) for batch in Journal(path).open_batches(operation))


def batch_file(data_dir: Path) -> Path:
    """Where the journal of a data directory is."""
    return data_dir / "batches" / "claude.jsonl"


def _cut_torn_line(file: int) -> None:
    size = os.fstat(file).st_size
    end = size
    while end > 0:
        step = min(65536, end)
        block = os.pread(file, step, end - step)
        if (found := block.rfind(b"\n")) >= 0:
            end = end - step + found + 1
            break
        end -= step
    if end < size:
        os.ftruncate(file, end)


def _intent(batch: Batch) -> dict[str, Any]:
    calls: Sequence[tuple[str, str, str]] = [(key, *call) for key, call in batch.calls.items()]
    return {
        "kind": "intent",
        "intent": batch.intent,
        "operation": batch.operation,
        "model": batch.model,
        "sent_at": batch.sent_at.isoformat(),
        "written_at": batch.written_at,
        "calls": calls,
    }


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, separators=(",", ":")) + "\n"
