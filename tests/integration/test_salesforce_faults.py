"""The fault matrix on Salesforce: shared faults and those only Salesforce knows, by each of its three ways to write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault_kit import PHASES, Target, prepare, run_cell
from tests.fault_matrix import ROWS, Row
from tests.salesforce_target import SalesforceBulkTarget, SalesforceConditionalTarget, SalesforceTarget

ALL = "7 applied"
ALWAYS = {"times": None}
# Salesforce has no trace ids and no lagging index here, and a merge never makes a new record.
NOT_HERE = ("trace id", "search lags", "merged into a new one")
# Where Salesforce ends otherwise than the shared rows say.
OTHERWISE: dict[tuple[str, str], str] = {
    # A write to the loser of a merge is refused, not passed on to the survivor, which nobody has looked at yet.
    ("a record is merged into another", "write"): "5 applied, 2 refused (6)",
    # The loser's values go with it, so what was written a moment before is not on the survivor.
    ("a record is merged into another", "verify"): "5 applied, 2 ignored (6)",
}
OWN = (
    Row(
        "rows locked for a moment",
        ({"fault": "refuse_records", "reason": "locked", "when": {"times": 2}},),
        {"write": ALL},
    ),
    Row(
        "one row locked and no end",
        ({"fault": "refuse_records", "reason": "locked", "records": ["2"], "when": ALWAYS},),
        {"write": "5 applied, 2 refused (6)"},
    ),
    Row(
        "a write on an old version",
        ({"fault": "refuse_records", "reason": "stale", "records": ["2"]},),
        {"write": ALL},
    ),
    Row(
        "a converted lead",
        ({"fault": "refuse_records", "reason": "converted", "records": ["2"], "when": ALWAYS},),
        {"write": "5 applied, 2 refused (6)"},
    ),
    Row(
        "a trigger of the org fails",
        ({"fault": "refuse_records", "reason": "automation", "records": ["2"], "when": ALWAYS},),
        {"write": "5 applied, 2 refused (6)"},
    ),
    Row(
        "a field is hidden from us",
        ({"fault": "field_hidden", "property": "tier"},),
        {"fields": "stops (4), then stops (4)", "write": "7 refused (6)", "verify": "4 applied, 3 ignored (6)"},
    ),
    Row(
        "requests used up at the fifth call",
        ({"fault": "rate_limit", "daily": True, "when": {"kth": 5, "kind": None}},),
        {"write": f"stops (7), then {ALL}"},  # fields, jobs, records, the write, and then the reading back
    ),
)
BULK = (
    Row("nothing", (), {"write": ALL}),
    Row("a job fails after one row", ({"fault": "bulk_job_ends", "processed": 1},), {"write": ALL}),
    Row(
        "a job is aborted after one row",
        ({"fault": "bulk_job_ends", "processed": 1, "state": "Aborted"},),
        {"write": "2 applied, 5 refused (6)"},
    ),
    Row("the start of a job is lost, and it started", ({"fault": "drop"},), {"write": ALL}),
    Row("the start of a job is lost, and it did not start", ({"fault": "drop", "committed": False},), {"write": ALL}),
    Row(
        "one row refused",
        ({"fault": "refuse_records", "records": ["2"], "when": ALWAYS},),
        {"write": "5 applied, 2 refused (6)"},
    ),
    Row(
        "the results cannot be read",
        ({"fault": "server_error", "when": {"path": "Results$", "times": None}},),
        {"write": ALL},
    ),
)
# Up to 25 records go as one request in which each is conditional. All but the first end as they do in collections.
CONDITIONAL = (
    Row(
        "a person edits before it",
        ({"fault": "person_edits", "record": "2", "property": "score", "value": "9"},),
        {"write": "6 applied, 1 conflict"},
    ),
    Row(
        "a person edits another field of the record before it",
        ({"fault": "person_edits", "record": "2", "property": "LastName", "value": "New"},),
        {"write": ALL},
    ),
    Row("connection closed after the work", ({"fault": "drop"},), {"write": ALL}),
    Row("results in another order", ({"fault": "shuffle_results"},), {"write": ALL}),
    Row("one record left out of the answer", ({"fault": "omit_results", "records": ["2"]},), {"write": ALL}),
    Row(
        "a field is hidden from us",
        ({"fault": "field_hidden", "property": "tier"},),
        {"write": "7 refused (6)"},
    ),
)
QUICK = {
    ("nothing", "plan"), ("503", "write"), ("connection closed after the work", "write"),
    ("time-out, done a second later", "write"), ("401 once", "write"), ("the day's quota is used up", "write"),
    ("200, empty, and nothing was done", "write"), ("results in another order", "write"),
    ("a record is merged into another", "check"), ("a person edits right after it", "write"),
    ("a workflow rewrites our field each time", "write"), ("a field is archived", "verify"),
}  # fmt: skip


def cells() -> Iterator[Any]:
    for row in ROWS:
        for phase in PHASES:
            expected = OTHERWISE.get((row.name, phase), row.cells.get(phase))
            if expected is None or any(word in row.name for word in NOT_HERE):
                continue
            marks = [] if (row.name, phase) in QUICK else [pytest.mark.soak]
            yield pytest.param("rest", row, phase, expected, id=f"{phase}-{row.name}", marks=marks)
    for kind, rows in (("rest", OWN), ("conditional", CONDITIONAL), ("bulk", BULK)):
        for row in rows:
            for phase, expected in row.cells.items():
                yield pytest.param(kind, row, phase, expected, id=f"{kind}-{phase}-{row.name}")


TARGETS: dict[str, Target] = {
    "rest": SalesforceTarget(),
    "conditional": SalesforceConditionalTarget(),
    "bulk": SalesforceBulkTarget(),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(SalesforceTarget(), tmp_path_factory.mktemp("salesforce") / "ready")


@pytest.mark.parametrize(("kind", "row", "phase", "expected"), list(cells()))
def test_a_fault_ends_as_the_matrix_says(
    kind: str, row: Row, phase: Any, expected: str, prepared: Path, tmp_path: Path
) -> None:
    assert run_cell(TARGETS[kind], prepared, tmp_path, phase, row.faults) == expected
