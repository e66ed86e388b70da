"""The documents say what the code does: a command, option or setting that is not documented fails here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import typer.main

from nightdesk.cli.app import app
from nightdesk.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    children = getattr(command, "commands", None)
    if not children:
        yield name, command
        return
    for child_name, child in children.items():
        yield from commands(child, f"{name} {child_name}")


KNOWN = dict(commands(typer.main.get_command(app), "nightdesk"))
ROWS = {match[1]: match[0] for match in re.finditer(r"^\| `(nightdesk [a-z -]+)` \|.*$", PAGE, re.MULTILINE)}


def test_every_command_is_documented_and_every_documented_command_exists() -> None:
    assert set(ROWS) == set(KNOWN)


def test_every_option_is_documented_and_every_documented_option_exists() -> None:
    for name, command in KNOWN.items():
        options = {
            option
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("--") and option not in {"--help"}
        }
        assert set(re.findall(r"--[a-z0-9-]+", ROWS[name])) == options, name


def test_every_command_explains_itself() -> None:
    assert [name for name, command in KNOWN.items() if not command.help] == []


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    settings = {f"NIGHTDESK_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"^\| `(NIGHTDESK_[A-Z0-9_]+)`", PAGE, re.MULTILINE)) == settings
