"""How well `lead_quality` ranks: scores of the night against purchases of the days after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from sandbox.evaluation import results
from sandbox.evaluation.metrics import auc, auc_interval, share, wilson
from sandbox.evaluation.reading import rows

if TYPE_CHECKING:
    import duckdb

# Windows of days after the night, in which people convert; the sample's conversions lie 4 to 100 days after it.
WINDOWS = ((1, 30), (31, 60), (61, 100))
TIERS = ("A", "B", "C", "D")


@dataclass(frozen=True, slots=True)
class Lead:
    """One scored contact that had not bought when it was scored.

    Attributes:
        group: Its account, or itself: people of one account are not independent of each other.
        points: Component to the points it added to the score.
        converted_at: The day it bought, after the night; None if it did not.
        latent: The score its purchase was drawn from.
        inbound: Emails it had written, the simplest thing to rank by.
    """

    contact_id: str
    group: str
    score: float
    tier: str
    points: Mapping[str, float]
    converted_at: date | None
    latent: float
    inbound: int

    @property
    def has_converted(self) -> bool:
        return self.converted_at is not None


@dataclass(frozen=True, slots=True)
class Leads:
    """The scored contacts that count, and how many were left out because they had bought before the night."""

    leads: Sequence[Lead]
    excluded: int


def judge(found: Leads, weights: Mapping[str, float], as_of: date, *, resamples: int = 1000) -> results.Ranking:
    """Rank quality, calibration and what each component adds.

    Every score was made on `as_of` from what lay before it and every purchase counted lies after, so no score could
    see its outcome. The windows split the outcomes by time: who buys in a window, among all who had not bought before.

    Args:
        found: Scored contacts.
        weights: Component to its points at most.
        as_of: The night.
        resamples: Of the bootstrap.
    """
    leads = found.leads
    scores = [lead.score for lead in leads]
    bought = [lead.has_converted for lead in leads]
    groups = [lead.group for lead in leads]
    overall = share(sum(bought), len(leads))
    return results.Ranking(
        scored=len(leads),
        excluded_converted_before=found.excluded,
        converted=sum(bought),
        auc=auc(scores, bought),
        interval=auc_interval(scores, bought, groups, resamples=resamples),
        ceiling_auc=auc([lead.latent for lead in leads], bought),
        baselines=(
            _baseline("emails received alone", [lead.inbound for lead in leads], bought),
            _baseline("random order", [0.0] * len(leads), bought),
        ),
        windows=tuple(_window(leads, as_of, first, last, resamples) for first, last in WINDOWS),
        components=tuple(
            results.Component(
                name=name,
                weight=weight,
                auc_alone=auc([lead.points.get(name, 0.0) for lead in leads], bought),
                auc_without=auc([sum(lead.points.values()) - lead.points.get(name, 0.0) for lead in leads], bought),
            )
            for name, weight in weights.items()
        ),
        tiers=tuple(_tier(name, [lead for lead in leads if lead.tier == name], overall) for name in TIERS),
        deciles=_deciles(leads),
    )


def _baseline(name: str, scores: Sequence[float], bought: Sequence[bool]) -> results.Rate:
    return results.Rate(name=name, hits=sum(bought), total=len(bought), share=auc(scores, bought))


def _window(leads: Sequence[Lead], as_of: date, first: int, last: int, resamples: int) -> results.Window:
    begins, ends = as_of + timedelta(days=first), as_of + timedelta(days=last)
    at_risk = [lead for lead in leads if lead.converted_at is None or lead.converted_at >= begins]
    scores = [lead.score for lead in at_risk]
    bought = [lead.converted_at is not None and lead.converted_at <= ends for lead in at_risk]
    return results.Window(
        name=f"day {first} to {last}",
        first_day=begins,
        last_day=ends,
        at_risk=len(at_risk),
        converted=sum(bought),
        auc=auc(scores, bought),
        interval=auc_interval(scores, bought, [lead.group for lead in at_risk], resamples=resamples),
    )


def _tier(name: str, leads: Sequence[Lead], overall: float | None) -> results.Tier:
    converted = sum(lead.has_converted for lead in leads)
    rate = share(converted, len(leads))
    return results.Tier(
        name=name,
        contacts=len(leads),
        converted=converted,
        rate=rate,
        interval=wilson(converted, len(leads)),
        lift=rate / overall if rate is not None and overall else None,
    )


def _deciles(leads: Sequence[Lead]) -> tuple[results.Rate, ...]:
    """Conversion by tenth of the ranking, best first; ties are broken by id, which says nothing about anybody."""
    ranked = sorted(leads, key=lambda lead: (-lead.score, lead.contact_id))
    edges = [round(len(ranked) * step / 10) for step in range(11)]
    return tuple(
        results.rate(f"{number}", sum(lead.has_converted for lead in ranked[low:high]), high - low)
        for number, (low, high) in enumerate(pairwise(edges), start=1)
    )


def read(connection: duckdb.DuckDBPyConnection, components: Sequence[str], as_of: date) -> Leads:
    """Contacts with a score in force; those that bought on or before `as_of` are left out and counted.

    Args:
        connection: Of `reading.opened`.
        components: Names of the score's parts; `lead_scores` holds each one's points as `<name>_points`.
        as_of: The night.
    """
    columns = ", ".join(f"scores.{name}_points" for name in components)
    found = rows(
        connection,
        f"""
        select contacts.contact_id, coalesce(contacts.account_id, contacts.contact_id), scores.score, scores.tier,
            truth.converted_at, truth.latent_score, coalesce(inbound.email_count, 0), {columns}
        from warehouse.main.lead_scores as scores
        inner join warehouse.main.contacts as contacts on scores.contact_id = contacts.contact_id
        inner join truth.truth_contacts as truth on contacts.contact_id = 'hubspot:contact:' || truth.contact_id
        left join (
            select contact_id, count(*) as email_count
            from warehouse.main.documents
            where document_type = 'email' and direction = 'inbound' and not is_machine_reply
            group by contact_id
        ) as inbound on contacts.contact_id = inbound.contact_id
        where scores.score is not null
        order by contacts.contact_id
        """,
    )
    leads = [
        Lead(
            contact_id=str(row[0]),
            group=str(row[1]),
            score=float(row[2]),
            tier=str(row[3]),
            points={name: float(value or 0) for name, value in zip(components, row[7:], strict=True)},
            converted_at=row[4],
            latent=float(row[5]),
            inbound=int(row[6]),
        )
        for row in found
    ]
    kept = [lead for lead in leads if lead.converted_at is None or lead.converted_at > as_of]
    return Leads(kept, len(leads) - len(kept))
