"""What each step of a run reads and writes: CRM objects, tables of the three databases, published files.

Computed from dbt's manifest and the step's own numbers by the same rules the night goes by (`nightdesk.waves`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk import waves

if TYPE_CHECKING:
    from nightdesk.lineage import RunRow, StepEvent

# Tables an agent's answers go to; `outcomes` gets a row for every record, asked or not.
ANSWER_TABLES = ("attempts", "answers", "judgements", "sentences", "facts", "evidence", "rejections")
_PLAN_TABLES = ("plans", "plan_ops", "audit_events")
_CRM_OBJECTS = (
    "contacts", "companies", "deals", "emails", "calls", "meetings", "notes", "tasks", "owners", "pipelines",
    "associations",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset in OpenLineage's words. `row_count` is None where nobody counted."""

    namespace: str
    name: str
    row_count: int | None = None


@dataclass(frozen=True, slots=True)
class Spoken:
    """What agents did to the ledger in a run, by operation: what makes models due again.

    Attributes:
        answered: Operations that got answers.
        anew: Operations whose question had changed.
    """

    answered: frozenset[str] = frozenset()
    anew: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StepData:
    """What one step reads and writes."""

    inputs: tuple[Dataset, ...] = ()
    outputs: tuple[Dataset, ...] = ()


def of_run(
    run: RunRow,
    rows: Sequence[StepEvent],
    manifest: Mapping[str, Any] | None,
    *,
    crm_url: str,
    spoken: Spoken,
    written: Mapping[str, int] | None = None,
) -> dict[str, StepData]:
    """Step to its data.

    Args:
        run: The run.
        rows: Its events.
        manifest: dbt's; without it the builds have no datasets.
        crm_url: The CRM's address: the namespace of its objects.
        spoken: What agents appended to the ledger.
        written: For an apply: CRM object type to fields written.
    """
    ended = {row.step: row.numbers for row in rows if row.event == "finished"}
    found: dict[str, StepData] = {}
    if "load" in ended:
        found["load"] = _load(ended["load"], crm_url)
    if manifest is not None:
        found |= _builds(rows, manifest, spoken)
    for step, numbers in ended.items():
        if step.startswith("enrich_"):
            found[step] = _enrich(step.removeprefix("enrich_"), numbers)
    if "opt_outs" in ended:
        found["opt_outs"] = StepData(
            (_warehouse("main.opt_outs"),), (_ledger("suppression", ended["opt_outs"].get("new")),)
        )
    if "plan" in ended:
        synced = [name for name in _names(manifest) if name.startswith("sync_")]
        operations = ended["plan"].get("operations")
        found["plan"] = StepData(
            tuple(_warehouse(f"main.{name}") for name in synced),
            tuple(_ledger(name, operations if name == "plan_ops" else None) for name in _PLAN_TABLES),
        )
    if "publish" in ended:
        numbers = ended["publish"]
        found["publish"] = StepData(
            tuple(_warehouse(f"main.{name}") for name in sorted(numbers)),
            tuple(Dataset("file", f"published/{name}.parquet", int(numbers[name])) for name in sorted(numbers)),
        )
    if run.command == "apply" and "run" in ended:
        found["run"] = StepData(
            (_ledger("plan_ops"), _ledger("approvals")),
            (
                *(Dataset(crm_url, name, count) for name, count in sorted((written or {}).items())),
                *(_ledger(name) for name in ("write_attempts", "op_results", "audit_events")),
            ),
        )
    return found


def _load(numbers: Mapping[str, float], crm_url: str) -> StepData:
    # Before there were several sources, a table's name stood alone.
    moved = {
        name if "." in name else f"hubspot.{name}": int(count)
        for name, count in numbers.items()
        if not name.startswith(("total_", "failed_")) and name not in ("erased", "unreadable")
    }
    return StepData(
        tuple(Dataset(crm_url, name) for name in _CRM_OBJECTS if f"hubspot.{name}" in moved),
        tuple(Dataset("duckdb://raw", name, count) for name, count in sorted(moved.items())),
    )


