"""What takes long and is the same for every test here, made once."""

from __future__ import annotations

from typing import Any

import pytest
from test_models_support import Project


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The dbt project, parsed."""
    parsed = Project(tmp_path_factory.mktemp("parse") / "data")
    parsed.create(with_policies=False)
    parsed.dbt("parse")
    return parsed.manifest
