"""The fault matrix: one fault, one moment, one CRM, and what must come of it. CRMs join by implementing `Target`."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, Protocol

import duckdb

from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect, migrate
from nightdesk.policy import Policy
from reverse_etl import audit
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import approve
from reverse_etl.crms.protocol import CrmAdapter
from reverse_etl.plan import PlanSummary, make
from reverse_etl.select import Selection
from sandbox.virtual import VirtualTime

AS_OF = date(2026, 11, 17)
RECORDS = ("1", "2", "3")
WANTED = {("1", "score"): "61", ("1", "tier"): "B", ("2", "score"): "62", ("2", "tier"): "B", ("3", "score"): "63"}
WANTED |= {("3", "tier"): "B", ("3", "text"): "+49 (30) 123-4  Today"}

# plan: the CRM is asked while planning; fields: apply asks whether the fields are still what they were; check: it looks
# at the records before it writes; write: the request itself; verify: the read-back; resume: the same command again,
# after a read-back that never came.
Phase = Literal["plan", "fields", "check", "write", "verify", "resume"]
PHASES: tuple[Phase, ...] = ("plan", "fields", "check", "write", "verify", "resume")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as the CRM saw it: what kind, which records, and whether it may have had an effect."""

    kind: str
    records: frozenset[str]
    may_have_happened: bool


@dataclass(frozen=True, slots=True)
class Set:
    """A value that really changed in the CRM, and whether we did it."""

    record: str
    field: str
    value: str
    by_us: bool


