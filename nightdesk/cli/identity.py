"""The commands of identity: who may be whom, why, and what people say to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from nightdesk.identity.review import Link, Side

OUTPUT = typer.Option("--output", help="text or json.")
LINK = typer.Argument(help="The link's id, or any beginning of it that no other link has.")
AS = typer.Option("--as", help="Who decides; NIGHTDESK_ACTOR or your user name when left out.")
_STYLES = {"suggested": "yellow", "confirmed": "green", "rejected": "red"}
_KIND = {"same_person": "same person", "same_account": "same account", "related_account": "related accounts"}
RULES = {
    "crm_says_so": "a CRM, or the seed crm_links, names one as the other",
    "same_address": "the same mailbox, which is nobody else's, and names that agree",
    "same_domain": "the only accounts of their CRMs under this domain, with names that agree",
    "same_domain_and_name": "the only accounts of this name under this domain",
    "shares_domain": "accounts under one domain, of which it does not say which is which",
    "parent_account": "one is the parent of the other in the CRM",
}


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    identity = typer.Typer(
        help="Who is who across CRMs and mailboxes: links to review. Nothing is ever merged in a CRM.",
        no_args_is_help=True,
    )
    identity.command("list")(list_links)
    for command in (explain, confirm, reject):
        identity.command()(command)
    app.add_typer(identity, name="identity")


def list_links(
    status: Annotated[str, typer.Option(help="suggested, confirmed, rejected, or all.")] = "suggested",
    everything: Annotated[
        bool, typer.Option("--all", help="Also pairs that only hold opt-outs back, and archived records.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Show so many.")] = 50,
    output: Annotated[str, OUTPUT] = "text",
) -> None:
    """Show links between records, most probable first. Changes nothing."""
    from rich.table import Table
    from rich.text import Text

    from nightdesk.cli.common import console, prepared
    from nightdesk.errors import NightdeskError
    from nightdesk.identity import review

    if status not in (*review.STATUSES, "all"):
        raise NightdeskError(f"There is no status `{status}`", todo=f"Use {', '.join(review.STATUSES)} or all.")
    settings = prepared().settings
    found = review.links(settings, None if status == "all" else status, everything=everything)  # pyright: ignore
    if output == "json":
        print(json.dumps([_json(one) for one in found[:limit]], indent=2, default=str))
        return
    out = console()
    if not found:
        out.print("No such links." if status != "suggested" else "Nobody waits to be confirmed.")
    else:
        table = Table(box=None, pad_edge=False)
        for name in ("link", "status", "what", "one", "other", "because"):
            table.add_column(name, no_wrap=name in ("link", "status"))
        for one in found[:limit]:
            table.add_row(
                one.link_id,
                Text(one.status, style=_STYLES[one.status]),
                _KIND[one.kind],
                _side_text(one.left),
                _side_text(one.right),
                Text(_short_reason(one)),
            )
        out.print(table)
        if len(found) > limit:
            out.print(f"and {len(found) - limit:,} more; --limit shows them")
    if status == "suggested":
        changed = [one for one in review.links(settings, "rejected") if one.has_changed_since]
        if changed:
            out.print(
                f"{len(changed)} rejected pair(s) have changed since and stay rejected until somebody looks again: "
                "nightdesk identity list --status rejected"
            )


def explain(link: Annotated[str, LINK], output: Annotated[str, OUTPUT] = "text") -> None:
    """Show both records of a link side by side, and in words what speaks for and against it. Changes nothing."""
    from nightdesk.cli.common import prepared
    from nightdesk.identity import review

    found = review.find(prepared().settings, link)
    if output == "json":
        print(json.dumps(_json(found), indent=2, default=str))
        return
    _print_link(found)


def confirm(
    link: Annotated[str, LINK],
    related: Annotated[
        bool, typer.Option("--related", help="Accounts that belong together, but are not the same one.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "",
    as_: Annotated[str, AS] = "",
) -> None:
    """Say that a link is right. Exit 5: it would make one of two records that somebody told apart."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from nightdesk.identity import review

    settings = prepared().settings
    decided = review.decide(
        settings,
        link,
        "confirmed",
        actor=as_ or settings.actor,
        clock=system_clock,
        reason=reason,
        kind="related_account" if related else None,
    )
    console().print(f"{_said(decided.link)} It holds from the next build on; no CRM was touched.")


