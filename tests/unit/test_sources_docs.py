"""The page on the HubSpot source names every setting and every table."""

from __future__ import annotations

from pathlib import Path

from sources.hubspot.settings import HubSpotSettings
from sources.hubspot.tables import TABLES

PAGE = (Path(__file__).parents[2] / "docs" / "hubspot-source.md").read_text(encoding="utf-8")


def test_every_setting_is_documented_with_its_default() -> None:
    for name, field in HubSpotSettings.model_fields.items():
        line = next((line for line in PAGE.splitlines() if line.startswith(f"| `{name}`")), None)
        assert line is not None, name
        if field.default is None:
            assert "| none |" in line, line
        elif not field.is_required() and field.default != ():
            assert (
                f"| {field.default:g} |" in line
                if isinstance(field.default, (int, float))
                else str(field.default) in line
            )


def test_every_table_is_documented() -> None:
    assert [name for name in TABLES if f"`{name}`" not in PAGE] == []
