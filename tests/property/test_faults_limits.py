"""What the CRM's own journal shows: quotas kept, waits obeyed, batches well formed, bad records found.

Everything runs on virtual time: the sandbox's limits, the client's waits and the other tools' requests share one clock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightdesk.ledger import connect, migrate
from reverse_etl import setup
from reverse_etl.apply import apply
from reverse_etl.approve import approve
from reverse_etl.crms.hubspot import HubSpotAdapter, HubSpotClient
from reverse_etl.crms.protocol import CrmUnavailable, RecordWrite
from reverse_etl.crms.quota import DailyQuota
from reverse_etl.plan import make
from reverse_etl.select import Selection
from sandbox.crm.app import Options, build_app
from sandbox.crm.limits import UNLIMITED, Limits
from sandbox.crm.scripted import FaultRunner
from sandbox.crm.store import Store
from sandbox.faults import FaultFile, parse
from sandbox.virtual import InProcess, VirtualTime, pause
from tests.reverse_kit import project_policy, row, seed_store, warehouse

AS_OF = date(2026, 11, 17)
SCORE, TEXT = "nightdesk_lead_score", "nightdesk_lead_reason"
TOKEN = "sandbox-token"
RUNS = settings(max_examples=12, deadline=None)
LONG = settings(max_examples=400, deadline=None)


@dataclass
class Crm:
    """A sandbox whose limits and faults change from example to example, and a clock."""

    store: Store
    time: VirtualTime

    def __post_init__(self) -> None:
        self.runner = FaultRunner(FaultFile(), pause=pause)

    def adapter(self, limits: Limits = UNLIMITED, **options: Any) -> HubSpotAdapter:
        self.time.advance(3600)  # no window of the last example reaches into this one
        self.store.connection.execute("delete from requests")
        self.runner.replace(FaultFile())
        app = build_app(self.store, Options(token=TOKEN, limits=limits, faults=self.runner))
        self.transport = InProcess(app, self.time)
        return self.client(**options)

    def client(self, share_for_people: float = 0.0, **options: Any) -> HubSpotAdapter:
        """Somebody with the token, at the running sandbox."""
        client = HubSpotClient(
            "http://crm.test", TOKEN, transport=self.transport, sleep=self.time.sleep, now=self.time.monotonic,
            quota=DailyQuota(share_for_people), **options,
        )  # fmt: skip
        return HubSpotAdapter(client, "nightdesk_")

    def journal(self, like: str = "%") -> list[tuple[int, int, str, int, list[str]]]:
        """Requests in order: milliseconds, status, path, inputs, trace ids."""
        rows = self.store.connection.execute(
            "select received_at, status, path, inputs, trace_ids from requests where path like ? order by seq", (like,)
        )
        return [(at, status, path, inputs, json.loads(traces or "[]")) for at, status, path, inputs, traces in rows]


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crm]:
    time = VirtualTime()
    path = seed_store(tmp_path_factory.mktemp("limits") / "crm.sqlite", contacts=230, companies=110)
    with Store.open(path, clock=time) as store:
        store.connection.execute("pragma synchronous = off")
        made = Crm(store, time)
        setup.apply(made.adapter(requests_per_10s=100_000), project_policy())
        yield made


def change(record: int, value: int) -> RecordWrite:
    return RecordWrite(str(record), f"t{record}", {TEXT: str(value)})


# 23: the quota --------------------------------------------------------------------------------------------------------


@st.composite
def usages(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "quota": draw(st.integers(10, 60)), "share": draw(st.sampled_from([0.3, 0.5, 0.9])),
        "gaps": draw(st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.2, 3.0]), min_size=1, max_size=90)),
    }  # fmt: skip


def keeps_the_quota(crm: Crm, usage: dict[str, Any]) -> None:
    quota, share = usage["quota"], usage["share"]
    adapter = crm.adapter(Limits(burst=quota, search_per_second=None), requests_per_10s=quota, share=share)
    for gap in usage["gaps"]:
        crm.time.advance(gap)
        adapter.read("contacts", ["1"], [SCORE])
    seen = [(at, status) for at, status, *_ in crm.journal()]
    assert [status for _, status in seen] == [200] * len(usage["gaps"])  # never once refused for the rate
    stamps = [at for at, _ in seen]
    assert all(sum(start <= at < start + 10_000 for at in stamps) <= max(1, int(quota * share)) for start in stamps)


@RUNS
@given(usage=usages())
def test_no_ten_seconds_hold_more_than_our_share_of_the_quota(crm: Crm, usage: dict[str, Any]) -> None:
    keeps_the_quota(crm, usage)


@pytest.mark.soak
@LONG
@given(usage=usages())
def test_no_ten_seconds_hold_more_than_our_share_of_the_quota_long(crm: Crm, usage: dict[str, Any]) -> None:
    keeps_the_quota(crm, usage)


@RUNS
@given(
    wait=st.integers(1, 120), times=st.integers(1, 5), kind=st.sampled_from(["read", "write"]),
    said=st.booleans(), kth=st.integers(1, 3),
)  # fmt: skip
def test_a_refusal_for_the_rate_is_waited_out_on_the_clock(
    crm: Crm, wait: int, times: int, kind: str, said: bool, kth: int
) -> None:
    adapter = crm.adapter(requests_per_10s=100_000)
    fault = {"fault": "rate_limit", "when": {"kind": kind, "kth": kth, "times": times}}
    crm.runner.replace(parse({"faults": [fault | ({"retry_after": wait} if said else {})]}))
    for number in range(3):
        adapter.read("contacts", ["1"], [SCORE])
        (outcome,) = adapter.write("contacts", [change(1, number)]).values()
        if outcome.refusal == "stale":  # waited so long that the record is to be looked at again; not twice in a row
            (outcome,) = adapter.write("contacts", [change(1, number)]).values()
        assert outcome.state == "acknowledged"
    seen = crm.journal()
    assert [status for _, status, *_ in seen].count(429) == times and len(seen) == 6 + times
    for (at, status, *_), (after, *_) in pairwise(seen):
        if status == 429:
            assert after - at >= (wait * 1000 if said else 500)


@RUNS
@given(
    daily=st.integers(20, 60),
    share=st.sampled_from([0.1, 0.2, 0.5]),
    others=st.lists(st.integers(0, 4), min_size=60, max_size=60),
)
def test_the_days_quota_is_never_used_up_by_us(crm: Crm, daily: int, share: float, others: list[int]) -> None:
    limits = Limits(burst=None, search_per_second=None, daily=daily)
    adapter = crm.adapter(limits, requests_per_10s=100_000, share_for_people=share)
    stranger = crm.client(requests_per_10s=100_000)
    ours = int(daily * (1 - share))
    used = known = 0
    for number in others:
        taken = min(number, daily - used)
        for _ in range(taken):
            stranger.read("contacts", ["1"], [TEXT])
        used += taken
        if used >= daily:  # others took all of it, and we could not know
            break
        try:
            adapter.read("contacts", ["1"], [TEXT])
        except CrmUnavailable:
            assert known >= ours  # stopped by what the last answer said, without a request
            break
        assert known < ours  # what others took since the last answer we cannot know before the next one
        used = known = used + 1
    else:
        raise AssertionError("sixty requests fit nowhere")
    assert 429 not in [status for _, status, *_ in crm.journal()]


def test_the_days_end_stops_at_once_and_the_next_day_goes_on(crm: Crm) -> None:
    adapter = crm.adapter(Limits(burst=None, daily=3), requests_per_10s=100_000)
    for _ in range(3):
        adapter.read("contacts", ["1"], [TEXT])
    before = crm.time.now()
    with pytest.raises(CrmUnavailable, match="3 of the CRM's 3 requests of today are used"):
        adapter.read("contacts", ["1"], [TEXT])
    assert len(crm.journal()) == 3  # known from the last answer: not even asked
    with pytest.raises(CrmUnavailable, match="daily quota"):
        crm.client(requests_per_10s=100_000).read("contacts", ["1"], [TEXT])
    assert len(crm.journal()) == 4 and crm.time.now() == before  # asked once, and not waited for
    crm.time.advance(86_400)
    assert crm.client(requests_per_10s=100_000).read("contacts", ["1"], [TEXT]).found


# 24: batches ----------------------------------------------------------------------------------------------------------


def test_every_request_of_an_apply_is_well_formed(crm: Crm, tmp_path: Path) -> None:
    """230 contacts and 110 companies, answers lost and refused by chance: seen in the CRM's own journal."""
    adapter = crm.adapter(requests_per_10s=100_000)
    policy = project_policy()
    migrate(tmp_path / "ledger.duckdb", crm.time)
    rows = [row(n, SCORE, str(n % 90)) for n in range(1, 231)]
    rows += [row(n, "nightdesk_icp_score", str(n % 90), object_type="companies") for n in range(1, 111)]
    file = warehouse(tmp_path / "warehouse.duckdb", rows, source=400)
    with connect(tmp_path / "ledger.duckdb") as ledger:
        made = make(file, ledger, adapter, policy, "run-1", AS_OF, "nightdesk", crm.time)
        accept = [reading.guard for reading in made.guards if reading.tripped]
        approve(ledger, None, Selection(), "Dana", "revops", policy, crm.time, accept_guards=accept)
        crm.runner.replace(
            parse(
                {
                    "seed": 11,
                    "faults": [
                        {"fault": "reject_batch", "records": ["3", "77", "201"]},
                        {
                            "fault": "server_error",
                            "status": 502,
                            "committed": True,
                            "when": {"kind": "write", "kth": 4},
                        },
                        {"fault": "server_error", "when": {"kind": "write", "kth": 9}},
                        {"fault": "shuffle_results", "when": {"kind": "write", "times": None, "share": 0.5}},
                    ],
                }
            )
        )
        report = apply(ledger, None, adapter, policy, "Dana", False, crm.time, sleep=crm.time.sleep)
    # 3 and 77 are companies' ids too, and the same refusal concerns them
    assert report.counts == {"applied": 335, "refused": 5}
    writes = crm.journal("%batch/update%")
    assert writes and all(1 <= inputs <= 100 for *_, inputs, _ in crm.journal("%batch/%"))
    for _, _, path, inputs, traces in writes:
        types = {trace.split("/")[-3] for trace in traces}
        assert len(traces) == len(set(traces)) == inputs and types == {path.split("/")[-3]}


