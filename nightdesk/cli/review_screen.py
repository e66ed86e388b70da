"""The review on one screen: a table of changes, a filter, the record in full beside it; written only when saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import DataTable, Footer, Input, Static

from nightdesk.errors import NightdeskError
from reverse_etl import review_view, reviews, view
from reverse_etl.marks import Mark, Marks, Saved
from reverse_etl.select import KEYS, Selection
from reverse_etl.store import opened

if TYPE_CHECKING:
    import duckdb

    from nightdesk.clock import Clock
    from nightdesk.policy import Policy
    from reverse_etl.plan import Plan

MOST_ROWS = 2_000
_MARKED = {"approve": ("approve", "bold green"), "reject": ("reject", "bold red"), None: ("remark", "yellow")}
_COLUMNS = ("record", "label", "property", "to", "confidence", "standing")


class ReviewScreen(App[Saved]):
    """The review of one plan by one person.

    Args:
        ledger: The ledger; as a file it is opened only to read at the start and to save.
        plan: The plan.
        select: What the filter starts with.
        person: Who decides.
        role: In which role.
        policy: The policy.
        clock: Now, in UTC.
        base_url: Put before links that are paths of the CRM.
    """

    CSS = """
    #head { height: 1; padding: 0 1; background: $panel; }
    #filter { height: 3; border: tall $panel; }
    #table { width: 3fr; }
    #detail { width: 2fr; border-left: solid $panel; padding: 0 1; }
    #reason { height: 3; display: none; border: tall $accent; }
    #state { height: 1; padding: 0 1; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "mark('approve')", "approve"),
        Binding("r", "mark('reject')", "reject"),
        Binding("A", "mark_record('approve')", "approve record"),
        Binding("R", "mark_record('reject')", "reject record"),
        Binding("e", "explain", "reason"),
        Binding("u", "undo", "undo"),
        Binding("slash", "filter", "filter"),
        Binding("s", "save", "save"),
        Binding("q", "leave", "quit"),
        Binding("escape", "close_box", show=False),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        ledger: Path | duckdb.DuckDBPyConnection,
        plan: Plan,
        select: Selection,
        person: str,
        role: str,
        policy: Policy,
        clock: Clock,
        *,
        base_url: str = "",
    ) -> None:
        super().__init__()
        self.title = plan.plan_id
        self._ledger, self._plan, self._select = ledger, plan, select
        self._person, self._role, self._policy, self._clock, self._url = person, role, policy, clock, base_url
        self._reasons = view.rule_reasons(policy)
        self._ops: list[dict[str, Any]] = []
        self._by_id: dict[str, dict[str, Any]] = {}
        self._total = 0
        self._told = ""
        self._leaving = False
        self.marks = Marks()
        self._standings, self._notes = self._read()

    def _read(self) -> tuple[Mapping[str, reviews.Standing], Mapping[str, Sequence[reviews.Note]]]:
        with opened(self._ledger) as con:
            return (
                reviews.standings(con, self._plan.plan_id, self._policy, self._clock),
                reviews.notes(con, self._plan.plan_id),
            )

    # the screen -------------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Head, filter, table beside detail, reason, state, keys."""
        summary = self._plan.summary
        yield Static(
            Text(
                f"{summary.plan_id}  {summary.operation_count:,} changes, valid until "
                f"{summary.expires_at:%Y-%m-%d %H:%M} UTC; you: {self._person} ({self._role})"
            ),
            id="head",
        )
        terms = " ".join(f"{key}:{','.join(values)}" for key, values in self._select.terms)
        yield Input(terms, placeholder="filter, like property:nightdesk_lead_* confidence:<0.6 or a name", id="filter")
        with Horizontal():
            yield DataTable[Text](id="table", cursor_type="row", zebra_stripes=True)
            with VerticalScroll(id="detail"):
                yield Static(id="record")
        yield Input(placeholder="reason (Enter keeps it, Escape does not)", id="reason")
        yield Static(id="state")
        yield Footer()

    def on_mount(self) -> None:
        """Fill the table."""
        table = self._table
        table.add_column("verdict", key="mark", width=8)
        for name in _COLUMNS:
            title, _, most = review_view.COLUMNS[name]
            table.add_column(title, key=name, width=min(most, 24))
        self._fill()
        table.focus()

    @property
    def _table(self) -> DataTable[Text]:
        return cast("DataTable[Text]", self.query_one("#table"))

    def _fill(self) -> None:
        found, self._total = view.chosen(self._plan, self._select)
        # What a person can decide comes first; the order is otherwise that of the records.
        found.sort(key=lambda op: not self._is_open(op))
        self._ops = found[:MOST_ROWS]
        self._by_id = {str(op["op_id"]): op for op in self._ops}
        table = self._table
        table.clear()
        for op in self._ops:
            table.add_row(*self._cells(op), key=str(op["op_id"]))
        self._show_record()
        self._show_state()

    def _cells(self, op: Mapping[str, Any]) -> list[Text]:
        standing = self._standings.get(str(op["op_id"]))
        cells = [self._marked(op)]
        for name in _COLUMNS:
            style = review_view.STYLES.get(standing.state, "") if standing and name == "standing" else ""
            cells.append(Text(review_view.COLUMNS[name][1](op, standing), style=style))
        return cells

    def _marked(self, op: Mapping[str, Any]) -> Text:
        mark = self.marks.marks.get(str(op["op_id"]))
        return Text(*_MARKED[mark.verdict]) if mark else Text("")

    def _is_open(self, op: Mapping[str, Any]) -> bool:
        return op["decision"] == "require_approval"

    def _current(self) -> dict[str, Any] | None:
        row = self._table.cursor_row
        return self._ops[row] if 0 <= row < len(self._ops) else None

    def _show_record(self) -> None:
        op = self._current()
        pane = self.query_one("#record", Static)
        if op is None:
            pane.update(Text("Nothing matches the filter."))
            return
        same = [
            one for one in self._ops if (one["object_type"], one["record_id"]) == (op["object_type"], op["record_id"])
        ]
        # The change under the cursor first.
        same.sort(key=lambda one: one["op_id"] != op["op_id"])
        text = review_view.detail(same, self._standings, self._notes, self._reasons, base_url=self._url)
        mark = self.marks.marks.get(str(op["op_id"]), Mark())
        if mark.reason:
            text.append(f"\n\n  your reason: {mark.reason}", style="yellow")
        pane.update(text)

    def _show_state(self) -> None:
        shown = f"{len(self._ops):,} of {self._total:,}" if len(self._ops) < self._total else f"{self._total:,}"
        marked = (
            f"{self.marks.count('approve'):,} to approve, {self.marks.count('reject'):,} to reject, "
            f"{self.marks.count(None):,} remarks"
        )
        line = Text(f"{shown} changes shown; {marked}, none written before you save")
        if self._told:
            line.append(f"   {self._told}", style="bold red")
        self.query_one("#state", Static).update(line)

    def _changed(self, op_ids: Sequence[str], told: str = "") -> None:
        self._told, self._leaving = told, False
        for op_id in op_ids:
            if op_id in self._by_id:
                self._table.update_cell(op_id, "mark", self._marked(self._by_id[op_id]))
        self._show_record()
        self._show_state()

    # keys -------------------------------------------------------------------------------------------------------------

    def on_data_table_row_highlighted(self) -> None:
        """The cursor moved."""
        self._show_record()

    def action_mark(self, verdict: str) -> None:
        """Approve or reject the change under the cursor."""
        op = self._current()
        self._mark([op] if op else [], verdict)

    def action_mark_record(self, verdict: str) -> None:
        """Approve or reject all changes shown of the record under the cursor."""
        op = self._current()
        where = (op["object_type"], op["record_id"]) if op else None
        self._mark([one for one in self._ops if (one["object_type"], one["record_id"]) == where], verdict)

    def _mark(self, ops: Sequence[Mapping[str, Any]], verdict: str) -> None:
        ids = [str(op["op_id"]) for op in ops if self._is_open(op)]
        if not ids:
            self._changed([], "this does not wait for a person")
            return
        self.marks.set(ids, "approve" if verdict == "approve" else "reject")
        self._changed(ids)

    def action_explain(self) -> None:
        """Write the reason of the change under the cursor."""
        op = self._current()
        if op is None:
            return
        box = self.query_one("#reason", Input)
        box.value = self.marks.marks.get(str(op["op_id"]), Mark()).reason
        box.display = True
        box.focus()

    def action_undo(self) -> None:
        """Take the last mark or reason back."""
        before = set(self.marks.marks)
        done = self.marks.undo()
        self._changed(sorted(before | set(self.marks.marks)), "" if done else "nothing to undo")

    def action_filter(self) -> None:
        """Write a filter."""
        self.query_one("#filter", Input).focus()

    def action_close_box(self) -> None:
        """Leave the filter or the reason without keeping it."""
        self.query_one("#reason", Input).display = False
        self._table.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter in the filter or the reason."""
        if event.input.id == "reason":
            op = self._current()
            event.input.display = False
            if op is not None:
                self.marks.explain([str(op["op_id"])], event.value)
                self._changed([str(op["op_id"])])
        else:
            try:
                self._select = read_filter(event.value)
                self._told = ""
                self._fill()
            except NightdeskError as error:
                self._told = f"{error.what}. {error.todo or ''}"
                self._show_state()
                return
        self._table.focus()

    def action_save(self) -> None:
        """Write the verdicts and remarks, and leave."""
        if not self.marks.marks:
            self._changed([], "nothing is marked")
            return
        try:
            saved = self.marks.save(
                self._ledger, self._plan.plan_id, self._person, self._role, self._policy, self._clock
            )
        except NightdeskError as error:
            self._standings, self._notes = self._read()
            self._fill()
            self._changed([], f"Not saved: {error.what}. {error.todo or ''}")
            return
        self.exit(saved)

    def action_leave(self) -> None:
        """Leave without saving; asks once when something is marked."""
        if self.marks.marks and not self._leaving:
            self._changed([], "not saved: press q again to leave it all")
            self._leaving = True
            return
        self.exit(Saved())


def read_filter(text: str) -> Selection:
    """A filter as typed: terms like `property:x` as in `--select`, and words that look for a record's name.

    Raises:
        NightdeskError: A term cannot be read.
    """
    terms: list[str] = []
    for part in text.split():
        key, colon, _ = part.partition(":")
        terms.append(part if colon and key in KEYS else f"label:{part}")
    return Selection.parse(terms)


def run(
    ledger: Path | duckdb.DuckDBPyConnection,
    plan: Plan,
    select: Selection,
    person: str,
    role: str,
    policy: Policy,
    clock: Clock,
    *,
    base_url: str = "",
) -> Saved:
    """Show the screen until the person saves or leaves; returns what was written."""
    screen = ReviewScreen(ledger, plan, select, person, role, policy, clock, base_url=base_url)
    return screen.run() or Saved()