def _enrich(operation: str, numbers: Mapping[str, float]) -> StepData:
    asked = int(numbers.get("asked", 0))
    wrote = [_ledger(name, asked if name == "attempts" else None) for name in ANSWER_TABLES] if asked else []
    return StepData((_warehouse(f"main.queue_{operation}"),), (*wrote, _ledger("outcomes", numbers.get("selected"))))


def _builds(rows: Sequence[StepEvent], manifest: Mapping[str, Any], spoken: Spoken) -> dict[str, StepData]:
    """Which models each build of the run made: the night's own rules, played again over the run's numbers."""
    graph = waves.read(manifest)
    fresh = waves.Freshness(graph)
    ids = {name: unique_id for unique_id, name in graph.names.items() if unique_id in graph.models}
    order = waves.waves(graph)
    steps = {row.step for row in rows}
    found: dict[str, StepData] = {}
    for row in rows:
        if row.event != "finished":
            continue
        if row.step.startswith("build_wave_"):
            wave = order[int(row.step.removeprefix("build_wave_")) - 1 :][:1]
            # A night of chosen operations builds for those alone; one that died here had not begun any.
            asked = [name for name in wave[0] if f"enrich_{name}" in steps] if wave else []
            names = fresh.needed_for(asked or wave[0]) if wave else []
        elif row.step == "build_rest":
            fresh.ledger_grew(("outcomes", "runs", "run_events"))
            names = fresh.rest()
        else:
            operation = row.step.removeprefix("enrich_")
            fresh.ledger_grew(ANSWER_TABLES if operation in spoken.answered else ())
            fresh.ledger_grew(("questions",) if operation in spoken.anew else ())
            continue
        fresh.built(names)
        made = {ids[name] for name in names if name in ids}
        read = {parent for each in made for parent in graph.parents.get(each, ())} - made
        found[row.step] = StepData(_relations(read, manifest), _relations(made, manifest))
    return found


def _relations(ids: Iterable[str], manifest: Mapping[str, Any]) -> tuple[Dataset, ...]:
    found: set[tuple[str, str]] = set()
    for unique_id in ids:
        node = manifest["nodes"].get(unique_id) or manifest["sources"].get(unique_id)
        if node is None:
            continue
        database = "warehouse" if unique_id in manifest["nodes"] else str(node["database"])
        found.add(
            (f"duckdb://{database}", f"{node['schema']}.{node.get('alias') or node.get('identifier') or node['name']}")
        )
    return tuple(Dataset(namespace, name) for namespace, name in sorted(found))


def _names(manifest: Mapping[str, Any] | None) -> list[str]:
    nodes = manifest["nodes"].values() if manifest else ()
    return sorted(node["name"] for node in nodes if node["resource_type"] == "model")


def _warehouse(name: str) -> Dataset:
    return Dataset("duckdb://warehouse", name)


def _ledger(name: str, rows: float | None = None) -> Dataset:
    return Dataset("duckdb://ledger", f"main.{name}", None if rows is None else int(rows))


def spoken_in(ledger_path: Path, run_id: str) -> Spoken:
    """What agents appended to the ledger in a run."""
    from nightdesk import ledger

    with ledger.connect(ledger_path, read_only=True) as connection:
        answered, anew = (
            frozenset(
                str(row[0])
                for row in connection.execute(
                    f"select distinct operation from {table} where run_id = ?", [run_id]
                ).fetchall()
            )
            for table in ("answers", "questions")
        )
    return Spoken(answered, anew)


def written_by(ledger_path: Path, run_id: str) -> dict[str, int]:
    """CRM object type to fields that an apply run wrote."""
    from nightdesk import ledger

    with ledger.connect(ledger_path, read_only=True) as connection:
        return {
            str(kind): int(count)
            for kind, count in connection.execute(
                """
                select plan_ops.object_type, count(*)
                from apply_runs
                inner join op_results using (apply_run_id)
                inner join plan_ops on plan_ops.plan_id = apply_runs.plan_id and plan_ops.op_id = op_results.op_id
                where apply_runs.run_id = ? and not apply_runs.dry_run and op_results.result in ('applied', 'altered')
                group by 1 order by 1
                """,
                [run_id],
            ).fetchall()
        }
