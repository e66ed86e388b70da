"""A tiny world for the dbt project: databases, rows, answers and builds. No tests of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from nightdesk.ledger import migrate
from nightdesk.policy import load
from nightdesk.policy.tables import load_into
from sources.registry import ensure_tables

ROOT = Path(__file__).parents[2]
AS_OF = date(2026, 11, 17)
NIGHT = datetime(2026, 11, 17, 3, 0, tzinfo=UTC)

Row = Mapping[str, Any]


def at(text: str) -> datetime:
    """`2026-11-03` or `2026-11-03 09:30`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def insert(path: Path, table: str, rows: Sequence[Row]) -> None:
    """Append rows; columns that a row does not name stay null."""
    with duckdb.connect(str(path)) as connection:
        for given in rows:
            row = {**given, "_dlt_load_id": "1"} if table.startswith("hubspot.") else given
            columns = ", ".join(f'"{name}"' for name in row)
            marks = ", ".join("?" for _ in row)
            connection.execute(f"insert into {table} ({columns}) values ({marks})", list(row.values()))


_OTHER_SOURCES = ("stg_salesforce__", "stg_mailbox__", "stg_transcripts__", "stg_calendar__")


@dataclass
class Project:
    """One data folder and the dbt project over it. The manifest is parsed once and shared by all builds."""

    folder: Path
    as_of: date = AS_OF
    manifest: Any = field(default=None, repr=False)
    made: set[str] = field(default_factory=set[str], repr=False)

    @property
    def raw(self) -> Path:
        return self.folder / "raw.duckdb"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.duckdb"

    def create(self, *, with_policies: bool) -> None:
        """Empty databases, with the repository's policies in the ledger or none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ensure_tables(self.raw)
        migrate(self.ledger, lambda: NIGHT)
        if with_policies:
            with duckdb.connect(str(self.ledger)) as connection:
                load_into(connection, load(ROOT / "policies"), NIGHT)
        profiles = self.folder / "profiles"
        profiles.mkdir(exist_ok=True)
        shutil.copy(ROOT / "profiles.yml.example", profiles / "profiles.yml")

    def dbt(self, *arguments: str) -> dict[str, str]:
        """Run dbt in this process; returns node name to status. Fails the test with dbt's own message."""
        from dbt.cli.main import dbtRunner

        # Views over raw tables that no test of this project fills need not be made a second time.
        if not (self.folder / "warehouse.duckdb").exists():
            self.made.clear()
        still = sorted(name for name in self.made if name.startswith(_OTHER_SOURCES))
        again = ("--exclude", *still) if arguments[0] == "build" and still else ()
        with _environment(self.folder, self.as_of):
            result = dbtRunner(manifest=self.manifest).invoke(
                [
                    *arguments,
                    *again,
                    *("--project-dir", str(ROOT)),
                    *("--profiles-dir", str(self.folder / "profiles")),
                    *("--target-path", str(self.folder / "target")),
                    *("--log-path", str(self.folder / "logs")),
                    *("--log-level", "none"),
                ]
            )
        if arguments[0] == "parse":
            assert result.success, result.exception
            self.manifest = result.result
            return {}
        assert result.result is not None, result.exception
        failed = [
            f"{item.node.name}: {item.message}" for item in result.result if str(item.status) in {"error", "fail"}
        ]
        assert not failed, "\n".join(failed)
        found = {item.node.name: str(item.status) for item in result.result}
        self.made |= set(found)
        return found

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the warehouse."""
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    def table(self, sql: str) -> dict[Any, tuple[Any, ...]]:
        """Query the warehouse: first column to the others."""
        return {row[0]: row[1:] for row in self.rows(sql)}

    def answer(
        self,
        operation: str,
        record_id: str,
        *,
        outcome: str = "enriched",
        levels: Mapping[str, str] | None = None,
        cites: Mapping[str, Sequence[tuple[str, str, str]]] | None = None,
        sentences: Sequence[tuple[str, str]] = (),
        facts: Sequence[Row] = (),
        answered_at: datetime = NIGHT,
        context_hash: str | None = None,
    ) -> str:
        """Append one answer to what the queue asks now; `cites` maps a component to (kind, id, quote)."""
        if context_hash is None:
            found = self.rows(f"select context_hash from queue_{operation} where record_id = '{record_id}'")
            context_hash = found[0][0]
        assert context_hash is not None, f"{operation} of {record_id} is gated or has nothing to judge"
        answer_id = "a_" + hashlib.sha256(f"{operation}{context_hash}{answered_at}".encode()).hexdigest()[:12]
        insert(
            self.ledger,
            "answers",
            [
                {
                    "answer_id": answer_id,
                    "operation": operation,
                    "record_type": "record",
                    "record_id": record_id,
                    "input_hash": f"i{answer_id}",
                    "context_hash": context_hash,
                    "agent": "rules",
                    "operation_hash": "o",
                    "policy_hash": "p",
                    "run_id": "run-1",
                    "attempt_id": f"t{answer_id}",
                    "outcome": outcome,
                    "confidence": 0.8,
                    "evidence_count": sum(len(items) for items in (cites or {}).values()),
                    "dropped_count": 0,
                    "answered_at": answered_at,
                }
            ],
        )
        self.ask(operation)
        insert(
            self.ledger,
            "judgements",
            [
                {"answer_id": answer_id, "component": component, "level": level, "evidence_count": 1}
                for component, level in (levels or {}).items()
            ],
        )
        insert(
            self.ledger,
            "evidence",
            [
                {
                    "answer_id": answer_id,
                    "item_kind": "judgement",
                    "item_key": component,
                    "position": position,
                    "evidence_kind": kind,
                    "evidence_id": evidence_id,
                    "quote": quote,
                }
                for component, items in (cites or {}).items()
                for position, (kind, evidence_id, quote) in enumerate(items)
            ],
        )
        insert(
            self.ledger,
            "sentences",
            [
                {"answer_id": answer_id, "section": section, "position": position, "body": body}
                for position, (section, body) in enumerate(sentences)
            ],
        )
        insert(self.ledger, "facts", [{"answer_id": answer_id, "document_id": record_id, **fact} for fact in facts])
        return answer_id

    def ask(self, operation: str, operation_hash: str = "o", asked_since: datetime = NIGHT) -> None:
        """Make this the question of an operation, unless it is already."""
        with duckdb.connect(str(self.ledger)) as ledger:
            ledger.execute(
                """
                insert into questions
                select $operation, $operation_hash, 'rules', null, 'run-1', $asked_since
                where $operation_hash is distinct from (
                    select max_by(operation_hash, asked_since) from questions where operation = $operation
                )
                """,
                {"operation": operation, "operation_hash": operation_hash, "asked_since": asked_since},
            )


def fact(fact_id: str, predicate: str, value: str, quote: str, **more: Any) -> dict[str, Any]:
    """A fact as the ledger keeps it; the ids of tests are readable but shaped like real ones."""
    return {
        "fact_id": f"f_{hashlib.sha256(fact_id.encode()).hexdigest()[:12]}",
        "predicate": predicate,
        "fact_value": value,
        "polarity": "affirmed",
        "author_side": "theirs",
        "span_start": 0,
        "span_end": len(quote),
        "quote": quote,
        **more,
    }


def email_headers(**headers: str) -> str:
    """HubSpot's `hs_email_headers` with these mail headers."""
    return json.dumps(
        {"from": {"email": "x@y.example"}, "headers": {k.replace("_", "-"): v for k, v in headers.items()}}
    )


@contextmanager
def _environment(folder: Path, as_of: date) -> Iterator[None]:
    wanted = {
        "NIGHTDESK_DATA_DIR": str(folder),
        "NIGHTDESK_AS_OF": as_of.isoformat(),
        "NIGHTDESK_DBT_KEEP_OPEN": "false",  # a night run in this process before may have switched it on
        "DBT_VERSION_CHECK": "false",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
