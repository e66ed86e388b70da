"""The commands of the autonomy levels: where everything stands, the review, raising and lowering a level."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from reverse_etl.autonomy import Change, Standing, Target
    from reverse_etl.autonomy_review import Proposal

OUTPUT = typer.Option("--output", help="text or json.")
TARGET = typer.Argument(help="OPERATION, or OPERATION.PROPERTY for a level of its own.")
AS = typer.Option("--as", help="Who decides; NIGHTDESK_ACTOR or your user name when left out.")
ROLE = typer.Option(help="In which role; policies/autonomy.yml lists the roles.")
REASON = typer.Option(help="Why; kept with the change.")
_STYLES = {"promote": "green", "hold": "dim", "demote": "red"}


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    autonomy = typer.Typer(help="How much each operation may do by itself: levels, reviews, changes.")
    autonomy.callback(invoke_without_command=True)(_where_everything_stands)
    for command in (show, review, promote, demote):
        autonomy.command()(command)
    app.add_typer(autonomy, name="autonomy")


def _where_everything_stands(context: typer.Context) -> None:
    """How much each operation may do by itself: levels, reviews, changes."""
    if context.invoked_subcommand is None:
        show()


def show(output: Annotated[str, OUTPUT] = "text") -> None:
    """Show the level in force of every operation, its ceiling, and what the last review proposes. Changes nothing."""
    from nightdesk import ledger
    from nightdesk.cli.common import console, prepared
    from reverse_etl.autonomy import name_of, own_targets, standings
    from reverse_etl.autonomy_review import newest

    project = prepared()
    with ledger.connect(project.settings.ledger, read_only=True) as con:
        places = standings(con, project.policy)
        targets = own_targets(con, project.policy)
        # A proposal about a level that was left since is history.
        proposals = {
            target: one
            for target, one in newest(con).items()
            if target in places and one.level == places[target].level and one.reviewed_at >= _entered(places[target])
        }
    if output == "json":
        shown = [
            {**_standing_json(places[target]), "proposal": _proposal_json(proposals.get(target))}
            for target in sorted(targets, key=name_of)
        ]
        print(json.dumps(shown, indent=2, default=str))
        return
    console().print(_table(places, proposals, sorted(targets, key=name_of)))


def _entered(standing: Standing) -> datetime:
    return standing.entered_at or datetime.min.replace(tzinfo=UTC)


def _table(places: Mapping[Target, Standing], proposals: Mapping[Target, Proposal], targets: list[Target]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from reverse_etl.autonomy import name_of

    table = Table(box=None, pad_edge=False)
    for name in ("operation", "level", "ceiling", "since", "by", "last review", "why"):
        table.add_column(name, no_wrap=name in ("operation", "since"))
    for target in targets:
        standing, proposal = places[target], proposals.get(target)
        said = f"{proposal.proposal} (L{proposal.to_level})" if proposal else "none at this level"
        table.add_row(
            name_of(target),
            f"L{standing.level}",
            f"L{standing.ceiling}",
            f"{standing.entered_at:%Y-%m-%d}" if standing.entered_at else "start",
            standing.changed_by or "",
            Text(said, style=_STYLES[proposal.proposal] if proposal else "dim"),
            Text("; ".join(proposal.reasons)) if proposal else "",
        )
    return table


def _standing_json(standing: Standing) -> dict[str, Any]:
    return {
        "operation": standing.operation,
        "property": standing.property,
        "level": standing.level,
        "ceiling": standing.ceiling,
        "entered_at": standing.entered_at.isoformat() if standing.entered_at else None,
        "changed_by": standing.changed_by,
    }


def _proposal_json(proposal: Proposal | None) -> dict[str, Any] | None:
    if proposal is None:
        return None
    return {
        "proposal_id": proposal.proposal_id,
        "proposal": proposal.proposal,
        "to_level": proposal.to_level,
        "reasons": list(proposal.reasons),
        "evidence": dict(proposal.evidence),
        "proposed_by": proposal.proposed_by,
        "reviewed_at": proposal.reviewed_at.isoformat(),
    }


def review(output: Annotated[str, OUTPUT] = "text") -> None:
    """Weigh the evidence in the ledger and propose to promote, hold or demote. Changes no level."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from reverse_etl import autonomy_review
    from reverse_etl.autonomy import Standing

    project = prepared()
    settings = project.settings
    found = autonomy_review.review(settings.ledger, project.policy, system_clock, settings.actor)
    if output == "json":
        shown = [
            {"operation": one.operation, "property": one.property, "level": one.level, **(_proposal_json(one) or {})}
            for one in found
        ]
        print(json.dumps(shown, indent=2, default=str))
        return
    proposals: dict[Target, Proposal] = {(one.operation, one.property): one for one in found}
    places = {
        target: Standing(*target, one.level, one.ceiling, one.level, None, None) for target, one in proposals.items()
    }
    out = console()
    table = _table(places, proposals, list(proposals))
    # What is shown here is the review, not the history.
    table.columns.pop(3)
    table.columns.pop(3)
    out.print(table)
    waiting = [one for one in found if one.proposal != "hold"]
    for one in waiting:
        out.print(f"Somebody other than {settings.actor} may take it: nightdesk autonomy {one.proposal} {one.name()}")


def promote(
    target: Annotated[str, TARGET],
    reason: Annotated[str, REASON],
    as_: Annotated[str, AS] = "",
    role: Annotated[str, ROLE] = "revops",
) -> None:
    """Raise a level by one, as the last review proposes. Exit 5: evidence, ceiling, role or name do not allow it."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from reverse_etl import autonomy_review
    from reverse_etl.autonomy import parse_target

    project = prepared()
    settings, policy = project.settings, project.policy
    change = autonomy_review.promote(
        settings.ledger, parse_target(target, policy), as_ or settings.actor, role, reason, policy, system_clock
    )
    console().print(_said(change))


def demote(
    target: Annotated[str, TARGET],
    reason: Annotated[str, REASON],
    as_: Annotated[str, AS] = "",
    role: Annotated[str, ROLE] = "revops",
    to: Annotated[int | None, typer.Option(min=1, max=4, help="To this level; one step when left out.")] = None,
) -> None:
    """Lower a level, at any time; plans decided at the higher one are refused from then on."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from reverse_etl import autonomy

    project = prepared()
    settings, policy = project.settings, project.policy
    changes = autonomy.demote(
        settings.ledger,
        autonomy.parse_target(target, policy),
        as_ or settings.actor,
        role,
        reason,
        policy,
        system_clock,
        to_level=to,
    )
    for change in changes:
        console().print(_said(change))


def _said(change: Change) -> str:
    return (
        f"{change.name()}: L{change.from_level} -> L{change.to_level}, {change.kind} by {change.changed_by} "
        f"({change.role}). It holds from the next plan on."
    )
