"""Any mixture of faults, at any moment, as often as chance will: nothing is lost, doubled or silent."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from nightdesk.errors import NightdeskError
from tests.fault_kit import WANTED, HubSpotTarget, Night, check, night, not_silent, prepare, said

TARGET = HubSpotTarget()
QUICK = settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LONG = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOME = st.lists(st.sampled_from(["1", "2", "3"]), min_size=1, max_size=2, unique=True)
RECORD = st.sampled_from(["1", "2", "3"])
FIELD = st.sampled_from(["score", "tier", "text"])

FAULTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "rate_limit": {"retry_after": st.none() | st.integers(0, 60), "daily": st.booleans()},
    "server_error": {"status": st.sampled_from([500, 502, 503, 504]), "committed": st.booleans()},
    "drop": {"committed": st.booleans()},
    "cut": {"keep": st.sampled_from([0.0, 0.3, 0.9])},
    "delay": {"seconds": st.sampled_from([1, 31, 36, 120]), "committed": st.booleans()},
    "unauthorised": {},
    "token_expires": {"renewed": st.just("second-token")},
    "missing_scope": {},
    "refuse_records": {"records": SOME, "status": st.sampled_from([200, 207])},
    "reject_batch": {"records": SOME, "reason": st.sampled_from(["schema", "bad_value", "duplicate"])},
    "empty_answer": {"committed": st.booleans()},
    "omit_results": {"records": SOME},
    "extra_results": {"of": st.sampled_from(["same", "other"])},
    "shuffle_results": {},
    "trace_ids": {"mode": st.sampled_from(["missing", "duplicated"])},
    "person_edits": {
        "record": RECORD, "property": st.just("score"), "value": st.just("9"),
        "moment": st.sampled_from(["before", "after"]),
    },
    "automation": {"field": st.just("score"), "sets": st.sampled_from(["score", "tier"]), "to": st.just("A")},
    "normalise": {"property": FIELD, "how": st.sampled_from(["trim", "squeeze", "lower"])},
    "clock_skew": {"seconds": st.sampled_from([-7200, 7200])},
}  # fmt: skip
# These can happen once only, or to one record only once.
ONCE = {"person_edits", "token_expires"}


@st.composite
def mixtures(draw: st.DrawFn) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in draw(st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=3)):
        parameters = {key: draw(values) for key, values in FAULTS[name].items()}
        if name == "automation" and parameters["sets"] == "score":
            parameters["to"] = "1"
        when = {"kth": draw(st.integers(1, 4)), "share": draw(st.sampled_from([1.0, 0.5]))}
        when["kind"] = draw(st.sampled_from(["read", "write"]))
        when["times"] = 1 if name in ONCE else draw(st.sampled_from([1, 2, None]))
        found.append({"fault": name, **parameters, "when": when})
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(TARGET, tmp_path_factory.mktemp("mixed") / "ready") / "planned"


def attempts(it: Night, number: int) -> str:
    """Give the command up to `number` times, until it ends with nothing unknown."""
    outcome = ""
    for _ in range(number):
        try:
            report = it.apply()
        except NightdeskError as error:
            outcome = f"stops ({error.exit_code})"
            continue
        outcome = said(report.counts, report.exit_code)
        assert report.total == len(WANTED)
        not_silent(it, report)
        if not report.counts.get("unknown"):
            break
    return outcome


def survives(prepared: Path, mixture: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        work = Path(folder) / "cell"
        shutil.copytree(prepared, work)
        with night(TARGET, work) as it:
            it.clock.advance(600)
            it.bench.strike(mixture)
            during = attempts(it, 2)
            it.bench.strike([])
            # Late commits arrive before anything is looked at for the last time.
            it.clock.advance(600)
            it.bench.adapter.read("contacts", ["1"], [])
            after = attempts(it, 2)
            event("stopped" if during.startswith("stops") else "unknown" if "unknown" in during else "ended")
            assert not after.startswith("stops") and "unknown" not in after, (during, after)
            check(it)
            ours = {(one.record, one.field): one.value for one in it.bench.sets() if one.by_us}
            edited = {one["record"] for one in mixture if one["fault"] == "person_edits"}
            plain = not any(one["fault"] in ("normalise", "automation") for one in mixture)
            for key, value in ours.items():
                assert value == WANTED[key] or not plain, (key, value)
                if plain and key != (key[0], "score") and key[0] not in edited:
                    assert it.bench.value(*key) == WANTED[key]


@QUICK
@given(mixture=mixtures())
def test_any_mixture_of_faults_loses_doubles_and_hides_nothing(prepared: Path, mixture: list[dict[str, Any]]) -> None:
    survives(prepared, mixture)


@pytest.mark.soak
@LONG
@given(mixture=mixtures())
def test_any_mixture_of_faults_loses_doubles_and_hides_nothing_long(
    prepared: Path, mixture: list[dict[str, Any]]
) -> None:
    survives(prepared, mixture)
