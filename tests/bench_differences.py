"""How fast differences are found, decided, explained and stored, for a million records.

Each part runs in a process of its own, on two threads, so that its peak memory is its own. Run alone with
`python -m tests.bench_differences`; `make bench` calls it with the rest of the write-back.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

from nightdesk.policy import Policy, load
from reverse_etl.crms.protocol import CrmRecord, ObjectSchema, PropertySchema, ReadResult

ROOT = Path(__file__).parents[1]
AS_OF = date(2026, 11, 17)
THREADS = 2
RECORDS = int(os.environ.get("BENCH_RECORDS_COMPARED", "1000000"))
CHANGED = 100_000
PROPERTIES = 10
MOST_RATIO, MOST_SECONDS, MOST_GB = 2.0, 15.0, 4.0


def main() -> int:
    """Measure all parts and print them; 1 when a promise is missed."""
    missed = False
    found = _child("compare")
    missed |= found["ratio"] > MOST_RATIO
    print(
        f"difference: {RECORDS:,} records x {PROPERTIES} fields, {found['changed']:,} differ: {found['ours']:.2f} s, "
        f"a bare join {found['bare']:.2f} s: {found['ratio']:.2f} x (promised {MOST_RATIO})\n"
        f"    CPU {found['ours_cpu']:.2f} s against {found['bare_cpu']:.2f} s; a bare join with the CRM's values "
        f"alone, without what we wrote last, {found['two_way']:.2f} s; peak {found['gb']:.1f} GB",
        flush=True,
    )
    for fields in (1, 3, PROPERTIES):
        found = _child("plan", str(fields))
        promised = fields <= 3
        missed |= promised and (found["seconds"] > MOST_SECONDS or found["gb"] > MOST_GB)
        print(
            f"plan: {CHANGED:,} changed records x {fields}: {found['operations']:,} operations decided, explained and "
            f"stored: {found['seconds']:.1f} s ({found['cpu']:.1f} s of CPU), peak {found['gb']:.1f} GB"
            + (f" (promised {MOST_SECONDS:.0f} s, {MOST_GB:.0f} GB)" if promised else " (no promise)"),
            flush=True,
        )
    return int(missed)


def _child(*arguments: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.bench_differences", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout.splitlines()[-1])


def _gigabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024


# the difference alone -------------------------------------------------------------------------------------------------


def compare() -> dict[str, Any]:
    """What dbt's compare and the plan's three classes cost, against the same joins of the same tables and nothing else.

    Both sides are ten million values in long form, one in a hundred records different; the CRM spells every fifth
    number as CRMs do (`72.0`), which is no difference.
    """
    import duckdb
    from jinja2 import Environment

    from reverse_etl.staging import CONFLICT_CLASS_SQL
    from tests.bench_sync import FIELDS

    source = (ROOT / "macros" / "canonical.sql").read_text(encoding="utf-8")
    canonical = (
        Environment(autoescape=False)
        .from_string(source + "{{ canonical_value('crm.value', 'crm.value_type') }}")
        .render()
    )
    types = {item.property: item.type for item in load(ROOT / "policies").mapping("hubspot").fields["contacts"]}
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(str(Path(folder) / "values.duckdb")) as con:
        con.execute(f"set threads = {THREADS}")
        con.execute("set enable_progress_bar = false")
        con.execute("create table desired (record_id varchar, property varchar, value varchar)")
        con.execute("create table crm (record_id varchar, property varchar, value_type varchar, value varchar)")
        con.execute("create table written (record_id varchar, property varchar, value varchar)")
        for name, wanted, before in FIELDS[:PROPERTIES]:
            numbers = f"(select range + 1 as r from range({RECORDS}))"
            con.execute(f"insert into desired select r::varchar, '{name}', {wanted} from {numbers}")
            spelled = (
                f"case when r % 5 = 0 then {wanted} || '.0' else {wanted} end" if types[name] == "number" else wanted
            )
            con.execute(
                f"insert into crm select r::varchar, '{name}', '{types[name]}', "
                f"case when r % 10 = 0 then {before} else {spelled} end from {numbers}"
            )
            con.execute(
                f"insert into written select r::varchar, '{name}', "
                f"case when r % 10 = 0 then {before} else {wanted} end from {numbers} where r % 3 > 0"
            )
        joins = """
            desired left join crm on desired.record_id = crm.record_id and desired.property = crm.property
            left join written on desired.record_id = written.record_id and desired.property = written.property
        """
        columns = (
            "desired.record_id, desired.property, desired.value as desired_value, written.value as last_written_value"
        )
        bare = (
            f"select {columns}, crm.value as before_value from {joins} where desired.value is distinct from crm.value"
        )
        two_way = """
            select desired.record_id, desired.property, desired.value, crm.value as before_value
            from desired left join crm on desired.record_id = crm.record_id and desired.property = crm.property
            where desired.value is distinct from crm.value
        """
        ours = f"""
            select *, {CONFLICT_CLASS_SQL} as conflict_class
            from (select {columns}, {canonical} as before_value from {joins})
            where desired_value is distinct from before_value
        """
        times = _timed(con, {"bare": bare, "ours": ours, "two_way": two_way})
        changed = con.execute("select count(*) from result_ours").fetchone() or (0,)
    return {**times, "ratio": times["ours"] / times["bare"], "changed": int(changed[0]), "gb": _gigabytes()}


def _timed(con: Any, queries: Mapping[str, str], runs: int = 3) -> dict[str, float]:
    """Median seconds (and seconds of CPU: `<name>_cpu`) of storing each query's result, after one run to warm up.

    The queries take turns, so that whatever else the machine does meets all of them.
    """
    seconds: dict[str, list[float]] = {}
    for run in range(runs + 1):
        for name, sql in queries.items():
            began, cpu = time.monotonic(), time.process_time()
            con.execute(f"create or replace temp table result_{name} as {sql}")
            if run:
                seconds.setdefault(name, []).append(time.monotonic() - began)
                seconds.setdefault(f"{name}_cpu", []).append(time.process_time() - cpu)
    return {name: median(times) for name, times in seconds.items()}


# the plan -------------------------------------------------------------------------------------------------------------


class SilentCrm:
    """A CRM that has every property and answers every read with what a person put there; nothing is written to it."""

    crm = "hubspot"
    batch_size = 100
    keyed_types: frozenset[str] = frozenset()

    def __init__(self, policy: Policy) -> None:
        self._fields = policy.mapping("hubspot").fields

    def describe(self, object_type: str) -> ObjectSchema:
        """All mapped properties."""
        known = {
            item.property: PropertySchema(item.property, item.label, item.type, item.type, "nightdesk", item.options)
            for item in self._fields[object_type]
        }
        return ObjectSchema(object_type, known, frozenset({"nightdesk"}))

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        """Every record, with another value than ours."""
        values: Mapping[str, str | None] = dict.fromkeys(properties, "x")
        return ReadResult({one: CrmRecord(one, values) for one in ids}, {})


def plan(fields: int) -> dict[str, Any]:
    """Make one plan of 100,000 changed records out of a warehouse on disk, into a new ledger on disk."""
    from nightdesk.ledger import connect, migrate
    from reverse_etl.plan import make
    from tests.bench_sync import make_warehouse

    policy = load(ROOT / "policies")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The warehouse is made by another process: its memory is not the plan's.
        if (child := os.fork()) == 0:
            make_warehouse(folder / "warehouse.duckdb", policy, records=CHANGED, fields=fields, source=RECORDS)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        migrate(folder / "ledger.duckdb", _now)
        ledger = connect(folder / "ledger.duckdb")
        ledger.execute(f"set threads = {THREADS}")
        ledger.execute("set enable_progress_bar = false")
        began, cpu = time.monotonic(), time.process_time()
        crm: Any = SilentCrm(policy)
        made = make(folder / "warehouse.duckdb", ledger, crm, policy, "bench", AS_OF, "nightdesk", _now)
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        unexplained = ledger.execute("select count(*) from plan_ops where deciding_rule = ''").fetchone()
        ledger.close()
    assert made.operation_count == CHANGED * fields and unexplained == (0,)
    return {"operations": made.operation_count, "seconds": seconds, "cpu": cpu, "gb": _gigabytes()}


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(compare() if sys.argv[1] == "compare" else plan(int(sys.argv[2]))))
    else:
        sys.exit(main())
