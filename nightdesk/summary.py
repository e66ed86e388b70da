"""What a night did, as data: outcomes, cost, briefs, triggers, what waits. The view is in `morning.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk import ledger
from nightdesk.errors import NightdeskError
from reverse_etl.store import first_event

if TYPE_CHECKING:
    import duckdb

    from nightdesk.prepare import Project

OUTCOMES = ("enriched", "unchanged", "gated", "insufficient_data", "rejected", "failed", "over_budget")
_BRIEFS_SHOWN = 4
_TRIGGERS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Brief:
    """A meeting of today: when on the seller's clock, with whom, whose, and what to lead with."""

    starts_at: datetime
    time_zone: str
    account: str
    owner: str
    meeting_id: str
    record_id: str
    lead_with: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why a customer who left is worth a call: their words, and the day a frozen budget opened if they named one."""

    account: str
    quote: str
    said_on: date
    document_type: str
    budget_opened_on: date | None


@dataclass(frozen=True, slots=True)
class Morning:
    """Everything the summary shows, as data.

    Attributes:
        outcomes: Operation to outcome to number of records; the outcomes of an operation add up to its records.
        asked: Model calls (or rules-agent answers) of this run.
        waiting: Decision to number of field changes in the newest plan.
        denied: Deciding rule to number of field changes it denied.
        main_crm: The first CRM that records come from; the plan and its numbers are of it.
        other_crms: Every other CRM to decision to number of field changes in its newest plan.
        dropped: Reason to number of things an agent said this night that nobody will see.
    """

    run_id: str
    as_of: date
    agent: str
    state: str
    started_at: datetime
    seconds: float | None
    outcomes: dict[str, dict[str, int]]
    asked: int
    tokens: int
    cost_usd: Decimal
    briefs: list[Brief]
    brief_count: int
    triggers: list[Trigger]
    trigger_count: int
    plan_id: str | None
    waiting: dict[str, int]
    records_waiting: int
    denied: dict[str, int]
    guards_tripped: list[str]
    main_crm: str
    other_crms: dict[str, dict[str, int]]
    dropped: dict[str, int]
    unreadable: int
    sources_failed: list[str]


def last_run(ledger_path: Path) -> str:
    """The newest refresh.

    Raises:
        NightdeskError: There has been none.
    """
    with ledger.connect(ledger_path, read_only=True) as connection:
        row = connection.execute(
            "select run_id from runs where command = 'refresh' order by started_at desc limit 1"
        ).fetchone()
    if row is None:
        raise NightdeskError("There has been no night yet", where=str(ledger_path), todo="Run `nightdesk refresh`.")
    return str(row[0])


def read(project: Project, run_id: str) -> Morning:
    """Read what a run did from the ledger, and today's briefs and triggers from the warehouse."""
    settings = project.settings
    warehouse = settings.warehouse if settings.warehouse.exists() else None
    with ledger.connect(settings.ledger, read_only=True, warehouse=warehouse) as connection:
        return read_from(connection, run_id, with_warehouse=warehouse is not None, main_crm=project.sources.crms[0])


def numbers(project: Project, run_id: str) -> dict[str, Any]:
    """The same as plain data, for `--output json`."""
    from dataclasses import asdict

    return asdict(read(project, run_id))


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    return connection.execute(sql, list(parameters)).fetchall()