# 26: halving ----------------------------------------------------------------------------------------------------------


@st.composite
def batches_with_bad_records(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    records = draw(st.lists(st.integers(1, 230), min_size=1, max_size=100, unique=True))
    return records, draw(st.lists(st.sampled_from(records), max_size=6, unique=True))


def halves(crm: Crm, records: list[int], bad: list[int], reason: str) -> None:
    adapter = crm.adapter(requests_per_10s=100_000)
    crm.store.connection.execute("delete from journal")
    if bad:
        fault = {"fault": "reject_batch", "records": [str(n) for n in bad], "reason": reason}
        crm.runner.replace(parse({"faults": [fault]}))
    value = 1 + int(crm.time.monotonic()) % 97
    answers = adapter.write("contacts", [change(n, value) for n in records])
    assert {name for name, outcome in answers.items() if outcome.state == "rejected"} == {f"t{n}" for n in bad}
    assert {name for name, outcome in answers.items() if outcome.state == "acknowledged"} == {
        f"t{n}" for n in records if n not in bad
    }
    k, n = len(bad), len(records)
    assert len(crm.journal("%batch/update%")) <= 2 * k * math.ceil(math.log2(n)) + 1
    written = {
        int(name) for (name,) in crm.store.connection.execute("select object_id from journal where action = 'set'")
    }
    assert not written & set(bad)


@RUNS
@given(batch=batches_with_bad_records(), reason=st.sampled_from(["schema", "bad_value", "duplicate"]))
def test_halving_finds_exactly_the_bad_records_within_its_bound(crm: Crm, batch: Any, reason: str) -> None:
    halves(crm, *batch, reason)


@pytest.mark.soak
@LONG
@given(batch=batches_with_bad_records(), reason=st.sampled_from(["schema", "bad_value", "duplicate"]))
def test_halving_finds_exactly_the_bad_records_within_its_bound_long(crm: Crm, batch: Any, reason: str) -> None:
    halves(crm, *batch, reason)
