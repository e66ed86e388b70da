"""The morning after: one screen that says what the night did, what it cost, what waits, and where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk import ledger
from nightdesk.summary import OUTCOMES, Morning, read, read_from

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from nightdesk.prepare import Project


_NAME = 40  # characters of an account's name: somebody else wrote it, of any length


def outcomes_table(ledger_path: Path, run_id: str) -> Table:
    """Outcomes of one run as a table, alone."""
    with ledger.connect(ledger_path, read_only=True) as connection:
        return _outcomes(read_from(connection, run_id, with_warehouse=False))


def morning(project: Project, run_id: str) -> RenderableType:
    """The summary of a night, made to fit one screen of 100 columns and about 40 lines."""
    from rich.console import Group
    from rich.text import Text

    found = read(project, run_id)
    took = f", {found.seconds:.0f} s" if found.seconds is not None else ""
    agent = {"rules": "rules (offline, no model)", "recorded": "recorded answers"}.get(found.agent, found.agent)
    parts: list[RenderableType] = [
        Text.assemble(
            (f"Nightdesk  {found.as_of:%A %d %B %Y}", "bold"),
            (f"   agent {agent} · run {found.run_id}{took}", "dim"),
            ("" if found.state == "finished" else f"   {found.state}", "bold red"),
        ),
        Text(),
        _outcomes(found),
        Text(),
        *_sources(found),
        *_today(found),
        *_waiting(found),
        *_refused(found),
        _cost(found),
        *_where_next(project, found),
    ]
    return Group(*parts)


def _outcomes(found: Morning) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("operation")
    table.add_column("records", justify="right", style="bold")
    for outcome in OUTCOMES:
        table.add_column(
            {"insufficient_data": "too little", "over_budget": "no budget"}.get(outcome, outcome), justify="right"
        )
    for operation, counts in found.outcomes.items():
        table.add_row(
            operation,
            f"{sum(counts.values()):,}",
            *(f"{counts[outcome]:,}" if counts[outcome] else "·" for outcome in OUTCOMES),
        )
    return table


def _clip(text: str, width: int) -> str:
    """On one line and no wider than this, whatever people wrote into their CRM."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def _section(title: str, lines: Sequence[str]) -> list[RenderableType]:
    from rich.text import Text

    return [Text.assemble((f"{title:<9}", "bold"), lines[0]), *(Text(" " * 9 + line) for line in lines[1:])]


def _sources(found: Morning) -> list[RenderableType]:
    """Nothing when everything was read."""
    lines = [f"{name} could not be read; the night went on with what it had before" for name in found.sources_failed]
    if found.unreadable:
        lines.append(
            f"{found.unreadable:,} not readable; the rest was loaded (tables `problems` of raw.duckdb name each)"
        )
    return _section("Sources", lines) if lines else []


def _today(found: Morning) -> list[RenderableType]:
    lines = [f"{found.brief_count} for today's meetings" if found.brief_count else "no meeting today has a brief"]
    for brief in found.briefs:
        zone = "" if brief.time_zone == "UTC" else f" {brief.time_zone}"
        told = f"{brief.starts_at:%H:%M}{zone} {_clip(brief.account, _NAME)} · {brief.owner} · {brief.lead_with}"
        lines.append(_clip(told, 106))
    parts = _section("Briefs", lines)
    lines = [f"{found.trigger_count} win-back trigger{'' if found.trigger_count == 1 else 's'} fired"]
    for trigger in found.triggers:
        opened = f", open since {trigger.budget_opened_on}" if trigger.budget_opened_on else ""
        told = f"({trigger.document_type} of {trigger.said_on}{opened})"
        account = _clip(trigger.account, _NAME)
        lines.append(f"{account}: “{_clip(trigger.quote, 106 - len(account) - len(told))}” {told}")
    return parts + _section("Triggers", lines)


def _waiting(found: Morning) -> list[RenderableType]:
    if found.plan_id is None:
        return _section("Changes", ["no plan was made"])
    asked, auto = found.waiting.get("require_approval", 0), found.waiting.get("auto", 0)
    denied = sum(found.denied.values())
    elsewhere = [
        f"{crm}: " + (_decided(waiting) if sum(waiting.values()) else "none, it says what we would say")
        for crm, waiting in found.other_crms.items()
    ]
    which = f"{found.main_crm}: " if elsewhere else ""
    if not asked + auto + denied:
        return _section("Changes", [f"{which}none, the CRM says what we would say", *elsewhere])
    waits = f"{asked:,} wait for approval, {auto:,} need none"
    lines = [f"{which}{asked + auto:,} on {found.records_waiting:,} records: {waits}"]
    if denied:
        lines.append(f"{denied:,} denied: " + ", ".join(f"{count:,} {rule}" for rule, count in found.denied.items()))
    for guard in found.guards_tripped:
        lines.append(f"stopped by the guard {guard}: look before you approve")
    return _section("Changes", lines + elsewhere)


def _decided(waiting: Mapping[str, int]) -> str:
    asked, auto, denied = (waiting.get(name, 0) for name in ("require_approval", "auto", "denied"))
    return f"{asked:,} wait for approval, {auto:,} need none" + (f"; {denied:,} denied" if denied else "")


def _refused(found: Morning) -> list[RenderableType]:
    if not found.dropped:
        return _section("Refused", ["nothing an agent said failed the evidence check"])
    shown = list(found.dropped.items())[:3]
    more = f", and {len(found.dropped) - 3} more reasons" if len(found.dropped) > 3 else ""
    total = sum(found.dropped.values())
    said = f"{total:,} {'thing' if total == 1 else 'things'} an agent said, by reason: "
    return _section("Refused", [said + "; ".join(f"{n:,} {reason}" for reason, n in shown) + more])


def _cost(found: Morning) -> RenderableType:
    called = "answers by rules" if found.agent == "rules" else "calls"
    return _section("Cost", [f"{found.asked:,} {called}, {found.tokens:,} tokens, ${found.cost_usd:,.2f}"])[0]


def _where_next(project: Project, found: Morning) -> list[RenderableType]:
    lines: list[str] = []
    url = project.settings.hubspot_url
    if url.startswith("http://127.0.0.1") and "hubspot" in project.sources.crms:
        known = [one.meeting_id.split(":")[2] for one in found.briefs if one.meeting_id.startswith("hubspot:meeting:")]
        page = f"/records/meetings/{known[0]}" if known else "/"
        lines.append(f"nightdesk sandbox serve     the CRM as a seller sees it: {url}{page}")
    each = f"; also with --crm {', --crm '.join(found.other_crms)}" if found.other_crms else ""
    lines.append(f"nightdesk review            what would change, with reasons and evidence{each}")
    lines.append(f"nightdesk approve, apply    then `nightdesk rollback` undoes it{each}")
    lines.append("dbt docs generate --static  lineage and every column: target/static_index.html")
    return _section("Next", lines)
