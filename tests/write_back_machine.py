"""The whole governed write-back over a CRM in memory, with everything that may happen around it as single steps.

`World` drives the real code (plan, approve, apply, roll back) and watches each request at the CRM's door: what stands
there is written from the promises alone and uses nothing of the write-back but what it has stored.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest import mock

import duckdb

from nightdesk.errors import NightdeskError
from nightdesk.ledger import migrate
from nightdesk.policy import Policy
from reverse_etl import audit, lease
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import approve, reject
from reverse_etl.crms.protocol import PRESENT, RECORD, RecordWrite
from reverse_etl.digest import sha256
from reverse_etl.plan import PlanSummary, make
from reverse_etl.select import Selection
from reverse_etl.store import insert
from tests.memory_crm import CONTACTS, OPT_OUT, TASKS, Killed, MemoryCrm, Place
from tests.reverse_kit import AS_OF, EVIDENCE, ManualTime
from tests.write_back_company import (
    ABOUT,
    BY_HAND,
    FIELDS,
    HANGS_ON,
    KEYS,
    PEOPLE,
    PLACES,
    REASON,
    REPLY,
    ROLE,
    SCORE,
    SUBJECT,
    SYNC_NAMES,
    TIER,
    WANTED,
    crm_schema,
    policy_of,
)  # fmt: skip

ROOT = Path(__file__).parents[1]


@cache
def _template() -> Path:
    path = Path(mkdtemp(prefix="nightdesk-ledger-")) / "template.duckdb"
    migrate(path, ManualTime())
    return path


def new_ledger() -> duckdb.DuckDBPyConnection:
    """An empty ledger in memory, as the migrations make it."""
    con = duckdb.connect(":memory:")
    con.execute("set TimeZone = 'UTC'; set threads = 1")
    con.execute(f"attach '{_template()}' as template (read_only)")
    con.execute("attach ':memory:' as ledger; attach ':memory:' as warehouse")
    con.execute("copy from database template to ledger; detach template; use ledger.main")
    con.execute("create schema warehouse.marts")
    con.execute("create table warehouse.marts.contacts as select range::varchar as contact_id from range(4)")
    return con


class Process:
    """A connection that can die: after that nothing more is done through it, not even tidying up."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con.cursor()
        self._con.execute("set TimeZone = 'UTC'; use ledger.main")
        self._dead = False

    def __getattr__(self, name: str) -> Any:
        if self._dead:
            raise Killed
        return getattr(self._con, name)

    def die(self) -> None:
        self._dead = True

    def end(self) -> None:
        """Let the operating system clean up: what was not committed is gone."""
        with suppress(duckdb.Error):
            self._con.rollback()
        self._con.close()


@dataclass
class Made:
    """A plan as it was when it was made: what is in the ledger later must be the same."""

    summary: PlanSummary
    ops: dict[str, dict[str, Any]]
    policy_hash: str
    log_length: int
    approved: dict[str, datetime] = field(default_factory=dict)

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(self.summary.plan_id)


@dataclass
class Applied:
    """How one call of apply ended."""

    report: ApplyReport | None = None
    error: NightdeskError | None = None
    was_killed: bool = False


