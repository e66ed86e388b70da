"""Raw answers on disk before anything reads them: one JSON line per call, appended and fsynced chunk by chunk.

`spool/<run_id>/<operation>-<n>.jsonl` is only ever appended to by the process that created it. A segment whose every
line is in the ledger gets an empty `.committed` file beside it, so that a start only reads what a crash left behind.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, cast

from enrich.agents.protocol import AgentResponse, ToolCall, WebPage
from nightdesk.errors import NightdeskError

SEGMENT_BYTES = 64 * 1024 * 1024
COMMITTED_SUFFIX = ".committed"


@dataclass(frozen=True, slots=True)
class SpoolLine:
    """One call and what came back, with all that is needed to put it into the ledger later.

    Attributes:
        attempt_id: Id of the call; see `enrich.hashing.attempt_id`.
        call_hash: The one call's own hash where a question takes several, else None; the answer is under `input_hash`.
        question_hash: `operation_hash` without the agent: while it stays, the answer can still be checked.
        is_final: False when the runner meant to ask again after this provider error.
    """

    attempt_id: str
    run_id: str
    operation: str
    record_type: str
    record_id: str
    input_hash: str
    context_hash: str
    operation_hash: str
    question_hash: str
    policy_hash: str
    agent: str
    model: str | None
    requested_at: datetime
    responded_at: datetime
    is_final: bool
    response: AgentResponse
    call_hash: str | None = None

    def to_json(self) -> str:
        """One line, without the line end."""
        values: dict[str, Any] = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "response"
        }
        response = {field.name: getattr(self.response, field.name) for field in dataclasses.fields(self.response)}
        return json.dumps({**values, "response": response}, default=_plain, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> SpoolLine:
        """Read a line.

        Raises:
            ValueError: The line is torn or is not ours.
        """
        loaded: object = json.loads(text)
        if not isinstance(loaded, dict):
            raise ValueError("not an object")
        values = cast("dict[str, Any]", loaded)
        try:
            response: dict[str, Any] = dict(values.pop("response"))
            response["cost_usd"] = Decimal(response["cost_usd"])
            for name in ("requested_at", "responded_at"):
                values[name] = datetime.fromisoformat(values[name])
                response[name] = datetime.fromisoformat(response[name]) if response.get(name) else None
            response["tool_calls"] = tuple(ToolCall(**call) for call in response.get("tool_calls", ()))
            response["pages"] = tuple(WebPage(**page) for page in response.get("pages", ()))
            return cls(**values, response=AgentResponse(**response))
        except (KeyError, TypeError, ArithmeticError) as error:
            raise ValueError(f"not a spooled answer: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (ToolCall, WebPage)):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} has no place in the spool")


class SpoolWriter:
    """Appends to segments of its own. Not for use from two threads at once.

    Args:
        spool_dir: The spool's root folder.
        run_id: Names the folder.
        operation: Names the segments.
        segment_bytes: A segment that reached this size is closed and a new one begun.
    """

    def __init__(self, spool_dir: Path, run_id: str, operation: str, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = spool_dir / _safe(run_id)
        self._operation = operation
        self._segment_bytes = segment_bytes
        self._file: int | None = None
        self._path: Path | None = None
        self._size = 0
        self._lines = 0
        self.written: list[Path] = []
        """Segments this writer began, oldest first."""

    def append(self, lines: Sequence[SpoolLine]) -> list[str]:
        """Write and fsync; returns, per line, where it stands: `<run_id>/<segment>:<line number>`.

        Raises:
            NightdeskError: The disk is full or the folder cannot be written. Nothing half-written stays behind.
        """
        data = "".join(line.to_json() + "\n" for line in lines).encode()
        try:
            file = self._open()
            self._write(file, data)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise NightdeskError(
                "The disk is full, raw answers cannot be kept"
                if full
                else f"Raw answers cannot be kept: {error.strerror}",
                where=str(self._path or self._folder),
                todo="Free some space (or fix the folder), then run the command again; it goes on where it stopped.",
            ) from error
        assert self._path is not None
        first = self._lines + 1
        self._lines += len(lines)
        self._size += len(data)
        return [f"{self._folder.name}/{self._path.name}:{number}" for number in range(first, self._lines + 1)]

    def close(self) -> None:
        """Close the current segment. Safe to call twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        if self._file is not None and self._size < self._segment_bytes:
            return self._file
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_number(path) for path in self._folder.glob(f"{self._operation}-*.jsonl")), default=0)
        path = self._folder / f"{self._operation}-{number:04d}.jsonl"
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self._path, self._size, self._lines = path, 0, 0
        self.written.append(path)
        sync_folder(self._folder)
        return self._file

    def _write(self, file: int, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except OSError:
            os.ftruncate(file, self._size)
            raise


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that cannot be read: `where` is file and line, `is_last` tells a crash (expected) from worse."""

    where: str
    is_last: bool


def pending_segments(spool_dir: Path, operation: str) -> list[Path]:
    """Segments of `operation`, of any run, that no finished drain has marked as committed; oldest run first."""
    if not spool_dir.is_dir():
        return []
    return [
        path
        for folder in sorted(spool_dir.iterdir())
        if folder.is_dir()
        for path in sorted(folder.glob(f"{operation}-*.jsonl"), key=_number)
        if _number(path) > 0 and not marker(path).exists()
    ]


def read_segment(path: Path) -> Iterator[tuple[str, SpoolLine | Damage]]:
    """Every line with its reference; a line that cannot be read is a `Damage`, the rest is still given.

    A last line without line end was being written when the process died: its call counts as never answered.
    """
    with path.open("rb") as file:
        number = 0
        pending: bytes | None = None
        for line in file:
            if pending is not None:
                number += 1
                yield _read(path, number, pending, is_last=False)
            pending = line
        if pending is not None:
            yield _read(path, number + 1, pending, is_last=True)


def _read(path: Path, number: int, line: bytes, *, is_last: bool) -> tuple[str, SpoolLine | Damage]:
    reference = f"{path.parent.name}/{path.name}:{number}"
    if not line.endswith(b"\n"):
        return reference, Damage(f"{path}:{number}", is_last)
    try:
        return reference, SpoolLine.from_json(line.decode())
    except ValueError:
        return reference, Damage(f"{path}:{number}", is_last)


def read_line(spool_dir: Path, reference: str) -> SpoolLine | None:
    """The line at a place that `SpoolWriter.append` gave; None when it is gone (erased) or cannot be read."""
    name, _, number = reference.rpartition(":")
    path = spool_dir / name
    if not number.isdigit() or not path.is_file():
        return None
    with path.open("rb") as file:
        line = next(islice(file, int(number) - 1, None), b"")
    try:
        return SpoolLine.from_json(line.decode())
    except ValueError:
        return None


def mark_committed(path: Path) -> None:
    """Note that every readable line of a segment is in the ledger."""
    marker(path).touch()


def marker(path: Path) -> Path:
    """The file whose presence says that a segment is in the ledger."""
    return path.with_name(path.name + COMMITTED_SUFFIX)


def sync_folder(folder: Path) -> None:
    """Make a new file's name survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _number(path: Path) -> int:
    match = re.fullmatch(r".+-(\d{4,})\.jsonl", path.name)
    return int(match[1]) if match else 0


def _safe(run_id: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", run_id):
        raise NightdeskError(f"`{run_id}` is not a run id", todo="Use letters, digits, dot, dash and underscore.")
    return run_id
