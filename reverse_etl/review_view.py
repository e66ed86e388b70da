"""The review on a terminal: one line per change, or one record in full with differences, quotes and remarks.

Values are customers' words: they are shown as plain text, never as markup, and without control characters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl import diffs
from reverse_etl.records import SINGULARS
from reverse_etl.reviews import Note, Standing
from reverse_etl.view import plain

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

Op = Mapping[str, Any]
Standings = Mapping[str, Standing]
Notes = Mapping[str, Sequence[Note]]

STYLES = {
    "approved": "green",
    "auto": "green",
    "rejected": "red",
    "denied": "red",
    "one_of_two": "magenta",
    "waiting": "yellow",
    "ended": "yellow",
}
DEFAULT_COLUMNS = ("op", "record", "label", "property", "from", "to", "confidence", "standing")
_PARTS = {"same": "", "gone": "strike red", "new": "green", "cut": "dim italic"}


def _shown(value: object, limit: int) -> str:
    return "(never set)" if value is None else "(empty)" if value == "" else plain(value, limit)


def _kind(op: Op) -> str:
    return f"{SINGULARS.get(str(op['object_type']), str(op['object_type']))}:{op['record_id']}"


# name -> title, what it shows, most characters
COLUMNS: Mapping[str, tuple[str, Callable[[Op, Standing | None], str], int]] = {
    "op": ("op", lambda op, _: str(op["op_id"])[:8], 8),
    "record": ("record", lambda op, _: _kind(op), 24),
    "label": ("name", lambda op, _: plain(op["record_label"] or "", 26), 26),
    "property": ("property", lambda op, _: str(op["property"]), 40),
    "from": ("from", lambda op, _: _shown(op["before_value"], 24), 24),
    "to": ("to", lambda op, _: "(cleared)" if op["desired_value"] is None else plain(op["desired_value"], 30), 30),
    "confidence": ("conf.", lambda op, _: "" if op["confidence"] is None else f"{float(op['confidence']):.2f}", 5),
    "operation": ("operation", lambda op, _: str(op["operation"]), 20),
    "level": ("level", lambda op, _: f"L{op['autonomy_level']}", 5),
    "risk": ("risk", lambda op, _: str(op["risk"]), 6),
    "segment": ("segment", lambda op, _: plain(op.get("segment") or "", 20), 20),
    "conflict": ("conflict", lambda op, _: str(op["conflict_class"]), 16),
    "evidence": ("sources", lambda op, _: str(op["evidence_count"]), 7),
    "rule": ("rule", lambda op, _: str(op["deciding_rule"]), 28),
    "reason": ("why", lambda op, _: plain(op["reason"] or "", 60), 60),
    "standing": ("stands", lambda op, s: s.words if s else str(op["decision"]), 30),
}


def columns(text: str | None) -> tuple[str, ...]:
    """Names of columns from `op,record,...`.

    Raises:
        NightdeskError: There is no such column.
    """
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip()) or DEFAULT_COLUMNS
    for name in names:
        if name not in COLUMNS:
            raise NightdeskError(f"There is no column `{name}`", todo=f"Columns: {', '.join(COLUMNS)}.")
    return names


def table(ops: Sequence[Op], total: int, names: Sequence[str], standings: Standings) -> Table:
    """One line per operation."""
    from rich.table import Table
    from rich.text import Text

    shown = f"{len(ops):,} of {total:,} changes" if len(ops) < total else f"{total:,} changes"
    made = Table(box=None, padding=(0, 1), title=shown, title_justify="left", header_style="bold", pad_edge=False)
    for name in names:
        made.add_column(
            COLUMNS[name][0],
            justify="right" if name in ("confidence", "evidence") else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=COLUMNS[name][2],
            min_width=8 if name == "op" else None,
        )
    for op in ops:
        standing = standings.get(str(op["op_id"]))
        cells: list[Text] = []
        for name in names:
            style = STYLES.get(standing.state if standing else "", "") if name == "standing" else ""
            cells.append(Text(COLUMNS[name][1](op, standing), style={"op": "dim", "record": "cyan"}.get(name, style)))
        made.add_row(*cells)
    return made


def difference(op: Op) -> Text:
    """Old and new value of one operation; texts word by word."""
    from rich.text import Text

    before, desired = op["before_value"], op["desired_value"]
    text = Text()
    if op["value_type"] == "text" and before and desired:
        for what, part in diffs.words(_clean(before), _clean(desired)):
            text.append(part, style=_PARTS[what])
        return text
    text.append(_shown(before, 400), style="red")
    text.append(" → ")
    text.append("(cleared)" if desired is None else plain(desired, 2000), style="green")
    return text


def _in_short(op: Op) -> Text:
    from rich.text import Text

    text = Text(_shown(op["before_value"], 60), style="red")
    text.append(" → ", style="none")
    text.append("(cleared)" if op["desired_value"] is None else plain(op["desired_value"], 80), style="green")
    return text


def _clean(value: object) -> str:
    return " ".join("".join(c if c.isprintable() or c == " " else " " for c in str(value)).split())


def detail(
    ops: Sequence[Op],
    standings: Standings,
    notes: Notes,
    reasons: Mapping[str, str],
    *,
    base_url: str = "",
    sources: int = 50,
    with_diff: bool = True,
) -> Text:
    """One record in full: each change with its difference, who decides, why, quotes with their links, remarks.

    Args:
        ops: The record's operations.
        standings: Where each stands.
        notes: Remarks by operation.
        reasons: Rule id to reason.
        base_url: Put before links that are paths of the CRM.
        sources: The most quotes shown.
        with_diff: Whether texts are compared word by word, instead of shown in short.
    """
    from rich.text import Text

    first = ops[0]
    text = Text()
    text.append(f"{_kind(first)} ", style="cyan")
    text.append(plain(first["record_label"] or "", 60), style="bold")
    for op in ops:
        standing = standings.get(str(op["op_id"]))
        text.append(f"\n\n  {op['property']}", style="bold")
        text.append(f"  {str(op['op_id'])[:8]}", style="dim")
        if standing:
            text.append(f"  {standing.words}", style=STYLES.get(standing.state, ""))
        text.append("\n    ")
        text.append_text(difference(op) if with_diff else _in_short(op))
        if op["conflict_class"] == "changed_by_other":
            ours = op["last_written_value"]
            text.append(f"\n    somebody changed it; we had written {_shown(ours, 60)}", style="magenta")
        rule = str(op["deciding_rule"])
        told = f"{rule}: {reasons[rule]}" if rule in reasons else rule
        confidence = f", confidence {float(op['confidence']):.2f}" if op["confidence"] is not None else ""
        text.append(
            f"\n    {op['operation']} (L{op['autonomy_level']}, risk {op['risk']}{confidence}); {told}", style="dim"
        )
        for remark in (*notes.get(str(op["op_id"]), ()), *(notes.get(standing.approval_id, ()) if standing else ())):
            text.append(f"\n    remark of {plain(remark.author, 40)}: {plain(remark.body, 400)}", style="yellow")
    for why in dict.fromkeys(plain(op["reason"] or "", 600) for op in ops):
        if why:
            text.append(f"\n\n  why: {why}")
    quotes = _quotes(ops, base_url)
    for line in quotes[:sources]:
        text.append("\n  ")
        text.append_text(line)
    if len(quotes) > sources:
        text.append(f"\n  and {len(quotes) - sources} more sources (--evidence)", style="dim")
    return text


def _quotes(ops: Sequence[Op], base_url: str) -> list[Text]:
    """Every source once, as a quote with its link."""
    from rich.text import Text

    lines: dict[str, Text] = {}
    for op in ops:
        evidence: list[dict[str, Any]] = json.loads(op["evidence"])
        for item in evidence:
            url = str(item.get("url") or "")
            url = base_url.rstrip("/") + url if base_url and url.startswith("/") else url
            line = Text(f"“{plain(item.get('quote') or '', 300)}” ")
            line.append(plain(url or item.get("id") or "", 160), style="cyan")
            lines.setdefault(line.plain, line)
    return list(lines.values())


__all__ = ["COLUMNS", "DEFAULT_COLUMNS", "columns", "detail", "difference", "table"]
