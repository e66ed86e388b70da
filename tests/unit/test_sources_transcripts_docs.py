"""The page on transcripts names every setting with its default, every table, and the fields of its own example."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from sources.transcripts import TABLES, TranscriptSettings
from sources.transcripts.formats import read_bytes
from sources.transcripts.run import _MOST_ALIKE
from sources.transcripts.same import SAME_START

PAGE = (Path(__file__).parents[2] / "docs" / "transcripts.md").read_text(encoding="utf-8")


def test_every_setting_and_table_is_documented() -> None:
    for name, field in TranscriptSettings.model_fields.items():
        line = next((line for line in PAGE.splitlines() if line.startswith(f"| `{name}`")), None)
        assert line is not None, name
        if not field.is_required() and field.default is not None:
            assert str(field.default) in line, name
    assert [name for name in TABLES if f"| `{name}` |" not in PAGE] == []
    assert f"first\n{_MOST_ALIKE} are named" in PAGE
    assert SAME_START.total_seconds() == 5 * 60
    assert "within five minutes" in PAGE


def test_the_examples_on_the_page_can_be_read() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for entry in yaml.safe_load(blocks[0])["transcripts"]:
        TranscriptSettings.model_validate(entry)
    one = read_bytes("call.yml", blocks[1].encode()).transcripts[0]
    assert (one.title, one.crm_call_id, one.external_ids) == ("Discovery call", "hubspot:call:701", ("call:rec-31",))
    assert (one.duration_ms, one.owner_email) == (31 * 60_000, "tom@ours.example")
    assert [(who.name, who.email, who.company, who.side) for who in one.speakers] == [
        ("Dana Reyes", "dana@acme.example", "Acme Freight", None),
        ("Tom Hale", "tom@ours.example", "", "ours"),
    ]
