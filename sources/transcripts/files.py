"""Which files there are, and whether they are the ones already read."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sources.transcripts.settings import TranscriptSettings


@dataclass(frozen=True, slots=True)
class Known:
    """A file as it was when it was read."""

    size: int
    modified_at: datetime
    sha256: str


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it is.

    Attributes:
        source: Name of the settings.
        file: Path below their folder, with `/`.
        path: Where it is.
        size: Bytes.
        modified_at: Its time stamp, UTC, in whole microseconds.
    """

    source: str
    file: str
    path: Path
    size: int
    modified_at: datetime

    @property
    def place(self) -> str:
        """The file as reports and the `files` of a call name it."""
        return f"{self.source}/{self.file}"

    def is_as(self, known: Known | None) -> bool:
        """Whether size and time stamp are the ones known."""
        return known is not None and known.size == self.size and known.modified_at == self.modified_at


def found_files(settings: TranscriptSettings) -> Iterator[Found]:
    """The files of a source in order of their paths, without hidden ones and links that lead out of it or nowhere."""
    patterns = settings.pattern.split()
    if settings.path.is_file():
        yield _found(settings, settings.path, settings.path.name)
        return
    root = settings.path.resolve()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names):
            if name.startswith((".", "~$")) or not any(
                fnmatch.fnmatch(name.casefold(), one.casefold()) for one in patterns
            ):
                continue
            path = Path(folder) / name
            if not path.is_file() or not path.resolve().is_relative_to(root):
                continue
            yield _found(settings, path, path.relative_to(root).as_posix())


def content(path: Path) -> tuple[bytes, str]:
    """A file's bytes and their SHA-256."""
    data = path.read_bytes()
    return data, hashlib.sha256(data).hexdigest()


def _found(settings: TranscriptSettings, path: Path, name: str) -> Found:
    status = path.stat()
    modified = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=status.st_mtime_ns // 1000)
    return Found(settings.name, name, path, status.st_size, modified)
