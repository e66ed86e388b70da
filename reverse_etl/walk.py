"""The walk through a review: one record at a time, a word of the person each, written down at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reverse_etl.approve import approve, reject
from reverse_etl.select import Selection
from reverse_etl.store import Clock, NewId, new_id

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from reverse_etl.reviews import Standing

Word = Literal["approve", "reject", "skip", "quit"]
HELP = "[a]pprove, [r]eject, [s]kip, [q]uit; a reason may follow, like: r the title is out of date"
_WORDS: Mapping[str, Word] = {
    "a": "approve",
    "approve": "approve",
    "r": "reject",
    "reject": "reject",
    "s": "skip",
    "skip": "skip",
    "q": "quit",
    "quit": "quit",
}


@dataclass(frozen=True, slots=True)
class WalkReport:
    """Records by what was said about them; `left` were not reached."""

    approved: int
    rejected: int
    skipped: int
    left: int


def heard(line: str | None) -> tuple[Word, str] | None:
    """What a typed line means: a word and the reason after it; the end of the input means quit, None nonsense."""
    if line is None:
        return "quit", ""
    first, _, rest = line.strip().partition(" ")
    word = _WORDS.get(first.casefold())
    return (word, rest.strip()) if word else None


def records_to_decide(
    ops: Sequence[Mapping[str, Any]], standings: Mapping[str, Standing], person: str
) -> list[list[Mapping[str, Any]]]:
    """Per record, the operations that this person can still decide: open, and not approved by them already."""
    mine = person.strip().casefold()
    open_ops = [
        op
        for op in ops
        if op["decision"] == "require_approval"
        and (standing := standings.get(str(op["op_id"]))) is not None
        and standing.is_open
        and mine not in {name.strip().casefold() for name in standing.people}
    ]
    order = sorted(open_ops, key=lambda op: (op["object_type"], len(op["record_id"]), op["record_id"], op["property"]))
    return [list(group) for _, group in groupby(order, key=lambda op: (op["object_type"], op["record_id"]))]


def walk(
    ledger: Path | duckdb.DuckDBPyConnection,
    plan_id: str,
    records: Sequence[Sequence[Mapping[str, Any]]],
    person: str,
    role: str,
    policy: Policy,
    clock: Clock,
    *,
    show: Callable[[Sequence[Mapping[str, Any]], int, int], None],
    ask: Callable[[], str | None],
    say: Callable[[str], None],
    ids: NewId = new_id,
) -> WalkReport:
    """Go through records; each verdict is written as soon as it is given, so that nothing is lost by stopping.

    Args:
        ledger: The ledger.
        plan_id: The plan.
        records: Operations by record (see `records_to_decide`).
        person: Who decides.
        role: In which role.
        policy: The policy.
        clock: Now, in UTC.
        show: Shows a record, its number and how many there are.
        ask: Gives the next typed line; None when there is none any more.
        say: Tells the person something.
        ids: New ids.

    Raises:
        NightdeskError: The verdict may not be given (rights, brakes, a stale plan).
    """
    counts: Counter[str] = Counter()
    for number, ops in enumerate(records, start=1):
        show(ops, number, len(records))
        answer = heard(ask())
        while answer is None:
            say(HELP)
            answer = heard(ask())
        word, reason = answer
        if word == "quit":
            break
        counts[word] += 1
        if word != "skip":
            give = approve if word == "approve" else reject
            chosen = Selection.ops(str(op["op_id"]) for op in ops)
            give(ledger, plan_id, chosen, person, role, policy, clock, note=reason or None, ids=ids)
    decided = counts["approve"] + counts["reject"] + counts["skip"]
    return WalkReport(counts["approve"], counts["reject"], counts["skip"], len(records) - decided)


__all__ = ["HELP", "WalkReport", "heard", "records_to_decide", "walk"]
