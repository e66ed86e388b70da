"""How fast a queue is drained through Claude when the provider is the only thing to wait for: live, and in batches.

Run alone with `python -m tests.bench_agents`; `make bench` calls `main()` too.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx2

from enrich import registry
from enrich.agents.batch import ClaudeBatchAgent
from enrich.agents.claude import ClaudeAgent
from enrich.agents.protocol import Agent
from enrich.arrow import Kind
from enrich.budget import NightBudget
from enrich.runner import DrainReport, drain
from nightdesk.policy import Policy, load
from tests.messages_api import MessagesApi, message
from tests.runner_kit import AS_OF, Desk, Row, write_warehouse

ROOT = Path(__file__).parents[1]
OPERATION = "icp_fit"
RECORDS = int(os.environ.get("BENCH_RECORDS", "8000"))
SECONDS_PER_CALL = 0.05
MOST_RATIO = 1.5
SAID = {
    "industry_fit": {"level": "core", "evidence": ["account.industry"]},
    "size_fit": {"level": "in_range", "evidence": ["account.employees"]},
    "region_fit": {"level": "served", "evidence": ["account.country"]},
    "champion": {"level": "active", "evidence": ["f_0c77d1e9b3aa"]},
}
ANSWER = json.dumps({**{name: [] for name in registry.operations()[OPERATION].output_model.model_fields}, **SAID})


def main() -> int:
    """Drain both ways and print what it took; 1 when a promise is missed."""
    policy = load(ROOT / "policies")
    with tempfile.TemporaryDirectory() as folder:
        ratio = live(Path(folder) / "live", policy)
        in_batches(Path(folder) / "batch", policy)
    return int(ratio > MOST_RATIO)


def live(folder: Path, policy: Policy, concurrency: int | None = None) -> float:
    """Drain with one call per record; returns the wall time over what the concurrency allows at best."""
    limits = policy.budget.agents.claude
    limits = limits.model_copy(update={"concurrency": concurrency or limits.concurrency})

    async def answer(request: httpx2.Request) -> httpx2.Response:
        await anyio.sleep(SECONDS_PER_CALL)
        usage = {"input_tokens": 900, "output_tokens": 120, "cache_read_input_tokens": 2_000}
        return httpx2.Response(200, json=message(json.loads(request.content), ANSWER, usage=usage))

    agent = ClaudeAgent(limits, api_key="bench", clock=_now, transport=httpx2.MockTransport(answer))
    report = _drain(folder, agent, policy)
    best = RECORDS * SECONDS_PER_CALL / limits.concurrency
    ratio = report.seconds / best
    print(
        f"live: {report.asked:,} calls of {SECONDS_PER_CALL * 1000:.0f} ms, {limits.concurrency} at once: "
        f"{report.seconds:.1f} s, {ratio:.2f} x the {best:.1f} s that are possible (promised {MOST_RATIO})",
        flush=True,
    )
    return ratio


def in_batches(folder: Path, policy: Policy) -> DrainReport:
    """Drain in batches against a server of this process, which answers as fast as it can."""
    usage = {"input_tokens": 900, "output_tokens": 120, "cache_read_input_tokens": 2_000}
    api = MessagesApi(say=lambda body: message(body, ANSWER, usage=usage))
    with api.serving() as url:
        agent = ClaudeBatchAgent(
            policy.budget.agents.claude,
            api_key="bench",
            clock=_now,
            journal=folder / "batches" / "claude.jsonl",
            spool_dir=folder / "spool",
            base_url=url,
            pauses=(0.1, 1.0),
        )
        report = _drain(folder, agent, policy)
    assert set(api.charged.values()) == {1}
    print(
        f"batches: {report.asked:,} calls in {len(api.batches)} batches: {report.seconds:.1f} s, "
        f"{report.asked / report.seconds:,.0f} records a second",
        flush=True,
    )
    return report


def _drain(folder: Path, agent: Agent, policy: Policy) -> DrainReport:
    desk = Desk(folder)
    context = (ROOT / "tests" / "fixtures" / "contexts" / f"{OPERATION}.txt").read_text(encoding="utf-8")
    rows = [
        Row(f"hubspot:company:{number}", context.replace("Acme Freight", f"Acme Freight {number}"))
        for number in range(RECORDS)
    ]
    write_warehouse(desk.warehouse, [], OPERATION)
    _fill(desk.warehouse, rows)
    report = drain(
        OPERATION,
        warehouse=desk.warehouse,
        ledger=desk.ledger,
        spool_dir=desk.spool,
        agent=agent,
        policy=policy,
        run_id="bench",
        as_of=AS_OF,
        budget=NightBudget(Decimal(1_000), {OPERATION: Decimal(1_000)}),
        clock=_now,
        on_progress=lambda done, due: None,
    )
    assert report.counts["enriched"] == RECORDS, (report.counts, report.warnings[:3])
    return report


def _fill(warehouse: Path, rows: list[Row]) -> None:
    """`write_warehouse` in bulk: row by row, 8,000 of them take longer than the drain."""
    import duckdb

    from enrich.arrow import registered

    columns: dict[str, tuple[Kind, list[Any]]] = {
        "record_id": ("text", [row.record_id for row in rows]),
        "context": ("text", [row.context for row in rows]),
    }
    with duckdb.connect(str(warehouse)) as connection, registered(connection, "bench_rows", columns):
        connection.execute(
            f"""
            insert into activation.queue_{OPERATION}
            select '{OPERATION}', 'account', record_id, context, sha256(context), null, null, null, 0,
                length(context) // 4
            from bench_rows
            """
        )


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
