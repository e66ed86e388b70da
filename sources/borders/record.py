"""The borders in the ledger: every verdict of every night, and the numbers that the next load is compared with."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from sources.borders.border import Settled, Side

if TYPE_CHECKING:
    import duckdb


def append_checks(
    connection: duckdb.DuckDBPyConnection,
    side: Side,
    settled: Mapping[str, Settled],
    *,
    run_id: str | None,
    now: datetime,
    plan_id: str | None = None,
) -> int:
    """Appends one row per verdict; returns how many.

    Args:
        connection: The ledger, inside a transaction of the caller's or none.
        side: Which border.
        settled: Dataset to its verdicts.
        run_id: The run that checked.
        now: When.
        plan_id: The plan, at the border out.
    """
    rows = [
        [
            f"check-{secrets.token_hex(8)}",
            run_id,
            side,
            dataset,
            plan_id,
            one.suite,
            one.table,
            one.expectation,
            one.meaning,
            one.severity,
            one.success,
            result.is_repeated,
            json.dumps(one.failures, ensure_ascii=False),
            now.isoformat(),
        ]
        for dataset, result in settled.items()
        for one in result.verdicts
    ]
    if rows:
        # One statement and one bound text: binding each value of each row takes DuckDB many times longer.
        connection.execute(
            """
            insert into border_checks
            select row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10], row[11]::boolean,
                row[12]::boolean, row[13]::json, row[14]::timestamptz
            from (select unnest(from_json(?::json, '[["varchar"]]')) as row)
            """,
            [json.dumps(rows)],
        )
    return len(rows)


def read_measures(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, float]]:
    """Dataset to measure to its latest value of a load that passed."""
    found: dict[str, dict[str, float]] = {}
    for dataset, measure, value in connection.execute(
        "select dataset, measure, arg_max(measured, sequence) from border_measures group by all"
    ).fetchall():
        found.setdefault(str(dataset), {})[str(measure)] = float(value)
    return found


def append_measures(
    connection: duckdb.DuckDBPyConnection,
    measured: Mapping[str, Mapping[str, float]],
    *,
    run_id: str | None,
    now: datetime,
) -> None:
    """Appends the measures that are others than before."""
    before = read_measures(connection)
    row = connection.execute("select coalesce(max(sequence), 0) from border_measures").fetchone()
    sequence = int(row[0]) if row else 0
    for dataset, values in measured.items():
        for measure, value in values.items():
            if before.get(dataset, {}).get(measure) != value:
                sequence += 1
                connection.execute(
                    "insert into border_measures values (?, ?, ?, ?, ?, ?)",
                    [dataset, measure, value, run_id, now, sequence],
                )
