"""One load: read the files that are new or changed, put parts together to calls, write the calls that are different."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from nightdesk.errors import NightdeskError
from sources.kit.report import LoadReport
from sources.kit.run import Run, loading, now
from sources.transcripts.files import Found, Known, content, found_files
from sources.transcripts.formats import dated, read_bytes
from sources.transcripts.model import Reading, Speaker, Transcript, Trouble, Turn, body
from sources.transcripts.same import Part, grouped, key_of, one_call
from sources.transcripts.settings import TranscriptSettings
from sources.transcripts.tables import DATASET, TABLES

if TYPE_CHECKING:
    from nightdesk.erasure.tombstones import Tombstones

_KEPT = "-"  # stands for a source where a call's files are gone; no source's name is that
_MOST_ALIKE = 20
"""Troubles of one kind that are named one by one in one file; the rest are counted."""


@dataclass(frozen=True)
class _Loaded:
    """A call as it is loaded, without its words."""

    key: str
    ids: frozenset[str]
    started_at: datetime | None
    files: tuple[str, ...]

    @property
    def paths(self) -> list[str]:
        """Its files, without the number of a call inside one."""
        return [one.partition("#")[0] for one in self.files]

    @property
    def stems(self) -> set[str]:
        """The names of its files as `Part.stem` has them."""
        return {_stem(file) for file in self.files if "#" not in file}


class _Keys:
    """The keys of calls: those they had, told by ids, else by files; a new one only where there was none."""

    def __init__(self, loaded: Iterable[_Loaded]) -> None:
        self._by_id: dict[str, str] = {}
        self._by_file: dict[str, _Loaded] = {}
        self._taken: set[str] = set()
        for one in sorted(loaded, key=lambda call: call.key, reverse=True):
            self._by_id |= dict.fromkeys(one.ids, one.key)
            self._by_file |= dict.fromkeys((*one.files, f"{_KEPT}/{one.key}"), one)

    def of(self, group: Sequence[Part]) -> str:
        """The key of a call; no two calls of a load get the same."""
        found = {self._by_id[one] for part in group for one in part.ids if one in self._by_id}
        if not found:
            found = {before.key for part in group if (before := self._before(part)) is not None}
        free = sorted(found - self._taken)
        key = free[0] if free else key_of(group)
        number = 0
        while key in self._taken:
            number += 1
            key = f"{key_of(group)}-{number}"
        self._taken.add(key)
        return key

    def _before(self, part: Part) -> _Loaded | None:
        before = self._by_file.get(f"{part.source}/{part.file}")
        if before is None or part.alone or part.source == _KEPT:
            return before
        # The order of calls inside a file may be another one now.
        return before if before.started_at == part.transcript.started_at else None


def load(
    settings: Sequence[TranscriptSettings],
    raw_path: Path,
    pipelines_dir: Path,
    on_progress: Callable[[str, int], object] | None = None,
    *,
    tombstones: Tombstones | None = None,
    on_learned: Callable[[], object] = lambda: None,
    clock: Callable[[], datetime] = now,
) -> LoadReport:
    """Loads transcripts from files.

    A file that is as it was is not read again; one that vanished takes nothing with it. A file that cannot be read, or
    not wholly, is named in the report's problems, and everything else is loaded.

    Args:
        settings: The folders; names are unique.
        raw_path: The raw database; created when missing.
        pipelines_dir: Working directory of all loads.
        on_progress: Told ("files", how many were looked at) now and then.
        tombstones: People who were erased: a call in which one of them speaks or is named by address is left out.
        on_learned: See `sources.kit.run.loading`.
        clock: Now.

    Raises:
        NightdeskError: two sources have one name, a folder is not there, or the raw database is in use.
    """
    names = [one.name for one in settings]
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        raise NightdeskError(f"Two transcript sources are called `{twice}`", todo="Give each a name of its own.")
    with loading(
        DATASET, TABLES, raw_path, pipelines_dir, tombstones=tombstones, on_learned=on_learned, clock=clock
    ) as run:
        _Load(run, settings, on_progress or (lambda _what, _count: None), clock).everything()
        return run.finish()


class _Load:
    def __init__(
        self,
        run: Run,
        settings: Sequence[TranscriptSettings],
        progress: Callable[[str, int], object],
        clock: Callable[[], datetime],
    ) -> None:
        self._run = run
        self._settings = {one.name: one for one in settings}
        self._progress = progress
        self._clock = clock
        self._known = {
            str(file): Known(int(size), modified, str(digest))
            for file, size, modified, digest in run.previous(
                f"select file, size_bytes, modified_at, sha256 from {DATASET}.files"
            )
        }
        self._places: dict[str, list[str]] = {}  # by SHA-256: where the same bytes were read before
        for place, one in self._known.items():
            self._places.setdefault(one.sha256, []).append(place)
        self._here: dict[str, Found] = {}  # by "<source>/<file>"
        self._parts: dict[str, list[Part]] = {}

    def everything(self) -> None:
        """Reads what changed and adds every call that may be different now."""
        looked = 0
        changed: list[Found] = []
        for settings in self._settings.values():
            if not settings.path.exists():
                raise NightdeskError(
                    f"The folder of the transcripts `{settings.name}` is not there",
                    where=str(settings.path),
                    todo="Correct `path`, or bring the folder back; what is loaded stays.",
                )
            for found in found_files(settings):
                looked += 1
                if looked % 500 == 0:
                    self._progress("files", looked)
                self._here[found.place] = found
                if found.is_as(self._known.get(found.place)):
                    continue
                changed.append(found)
        self._progress("files", looked)
        places = {place for one in changed for place in self._read(one)}
        if places:
            loaded = self._loaded()
            self._write(self._in_play(places, loaded))

    # -- files ---------------------------------------------------------------------------------------------------------

    def _read(self, found: Found) -> list[str]:
        """Reads a file and notes it.

        Returns:
            Places whose calls may be different now: of this file, and of files with the same bytes; none where this
            file's bytes are the ones known.
        """
        settings = self._settings[found.source]
        if found.size > settings.max_bytes:
            self._note(found, "", Reading("unread", troubles=[_too_large(found, settings)]))
            return []
        try:
            data, digest = content(found.path)
        except OSError as error:
            what = f"The file cannot be read ({error.strerror or type(error).__name__})"
            self._run.problem(found.place, None, what, "Check the rights of the file.")
            return []
        known = self._known.get(found.place)
        if known is not None and known.sha256 == digest:
            self._note_again(found, digest)
            return []
        self._note(found, digest, self._reading(found, data))
        return [found.place, *self._places.get(digest, ())]

    def _reading(self, found: Found, data: bytes) -> Reading:
        settings = self._settings[found.source]
        zone = ZoneInfo(settings.time_zone)
        reading = read_bytes(found.path.name, data, zone)
        several = len(reading.transcripts) > 1
        self._parts[found.place] = [
            Part(
                found.source,
                f"{found.file}#{number}" if several else found.file,
                self._with_defaults(dated(one, found.path.name, found.modified_at, zone), settings),
                alone=not several,
            )
            for number, one in enumerate(reading.transcripts, start=1)
        ]
        return reading

    @staticmethod
    def _with_defaults(one: Transcript, settings: TranscriptSettings) -> Transcript:
        platform = settings.platform if settings.platform not in (None, "other") else ""
        return replace(
            one, platform=one.platform or platform or "", owner_email=one.owner_email or settings.owner_email or ""
        )

    def _note(self, found: Found, digest: str, reading: Reading) -> None:
        for trouble in _capped(reading.troubles):
            self._run.problem(found.place, trouble.place, trouble.what, trouble.todo)
        self._run.file(
            found.source,
            found.place,
            size=found.size,
            modified_at=found.modified_at,
            sha256=digest,
            form=reading.format,
            records=sum(1 for one in reading.transcripts if one.turns),
        )

    def _note_again(self, found: Found, digest: str) -> None:
        """A file that was only touched: its time stamp is kept, so that its bytes need not be read at the next load."""
        place = found.place.replace("'", "''")
        form, records, problems, read_at = self._run.previous(
            f"select format, records, problems, read_at from {DATASET}.files where file = '{place}'"
        )[0]
        before = (found.source, found.place, str(found.size), found.modified_at.isoformat(), digest)
        self._run.add("files", [(*before, form, str(records), str(problems), read_at.isoformat())])

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _loaded(self) -> list[_Loaded]:
        rows = self._run.previous(f"select call_key, external_ids, crm_call_id, started_at, files from {DATASET}.calls")
        return [
            _Loaded(
                str(key),
                frozenset((*json.loads(ids or "[]"), *((f"crm:{crm}",) if crm else ()))),
                started,
                tuple(json.loads(files or "[]")),
            )
            for key, ids, crm, started, files in rows
        ]

    def _in_play(self, changed: set[str], loaded: Sequence[_Loaded]) -> dict[str, _Loaded]:
        """Loaded calls that what was read may touch, by key, with their parts read again; until no more are touched.

        A call is touched by a file it came from, by an id, by a file of the same name, or by a start close by.
        """
        played: dict[str, _Loaded] = {}
        waiting = list(loaded)
        while True:
            parts = [part for place in self._parts for part in self._parts[place]]
            ids = {one for part in parts for one in part.ids}
            stems = {part.stem for part in parts if part.alone}
            starts = {int(at.timestamp()) // 300 for part in parts if (at := part.transcript.started_at) is not None}
            near = {one + step for one in starts for step in (-1, 0, 1)}
            touched = [
                one
                for one in waiting
                if not changed.isdisjoint(one.paths)
                or not ids.isdisjoint(one.ids)
                or not stems.isdisjoint(one.stems)
                or (one.started_at is not None and int(one.started_at.timestamp()) // 300 in near)
            ]
            if not touched:
                return played
            keys = {one.key for one in touched}
            waiting = [one for one in waiting if one.key not in keys]
            for one in touched:
                self._read_again(one)
                played[one.key] = one
            changed = changed | {path for one in touched for path in one.paths}

    def _read_again(self, one: _Loaded) -> None:
        """Reads the files of a loaded call; if one of them is gone, the call as loaded is a part of what it will be."""
        is_whole = True
        for path in one.paths:
            if path in self._parts:
                continue
            found = self._here.get(path)
            if found is None:
                is_whole = False
                continue
            try:
                self._reading(found, content(found.path)[0])
            except OSError:
                is_whole = False
        if not is_whole:
            self._parts[f"{_KEPT}/{one.key}"] = [Part(_KEPT, one.key, self._stored(one.key), alone=False)]

    def _stored(self, key: str) -> Transcript:
        row = self._run.previous(
            "select title, platform, language, direction, started_at, started_how, duration_ms, external_ids,"
            f" crm_call_id, owner_email, format, files, speakers, turns from {DATASET}.calls where call_key = '{key}'"
        )[0]
        return Transcript(
            turns=tuple(Turn(**one) for one in json.loads(row[13])),
            speakers=tuple(Speaker(**one) for one in json.loads(row[12])),
            title=row[0] or "",
            platform=row[1] or "",
            language=row[2] or "",
            direction=row[3] or "",
            started_at=row[4],
            started_how=row[5],
            duration_ms=row[6],
            external_ids=tuple(json.loads(row[7])),
            crm_call_id=row[8] or "",
            owner_email=row[9] or "",
            format=row[10] or "",
            files=tuple(json.loads(row[11])),
        )

    def _write(self, played: dict[str, _Loaded]) -> None:
        keys = _Keys(played.values())
        for group in grouped(part for place in self._parts for part in self._parts[place]):
            if group[0].has_words:  # else a description whose words are nowhere: no call to tell of
                self._run.add("calls", [self._row(keys.of(group), one_call(group), group)])
        self._run.replace("calls", "call_key", list(played))

    def _row(self, key: str, call: Transcript, group: Sequence[Part]) -> list[str | None]:
        kept = [file for part in group if part.source == _KEPT for file in part.transcript.files]
        files = list(dict.fromkeys([*(one for one in call.files if not one.startswith(f"{_KEPT}/")), *kept]))
        values: dict[str, Any] = {
            "call_key": key,
            "source": files[0].partition("/")[0],
            "title": call.title or None,
            "platform": call.platform or None,
            "language": call.language or None,
            "direction": call.direction or None,
            "started_at": None if call.started_at is None else call.started_at.isoformat(),
            "started_how": call.started_how,
            "duration_ms": None if call.duration_ms is None else str(call.duration_ms),
            "turn_count": str(len(call.turns)),
            "external_ids": _json(call.external_ids),
            "crm_call_id": call.crm_call_id or None,
            "owner_email": call.owner_email or None,
            "format": call.format,
            "files": _json(files),
            "speakers": _json([asdict(one) for one in call.speakers]),
            "turns": _json(
                [
                    {"speaker": one.speaker, "start_ms": one.start_ms, "end_ms": one.end_ms, "text": one.text}
                    for one in call.turns
                ]
            ),
            "body": body(call),
            "updated_at": self._updated(files),
        }
        return [values[name] for name in TABLES["calls"].names]

    def _updated(self, files: Iterable[str]) -> str | None:
        """When the newest of a call's files was written: tells a change without making a quiet night look like one."""
        paths = [one.partition("#")[0] for one in files]
        stamps = [self._here[one].modified_at for one in paths if one in self._here]
        return max(stamps).isoformat() if stamps else None


def _stem(place: str) -> str:
    source, _, file = place.partition("/")
    return Part(source, file, Transcript()).stem


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _too_large(found: Found, settings: TranscriptSettings) -> Trouble:
    what = f"The file has {found.size:,} bytes, more than `max_bytes` ({settings.max_bytes:,}); it was not read"
    return Trouble(None, what, "Raise `max_bytes` if it is a transcript, or leave it out by `pattern`.")


def _capped(troubles: Sequence[Trouble]) -> Iterator[Trouble]:
    """Each trouble, but of many alike only the first ones and how many more there are."""
    seen: dict[str, int] = {}
    for one in troubles:
        kind = one.what.split("`")[0]
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= _MOST_ALIKE:
            yield one
    for kind, count in seen.items():
        if count > _MOST_ALIKE:
            todo = next(one.todo for one in troubles if one.what.split("`")[0] == kind)
            yield Trouble(None, f"{count - _MOST_ALIKE} more places like these: {kind.strip() or 'see above'}", todo)
