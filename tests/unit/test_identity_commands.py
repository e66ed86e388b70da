"""What a person at the terminal sees and can say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nightdesk.cli import common
from nightdesk.cli.app import app
from nightdesk.errors import NightdeskError
from nightdesk.identity.pairs import link_id
from nightdesk.prepare import Project
from tests.identity_kit import ROOT, Nights, person, shipped

LINK = link_id("hubspot:contact:1", "salesforce:contact:1")
Run = Callable[..., str]


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    jane: dict[str, Any] = {"phone": "+49 30 1234567", "company_name": "Acme Freight", "city": "Berlin"}
    made = Nights(
        tmp_path / "data",
        {
            "int_source_contacts": [
                person("hubspot:1", "Jane", "Torberg", email="jane@acme.com", **jane),
                person("salesforce:1", "Jane", "Torberg", email="j.torberg@gmx.de", **jane),
                person("hubspot:2", "Omar", "Haddad", email="omar@acme.com"),
                person("salesforce:2", "Omar", "Haddad", email="omar@acme.com"),
            ]
        },
    )
    made.night()
    made.write()
    return made


@pytest.fixture
def run(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(common, "prepared", lambda: Project(ROOT, nights.settings, shipped()))

    def command(*words: str) -> str:
        result = CliRunner().invoke(app, ["identity", *words])
        if isinstance(result.exception, NightdeskError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    return command


def test_a_suggestion_is_listed_explained_in_words_and_decided(run: Run) -> None:
    listed = run("list")
    assert LINK in listed and "telephone number" in listed and "omar" not in listed.lower()
    told = run("explain", LINK[4:12])
    for words in (
        "same person suggested",
        "j.torberg@gmx.de",
        "name the same name",
        "before anything is compared",
        "different addresses",
        "a probability of over 99%",
    ):
        assert words in told, words
    said = run("confirm", LINK, "--reason", "met her", "--as", "ada")
    assert f"{LINK} confirmed by ada: Jane Torberg (hubspot:contact:1) = Jane Torberg (salesforce:contact:1)." in said
    assert "no CRM was touched" in said
    assert "Nobody waits" in run("list")
    assert "decided by ada on 2" in run("explain", LINK)

    # A rule is named, and a person may overrule it.
    by_rule = link_id("hubspot:contact:2", "salesforce:contact:2")
    assert "By rule `same_address`: the same mailbox" in run("explain", by_rule)
    run("reject", by_rule, "--reason", "two Omars", "--as", "ada")
    (rejected,) = json.loads(run("list", "--status", "rejected", "--output", "json"))
    assert (rejected["link_id"], rejected["decided_by"], rejected["reason"]) == (by_rule, "ada", "two Omars")

    # Everything is there for machines.
    found = json.loads(run("explain", LINK, "--output", "json"))
    assert found["one"]["email"] == "jane@acme.com"
    assert sum(one["weight"] for one in found["reasons"]) == pytest.approx(found["weight"], abs=0.05)
    assert {one["link_id"] for one in json.loads(run("list", "--status", "all", "--output", "json"))} >= {LINK}


def test_what_is_not_understood_is_said(run: Run, nights: Nights) -> None:
    with pytest.raises(NightdeskError, match="no status `maybe`"):
        run("list", "--status", "maybe")
    with pytest.raises(NightdeskError, match="No link is called"):
        run("explain", "nothing")
    nights.settings.warehouse.unlink()
    with pytest.raises(NightdeskError, match="no warehouse yet"):
        run("list")
