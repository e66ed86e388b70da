"""One border, whatever crosses it: what changed is judged, what did not keeps its verdict, both are shown and kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sources.borders.frames import Framed
from sources.borders.suites import Suite
from sources.borders.verdicts import Verdict

Side = Literal["raw", "plan"]
STATES = ".borders"


@dataclass(frozen=True, slots=True)
class Crossing:
    """What of one dataset is to be judged."""

    suites: Sequence[Suite]
    frames: Sequence[Framed]


@dataclass(frozen=True, slots=True)
class Settled:
    """The verdicts on one dataset, and whether they are those of an earlier time."""

    verdicts: tuple[Verdict, ...]
    is_repeated: bool


def settle(
    side: Side, crossings: Mapping[str, Crossing], *, docs_dir: Path | None, now: datetime, about: str = ""
) -> dict[str, Settled]:
    """Judges what crosses a border.

    Frames that are the same, byte by byte, as at the last time that nothing stopped are not judged again, and Great
    Expectations is then not even imported. The Data Docs are built anew when a verdict is another than before.

    Args:
        side: Which border.
        crossings: Dataset (or CRM) to its suites and frames.
        docs_dir: Where the Data Docs and the last verdicts are; without it everything is judged, and nothing shown.
        now: When, for the pages.
        about: What is judged, for the pages: the day, or the plan.

    Raises:
        NightdeskError: A suite asks for what cannot be checked.
    """
    docs_dir = None if docs_dir is None else docs_dir.absolute()  # Great Expectations refuses relative folders
    done: dict[str, Settled] = {}
    waiting: dict[str, tuple[str, Crossing]] = {}
    before: dict[str, tuple[Verdict, ...]] = {}
    for dataset, crossing in crossings.items():
        digest = _digest(crossing)
        last = None if docs_dir is None else _read(_state(docs_dir, side, dataset))
        before[dataset] = last[1] if last else ()
        if last is not None and last[0] == digest and all(one.success or one.severity == "warn" for one in last[1]):
            done[dataset] = Settled(last[1], is_repeated=True)
        else:
            waiting[dataset] = digest, crossing
    if waiting:
        from sources.borders.gx import RESULTS, Judge

        judge = Judge(docs_dir)
        for dataset, (digest, crossing) in waiting.items():
            page = f"{side}-{dataset}"
            if docs_dir is not None:
                shutil.rmtree(docs_dir / RESULTS / "uncommitted" / "validations" / page, ignore_errors=True)
            verdicts = tuple(judge.judge(page, dataset, crossing.frames, now)) if crossing.frames else ()
            done[dataset] = Settled(verdicts, is_repeated=False)
            if docs_dir is not None:
                _write(_state(docs_dir, side, dataset), digest, verdicts, side, dataset, about, now)
        if docs_dir is not None and (
            not (docs_dir / "index.html").exists() or any(done[one].verdicts != before[one] for one in waiting)
        ):
            from sources.borders.docs import build

            build(judge.context, docs_dir)
    return {dataset: done[dataset] for dataset in crossings}


def _digest(crossing: Crossing) -> str:
    content = [
        [suite.model_dump(mode="json") for suite in crossing.suites],
        [[one.columns, [[str(value) for value in row] for row in one.rows]] for one in crossing.frames],
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _state(docs_dir: Path, side: Side, dataset: str) -> Path:
    return docs_dir / STATES / f"{side}-{dataset}.json"


def _read(path: Path) -> tuple[str, tuple[Verdict, ...]] | None:
    """The last result, or None when there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["digest"]), tuple(Verdict.model_validate(one) for one in content["verdicts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(
    path: Path, digest: str, verdicts: Sequence[Verdict], side: Side, dataset: str, about: str, now: datetime
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "digest": digest,
        "side": side,
        "dataset": dataset,
        "about": about,
        "judged_at": now.isoformat(),
        "verdicts": [one.model_dump() for one in verdicts],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
