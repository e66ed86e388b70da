"""Evaluating an agent that costs money: a key first, an estimate before anything is asked, a cap that holds.

The estimate is of the very questions: the offline agent runs the same night first, in a folder of its own, and every
queue is then counted as the other agent would be asked it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from rich.table import Table

    from nightdesk.settings import AgentName

PRICED: tuple[AgentName, ...] = ("claude", "claude_batch")
CONTACTS = 120  # of the company that is judged: about 400 documents
BUDGET_USD = Decimal("5.00")
KEY = "ANTHROPIC_API_KEY"


@dataclass(frozen=True, slots=True)
class Line:
    """What one operation would ask.

    Attributes:
        questions: Calls, at least.
        input_tokens: Of their contexts, about; prompts not counted, they are read from the cache.
        input_usd: Of those tokens alone.
        most_usd: All worst cases together: a bound, of which a fraction is spent.
    """

    operation: str
    model: str
    questions: int
    input_tokens: int
    input_usd: Decimal
    most_usd: Decimal


def require_key(agent: AgentName, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse an agent that needs a key when there is none.

    Raises:
        NightdeskError: There is no key.
    """
    if agent in PRICED and not environment.get(KEY):
        raise NightdeskError(
            f"To evaluate `{agent}` there must be a key, and {KEY} is not set",
            where="environment",
            todo="Set it, or evaluate offline: `--agent rules`, or a recording with `--agent recorded --recording`.",
        )


def estimate(project_folder: Path, rehearsed: Path, agent: AgentName) -> list[Line]:
    """What `agent` would be asked on the company of a rehearsed night; nothing is asked.

    Raises:
        NightdeskError: No model or no price is known for an operation.
    """
    from enrich import runner
    from enrich.agents import claude_price
    from nightdesk import agents, prepare, waves
    from nightdesk.clock import system_clock
    from nightdesk.dbt import Dbt
    from sandbox.evaluation import night

    settings = night.asked_of(project_folder, rehearsed, agent, port=1)
    project = prepare.project(project_folder, settings, system_clock)
    graph = waves.read(Dbt(project_folder, rehearsed, settings.as_of).manifest())
    asked = agents.make(project)
    found: list[Line] = []
    for operation in (name for wave in waves.waves(graph) for name in wave):
        due = runner.due(
            operation, warehouse=settings.warehouse, ledger=settings.ledger, agent=asked, policy=project.policy
        )
        model = asked.model_for(operation)
        if not due.due or model is None:
            continue
        usd = claude_price.cost_usd(
            model,
            input_tokens=due.estimated_tokens,
            cache_read_tokens=0,
            cache_write_tokens=0,
            output_tokens=0,
            is_batch=agent == "claude_batch",
        )
        found.append(Line(operation, model, due.due, due.estimated_tokens, usd, due.most_usd))
    return found


def require_room(lines: list[Line], budget_usd: Decimal) -> None:
    """Refuse an evaluation whose input alone costs more than it may.

    Raises:
        NightdeskError: It does.
    """
    wanted = sum((line.input_usd for line in lines), Decimal(0))
    if wanted > budget_usd:
        raise NightdeskError(
            f"Reading alone would cost about {wanted:.2f} USD, and the budget is {budget_usd:.2f} USD",
            todo="Choose fewer --contacts or a larger --budget; nothing has been asked.",
        )


def table(lines: list[Line], budget_usd: Decimal) -> Table:
    """The estimate for a terminal."""
    from rich.table import Table

    shown = Table(title="What would be asked", title_justify="left")
    for name in ("operation", "model", "questions", "input tokens, about", "USD for them", "USD at most"):
        shown.add_column(name, justify="left" if name in ("operation", "model") else "right")
    for line in lines:
        shown.add_row(
            line.operation,
            line.model,
            f"{line.questions:,}",
            f"{line.input_tokens:,}",
            f"{line.input_usd:.3f}",
            f"{line.most_usd:.2f}",
        )
    shown.add_section()
    shown.add_row(
        f"all; never more than {budget_usd:.2f} USD",
        "",
        f"{sum(line.questions for line in lines):,}",
        f"{sum(line.input_tokens for line in lines):,}",
        f"{sum((line.input_usd for line in lines), Decimal(0)):.3f}",
        f"{sum((line.most_usd for line in lines), Decimal(0)):.2f}",
    )
    return shown
