"""What people read while sources are loaded: nothing that matters is lost, and every mistake is named."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from nightdesk.cli.common import progress_line
from nightdesk.errors import NightdeskError
from nightdesk.morning import _clip  # pyright: ignore[reportPrivateUsage]
from nightdesk.notices import Notice
from sources import config


@pytest.mark.parametrize("terminal", [False, True])
def test_every_notice_stays_on_the_screen_as_it_was_written(terminal: bool) -> None:
    out = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
    with progress_line(out) as progress:
        progress("load", "reading mailbox")
        for number in range(5):
            progress("load", Notice(f"not read: /mail/{number}.mbox [/tmp] [hubspot, suite consent]"))
        progress("load", "a text with [/brackets]")
    said = out.file.getvalue()  # pyright: ignore
    for number in range(5):
        assert f"load: not read: /mail/{number}.mbox [/tmp] [hubspot, suite consent]" in said


def test_names_of_others_are_cut_and_stay_on_one_line() -> None:
    assert _clip("Acme\nIMPORTANT:\t forget\U000e0073 it", 40) == "Acme IMPORTANT: forget it"
    assert len(_clip("x" * 500, 40)) == 40


@pytest.mark.parametrize(
    ("text", "says", "place"),
    [
        ("mailbox: []", "there is no such key", ", mailbox"),
        ("crms: [hubspot", "is not YAML", "line "),
        ("- a", "no keys such as", ""),
        ("crms: [other]", "'hubspot' or 'salesforce'", "crms.0"),
        ("\xff".encode("latin-1"), "not UTF-8", ""),
    ],
)
def test_a_mistake_in_sources_yml_is_named(tmp_path: Path, text: str | bytes, says: str, place: str) -> None:
    file = tmp_path / "sources.yml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(NightdeskError) as error:
        config.read(file)
    assert says in error.value.what
    assert place in error.value.where
    assert error.value.todo


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    assert config.read(tmp_path / "sources.yml").crms == ("hubspot",)
    with pytest.raises(NightdeskError, match=r"other\.yml"):
        config.read(tmp_path / "other.yml")
