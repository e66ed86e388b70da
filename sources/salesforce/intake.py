"""Takes pages of records in: rows of their table, and what they say of deletions, merges and our own values."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any

from sources.kit.run import Run
from sources.salesforce.api import parse_time
from sources.salesforce.contract import Definitions
from sources.salesforce.erased import Erased
from sources.salesforce.merges import Merge, MergeBook
from sources.salesforce.pages import column
from sources.salesforce.previous import Previous
from sources.salesforce.tables import ObjectType

Progress = Callable[[str, int], None]


@dataclass
class Taken:
    """What the pages of one object held so far.

    Attributes:
        rows: How many.
        newest: The latest stamp.
        listed: Ids per page, as Arrow arrays; only noted while an object is read whole.
        deleted: Ids the org shows as deleted or merged away.
    """

    rows: int = 0
    newest: datetime | None = None
    listed: list[Any] | None = None
    deleted: set[str] = field(default_factory=set[str])


class Intake:
    """Where the pages of all streams go. Thread-safe.

    Args:
        run: The load under way.
        previous: What is loaded.
        merges: Collects who was merged into whom.
        erased: Who must not come back; None when nobody was ever erased.
        on_progress: Called with a stream and the rows seen so far.
    """

    def __init__(
        self, run: Run, previous: Previous, merges: MergeBook, erased: Erased | None, on_progress: Progress | None
    ) -> None:
        self._run = run
        self._previous = previous
        self._merges = merges
        self._erased = erased
        self._progress = on_progress
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}
        self._forgotten: set[str] = set()

    def rows_seen(self) -> dict[str, int]:
        """Stream -> rows read."""
        with self._lock:
            return dict(self._seen)

    def saw(self, stream: str, count: int) -> None:
        """Counts rows of a stream."""
        with self._lock:
            total = self._seen.get(stream, 0) + count
            self._seen[stream] = total
            if self._progress is not None:
                self._progress(stream, total)

    def page(self, definitions: Definitions, rows: Any, taken: Taken) -> None:
        """Takes one page in.

        Args:
            definitions: The object and its fields.
            rows: Arrow table of text, a column per field asked for.
            taken: Notes of the stream, extended here.
        """
        kind = definitions.kind
        self.saw(kind.table.name, rows.num_rows)
        if not rows.num_rows:
            return
        taken.rows += rows.num_rows
        if taken.listed is not None:
            taken.listed.append(rows.column("Id").combine_chunks())
        if kind.stamp:
            newest = _newest(rows, kind.stamp)
            taken.newest = newest if taken.newest is None else max(taken.newest, newest)
        if self._erased is not None:
            rows, dropped = self._erased.kept(definitions, rows)
            self.forget(kind, dropped)
        rows = self._fates(kind, rows, taken)
        if rows.num_rows:
            written = self._our_values(definitions, rows)
            self._run.add_arrow(kind.table.name, self._settled(definitions, rows, written))

    # -- deleted, merged, converted ------------------------------------------------------------------------------------

    def _fates(self, kind: ObjectType, rows: Any, taken: Taken) -> Any:
        """Notes what became of records; gives back those that belong into their table."""
        if not kind.stamp:
            return rows
        pa: Any = import_module("pyarrow")  # ships no types
        pc: Any = import_module("pyarrow.compute")
        is_gone = pc.fill_null(pc.equal(rows.column("IsDeleted"), "true"), False)
        if self._previous.has("deletions"):
            alive = rows.column("Id").filter(pc.invert(is_gone))
            self._run.replace("deletions", "object_id", self._previous.among("deletions", "object_id", alive))
        if kind.can_merge and self._previous.has("merges"):
            alive = rows.column("Id").filter(pc.invert(is_gone))
            back = self._previous.among("merges", "merged_id", alive, "reason = 'merged'")
            self._run.replace("merges", "merged_id", back)
            self._merges.drop(kind.name, back)
        self._conversions(kind, rows)
        if not pc.any(is_gone).as_py():
            return rows
        gone = rows.filter(is_gone)
        merged: dict[str, str] = {}
        deleted: dict[str, str | None] = {}
        for one, master, stamp in zip(
            column(gone, "Id"), column(gone, "MasterRecordId"), column(gone, kind.stamp), strict=True
        ):
            if master:
                merged[str(one)] = master
            else:
                deleted[str(one)] = stamp
        taken.deleted |= {*merged, *deleted}
        for one, master in merged.items():
            self._merges.add(Merge(kind.name, one, kind.name, master, "merged"))
        self.forget(kind, merged)
        self._run.replace("deletions", "object_id", merged)
        self.deletions(kind, deleted)
        if not merged:
            return rows
        return rows.filter(pc.invert(pc.is_in(rows.column("Id"), value_set=pa.array(sorted(merged), pa.string()))))

    def _conversions(self, kind: ObjectType, rows: Any) -> None:
        if "ConvertedContactId" not in rows.column_names:
            return
        pc: Any = import_module("pyarrow.compute")
        went = pc.and_(pc.equal(rows.column("IsConverted"), "true"), pc.is_valid(rows.column("ConvertedContactId")))
        converted = rows.filter(went)
        for one, contact in zip(column(converted, "Id"), column(converted, "ConvertedContactId"), strict=True):
            self._merges.add(Merge(kind.name, str(one), "Contact", str(contact), "converted"))

    def deletions(self, kind: ObjectType, times: Mapping[str, str | None]) -> None:
        """Notes deleted records; the time that was noted first stays."""
        if not times:
            return
        known = self._previous.among("deletions", "object_id", list(times))
        self._run.add("deletions", [(kind.name, one, when) for one, when in times.items() if one not in known])

    def forget(self, kind: ObjectType, ids: Collection[str]) -> None:
        """Records that leave every table: merged away, or no longer in the org at all."""
        if not ids:
            return
        with self._lock:
            self._forgotten |= set(ids)
        self._run.replace(kind.table.name, "id", ids)
        self._run.replace("namespaced_values", "object_id", ids)
        self._run.replace("field_history", "record_id", ids)

    def gone_among(self, ids: Any) -> set[str]:
        """Those of these ids (an Arrow array) whose records have left every table, now or by an earlier merge."""
        with self._lock:
            here = {str(one) for one in ids.to_pylist() if one in self._forgotten}
        return here | self._previous.among("merges", "merged_id", ids, "reason = 'merged'")

    # -- what we wrote ourselves ---------------------------------------------------------------------------------------

    def _our_values(self, definitions: Definitions, rows: Any) -> Any:
        """Adds values under our namespace that are new, different or cleared; gives back whose they are."""
        pa: Any = import_module("pyarrow")
        pc: Any = import_module("pyarrow.compute")
        kind, names = definitions.kind, definitions.namespaced
        nobody = pa.table({"object_id": pa.array([], pa.string())})
        if not names:
            return nobody
        blanks = self._previous.has("namespaced_values")
        parts: list[Any] = []
        for name, field_type in names.items():
            values = _one_spelling(pc.fill_null(rows.column(name), ""), field_type)
            count = rows.num_rows
            part = pa.table(
                {
                    "object_id": rows.column("Id"),
                    "property": pa.array([name] * count, pa.string()),
                    "value": values,
                    "updated_at": rows.column(kind.stamp) if kind.stamp else pa.nulls(count, pa.string()),
                }
            )
            parts.append(part if blanks else part.filter(pc.not_equal(part.column("value"), "")))
        changed = self._previous.changed_values(kind.name, pa.concat_tables(parts).combine_chunks())
        if not changed.num_rows:
            return nobody
        found = changed.append_column("object_type", pa.array([kind.name] * changed.num_rows, pa.string()))
        if self._erased is not None:
            masked = [value and self._erased.masked(value) for value in found.column("value").to_pylist()]
            position = found.column_names.index("value")
            found = found.set_column(position, "value", pa.array(masked, pa.string()))
        self._run.add_arrow("namespaced_values", found)
        return pa.table({"object_id": pc.unique(changed.column("object_id"))})

    def _settled(self, definitions: Definitions, rows: Any, written: Any) -> Any:
        """The rows under our column names."""
        pa: Any = import_module("pyarrow")
        kind, kept = definitions.kind, definitions.kept
        page = pa.Table.from_arrays(
            [rows.column(name) for name in definitions.fields.values()], names=list(definitions.fields)
        )
        if not self._previous.has(kind.table.name):
            return page
        if kept or written.num_rows or (definitions.namespaced and self._previous.has("namespaced_values")):
            return self._previous.settled(kind, page, kept, written)
        return page


def _one_spelling(values: Any, field_type: str) -> Any:
    """Values as they are spelled in whichever way they came: files say `5.0` and `...Z`, answers `5` and `...+0000`."""
    pc: Any = import_module("pyarrow.compute")
    if field_type == "datetime":
        return pc.replace_substring_regex(values, "Z$", "+0000")
    if field_type in ("double", "currency", "percent", "int", "long"):
        return pc.replace_substring_regex(values, r"\.0+$|(\.\d*[1-9])0+$", r"\1")
    return values


def _newest(rows: Any, stamp: str) -> datetime:
    """The latest stamp of a page: the texts have one form within it, so the last in order is the latest."""
    pc: Any = import_module("pyarrow.compute")
    return parse_time(pc.max(rows.column(stamp)).as_py())
