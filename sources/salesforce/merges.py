"""Who was merged into whom: chains are followed, so that every row names a record that is still there."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Merge:
    """One record that another one took the place of. `reason` is merged or converted."""

    object_type: str
    merged_id: str
    surviving_type: str
    surviving_id: str
    reason: str

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """As a row of `merges`."""
        return self.object_type, self.merged_id, self.surviving_type, self.surviving_id, self.reason


class MergeBook:
    """The merges a load comes across. Thread-safe."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Merge] = {}
        self._back: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._found or self._back)

    def add(self, merge: Merge) -> None:
        """Notes a merge."""
        with self._lock:
            self._found[merge.object_type, merge.merged_id] = merge

    def drop(self, object_type: str, ids: Collection[str]) -> None:
        """Records that were merged away once and are back."""
        with self._lock:
            self._back |= {(object_type, one) for one in ids}

    def rows(self, before: Iterable[tuple[str, str, str, str, str]]) -> list[tuple[str, str, str, str, str]]:
        """Rows of `merges` that are new or lead elsewhere now.

        Args:
            before: The rows as loaded.
        """
        known = {(row[0], row[1]): Merge(*row) for row in before}
        everything = {key: one for key, one in known.items() if key not in self._back} | self._found
        settled = (self._followed(merge, everything) for merge in everything.values())
        return [merge.row for merge in settled if known.get((merge.object_type, merge.merged_id)) != merge]

    @staticmethod
    def _followed(merge: Merge, everything: dict[tuple[str, str], Merge]) -> Merge:
        seen = {(merge.object_type, merge.merged_id)}
        here = (merge.surviving_type, merge.surviving_id)
        while here in everything and here not in seen:
            seen.add(here)
            following = everything[here]
            here = (following.surviving_type, following.surviving_id)
        return replace(merge, surviving_type=here[0], surviving_id=here[1])