class Bench(Protocol):
    """A running CRM with three records `1` to `3`, a number field `score` and a choice field `tier` of ours.

    Records and fields have these names in everything below, whatever the CRM calls them.
    """

    adapter: CrmAdapter
    policy: Policy
    time: VirtualTime

    def strike(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """From now on these faults, in the form of a fault file; counting starts anew. None: all is well."""
        ...

    def rows(self, wanted: Mapping[tuple[str, str], str], *, doubted: bool) -> list[dict[str, Any]]:
        """The rows of the CRM's sync models for wanted values by record and field.

        With `doubted` the second one looks as if somebody had changed it, so that planning reads the record itself.
        """
        ...

    def warehouse(self, path: Path, rows: Sequence[dict[str, Any]]) -> Path:
        """A warehouse with these rows."""
        ...

    def value(self, record: str, name: str) -> str | None:
        """What the CRM holds now, looked up beside its API; a merged record answers as its survivor."""
        ...

    def sets(self) -> list[Set]:
        """Every value that changed, in order."""
        ...

    def created(self) -> int:
        """How many records the API created."""
        ...

    def sent(self) -> list[Sent]:
        """Every request, in order."""
        ...


class Target(Protocol):
    """One CRM of the matrix."""

    @property
    def crm(self) -> str: ...

    def seed(self, folder: Path) -> None:
        """Make the CRM with its records and our fields, once; the folder is then copied for every cell."""
        ...

    def open(self, folder: Path) -> AbstractContextManager[Bench]:
        """Start what `seed` left in (a copy of) the folder."""
        ...


@dataclass
class Night:
    """One write-back against a bench."""

    folder: Path
    bench: Bench
    ledger: duckdb.DuckDBPyConnection

    def plan(self, *, doubted: bool = False) -> PlanSummary:
        path = self.bench.warehouse(self.folder / "warehouse.duckdb", self.bench.rows(WANTED, doubted=doubted))
        return make(path, self.ledger, self.bench.adapter, self.bench.policy, "run-1", AS_OF, "nightdesk", self.clock)

    def approve(self) -> None:
        approve(self.ledger, None, Selection(), "Dana", "revops", self.bench.policy, self.clock)

    def apply(self, observe: Callable[[str, int], None] | None = None) -> ApplyReport:
        bench = self.bench
        return apply(
            self.ledger, None, bench.adapter, bench.policy, "Dana", False, self.clock, sleep=bench.time.sleep,
            observe=observe,
        )  # fmt: skip

    @property
    def clock(self) -> VirtualTime:
        return self.bench.time


@contextmanager
def night(target: Target, folder: Path) -> Iterator[Night]:
    """Open a folder that `prepare` made, or a copy of it."""
    with target.open(folder) as bench, connect(folder / "ledger.duckdb") as ledger:
        ledger.execute("set threads to 1")  # a cell is small: threads only get in each other's way
        ledger.execute("pragma disable_checkpoint_on_shutdown")
        yield Night(folder, bench, ledger)


def prepare(target: Target, folder: Path) -> Path:
    """A CRM and a ledger with one plan, approved and not applied; `folder / "new"` is the same before planning."""
    new = folder / "new"
    new.mkdir(parents=True)
    target.seed(new)
    migrate(new / "ledger.duckdb", VirtualTime())
    shutil.copytree(new, folder / "planned")
    with night(target, folder / "planned") as it:
        it.plan()
        it.approve()
    (folder / "planned" / "warehouse.duckdb").unlink()
    return folder


# what came of it ------------------------------------------------------------------------------------------------------

_ORDER = ("applied", "already_there", "conflict", "refused", "ignored", "altered", "denied", "not_approved", "unknown")


def said(counts: Mapping[str, int], exit_code: int) -> str:
    """Results in words: `4 applied, 2 refused (6)`; the exit code only where it is not 0."""
    words = ", ".join(f"{counts[name]} {name}" for name in _ORDER if counts.get(name))
    return words + (f" ({exit_code})" if exit_code else "")


def run_cell(target: Target, prepared: Path, folder: Path, phase: Phase, faults: Sequence[Mapping[str, Any]]) -> str:
    """One cell of the matrix, from a copy of what `prepare` made; returns what came of it, after the three checks."""
    work = folder / "cell"
    shutil.copytree(prepared / ("new" if phase == "plan" else "planned"), work)
    with night(target, work) as it:
        it.clock.advance(600)
        if phase == "plan":
            return _plan_cell(it, faults)
        if phase == "resume":
            it.bench.strike([{"fault": "server_error", "when": {"kind": "read", "after": "write", "times": None}}])
            first = _attempt(it)
            assert first == "stops (7)", first
        it.bench.strike([_at(phase, fault) for fault in faults])
        outcome = _attempt(it)
        it.bench.strike([])
        if outcome.startswith("stops") or "unknown" in outcome:
            outcome = f"{outcome}, then {_attempt(it)}"
        check(it)
        return outcome


def _at(phase: Phase, fault: Mapping[str, Any]) -> dict[str, Any]:
    """The fault struck at this moment of an apply, unless it says its moment itself."""
    when: dict[str, Any] = {
        "fields": {"kind": "schema"},
        "check": {"kind": "read"},
        "write": {"kind": "write"},
        "verify": {"kind": "read", "after": "write"},
        "resume": {"kind": "read"},
    }[phase]
    return {**fault, "when": {**when, **fault.get("when", {})}}


def _plan_cell(it: Night, faults: Sequence[Mapping[str, Any]]) -> str:
    it.bench.strike(faults)
    try:
        it.plan(doubted=True)
        outcome = "planned"
    except NightdeskError as error:
        outcome = _stopped(error)
    assert not any(one.by_us for one in it.bench.sets())
    it.bench.strike([])
    if outcome != "planned":
        try:
            it.plan(doubted=True)
        except NightdeskError as error:
            return f"{outcome}, then {_stopped(error)}"
        outcome += ", then planned"
    it.approve()
    outcome += f", then {_attempt(it)}"
    check(it)
    return outcome


def _attempt(it: Night) -> str:
    try:
        report = it.apply()
    except NightdeskError as error:
        return _stopped(error)
    not_silent(it, report)
    return said(report.counts, report.exit_code)


def _stopped(error: NightdeskError) -> str:
    assert error.what and error.exit_code, error
    return f"stops ({error.exit_code})"


# 0 lost, 0 doubled, 0 silent ------------------------------------------------------------------------------------------


def check(it: Night) -> None:
    """What holds after every cell, whatever happened."""
    assert audit.verify(it.ledger).ok
    _nothing_lost(it)
    _nothing_doubled(it)


def _nothing_lost(it: Night) -> None:
    rows = it.ledger.execute(
        """
        select plan_ops.op_id, count(op_results.op_id)
        from plan_ops
        inner join apply_runs on apply_runs.plan_id = plan_ops.plan_id
        left join op_results on op_results.op_id = plan_ops.op_id
            and op_results.apply_run_id = apply_runs.apply_run_id
        where not dry_run and exists (
            select 1 from audit_events where action = 'apply_finished' and subject = apply_runs.apply_run_id
        )
        group by plan_ops.op_id, apply_runs.apply_run_id
        """
    ).fetchall()
    assert all(number == 1 for _, number in rows), "an operation is in no result or in several"
    assert rows or not any(one.by_us for one in it.bench.sets()), "something was written and no run has an end"


def _nothing_doubled(it: Night) -> None:
    assert it.bench.created() == 0
    ours = Counter((one.record, one.field, one.value) for one in it.bench.sets() if one.by_us)
    others = Counter((one.record, one.field) for one in it.bench.sets() if not one.by_us)
    twice = [key for key, number in ours.items() if number > 1 + others[key[:2]]]
    assert not twice, f"written twice: {twice}"
    looked: dict[str, bool] = {}
    for request in it.bench.sent():
        if request.kind == "read":
            looked = dict.fromkeys(looked, True)
        elif request.kind == "write" and request.may_have_happened:
            blind = [record for record in request.records if looked.get(record) is False]
            assert not blind, f"sent again without looking: {blind}"
            looked |= dict.fromkeys(request.records, False)


def not_silent(it: Night, report: ApplyReport) -> None:
    assert report.total == sum(report.counts.values())
    rows = it.ledger.execute(
        """
        select record_id, property, result, coalesce(message, ''), desired_value, op_results.crm_after
        from op_results inner join apply_runs using (apply_run_id) inner join plan_ops using (plan_id, op_id)
        where apply_run_id = ?
        """,
        [report.apply_run_id],
    ).fetchall()
    assert len(rows) == report.total
    listed = {(p["record_id"], p["property"]) for p in report.problems}
    for record, name, result, message, desired, after in rows:
        if result in ("applied", "already_there"):
            assert after == desired, (record, name, "applied, but something else was read back")
        else:
            assert message, (record, name, result, "without a reason")
            assert (record, name) in listed or result in ("denied", "not_approved"), (record, name, "not reported")
    bad = {name for name in ("refused", "ignored", "altered", "unknown") if report.counts.get(name)}
    assert (report.exit_code != 0) or not bad, "failed and said nothing"


# HubSpot --------------------------------------------------------------------------------------------------------------


@dataclass
class HubSpotBench:
    """The sandbox CRM in this process, on virtual time."""

    store: Any
    runner: Any
    adapter: Any
    policy: Policy
    time: VirtualTime
    names: dict[str, str] = field(
        default_factory=lambda: {
            "score": "nightdesk_lead_score",
            "tier": "nightdesk_lead_tier",
            "text": "nightdesk_lead_reason",
        }
    )

    def strike(self, faults: Sequence[Mapping[str, Any]]) -> None:
        from sandbox.faults import parse

        self.runner.replace(parse({"faults": [self._translated(fault) for fault in faults]}))

    def _translated(self, fault: Mapping[str, Any]) -> dict[str, Any]:
        found = {key: self.names.get(value, value) if isinstance(value, str) else value for key, value in fault.items()}
        from sandbox.faults import MODELS

        if "object_type" in MODELS[found["fault"]].model_fields:
            found.setdefault("object_type", "contacts")
        return found

    def rows(self, wanted: Mapping[tuple[str, str], str], *, doubted: bool) -> list[dict[str, Any]]:
        from tests.reverse_kit import row

        rows = [row(record, self.names[name], value) for (record, name), value in wanted.items()]
        rows[1] |= {"crm_value": "D", "last_written_value": "C"} if doubted else {}
        return rows

    def warehouse(self, path: Path, rows: Sequence[dict[str, Any]]) -> Path:
        from tests.reverse_kit import warehouse

        return warehouse(path, rows)

    def value(self, record: str, name: str) -> str | None:
        number = int(record)
        number = self.store.survivor_ids("contacts", [number]).get(number, number)
        found = self.store.get("contacts", number)
        return None if found is None else found.properties.get(self.names[name])

    def sets(self) -> list[Set]:
        names = {value: key for key, value in self.names.items()}
        rows = self.store.connection.execute(
            "select object_id, property, coalesce(after, ''), source = 'INTEGRATION' from journal"
            " where action = 'set' and property like 'nightdesk%' order by seq"
        )
        return [Set(record, names.get(name, name), value, bool(ours)) for record, name, value, ours in rows]

    def created(self) -> int:
        return self.store.connection.execute(
            "select count(*) from journal where action = 'create' and source = 'INTEGRATION'"
        ).fetchone()[0]

    def sent(self) -> list[Sent]:
        import json

        kinds = {"batch/read": "read", "batch/update": "write"}
        found: list[Sent] = []
        for path, status, traces, changed in self.store.connection.execute(
            "select path, status, trace_ids, (select json_group_array(object_id) from journal"
            " where journal.request_id = requests.request_id) from requests order by received_at, seq"
        ):
            kind = next((word for ending, word in kinds.items() if path.endswith(ending)), "other")
            records = frozenset(str(trace).split("/")[-2] for trace in json.loads(traces or "[]"))
            if status == 207:  # some were refused in so many words, and did not happen
                records &= frozenset(json.loads(changed))
            found.append(Sent(kind, records, not 400 <= status < 500))
        return found


def _contacts_only() -> Policy:
    """The project's policy with a mapping of contacts and nothing else: a cell asks for no more than it writes."""
    from dataclasses import replace

    from tests.reverse_kit import project_policy

    policy = project_policy()
    mapping = policy.field_mapping.model_copy(
        update={"fields": {"contacts": policy.field_mapping.fields["contacts"]}, "asked": {}}
    )
    return replace(policy, field_mapping=mapping, mappings={"hubspot": mapping})


class HubSpotTarget:
    """HubSpot, as the sandbox speaks it."""

    crm = "hubspot"
    token, renewed = "sandbox-token", "second-token"

    def seed(self, folder: Path) -> None:
        from reverse_etl import setup
        from tests.reverse_kit import seed_store

        seed_store(folder / "crm.sqlite", contacts=5, companies=0)
        with self.open(folder) as bench:
            setup.apply(bench.adapter, bench.policy)
            bench.store.connection.execute("delete from requests")
            bench.store.connection.execute("delete from journal")

    @contextmanager
    def open(self, folder: Path) -> Iterator[Any]:
        from reverse_etl.crms.hubspot import HubSpotAdapter
        from sandbox.crm.app import Options, build_app
        from sandbox.crm.limits import UNLIMITED
        from sandbox.crm.scripted import FaultRunner
        from sandbox.crm.store import Store
        from sandbox.crm.tokens import Token
        from sandbox.faults import FaultFile
        from sandbox.virtual import InProcess, pause

        policy = _contacts_only()
        time, runner = VirtualTime(), FaultRunner(FaultFile(), pause=pause)
        with Store.open(folder / "crm.sqlite", clock=time) as store:
            store.connection.execute("pragma synchronous = off")
            options = Options(tokens=(Token(self.token), Token(self.renewed)), limits=UNLIMITED, faults=runner)
            adapter = HubSpotAdapter.connect(
                "http://crm.test", self.token, policy, AS_OF, transport=InProcess(build_app(store, options), time),
                sleep=time.sleep, now=time.monotonic, renew=lambda: self.renewed,
            )  # fmt: skip
            yield HubSpotBench(store, runner, adapter, policy, time)
            adapter.close()
