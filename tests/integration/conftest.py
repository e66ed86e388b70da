"""What takes long and is the same for every test here, made once."""

from __future__ import annotations

from typing import Any

import pytest
from test_models_support import Project

from tests import canonical_kit as kit


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The dbt project, parsed."""
    parsed = Project(tmp_path_factory.mktemp("parse") / "data")
    parsed.create(with_policies=False)
    parsed.dbt("parse")
    return parsed.manifest


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, manifest: Any) -> list[kit.Model]:
    """The canonical part of the project as SQL, with all that it stages of the CRMs."""
    project = Project(tmp_path_factory.mktemp("compile") / "data", manifest=manifest)
    project.create(with_policies=False)
    return kit.compiled(project, "+tag:crm", "path:models/staging/hubspot", "path:models/staging/salesforce")
