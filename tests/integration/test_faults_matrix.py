"""The fault matrix (docs/faults.md): every fault at every moment ends as it is written there, on every CRM.

Every cell also shows that nothing is lost, nothing doubled and nothing silent (see `fault_kit.check`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault_kit import PHASES, HubSpotTarget, Target, prepare, run_cell
from tests.fault_matrix import ROWS

TARGETS: dict[str, Target] = {"hubspot": HubSpotTarget()}
# What does not yet end as it should: (crm, row, phase) -> why.
WRONG: dict[tuple[str, str, str], str] = {}


def cells() -> Iterator[Any]:
    for row in ROWS:
        for crm in TARGETS:
            for phase in PHASES:
                expected = row.expected(phase, crm)
                if expected is None:
                    continue
                marks: list[Any] = [] if phase in row.quick.split() else [pytest.mark.soak]
                if (crm, row.name, phase) in WRONG:
                    marks.append(pytest.mark.xfail(strict=True, reason=WRONG[crm, row.name, phase]))
                yield pytest.param(crm, row, phase, expected, id=f"{crm}-{phase}-{row.name}", marks=marks)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Per CRM a folder with everything ready, made when first asked for."""

    class Ready(dict[str, Path]):
        def __missing__(self, crm: str) -> Path:
            self[crm] = prepare(TARGETS[crm], tmp_path_factory.mktemp(crm) / "ready")
            return self[crm]

    return Ready()


@pytest.mark.parametrize(("crm", "row", "phase", "expected"), list(cells()))
def test_a_fault_ends_as_the_matrix_says(
    crm: str, row: Any, phase: Any, expected: str, prepared: dict[str, Path], tmp_path: Path
) -> None:
    assert run_cell(TARGETS[crm], prepared[crm], tmp_path, phase, row.faults) == expected
