"""OpenLineage events of a run, told from the ledger after the fact.

Every step of a run is in `run_events` already, with its times, numbers and message. Events are made from them when the
run has ended (or by `nightdesk lineage` later), so nothing of the night waits for a receiver, a night that was killed
can still be told, and telling it twice gives the same events with the same ids.

Written against OpenLineage 2-0-2. No client library: the event is a handful of fields, and the library costs a quarter
of a second and four packages to say them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from nightdesk import ledger
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import duckdb

    from nightdesk.lineage_datasets import StepData

SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
FACETS = "https://openlineage.io/spec/facets/"
NAMESPACE = "nightdesk"
_ENDS = {"finished": "COMPLETE", "failed": "FAIL"}

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as the ledger has it."""

    run_id: str
    command: str
    as_of: date


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One row of `run_events`. `numbers` is empty where the step had none."""

    step: str
    event: str
    occurred_at: datetime
    numbers: Mapping[str, float]
    message: str | None


def producer() -> str:
    """Who says so: the program and its version."""
    return f"urn:nightdesk:{version('nightdesk')}"


def run_uuid(*names: str) -> str:
    """The same id for the same run and step, however often it is told."""
    return str(uuid5(NAMESPACE_URL, "/".join(("urn:nightdesk:run", *names))))


def read_run(ledger_path: Path, run_id: str | None) -> tuple[RunRow, list[StepEvent]]:
    """A run and its events in order; the newest run when `run_id` is None. The beginning of an id is enough.

    Raises:
        NightdeskError: There is no such run, or several begin like this.
    """
    with ledger.connect(ledger_path, read_only=True) as connection:
        found = connection.execute(
            """
            select run_id, command, as_of from runs where $1 is null or starts_with(run_id, $1)
            order by started_at desc, run_id desc limit 2
            """,
            [run_id],
        ).fetchall()
        if not found or (run_id is not None and len(found) > 1 and str(found[0][0]) != run_id):
            raise NightdeskError(
                f"{'Several runs begin' if found else 'There is no run that begins'} with `{run_id or ''}`",
                where=str(ledger_path),
                todo="`nightdesk status --output json` names the last run; the mart `run_steps` names all.",
            )
        run = RunRow(*found[0])
        return run, _events(connection, run.run_id)


def _events(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[StepEvent]:
    return [
        StepEvent(str(row[0]), str(row[1]), row[2], json.loads(row[3]) if row[3] else {}, row[4])
        for row in connection.execute(
            "select step, event, occurred_at, numbers, message from run_events where run_id = ? order by sequence",
            [run_id],
        ).fetchall()
    ]


def events(run: RunRow, rows: Sequence[StepEvent], data: Mapping[str, StepData]) -> list[Event]:
    """OpenLineage run events of a run and each of its steps, in the order they happened.

    A step that was begun again after a crash aborts its first try. A run that is still going on, or was killed and
    never resumed, has no end. Inputs and outputs are told with the end of a step, where their rows are known.

    Args:
        run: The run.
        rows: Its events, in order.
        data: Step to what it reads and writes; a step that is not in it has neither.
    """
    told: list[Event] = []
    tries: dict[str, int] = {}
    is_open: set[str] = set()
    for row in rows:
        if row.event == "started" and row.step in is_open:
            if row.step == "run":
                told.append(_event(run, row, "RUNNING", 1, None))
                continue
            told.append(_event(run, row, "ABORT", tries[row.step], None))
        if row.event == "started":
            tries[row.step] = tries.get(row.step, 0) + 1
            is_open.add(row.step)
            told.append(_event(run, row, "START", tries[row.step], None))
        else:
            is_open.discard(row.step)
            told.append(_event(run, row, _ENDS[row.event], tries.get(row.step, 1), data.get(row.step)))
    return told


def _event(run: RunRow, row: StepEvent, kind: str, attempt: int, data: StepData | None) -> Event:
    whole = row.step == "run"
    facets: dict[str, Any] = {
        "processing_engine": _facet("1-1-1/ProcessingEngineRunFacet", name="nightdesk", version=version("nightdesk")),
        "nominalTime": _facet("1-0-1/NominalTimeRunFacet", nominalStartTime=f"{run.as_of.isoformat()}T00:00:00Z"),
    }
    if not whole:
        facets["parent"] = _facet(
            "1-2-0/ParentRunFacet",
            run={"runId": run_uuid(run.run_id)},
            job={"namespace": NAMESPACE, "name": run.command},
        )
    if kind == "FAIL":
        facets["errorMessage"] = _facet(
            "1-0-1/ErrorMessageRunFacet", message=row.message or "no message", programmingLanguage="Python"
        )
    if row.numbers and kind in ("COMPLETE", "FAIL"):
        facets["nightdesk_numbers"] = {**_base(f"{SPEC}RunFacet"), "numbers": dict(row.numbers)}
    return {
        "eventType": kind,
        "eventTime": row.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "producer": producer(),
        "schemaURL": f"{SPEC}RunEvent",
        "run": {
            "runId": run_uuid(run.run_id) if whole else run_uuid(run.run_id, row.step, str(attempt)),
            "facets": facets,
        },
        "job": {
            "namespace": NAMESPACE,
            "name": run.command if whole else f"{run.command}.{row.step}",
            "facets": {
                "jobType": _facet(
                    "2-0-4/JobTypeJobFacet",
                    processingType="BATCH",
                    integration="NIGHTDESK",
                    jobType="RUN" if whole else "STEP",
                )
            },
        },
        "inputs": [{"namespace": item.namespace, "name": item.name} for item in data.inputs] if data else [],
        "outputs": [
            {
                "namespace": item.namespace,
                "name": item.name,
                **(
                    {
                        "outputFacets": {
                            "outputStatistics": _facet(
                                "1-0-2/OutputStatisticsOutputDatasetFacet", rowCount=item.row_count
                            )
                        }
                    }
                    if item.row_count is not None
                    else {}
                ),
            }
            for item in data.outputs
        ]
        if data
        else [],
    }


def _base(schema: str) -> dict[str, Any]:
    return {"_producer": producer(), "_schemaURL": schema}


def _facet(schema: str, **values: Any) -> dict[str, Any]:
    name = schema.rpartition("/")[2]
    return {**_base(f"{FACETS}{schema}.json#/$defs/{name}"), **values}


def as_lines(told: Iterable[Event]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n" for event in told)
