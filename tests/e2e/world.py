"""A whole world for one test: a sample company, its CRM in a process of its own, a data directory, real commands."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

PROJECT = Path(__file__).parents[2]
AS_OF = "2026-11-17"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class World:
    """`folder` holds the data directory and dbt's target; `port` is where its CRM answers while `serving()`."""

    folder: Path
    port: int = field(default_factory=free_port)
    extra: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def store(self) -> Path:
        return self.data / "sandbox" / "crm.sqlite"

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTDESK_", "DBT_"))}
        return clean | {
            "NIGHTDESK_DATA_DIR": str(self.data),
            "NIGHTDESK_POLICIES": str(PROJECT / "policies"),
            "NIGHTDESK_HUBSPOT_URL": f"http://127.0.0.1:{self.port}",
            "NIGHTDESK_HUBSPOT_TOKEN": "sandbox-token",
            "NIGHTDESK_AS_OF": AS_OF,
            "NIGHTDESK_AGENT": "rules",
            "NIGHTDESK_ACTOR": "tester",
            "DBT_TARGET_PATH": str(self.folder / "target"),
            **self.extra,
        }

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "nightdesk", *arguments],
            cwd=PROJECT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *arguments: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=280)
        if expect is not None:
            assert process.returncode == expect, (
                f"{arguments} ended with {process.returncode}:\n{out[-3000:]}\n{err[-3000:]}"
            )
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    @contextmanager
    def serving(self) -> Iterator[str]:
        process = self.start("sandbox", "serve", "--port", str(self.port), "--requests-per-10s", "2000")
        try:
            deadline = time.monotonic() + 60
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                        break
                assert process.poll() is None and time.monotonic() < deadline, "the sandbox did not start"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{self.port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)

    def copy(self, folder: Path) -> World:
        """The same world elsewhere, on another port."""
        shutil.copytree(self.folder, folder)
        return World(folder)

    # Looking ----------------------------------------------------------------------------------------------------------

    def rows(self, database: str, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Query `raw`, `warehouse` or `ledger`."""
        with duckdb.connect(str(self.data / f"{database}.duckdb"), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql, list(parameters)).fetchall()

    def one(self, database: str, sql: str, parameters: Sequence[object] = ()) -> Any:
        return self.rows(database, sql, parameters)[0][0]

    def crm(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Query the sandbox CRM's own store."""
        with closing(sqlite3.connect(self.store)) as connection:
            return connection.execute(sql, tuple(parameters)).fetchall()

    def outcomes(self, run_id: str | None = None) -> dict[str, dict[str, int]]:
        """Operation to outcome to records, of a run (the newest refresh unless named)."""
        run_id = run_id or self.last_run()
        found: dict[str, dict[str, int]] = {}
        for operation, outcome, count in self.rows(
            "ledger", "select operation, outcome, count(*) from outcomes where run_id = ? group by all", [run_id]
        ):
            found.setdefault(operation, {})[outcome] = count
        return found

    def last_run(self) -> str:
        return self.one("ledger", "select run_id from runs where command = 'refresh' order by started_at desc limit 1")

    def asked(self, run_id: str | None = None) -> int:
        return self.one("ledger", "select count(*) from attempts where run_id = ?", [run_id or self.last_run()])

    def end_state(self) -> dict[str, list[tuple[Any, ...]]]:
        """What must be the same however often the night was interrupted: answers, facts, outcomes, scores, plan."""
        return {
            "answers": self.rows(
                "ledger", "select operation, record_id, input_hash, outcome from answers order by all"
            ),
            "facts": self.rows("ledger", "select fact_id, document_id, predicate, fact_value from facts order by all"),
            "outcomes": self.rows(
                "ledger",
                # Which run of an interrupted night gave the answer may differ; what it ended in may not.
                "select outcomes.operation, outcomes.record_id, coalesce(answers.outcome, outcomes.outcome) "
                "from outcomes left join answers using (answer_id) where outcomes.run_id = ? order by all",
                [self.last_run()],
            ),
            "lead_scores": self.rows("warehouse", "select contact_id, score, tier from lead_scores order by all"),
            "icp_scores": self.rows("warehouse", "select account_id, score, tier from icp_scores order by all"),
            "changes": self.rows(
                "ledger",
                "select object_type, record_id, property, before_value, desired_value, decision, deciding_rule "
                "from plan_ops where plan_id = (select max_by(plan_id, created_at) from plans) order by all",
            ),
        }
