"""What a fact may say is said in one place: a predicate added there is known to prompts, schemas, SQL and agents."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from pathlib import Path

import pytest

from enrich import registry
from enrich.fact_rules import problem_of
from nightdesk.policy import Policy, load
from nightdesk.policy.tables import rows

ROOT = Path(__file__).parents[2]
NEW = '  union_vote:       {cardinality: single, value: enum, values: [asked, agreed], speaker: theirs, subject: person, about: "Their works council votes on it."}\n'  # noqa: E501


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The repository's policies with one more predicate in predicates.yml; nothing else is touched."""
    folder = tmp_path_factory.mktemp("policies") / "policies"
    shutil.copytree(ROOT / "policies", folder)
    with (folder / "predicates.yml").open("a", encoding="utf-8") as file:
        file.write(NEW)
    return load(folder)


def test_the_extractors_prompt_and_schema_know_it(policy: Policy) -> None:
    operation = registry.operations()["extract_facts"]
    prompt = operation.system_prefix(policy)
    assert "union_vote" in prompt
    assert "Their works council votes on it." in prompt
    assert "agreed" in prompt
    assert "union_vote" in json.dumps(operation.output_schema(policy))
    before = load(ROOT / "policies")
    assert "union_vote" not in operation.system_prefix(before) + json.dumps(operation.output_schema(before))


def test_the_evidence_check_holds_facts_to_its_values(policy: Policy) -> None:
    rule = policy.predicates.predicates["union_vote"]
    day = date(2026, 11, 3)
    assert problem_of("union_vote", "agreed", None, rule, "The works council agreed.", day, policy) is None
    assert problem_of("union_vote", "refused", None, rule, "The works council refused.", day, policy) is not None


def test_the_tables_that_sql_reads_know_it(policy: Policy) -> None:
    (row,) = [row for row in rows(policy)["policy_predicates"] if row[1] == "union_vote"]
    assert row[1:] == ("union_vote", "single", "enum", "theirs", "Their works council votes on it.", "person")


def test_no_sql_decides_by_a_list_of_predicates() -> None:
    """Which predicates are single-valued, whose words count and whom they are about is read from the policy's rows."""
    names = "|".join(load(ROOT / "policies").predicates.predicates)
    listed = re.compile(rf"'(?:{names})'\s*,\s*'(?:{names})'")
    guilty = [
        path.name
        for folder in ("models", "macros")
        for path in (ROOT / folder).rglob("*.sql")
        if listed.search(path.read_text(encoding="utf-8"))
    ]
    assert guilty == []


def test_no_page_lists_predicates_of_its_own() -> None:
    """A page that listed them would be wrong after the next edit: docs lead to the file instead."""
    page = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    assert "policies/predicates.yml" in page
