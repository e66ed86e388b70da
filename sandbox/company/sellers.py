"""Harbourline's own people and pipelines: twelve sellers in six territories."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sandbox.records import SeedOwner, SeedPipeline, SeedStage

OUR_DOMAIN: Final = "harbourline.example"
OUR_NAME: Final = "Harbourline"

_PEOPLE: Final = (
    ("Maya", "Lindqvist", "North America East"), ("Jordan", "Pell", "North America East"),
    ("Tess", "Okafor", "North America West"), ("Luis", "Barrera", "North America West"),
    ("Priya", "Raman", "UK & Ireland"), ("Callum", "Frost", "UK & Ireland"), ("Jonas", "Reuter", "DACH"),
    ("Katrin", "Vogel", "DACH"),
    ("Sanne", "de Wit", "Benelux & Nordics"), ("Élodie", "Marchand", "France & Iberia"),
    ("Nadia", "Haddad", "Customers"), ("Ben", "Ashworth", "Customers"),
)  # fmt: skip
TERRITORY: Final = {
    "United States": ("North America East", "North America West"), "Canada": ("North America East",),
    "Mexico": ("North America West",),
    "United Kingdom": ("UK & Ireland",), "Ireland": ("UK & Ireland",), "Australia": ("UK & Ireland",),
    "Singapore": ("UK & Ireland",),
    "Germany": ("DACH",), "Austria": ("DACH",), "Switzerland": ("DACH",), "Poland": ("DACH",),
    "Netherlands": ("Benelux & Nordics",), "Belgium": ("Benelux & Nordics",),
    "Sweden": ("Benelux & Nordics",), "France": ("France & Iberia",), "Spain": ("France & Iberia",),
    "Italy": ("France & Iberia",),
}  # fmt: skip
ACCOUNT_TEAM: Final = "Customers"


def owners() -> tuple[SeedOwner, ...]:
    """The twelve sellers, and one who has left."""
    made = [
        SeedOwner(
            str(6100 + 7 * n),
            f"{first.lower().replace('é', 'e')}.{last.lower().replace(' ', '')}@{OUR_DOMAIN}",
            first,
            last,
            str(31000 + 11 * n),
            team,
            datetime(2023, 3 + n % 9, 4, 9, tzinfo=UTC),
        )
        for n, (first, last, team) in enumerate(_PEOPLE)
    ]
    made.append(
        SeedOwner(
            "6399",
            f"greg.talbot@{OUR_DOMAIN}",
            "Greg",
            "Talbot",
            "31777",
            "UK & Ireland",
            datetime(2022, 5, 2, 9, tzinfo=UTC),
            archived=True,
        )
    )
    return tuple(made)


def pipelines() -> tuple[SeedPipeline, ...]:
    """The sales pipeline (HubSpot's default stage ids) and the renewals pipeline."""
    sales = (("appointmentscheduled", "Discovery", "0.2", False), ("qualifiedtobuy", "Qualified", "0.4", False),
        ("presentationscheduled", "Demo held", "0.5", False),
             ("decisionmakerboughtin", "Decision maker on board", "0.7", False),
             ("contractsent", "Contract sent", "0.9", False), ("closedwon", "Closed won", "1.0", True),
             ("closedlost", "Closed lost", "0.0", True))  # fmt: skip
    renewals = (("renewal_upcoming", "Renewal upcoming", "0.6", False), ("renewal_talks", "In talks", "0.7", False),
                ("renewal_won", "Renewed", "1.0", True), ("renewal_lost", "Churned", "0.0", True))  # fmt: skip
    return (
        SeedPipeline(
            "default",
            "deals",
            "Sales",
            0,
            tuple(SeedStage(i, label, n, p, closed) for n, (i, label, p, closed) in enumerate(sales)),
        ),
        SeedPipeline(
            "renewals",
            "deals",
            "Renewals",
            1,
            tuple(SeedStage(i, label, n, p, closed) for n, (i, label, p, closed) in enumerate(renewals)),
        ),
    )