def reject(
    link: Annotated[str, LINK],
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")],
    as_: Annotated[str, AS] = "",
) -> None:
    """Say that a link is wrong. The pair is never suggested again, and nothing may join it by way of others."""
    from nightdesk.cli.common import console, prepared
    from nightdesk.clock import system_clock
    from nightdesk.identity import review

    settings = prepared().settings
    decided = review.decide(settings, link, "rejected", actor=as_ or settings.actor, clock=system_clock, reason=reason)
    out = console()
    out.print(f"{_said(decided.link)} It holds from the next build on; no CRM was touched.")
    if decided.also:
        out.print("They are still joined by way of others, so none of these links holds until one is rejected too:")
        for one in decided.also:
            out.print(f"  {one.link_id}  {_plain(one.left)}  =  {_plain(one.right)}  ({_short_reason(one)})")


def _said(link: Link) -> str:
    joint = "=" if link.status == "confirmed" else "is not"
    if link.kind == "related_account" and link.status == "confirmed":
        joint = "belongs to"
    return f"{link.link_id} {link.status} by {link.decided_by}: {_plain(link.left)} {joint} {_plain(link.right)}."


def _plain(side: Side) -> str:
    return f"{side.name} ({side.record_id})" if side.name else side.record_id


def _side_text(side: Side) -> Any:
    from rich.text import Text

    text = Text(side.name or "(no name)")
    more = side.details.get("email") or side.details.get("domain")
    return text.append(f"\n{more}" if more else "", style="dim").append(f"\n{side.record_id}", style="dim")


def _short_reason(link: Link) -> str:
    if link.rule:
        return RULES.get(link.rule, link.rule)
    told = [one for one in link.reasons if one.field != "prior"]
    told.sort(key=lambda one: -abs(one.weight))
    words = "; ".join(one.says for one in told[:3])
    return f"{_percent(link.probability)}: {words}" if link.probability is not None else words


def _percent(probability: float) -> str:
    """Weights never make certain: what would be rounded to 100 % is said to be less."""
    return "over 99%" if probability > 0.99 else f"{probability:.0%}"


def _print_link(link: Link) -> None:
    from rich.table import Table
    from rich.text import Text

    from nightdesk.cli.common import console

    out = console()
    head = Text(f"{link.link_id}  {_KIND[link.kind]}  ")
    out.print(head.append(link.status, style=_STYLES[link.status]))
    if link.decided_by:
        when = f" on {link.decided_at:%Y-%m-%d}" if link.decided_at else ""
        why = f": {link.reason}" if link.reason else ""
        out.print(Text(f"decided by {link.decided_by}{when}{why}"))
    if link.has_changed_since:
        out.print("What is known about them has changed since; the decision stands until somebody decides again.")
    table = Table(box=None, pad_edge=False)
    for name in ("", "one", "other"):
        table.add_column(name)
    table.add_row("record", link.left.record_id, link.right.record_id)
    table.add_row("name", Text(link.left.name), Text(link.right.name))
    for key in dict.fromkeys((*link.left.details, *link.right.details)):
        table.add_row(key, Text(link.left.details.get(key, "")), Text(link.right.details.get(key, "")))
    if not (link.left.is_live and link.right.is_live):
        table.add_row(
            "", *("" if side.is_live else Text("archived or gone", style="red") for side in (link.left, link.right))
        )
    out.print(table)
    if link.rule:
        out.print(f"By rule `{link.rule}`: {RULES.get(link.rule, '')}.")
    if not link.reasons:
        return
    weights = Table(box=None, pad_edge=False)
    for name in ("weight", "so far", "what", "how it came out"):
        weights.add_column(name, justify="right" if name in ("weight", "so far") else "left")
    total = 0.0
    for one in link.reasons:
        total += one.weight
        style = "green" if one.weight > 0 else "red" if one.weight < 0 else "dim"
        weights.add_row(Text(f"{one.weight:+.2f}", style=style), f"{total:+.2f}", one.field, one.says)
    out.print(weights)
    out.print(
        f"Together {total:+.2f} bits, a probability of {_percent(link.probability or 0)}. "
        "One more bit is twice the odds."
    )


def _json(link: Link) -> dict[str, Any]:
    def side(one: Side) -> dict[str, Any]:
        return {"record_id": one.record_id, "name": one.name, **one.details, "is_live": one.is_live}

    return {
        "link_id": link.link_id,
        "object_type": link.object_type,
        "kind": link.kind,
        "status": link.status,
        "one": side(link.left),
        "other": side(link.right),
        "rule": link.rule,
        "probability": link.probability,
        "weight": link.weight,
        "reasons": [
            {"field": one.field, "outcome": one.outcome, "says": one.says, "weight": one.weight} for one in link.reasons
        ],
        "decided_by": link.decided_by,
        "decided_at": link.decided_at.isoformat() if link.decided_at else None,
        "reason": link.reason,
        "has_changed_since": link.has_changed_since,
    }
