"""How well `icp_fit` tells apart the accounts the sample company should sell to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.evaluation import results
from sandbox.evaluation.metrics import auc, mean
from sandbox.evaluation.reading import rows

if TYPE_CHECKING:
    import duckdb

LEVELS = ("high", "medium", "low", "excluded")


@dataclass(frozen=True, slots=True)
class Account:
    """A scored account and its true level."""

    level: str
    score: float
    tier: str


def read(connection: duckdb.DuckDBPyConnection) -> list[Account]:
    """Accounts with an ICP score in force."""
    return [
        Account(str(row[0]), float(row[1]), str(row[2]))
        for row in rows(
            connection,
            """
            select companies.icp_level, scores.score, scores.tier
            from warehouse.main.icp_scores as scores
            inner join truth.truth_companies as companies
                on scores.account_id = 'hubspot:company:' || companies.company_id
            where scores.score is not null
            order by scores.account_id
            """,
        )
    ]


def judge(accounts: Sequence[Account]) -> results.Fit:
    """Mean score and tiers per true level; AUC of `high` against the rest."""
    levels: list[results.IcpLevel] = []
    for level in LEVELS:
        those = [account for account in accounts if account.level == level]
        levels.append(
            results.IcpLevel(
                level=level,
                accounts=len(those),
                mean_score=mean(account.score for account in those),
                tiers=dict(sorted(Counter(account.tier for account in those).items())),
            )
        )
    return results.Fit(
        scored=len(accounts),
        auc_high=auc([account.score for account in accounts], [account.level == "high" for account in accounts]),
        levels=tuple(levels),
    )
