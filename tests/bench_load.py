"""`make bench`: how fast loads take rows in, beside DuckDB alone and beside what a CRM's rate limit lets through.

Alone: `.venv/bin/python -m tests.bench_load`. Every load runs in a process of its own: its peak of memory is its own.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

ROOT = Path(__file__).parents[1]

# (what, table, rows, form, least share of DuckDB alone)
FILES = (
    ("contacts", 100_000, "csv", 0.35),
    ("contacts", 100_000, "parquet", 0.35),
    ("emails", 1_000_000, "csv", 0.25),
    ("emails", 1_000_000, "parquet", 0.25),
)
API_TIMES = 8.0  # of what the rate limit lets through
HUBSPOT_LIMIT = 19 * 100  # rows a second: 190 requests in 10 seconds with 100 records each
FLAT = 1.3  # a million emails may take this much of the memory that a quarter of them takes

_ROWS = {
    "contacts": """
        select (1000 + i)::varchar as hs_object_id, 'p' || i || '@company' || (i % 9000) || '.example' as email,
            'First' || (i % 300) as firstname, 'Last' || (i % 7000) as lastname, 'Head of ' || (i % 40) as jobtitle,
            '+49 30 ' || i as phone, 'Company ' || (i % 9000) as company, 'Germany' as country, 'Berlin' as city,
            'lead' as lifecyclestage, false as hs_email_optout, '12' as hubspot_owner_id,
            timestamptz '2024-01-01 00:00:00+00' + to_seconds(i) as createdate,
            timestamptz '2024-02-01 00:00:00+00' + to_seconds(i) as lastmodifieddate
        from range({rows}) as t(i)
    """,
    # Text that hardly compresses, a kilobyte a mail.
    "emails": """
        select (1000000 + i)::varchar as hs_object_id, 'Subject ' || i as hs_email_subject,
            'Hello,' || chr(10) || (
                select string_agg(md5((i * 31 + j)::varchar), ' and ') from range(26) as s(j)
            ) as hs_email_text,
            'INCOMING_EMAIL' as hs_email_direction, 'ann' || (i % 5000) || '@example.com' as hs_email_from_email,
            'bob@ours.example' as hs_email_to_email, 't' || (i % 100000) as hs_email_thread_id,
            timestamptz '2024-01-01 00:00:00+00' + to_seconds(i) as hs_timestamp,
            timestamptz '2024-01-01 00:00:00+00' + to_seconds(i) as hs_lastmodifieddate
        from range({rows}) as t(i)
    """,
}


def make_file(folder: Path, what: str, rows: int, form: str) -> Path:
    """An export file, in a folder of its own."""
    place = folder / f"{what}_{rows}_{form}"
    place.mkdir(parents=True)
    path = place / f"{what}.{form}"
    with duckdb.connect() as connection:
        connection.execute(f"copy ({_ROWS[what].format(rows=rows)}) to '{path}'")
    return path


def alone(path: Path, folder: Path) -> float:
    """Seconds DuckDB takes to read a file into a table of a new database."""
    target = folder / "alone.duckdb"
    target.unlink(missing_ok=True)
    began = time.perf_counter()
    with duckdb.connect(str(target)) as connection:
        connection.execute(f"create table loaded as select * from '{path}'")
    seconds = time.perf_counter() - began
    target.unlink()
    return seconds


def in_a_process(*arguments: object) -> dict[str, Any]:
    """Runs one measurement of this module by itself; returns what it prints."""
    command = [sys.executable, "-m", "tests.bench_load", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def load_export(path: str, folder: str) -> None:
    """Imports the folder that a file lies in. Importing libraries is not what is measured."""
    import dlt  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    from sources.export import ExportSettings, load

    shutil.rmtree(folder, ignore_errors=True)
    began = time.perf_counter()
    report = load(
        ExportSettings(crm="hubspot", path=Path(path).parent), Path(folder) / "raw.duckdb", Path(folder) / "dlt"
    )
    seconds = time.perf_counter() - began
    shutil.rmtree(folder)
    _say(sum(report.rows_moved.values()), seconds)


def load_hubspot(rows: str, folder: str) -> None:
    """Loads emails from a HubSpot that answers at once: what is measured is the loader."""
    import dlt  # noqa: F401
    from pydantic import SecretStr

    from sources import hubspot
    from tests.bench_hubspot_answers import Portal

    portal = Portal(int(rows))
    settings = hubspot.HubSpotSettings(
        base_url="http://portal.test", token=SecretStr("t"), requests_per_10s=1_000_000, searches_per_second=1_000_000
    )
    began = time.perf_counter()
    report = hubspot.load(settings, Path(folder) / "raw.duckdb", Path(folder) / "dlt", transport=portal.transport())
    _say(report.rows_moved["emails"], time.perf_counter() - began)


def load_salesforce(rows: str, folder: str) -> None:
    """Loads emails from an org that answers at once, by queries and by a bulk job."""
    from tests.bench_salesforce_load import RATE_LIMIT, measure

    query, bulk = measure(Path(folder), int(rows))
    print(json.dumps({one.way: [one.rows, one.seconds, RATE_LIMIT] for one in (query, bulk)}))


def _say(rows: int, seconds: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "peak_mb": peak}))


def main() -> int:
    """Measures everything; exits 1 where a promise is missed."""
    missed: list[str] = []

    def line(name: str, rows: int, seconds: float, promise: str, *, kept: bool, note: str = "") -> None:
        print(
            f"{name:<34} {rows / seconds:>9,.0f} rows/s {seconds:6.1f} s  {promise} {'' if kept else 'MISSED '}{note}"
        )
        if not kept:
            missed.append(name)

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for what, rows, form, least in FILES:
            path = make_file(folder, what, rows, form)
            before = alone(path, folder)
            found = in_a_process("load_export", path, folder / "load")
            assert found["rows"] == rows, found
            share = (before + alone(path, folder)) / 2 / found["seconds"]
            note = f"DuckDB alone {before:.2f} s, peak {found['peak_mb']:,} MB"
            kept = share >= least
            line(
                f"{rows:,} {what} from {form}",
                rows,
                found["seconds"],
                f"{share:.0%} of {least:.0%}",
                kept=kept,
                note=note,
            )
            if what == "emails":
                quarter = make_file(folder, what, rows // 4, form)
                small = in_a_process("load_export", quarter, folder / "load")["peak_mb"]
                flat = found["peak_mb"] / small
                print(f"{'':<34} memory: {found['peak_mb']:,} MB, a quarter of the rows {small:,} MB: {flat:.2f} x")
                if flat > FLAT:
                    missed.append(f"memory of {what} from {form}")
                shutil.rmtree(quarter.parent)
            shutil.rmtree(path.parent)
        found = in_a_process("load_hubspot", 60_000, folder / "hubspot")
        times = found["rows"] / found["seconds"] / HUBSPOT_LIMIT
        line(
            "emails over HubSpot's API",
            found["rows"],
            found["seconds"],
            f"{times:.1f} of {API_TIMES:.0f} x",
            kept=times >= API_TIMES,
        )
        for way, (rows, seconds, limit) in in_a_process("load_salesforce", 40_000, folder / "salesforce").items():
            times = rows / seconds / limit
            line(
                f"emails over Salesforce's API, {way}",
                rows,
                seconds,
                f"{times:.1f} of {API_TIMES:.0f} x",
                kept=times >= API_TIMES,
            )
    for one in missed:
        print(f"missed: {one}")
    return 1 if missed else 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        globals()[sys.argv[1]](*sys.argv[2:])
        sys.exit(0)
    sys.exit(main())
