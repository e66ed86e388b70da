"""Keeps simulated models (the adversary, the obedient agent) off every ledger that is somebody's.

Published models show the newest answer to a question whoever gave it, so what a simulated model says must never lie in
a real ledger. `claim` marks a data folder as a proving ground before it has a ledger; the runner calls
`refuse_elsewhere` before any drain. Neither agent can be chosen by a setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from enrich.agents.protocol import ZERO_USD, AgentRequest
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from nightdesk.policy.load import Policy

MARK = ".simulated-agents"
LEDGER = "ledger.duckdb"


@dataclass(frozen=True, slots=True)
class ProvingGround:
    """A data folder in which simulated models may answer. Made by `claim` only."""

    folder: Path


class SimulatedAgent:
    """What both simulations share: they are code, cost nothing, and answer only where `claim` allows.

    Args:
        policy: Policy with its lexicon.
        ground: Where it may answer; from `claim`.
    """

    is_simulated = True
    chunk_size = 100
    concurrency = 1

    def __init__(self, policy: Policy, ground: ProvingGround) -> None:
        self._policy = policy
        self.ground = ground

    def model_for(self, operation: str) -> str | None:
        """None: it is code."""
        return None

    def max_output_tokens_for(self, operation: str) -> int:
        """0: it counts no tokens."""
        return 0

    def reads_at_once(self, operation: str) -> int:
        """No limit."""
        return 0

    def worst_case_usd(self, request: AgentRequest) -> Decimal:
        """Free."""
        return ZERO_USD

    async def aclose(self) -> None:
        """Holds nothing."""


def claim(folder: Path) -> ProvingGround:
    """Mark a data folder as a proving ground, for good.

    Raises:
        NightdeskError: It holds a ledger already that was not made here.
    """
    mark = folder / MARK
    if not mark.exists():
        if (folder / LEDGER).exists():
            raise NightdeskError(
                "This data folder holds a real ledger: a simulated model must not answer here",
                where=str(folder),
                todo="Give the simulation an empty folder of its own.",
            )
        folder.mkdir(parents=True, exist_ok=True)
        mark.write_text(
            "Simulated models answer in this folder. Nothing in it may be applied to a CRM that matters.\n",
            encoding="utf-8",
        )
    return ProvingGround(folder)


def refuse_elsewhere(agent: object, ledger: Path) -> None:
    """Stop a drain in which a simulated model would write into a ledger outside of a proving ground.

    Raises:
        NightdeskError: It would.
    """
    if getattr(agent, "is_simulated", False) and not (ledger.parent / MARK).exists():
        raise NightdeskError(
            f"`{getattr(agent, 'name', 'this agent')}` is a simulated model and this ledger is no proving ground",
            where=str(ledger),
            todo="Run it through `python -m sandbox.evaluation.survival`, which makes a folder of its own.",
        )
