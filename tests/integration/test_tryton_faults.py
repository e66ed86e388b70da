"""The fault matrix on a real Tryton: what the network, a proxy, administrators and people can do to a write-back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault_kit import PHASES, prepare, run_cell
from tests.fault_matrix import ALL, EDITED, LATER, PLANNED, ROWS, STOPS, Row
from tests.tryton_target import CAN, TrytonTarget

AT_ONCE = f"stops (1), then {PLANNED}"
# Tryton has no daily quota, and a merge never makes a new party.
NOT_HERE = ("the day's quota", "merged into a new one")
# Where Tryton ends otherwise than the shared rows say.
OTHERWISE: dict[tuple[str, str], str] = {
    # The first question of a plan is the login: a refused one is not repeated, since Tryton makes the next ones wait.
    ("429 without Retry-After", "plan"): AT_ONCE,
    ("401 once", "plan"): AT_ONCE,
    # An answer without a result is not Tryton's, and none of its answers means "no records" but an empty list.
    ("200, empty, when asked for records", "plan"): AT_ONCE,
    ("200, empty, when asked for records", "check"): STOPS,
    ("200, empty, when asked for records", "verify"): LATER,
    ("200, empty, when asked for records", "resume"): STOPS,
    # A write to a party that was replaced is refused, not passed on to the one nobody has looked at yet.
    ("a record is merged into another", "write"): "5 applied, 2 refused (6)",
    # The values of a replaced party stay on it.
    ("a record is merged into another", "verify"): "5 applied, 2 ignored (6)",
    # The write is conditional: a person who was faster by a moment is not overwritten.
    ("a person edits before it", "write"): EDITED,
}
OWN = (
    Row(
        "a person edits another field of the record before it",
        ({"fault": "person_edits", "record": "2", "property": "name", "value": "Pat Renamed"},),
        {"check": ALL, "write": ALL, "verify": ALL},
    ),
    Row(
        "a field is hidden from us",
        ({"fault": "field_hidden", "property": "tier"},),
        # Tryton describes a field that our user may not read like any other, and refuses the whole read.
        {phase: "stops (1), then stops (1)" for phase in ("plan", "fields", "check")},
    ),
)
QUICK = {("connection closed after the work", "write"), ("401 once", "write"), ("a person edits before it", "write")}


def cells() -> Iterator[Any]:
    for row in (*ROWS, *OWN):
        if any(fault["fault"] not in CAN for fault in row.faults) or any(word in row.name for word in NOT_HERE):
            continue
        for phase in PHASES:
            expected = OTHERWISE.get((row.name, phase), row.cells.get(phase))
            if expected is not None:
                marks = [] if (row.name, phase) in QUICK else [pytest.mark.soak]
                yield pytest.param("tryton", row, phase, expected, id=f"{phase}-{row.name}", marks=marks)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(TrytonTarget(), tmp_path_factory.mktemp("tryton") / "ready")


@pytest.mark.parametrize(("kind", "row", "phase", "expected"), list(cells()))
def test_a_fault_ends_as_the_matrix_says(
    kind: str, row: Row, phase: Any, expected: str, prepared: Path, tmp_path: Path
) -> None:
    assert run_cell(TrytonTarget(), prepared, tmp_path, phase, row.faults) == expected
