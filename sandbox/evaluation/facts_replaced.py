"""Whether the memory knows what still holds: pairs of remarks that contradict each other, each judged on both ends.

A pair is two remarks of one subject (the person, or the firm) that say different things of a predicate of which only
the latest counts. It is right when the earlier is marked as replaced **and** the later is not marked as replaced by
the earlier. Pairs of which a remark was not read tell nothing of the rule and are counted apart.

Remarks of strangers (an author whom the CRM does not know at that firm) must replace nothing that a known person said.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from sandbox.evaluation import matching, results
from sandbox.evaluation.matching import Fact
from sandbox.evaluation.metrics import wilson
from sandbox.evaluation.reading import rows
from sandbox.evaluation.terminal import between, percent

if TYPE_CHECKING:
    import duckdb

    from sandbox.evaluation.evaluate_sections import Finished

GOAL = 0.95
SHOWN = 8

Verdict = Literal["right", "earlier still current", "later marked as replaced", "not both read"]


@dataclass(frozen=True, slots=True)
class Held:
    """What the memory says of one found fact."""

    is_current: bool
    superseded_by: str | None
    is_trusted: bool
    subject: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two planted remarks of one subject, the earlier and the next that says something else."""

    earlier: Fact
    later: Fact

    @property
    def in_one_document(self) -> bool:
        """Both in one transcript or email: the place in the text decides which is later."""
        return self.earlier.document_id == self.later.document_id


def contradictions(planted: Iterable[Fact], single_valued: frozenset[str]) -> list[Contradiction]:
    """Neighbouring remarks of one subject that differ. Two on one day in two documents have no order: left out."""
    lines: dict[str, list[Fact]] = defaultdict(list)
    for fact in planted:
        if fact.subject and fact.said_on is not None and fact.predicate in single_valued:
            lines[fact.subject].append(fact)
    found: list[Contradiction] = []
    for line in lines.values():
        ordered = sorted(line, key=lambda fact: (fact.said_on or date.min, fact.document_id, fact.start, fact.id))
        for earlier, later in pairwise(ordered):
            differs = matching.canonical(earlier.value) != matching.canonical(later.value)
            has_order = earlier.said_on != later.said_on or earlier.document_id == later.document_id
            if differs and has_order:
                found.append(Contradiction(earlier, later))
    return found


def verdict(pair: Contradiction, found_of: Mapping[str, Fact], held: Mapping[str, Held]) -> Verdict:
    """How one pair came out.

    Args:
        pair: The planted remarks.
        found_of: Planted id to the found fact it was paired with.
        held: Found id to what the memory says of it.
    """
    earlier, later = found_of.get(pair.earlier.id), found_of.get(pair.later.id)
    if earlier is None or later is None or earlier.id not in held or later.id not in held:
        return "not both read"
    if held[earlier.id].is_current:
        return "earlier still current"
    if held[later.id].superseded_by == _fact_id(earlier):
        return "later marked as replaced"
    return "right"


def _fact_id(found: Fact) -> str:
    return found.id.partition("@")[0]


def section(night: Finished) -> results.Section | None:
    """Contradicting pairs by predicate, in one document and across; what strangers' words replaced."""
    single = night.readings.single_valued
    planted = [fact for fact in night.readings.planted if fact.document_id not in night.readings.hostile]
    pairs = contradictions(planted, single)
    if not pairs:
        return None
    held = read(night.connection)
    found_of = {pair.planted.id: pair.found for pair in night.matching.matched}
    judged: list[tuple[Contradiction, Verdict]] = [(pair, verdict(pair, found_of, held)) for pair in pairs]
    rated = [(pair, said) for pair, said in judged if said != "not both read"]
    right = sum(said == "right" for _, said in rated)
    share = right / len(rated) if rated else None
    interval = wilson(right, len(rated))
    names = sorted({pair.earlier.predicate for pair in pairs})
    groups: dict[str, list[tuple[Contradiction, Verdict]]] = {}
    for name in names:
        groups[name] = [(pair, said) for pair, said in judged if pair.earlier.predicate == name]
    groups["both in one document"] = [(pair, said) for pair, said in judged if pair.in_one_document]
    groups["all"] = judged
    strangers = overruled(held)
    untrusted = sum(not one.is_trusted for one in held.values())
    wrong = [(pair, said) for pair, said in rated if said != "right"]
    return results.Section(
        name="replaced",
        title=f"Supersession: {len(pairs):,} planted remarks that the next one of the same subject contradicts",
        tables=(
            results.Table(
                title="",
                columns=("predicate", "pairs", "both read", "right", "per cent", "95 % interval"),
                rows=tuple(_row(name, those) for name, those in groups.items()),
            ),
        ),
        notes=(
            "Right: the earlier is replaced and the later stands. What was never read can replace nothing, so a pair "
            "counts once both of its remarks were read.",
            f"Words of strangers: {untrusted:,} facts, {len(strangers)} of them replaced what a known person said"
            f"{': ' + ', '.join(strangers[:SHOWN]) if strangers else ''}.",
            *(
                f"Wrong ({said}): {pair.earlier.predicate} {_said(pair.earlier)}, then {_said(pair.later)}"
                f"{_why(found_of[pair.earlier.id], found_of[pair.later.id], held)}"
                for pair, said in wrong[:SHOWN]
            ),
        ),
        numbers={
            "right": results.Measured(value=share, n=len(rated), interval=interval),
            "by_strangers": results.Measured(value=float(len(strangers)), fewer_is_better=True, tolerance=0),
        },
        goals=(
            results.at_least("contradicting pairs: the later current, the earlier replaced", share, GOAL),
            results.none_of("remarks of known people replaced by a stranger's", len(strangers)),
        ),
    )


def overruled(held: Mapping[str, Held]) -> list[str]:
    """Ids of strangers' facts that are named as what replaced a known person's."""
    trusted = {id_.partition("@")[0]: one.is_trusted for id_, one in held.items()}
    return sorted(
        {
            one.superseded_by
            for one in held.values()
            if one.is_trusted and one.superseded_by is not None and trusted.get(one.superseded_by) is False
        }
    )


def _said(fact: Fact) -> str:
    return f"{fact.value} on {fact.said_on} in {fact.document_id}"


def _why(earlier: Fact, later: Fact, held: Mapping[str, Held]) -> str:
    one, other = held[earlier.id], held[later.id]
    if one.is_trusted != other.is_trusted:
        return f" (the {'later' if one.is_trusted else 'earlier'} one's author is not known at the firm)"
    return " (filed under two subjects)" if one.subject != other.subject else ""


def _row(name: str, those: Sequence[tuple[Contradiction, Verdict]]) -> tuple[str, ...]:
    count = Counter(said for _, said in those)
    rated = len(those) - count["not both read"]
    return (
        name,
        f"{len(those):,}",
        f"{rated:,}",
        f"{count['right']:,}",
        percent(count["right"] / rated if rated else None),
        between(wilson(count["right"], rated), 100, 1),
    )


def read(connection: duckdb.DuckDBPyConnection) -> dict[str, Held]:
    """Per found fact (`<fact_id>@<document_id>`, as `facts.read` names them) what the memory says of it."""
    return {
        str(row[0]): Held(bool(row[1]), row[2], bool(row[3]), str(row[4]))
        for row in rows(
            connection,
            """
            select fact_id || '@' || document_id, is_current, superseded_by, is_trusted,
                coalesce(account_id, '') || ' ' || coalesce(contact_id, '')
            from warehouse.main.facts
            """,
        )
    }