@dataclass
class World:
    """One company, its CRM, its ledger, and what the tests know of both."""

    conditional: bool = True
    strict: bool = False
    clock: ManualTime = field(default_factory=ManualTime)
    wanted: dict[Place, str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    plans: dict[str, Made] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    loaded: dict[Place, str] = field(default_factory=dict)
    loaded_alive: set[str] = field(default_factory=set)
    loaded_no: set[str] = field(default_factory=set)
    processes: int = 0
    project: str = "the dbt project"
    door: Any = None  # what the write-back sees instead of the CRM itself

    def __post_init__(self) -> None:
        self.con = new_ledger()
        self.crm = MemoryCrm(crm_schema(), BY_HAND, self.clock, self.conditional, self._inspect)
        self.crm.alive = {(CONTACTS, one) for one in PEOPLE}
        self.load()

    def close(self) -> None:
        self.con.close()

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text("the world")

    @property
    def policy(self) -> Policy:
        return replace(policy_of(self.strict), project_hash=self.project)

    @contextmanager
    def process(self) -> Iterator[Process]:
        """A new process on a host of ours; one that has died is known to be dead."""
        self.processes += 1
        holder = f"{socket.gethostname()}:{2**30 + self.processes}"
        one = Process(self.con)
        with mock.patch.object(lease, "this_holder", lambda: holder):
            try:
                yield one
            finally:
                one.end()

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What is committed, as another process would see it."""
        look = self.con.cursor()
        look.execute("set TimeZone = 'UTC'; use ledger.main")
        found = look.execute(sql, list(parameters)).fetchall()
        look.close()
        return found

    # the warehouse ----------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """The load of a night: the warehouse sees the CRM as it is now."""
        self.loaded = dict(self.crm.values)
        self.loaded_alive = {one for kind, one in self.crm.alive if kind == CONTACTS}
        self.loaded_no = {one for one in PEOPLE if self.said_no(one)}

    def said_no(self, record: str) -> bool:
        flag = self.crm.values.get((CONTACTS, self.crm.survivor(record), OPT_OUT))
        return flag == "true" or record in self.listed

    def sync_rows(self) -> list[dict[str, Any]]:
        """What dbt's sync models would say, with dbt's own statement for what was written last."""
        sql = (ROOT / "models/intermediate/int_last_written.sql").read_text(encoding="utf-8")
        sql = re.sub(r"\{\{ ref\('stg_ledger__(\w+)'\) \}\}", r"\1", sql)
        last = {(o, r, p): v for o, r, p, v in self.rows(
            f"select object_type, source_record_id, property, last_written_value from ({sql})"
        )}  # fmt: skip
        found: list[dict[str, Any]] = []
        wanted = {place: value for place, value in self.wanted.items() if place[1] in self.loaded_alive}
        for key, subject in self.tasks.items():
            parts = {RECORD: PRESENT, HANGS_ON: ABOUT[key], SUBJECT: subject}
            wanted |= {(TASKS, key, name): value for name, value in parts.items()}
        for place, value in wanted.items():
            object_type, record, name = place
            about = ABOUT.get(record, record)
            found.append({
                "object_type": object_type, "record_id": record, "record_label": f"p{record}@example.com",
                "property": name, "crm_value": None if object_type == TASKS else self.loaded.get(place),
                "last_written_value": last.get(place), "desired_value": value, "answer_id": f"a-{record}",
                "reason": "because", "confidence": "0.8", "evidence": EVIDENCE, "evidence_count": "1",
                "is_stale": "false", "is_suppressed": str(about in self.loaded_no).lower(),
                "subject_id": f"hubspot:contact:{about}",
            })  # fmt: skip
        return found

    def _build(self, rows: Sequence[dict[str, Any]]) -> None:
        names = SYNC_NAMES
        for object_type in FIELDS:
            table = f"warehouse.marts.sync_hubspot__{object_type}"
            self.con.execute(f"create or replace table {table} ({', '.join(f'{name} varchar' for name in names)})")
            mine = [entry for entry in rows if entry["object_type"] == object_type]
            insert(self.con, table, {name: [entry[name] for entry in mine] for name in names})
        self.con.execute("create or replace table warehouse.marts.opt_outs (contact_id varchar)")
        insert(
            self.con, "warehouse.marts.opt_outs", {"contact_id": [f"hubspot:contact:{one}" for one in self.loaded_no]}
        )

    # plan and decide --------------------------------------------------------------------------------------------------

    def plan(self, rows: Sequence[dict[str, Any]] | None = None) -> Made:
        self._build(self.sync_rows() if rows is None else rows)
        self.clock.now += timedelta(seconds=1)
        with self.process() as con:
            made = make(
                None, con, self.door or self.crm, self.policy, "night", AS_OF, "nightdesk", self.clock, source_rows=100
            )  # fmt: skip
        return self._keep(made)

    def _keep(self, made: PlanSummary) -> Made:
        if made.plan_id not in self.plans:
            cursor = self.con.execute("select * from plan_ops where plan_id = ?", [made.plan_id])
            names = [column[0] for column in cursor.description or []]
            ops = {row[names.index("op_id")]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}
            self.plans[made.plan_id] = Made(made, ops, self.policy.hash, len(self.crm.log))
        return self.plans[made.plan_id]

    def newest(self) -> Made | None:
        return next(reversed(self.plans.values()), None)

    def approve(self, made: Made, op_ids: Iterable[str] | None = None, *, verdict: str = "approved") -> bool:
        """Decide about some operations (all that wait unless named); False when the plan may no longer be decided."""
        waiting = {op_id for op_id, op in made.ops.items() if op["decision"] == "require_approval"}
        chosen = waiting if op_ids is None else waiting & set(op_ids)
        if not chosen:
            return False
        decide = approve if verdict == "approved" else reject
        try:
            with self.process() as con:
                report = decide(
                    con, made.summary.plan_id, Selection() if op_ids is None else Selection.ops(sorted(chosen)),
                    "Dana", "revops", self.policy, self.clock,
                )  # fmt: skip
        except NightdeskError as error:
            assert error.exit_code == 4, error
            return False
        assert report.operation_count == len(chosen)
        for op_id in chosen:
            if verdict == "approved":
                made.approved[op_id] = report.expires_at
            else:
                made.approved.pop(op_id, None)
        return True

    # apply ------------------------------------------------------------------------------------------------------------

    def apply(
        self, made: Made, *, dry: bool = False, script: Sequence[str] = (), kill_at: int = 0, second_at: int = 0,
        down_at: int = 0,
    ) -> Applied:  # fmt: skip
        """One call of apply: killed or overtaken at its n-th commit, or without a CRM at its n-th read."""
        self.crm.script, self.crm.down_at_read = list(script), down_at
        before = self.crm.requests
        commits = 0
        end = Applied()
        with self.process() as con:

            def watch(label: str, _: int) -> None:
                nonlocal commits
                commits += 1
                if commits == kill_at:
                    raise Killed
                # A request that was let through the gate is not called back: the CRM knows no fencing token.
                if commits >= second_at > 0 and label != "sent" and not end.was_killed:
                    end.was_killed = True
                    self.clock.now += timedelta(seconds=lease.LEASE_SECONDS + 1)
                    self.apply(made)

            try:
                end.report = apply(
                    con, made.summary.plan_id, self.door or self.crm, self.policy, "Dana", dry, self.clock,
                    observe=watch, sleep=self.clock.sleep,
                )  # fmt: skip
            except NightdeskError as error:
                end.error = error
            except Killed:
                con.die()
                end.was_killed = True
        self.crm.script, self.crm.down_at_read = [], 0
        assert not dry or self.crm.requests == before
        if second_at and end.was_killed:
            # The overtaken one has either ended before its next commit, or been stopped at it.
            assert end.error is None or end.error.exit_code in (1, 3, 4, 7), end.error
        if end.report is not None and not dry:
            self._check_end(made, end.report)
        return end

    # what must be true of every request -------------------------------------------------------------------------------

    def _inspect(self, object_type: str, writes: Sequence[RecordWrite]) -> None:
        assert 0 < len(writes) <= self.crm.write_batch(len(writes))
        assert len({write.trace_id for write in writes}) == len(writes), "a trace id is used twice in a request"
        runs = {tuple(write.trace_id.split("/")[:2]) for write in writes}
        assert len(runs) == 1
        run, token = runs.pop()
        # Fencing: only the newest holder of the lease is at the door.
        assert self.rows("select max(fencing_token) from leases") == [(int(token),)], "an overtaken apply still writes"
        # No audit event, no request: it is committed, and says exactly what is in the request.
        ((action, subject, body),) = self.rows(
            "select action, subject, body::varchar from audit_events order by sequence desc limit 1"
        )
        assert (action, subject) == ("write_intent", run), "a request without its audit event"
        event = json.loads(body)
        said = {(target, name, digest): op_id for op_id, target, name, digest in event["ops"]}
        sent = {(write.id, name, sha256(value)): value for write in writes for name, value in write.values.items()}
        assert said.keys() == sent.keys() and len(event["ops"]) == len(sent), "the audit event is about something else"
        made = self.plans[event["plan_id"]]
        self._check_plan(made, event["digest"])
        states = dict(
            self.rows(
                "select op_id, arg_max(state, sequence) from write_attempts where apply_run_id = ? group by 1", run
            )
        )
        done = {
            row[0]
            for row in self.rows(
                "select op_id from op_results inner join apply_runs using (apply_run_id) "
                "where plan_id = ? and result in ('applied', 'already_there')", made.summary.plan_id,
            )
        }  # fmt: skip
        for (target, name, digest), op_id in said.items():
            op = made.ops[op_id]
            assert states[op_id] == "sent", "the journal does not know that it is sent"
            assert op_id not in done, "sent again what was written"
            self._check_op(made, op, (object_type, target, name), sent[target, name, digest])

    def _check_plan(self, made: Made, digest: str) -> None:
        assert made.summary.digest == digest
        assert made.summary.expires_at > self.clock.now, "an expired plan is written"
        assert made.policy_hash == self.policy.hash, "a plan of another policy is written"
        if made.summary.kind == "sync":
            syncs = [one for one in self.plans.values() if one.summary.kind == "sync"]
            assert syncs[-1] is made, "a plan that was replaced is written"

    def _check_op(self, made: Made, op: dict[str, Any], place: Place, value: str) -> None:
        object_type, target, name = place
        assert op["wire_value"] == value, "not what was reviewed"
        assert (op["object_type"], op["property"]) == (object_type, name)
        allowed = made.approved.get(op["op_id"])
        assert op["decision"] == "auto" or (
            op["decision"] == "require_approval" and allowed is not None and allowed > self.clock.now
        ), "nobody allowed it"
        assert object_type in self.crm.keyed_types or name.startswith("nightdesk_"), "outside the namespace"
        assert name != ROLE, "a protected field"
        assert value != "" or made.summary.kind == "rollback", "cleared without being asked to"
        if object_type == CONTACTS:
            assert target == self.crm.survivor(op["record_id"]) and (CONTACTS, target) in self.crm.alive
        if name != RECORD or value:
            about = {ABOUT.get(op["record_id"], op["record_id"]), *([target] if object_type == CONTACTS else [])}
            assert not any(self.said_no(one) for one in about), "written to somebody who said no"
        assert not self.crm.holds(place, op["desired_value"]), "a write that changes nothing"
        assert self.crm.holds(place, op["before_value"]), "overwrites what the plan has not seen"

    # what must be true of every end -----------------------------------------------------------------------------------

    def _check_end(self, made: Made, report: ApplyReport) -> None:
        results = dict(self.rows("select op_id, result from op_results where apply_run_id = ?", report.apply_run_id))
        assert results.keys() == made.ops.keys(), "an operation has no end"
        assert report.total == len(made.ops) == made.summary.operation_count
        for op_id, result in results.items():
            op = made.ops[op_id]
            if op["decision"] == "denied":
                assert result == "denied", result
            elif op["decision"] == "require_approval" and op_id not in made.approved and not report.resumed:
                assert result in ("not_approved", "already_there"), result

    def check(self) -> None:
        """What holds between any two steps."""
        assert audit.verify(self.con).ok
        assert self.rows(
            "select count(*) from (select 1 from op_results group by apply_run_id, op_id having count(*) > 1)"
        ) == [(0,)]
        for made in list(self.plans.values())[-2:]:
            stored = self.rows("select count(*) from plan_ops where plan_id = ?", made.summary.plan_id)
            assert stored == [(len(made.ops),)]
        for entry in self.crm.log:
            if entry.by == "us":
                assert entry.object_type in self.crm.keyed_types or entry.name in WANTED

    # stories ----------------------------------------------------------------------------------------------------------

    def quiet_night(self) -> Made:
        """Nobody interferes: load, plan, approve everything, apply. Afterwards there is nothing left to write."""
        self.crm.deliver()
        self.load()
        made = self.plan()
        self.approve(made)
        end = self.apply(made)
        assert end.report is not None, end.error
        results = dict(
            self.rows("select op_id, result from op_results where apply_run_id = ?", end.report.apply_run_id)
        )
        left = {op_id for op_id, result in results.items() if result not in ("applied", "already_there")}
        for op_id in left:
            reason, op = results[op_id], made.ops[op_id]
            gone = (op["object_type"], op["record_id"]) in self.crm.deleted
            assert reason == "denied" or (reason == "refused" and gone), (reason, op)
        self.load()
        again = self.plan()
        fields = {(op["object_type"], op["record_id"], op["property"]) for op in again.ops.values()}
        assert fields == {
            (made.ops[op_id]["object_type"], made.ops[op_id]["record_id"], made.ops[op_id]["property"])
            for op_id in left
        }, "a quiet night leaves something to write, or forgets what failed"
        requests = self.crm.requests
        self.approve(again)
        self.apply(again)
        assert self.crm.requests == requests, "written again"
        return again

    def expected_undone(self, runs: set[str]) -> dict[Place, str]:
        """The CRM as it must be after these runs are undone, told from the CRM's own log."""
        expected = dict(self.crm.values)
        first: dict[Place, str] = {}
        last: dict[Place, str] = {}
        for entry in self.crm.log:
            place = (entry.object_type, entry.record, entry.name)
            if entry.run in runs:
                first.setdefault(place, entry.before)
                last[place] = entry.after
        for place, before in first.items():
            if place[:2] in self.crm.alive and expected.get(place, "") == last[place] and not self.said_no(place[1]):
                expected[place] = before
        return expected


def shown(values: dict[Place, str]) -> dict[Place, str]:
    """Values without the empty ones, tasks left out."""
    return {place: value for place, value in values.items() if value and place[0] == CONTACTS}


__all__ = [
    "AS_OF", "KEYS", "PEOPLE", "PLACES", "REASON", "REPLY", "ROLE", "ROOT", "SCORE", "SUBJECT", "TIER", "WANTED",
    "Applied", "Made", "World", "shown",
]  # fmt: skip
