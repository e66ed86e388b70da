"""`make bench`: the night's times at full size, beside what was promised. Minutes; no part of `make test`."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from tests import bench_agents, bench_load, bench_write_back
from tests.e2e.world import World

CONTACTS = os.environ.get("CONTACTS", "8000")
PROMISED = {
    "demo: company, set-up and first night": 240.0,
    "second night, nothing new": 30.0,
}


def main() -> int:
    """Run three nights, an apply and its rollback; print a table; exit 1 where a promise is missed."""
    times: dict[str, float] = {}
    notes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "world", extra={"NIGHTDESK_ACTOR": "bench"})
        world.folder.mkdir()

        def timed(name: str, *arguments: str, expect: int | None = 0) -> float:
            began = time.monotonic()
            world.run(*arguments, expect=expect)
            times[name] = time.monotonic() - began
            print(f"{name:<42} {times[name]:6.1f} s", flush=True)
            return times[name]

        company = timed("company", "sandbox", "generate", "--contacts", CONTACTS)
        with world.serving():
            setup = timed("crm setup", "crm", "setup", "--apply")
            first = timed("first night", "refresh")
            times["demo: company, set-up and first night"] = company + setup + first
            notes["first night"] = f"asked {world.asked():,}"
            timed("second night, nothing new", "refresh")
            notes["second night, nothing new"] = f"asked {world.asked():,}"
            assert world.asked() == 0
        timed("a day passes for 10 % of the contacts", "sandbox", "change")
        with world.serving():
            timed("third night, 10 % changed", "refresh")
            notes["third night, 10 % changed"] = f"asked {world.asked():,}"
            world.run("approve", "--all", "--as", "maya")
            timed("apply", "apply", "--execute")
            applied = world.one("ledger", "select count(*) from op_results where result = 'applied'")
            notes["apply"] = f"{applied:,} fields written and read back"
            timed("rollback planned", "rollback", expect=3)
            world.run("approve", "--all", "--as", "maya")
            timed("rollback applied", "apply", "--execute")
            timed("audit verify", "audit", "verify")
    missed = {name: limit for name, limit in PROMISED.items() if times[name] > limit}
    print(
        f"\n{CONTACTS} contacts, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    for name, seconds in times.items():
        promise = f"promised {PROMISED[name]:.0f}" if name in PROMISED else ""
        print(f"{name:<42} {seconds:6.1f} s  {promise:<13} {notes.get(name, '')}")
    Path("target").mkdir(exist_ok=True)
    Path("target/bench.json").write_text(json.dumps({"contacts": CONTACTS, "seconds": times, "notes": notes}, indent=2))
    return 1 if any([missed, bench_agents.main(), bench_write_back.main(), bench_load.main()]) else 0


if __name__ == "__main__":
    sys.exit(main())