def read_from(
    connection: duckdb.DuckDBPyConnection, run_id: str, *, with_warehouse: bool, main_crm: str = "hubspot"
) -> Morning:
    """`read()` on an open ledger, with the warehouse attached or not."""
    ((agent, started_at, night),) = _rows(
        connection, "select agent, started_at, as_of from runs where run_id = ?", [run_id]
    )
    ends = _rows(
        connection,
        """
        select event, occurred_at from run_events
        where run_id = ? and step = 'run' and event in ('finished', 'failed')
        order by sequence desc limit 1
        """,
        [run_id],
    )
    outcomes: dict[str, dict[str, int]] = {}
    for operation, outcome, count, _ in _rows(
        connection,
        """
        select operation, outcome, count(*), min(min(recorded_at)) over (partition by operation) as drained_at
        from outcomes where run_id = ? group by operation, outcome
        order by drained_at, operation, outcome
        """,
        [run_id],
    ):
        outcomes.setdefault(operation, dict.fromkeys(OUTCOMES, 0))[outcome] = count
    ((asked, tokens, cost),) = _rows(
        connection,
        """
        select
            count(*),
            coalesce(sum(input_tokens + cache_read_tokens + cache_write_tokens + output_tokens), 0),
            coalesce(sum(cost_usd), 0)
        from attempts where run_id = ?
        """,
        [run_id],
    )
    dropped = dict(
        _rows(
            connection,
            """
            select rejections.reason, count(*)
            from rejections inner join attempts using (attempt_id)
            where attempts.run_id = ? group by all order by 2 desc, 1
            """,
            [run_id],
        )
    )
    newest = {
        str(crm): str(plan_id)
        for crm, plan_id in _rows(
            connection,
            f"""
            select crm, plan_id from plans where kind = 'sync'
            qualify row_number() over (partition by crm order by {first_event("plans.plan_id")} desc) = 1
            order by crm
            """,
        )
    }
    plan_id = newest.pop(main_crm, None)
    other_crms = {
        crm: dict(_rows(connection, "select decision, count(*) from plan_ops where plan_id = ? group by all", [other]))
        for crm, other in newest.items()
    }
    waiting = dict(
        _rows(connection, "select decision, count(*) from plan_ops where plan_id = ? group by all", [plan_id])
    )
    ((records_waiting,),) = _rows(
        connection,
        """
        select count(distinct (object_type, record_id)) from plan_ops
        where plan_id = ? and decision <> 'denied'
        """,
        [plan_id],
    )
    denied = dict(
        _rows(
            connection,
            """
            select deciding_rule, count(*) from plan_ops
            where plan_id = ? and decision = 'denied' group by all order by 2 desc, 1
            """,
            [plan_id],
        )
    )
    tripped = [
        str(row[0])
        for row in _rows(
            connection,
            """
            select guard.value ->> 'guard'
            from plans, json_each(plans.guards) as guard
            where plans.plan_id = ? and (guard.value ->> 'tripped')::boolean
            """,
            [plan_id],
        )
    ]
    loaded = _rows(
        connection,
        """
        select entry.key, entry.value::bigint
        from run_events, json_each(run_events.numbers) as entry
        where run_id = ? and step = 'load' and event = 'finished'
        qualify run_events.sequence = max(run_events.sequence) over ()
        """,
        [run_id],
    )
    briefs, brief_count = _briefs(connection, night) if with_warehouse else ([], 0)
    triggers, trigger_count = _triggers(connection) if with_warehouse else ([], 0)
    return Morning(
        run_id=run_id,
        as_of=night,
        agent=agent,
        state=ends[0][0] if ends else "unfinished",
        started_at=started_at,
        seconds=(ends[0][1] - started_at).total_seconds() if ends else None,
        outcomes=outcomes,
        asked=asked,
        tokens=int(tokens),
        cost_usd=cost,
        briefs=briefs,
        brief_count=brief_count,
        triggers=triggers,
        trigger_count=trigger_count,
        plan_id=plan_id,
        waiting=waiting,
        records_waiting=records_waiting,
        denied=denied,
        guards_tripped=tripped,
        main_crm=main_crm,
        other_crms=other_crms,
        dropped=dropped,
        unreadable=sum(count for name, count in loaded if name == "unreadable"),
        sources_failed=sorted(
            str(name).removeprefix("failed_") for name, _ in loaded if str(name).startswith("failed_")
        ),
    )


def _briefs(connection: duckdb.DuckDBPyConnection, as_of: date) -> tuple[list[Brief], int]:
    """Today's briefs, earliest first; none where the model has not been built yet."""
    if not _built(connection, "meeting_briefs"):
        return [], 0
    found = [
        Brief(*row)
        for row in _rows(
            connection,
            """
            select
                timezone(meeting_briefs.seller_time_zone, meeting_briefs.started_at),
                meeting_briefs.seller_time_zone,
                coalesce(accounts.account_name, meeting_briefs.title),
                coalesce(owners.full_name, 'nobody'),
                meeting_briefs.meeting_id,
                split_part(meeting_briefs.meeting_id, ':', 3),
                coalesce(
                    nullif(regexp_extract(meeting_briefs.brief, '## Lead with\n- ([^\n]+)', 1), ''),
                    regexp_extract(meeting_briefs.brief, '- ([^\n]+)', 1)
                )
            from warehouse.main.meeting_briefs
            left join warehouse.main.accounts using (account_id)
            left join warehouse.main.owners on meeting_briefs.owner_id = owners.owner_id
            where meeting_briefs.meeting_date = ?
            order by meeting_briefs.started_at, meeting_briefs.meeting_id
            """,
            [as_of],
        )
    ]
    return found[:_BRIEFS_SHOWN], len(found)


def _triggers(connection: duckdb.DuckDBPyConnection) -> tuple[list[Trigger], int]:
    """Win-back triggers that fired, newest remark first."""
    if not _built(connection, "revisit_triggers"):
        return [], 0
    found = [
        Trigger(*row)
        for row in _rows(
            connection,
            """
            select
                accounts.account_name,
                revisit_triggers.quote,
                revisit_triggers.said_date,
                revisit_triggers.document_type,
                if(revisit_triggers.fact_value = 'frozen', revisit_triggers.budget_opens_date, null)
            from warehouse.main.revisit_triggers
            inner join warehouse.main.accounts using (account_id)
            where revisit_triggers.state = 'fired'
            order by revisit_triggers.said_date desc, revisit_triggers.account_id
            """,
        )
    ]
    return found[:_TRIGGERS_SHOWN], len(found)


def _built(connection: duckdb.DuckDBPyConnection, model: str) -> bool:
    return bool(
        _rows(
            connection,
            """
            select 1 from information_schema.tables
            where table_catalog = 'warehouse' and table_schema = 'main' and table_name = ?
            """,
            [model],
        )
    )
