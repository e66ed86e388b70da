"""Whether the budget trigger of `churn_revisit` fires for those whose budget opened after the churn, and only them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

from sandbox.evaluation import results
from sandbox.evaluation.metrics import Counts
from sandbox.evaluation.reading import rows

if TYPE_CHECKING:
    import duckdb

Truth = Literal["opened", "opens_later", "closed"]
ABSENT = "no state"


@dataclass(frozen=True, slots=True)
class Churned:
    """A customer that churned in the window the policy revisits.

    Attributes:
        truth: Whether its budget has opened since, opens on a later day, or stays closed.
        is_spoken: Whether somebody said what opened it in a document the CRM holds, so that a reader can know.
        state: What the night says: fired, waiting, none; None when it says nothing.
    """

    account_id: str
    truth: Truth
    is_spoken: bool
    state: str | None


def read(connection: duckdb.DuckDBPyConnection, as_of: date, within_days: int) -> list[Churned]:
    """Truth and verdict of every customer that churned within so many days before `as_of`.

    Said is what opened the budget: after the churn that money is there, or at any time that it is frozen until a day
    which has come.
    """
    return [
        Churned(
            str(row[0]), "opened" if row[1] else "opens_later" if row[2] is not None else "closed", bool(row[3]), row[4]
        )
        for row in rows(
            connection,
            """
            with spoken as (
                select distinct facts.company_id
                from truth.truth_facts as facts
                inner join truth.truth_companies as companies on facts.company_id = companies.company_id
                inner join warehouse.main.documents as documents
                    on documents.document_id = 'hubspot:' || facts.document_type || ':' || facts.document_id
                where facts.predicate = 'budget'
                    and (
                        (facts.fact_value = 'available' and facts.said_on >= companies.churned_on)
                        or (facts.fact_value = 'frozen' and facts.fact_date = companies.budget_opens_on)
                    )
            )
            select 'hubspot:company:' || companies.company_id, companies.budget_opened_after_churn,
                companies.budget_opens_on, spoken.company_id is not null, triggers.state
            from truth.truth_companies as companies
            left join spoken on companies.company_id = spoken.company_id
            left join warehouse.main.revisit_triggers as triggers
                on triggers.account_id = 'hubspot:company:' || companies.company_id
            where companies.churned_on between cast(? as date) - cast(? as integer) and cast(? as date)
            order by companies.company_id
            """,
            [as_of, within_days, as_of],
        )
    ]


def judge(churned: Sequence[Churned]) -> results.Triggers:
    """Precision and recall of `fired` against budgets that have opened."""
    opened = [account for account in churned if account.truth == "opened"]
    fired = [account for account in churned if account.state == "fired"]
    right = [account for account in opened if account.state == "fired"]
    spoken = [account for account in opened if account.is_spoken]
    later = [account for account in churned if account.truth == "opens_later"]
    states: dict[str, Counter[str]] = defaultdict(Counter)
    for account in churned:
        states[account.truth][account.state or ABSENT] += 1
    return results.Triggers(
        churned=len(churned),
        score=results.score("fired", Counts(len(opened), len(fired), len(right))),
        spoken=results.rate("of those said in a document", sum(a.state == "fired" for a in spoken), len(spoken)),
        waiting=results.rate(
            "budgets that open later, shown as waiting", sum(a.state == "waiting" for a in later), len(later)
        ),
        by_state={truth: dict(sorted(states[truth].items())) for truth in ("opened", "opens_later", "closed")},
        wrong=tuple(
            f"{account.account_id}: {account.truth.replace('_', ' ')}"
            f"{' (never said)' if account.truth == 'opened' and not account.is_spoken else ''},"
            f" the night says {account.state or ABSENT}"
            for account in churned
            if (account.truth == "opened") != (account.state == "fired")
        ),
    )
