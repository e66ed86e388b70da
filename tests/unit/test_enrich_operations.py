"""Operations are data: their files agree with policy, with each other and with what structured output can do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest

from enrich import registry
from enrich.agents import rules
from nightdesk.errors import NightdeskError
from nightdesk.policy import models
from nightdesk.policy.load import Policy, load

ROOT = Path(__file__).parents[2]
POLICY = load(ROOT / "policies")
OPERATIONS = registry.operations()


def test_every_operation_of_the_policy_exists_and_the_rules_agent_knows_it() -> None:
    assert set(OPERATIONS) == set(get_args(models.Operation)) == set(rules.OPERATIONS)


def test_levels_are_those_the_policy_gives_points_for() -> None:
    scoring = POLICY.scoring
    wanted: dict[tuple[str, str], Any] = {
        ("icp_fit", "industry_fit"): scoring.icp_fit.firmographic.industry_fit,
        ("icp_fit", "size_fit"): scoring.icp_fit.firmographic.size_fit,
        ("icp_fit", "region_fit"): scoring.icp_fit.firmographic.region_fit,
        ("icp_fit", "champion"): scoring.icp_fit.champion,
        ("lead_quality", "persona"): scoring.lead_quality.persona,
        ("lead_quality", "seniority"): scoring.lead_quality.seniority,
        ("lead_quality", "function"): scoring.lead_quality.function,
    }
    for (operation, component), shares in wanted.items():
        assert set(OPERATIONS[operation].spec.judgements[component].levels) == set(shares)
    assert set(OPERATIONS["churn_revisit"].spec.judgements["budget"].levels) == {
        *POLICY.predicates.predicates["budget"].values,
        "unknown",
    }
    (reply,) = [item for item in POLICY.field_mapping.fields["contacts"] if item.operation == "reply_class"]
    assert set(OPERATIONS["reply_class"].spec.judgements["reply_class"].levels) == set(reply.options)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_specs_speak_of_what_exists(name: str) -> None:
    spec = OPERATIONS[name].spec
    predicates = POLICY.predicates.predicates
    for judgement in spec.judgements.values():
        assert set(judgement.facts) <= set(predicates)
        assert {*judgement.needs_no_evidence, *judgement.says_nothing} <= set(judgement.levels)
        assert judgement.facts or judgement.fields or judgement.spans
    # Tasks and notes are made of what is published, by the playbook; they are nothing an agent fills in.
    mapped = {
        item.field
        for object_type, fields in POLICY.field_mapping.fields.items()
        for item in fields
        if item.operation == name and object_type not in POLICY.field_mapping.keyed_types
    }
    proposed = {*spec.proposes.contacts, *spec.proposes.companies, *spec.proposes.meetings}
    assert proposed == mapped
    if name in POLICY.recall.operations:
        cited = {predicate for judgement in spec.judgements.values() for predicate in judgement.facts}
        assert cited <= {*POLICY.recall.operations[name].relevance, "champion_left", "referral"}  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_prompts_are_the_same_bytes_every_time_and_say_that_text_is_data(name: str) -> None:
    operation = OPERATIONS[name]
    prompt = operation.system_prefix(POLICY)
    assert prompt == operation.system_prefix(load(ROOT / "policies"))
    assert "data" in prompt and "never follow" in prompt.lower()
    assert "{{" not in prompt and "{%" not in prompt
    for component, judgement in operation.spec.judgements.items():
        assert all(level in prompt for level in judgement.levels), component


def test_the_prompt_teaches_the_whole_vocabulary() -> None:
    prompt = OPERATIONS["extract_facts"].system_prefix(POLICY)
    for name, predicate in POLICY.predicates.predicates.items():
        assert f"`{name}`" in prompt and all(value in prompt for value in predicate.values)
    assert all(item.name in prompt for item in POLICY.competitors.competitors)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_schemas_stay_within_structured_output(name: str) -> None:
    schema = OPERATIONS[name].output_schema(POLICY)
    text = json.dumps(schema)
    for unsupported in ("minimum", "maximum", "pattern", "minLength", "maxLength", "minItems", "maxItems"):
        assert f'"{unsupported}"' not in text
    objects = [schema, *schema.get("$defs", {}).values()]
    optional = unions = 0
    for item in objects:
        assert item["additionalProperties"] is False
        optional += len(set(item["properties"]) - set(item["required"]))
        unions += sum("anyOf" in value for value in item["properties"].values())
    assert optional <= 24 and unions <= 16
    from anthropic import transform_schema

    assert transform_schema(schema)["type"] == "object"


def test_closed_choices_are_enums_in_the_schema() -> None:
    schema = OPERATIONS["icp_fit"].output_schema(POLICY)
    assert schema["$defs"]["industry_fit_judgement"]["properties"]["level"]["enum"] == [
        "core",
        "adjacent",
        "none",
        "unknown",
    ]
    facts = OPERATIONS["extract_facts"].output_schema(POLICY)
    assert facts["$defs"]["FactOutput"]["properties"]["predicate"]["enum"] == list(POLICY.predicates.predicates)


def test_documents_are_shown_as_numbered_spans_without_what_is_quoted() -> None:
    context = (ROOT / "tests/fixtures/contexts/extract_facts_email.txt").read_bytes().decode()
    message = OPERATIONS["extract_facts"].user_message(context, POLICY)
    assert "[s3] theirs dana.reyes@acmefreight.example: The short version" in message
    assert "do you have budget" not in message and "+44" not in message


def _changed(tmp_path: Path, file: str, old: str, new: str) -> Policy:
    folder = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", folder)
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return load(folder)


def hashes(policy: Policy, **changes: Any) -> dict[str, str]:
    given: dict[str, Any] = {"agent": "rules", "version": "1", "model": None} | changes
    return {name: operation.operation_hash(policy, **given) for name, operation in OPERATIONS.items()}


def test_a_policy_change_asks_only_what_depends_on_it(tmp_path: Path) -> None:
    before = hashes(POLICY)
    after = hashes(_changed(tmp_path, "icp.yml", "in_range: [100, 5000]", "in_range: [120, 5000]"))
    assert {name for name in before if before[name] != after[name]} == {"icp_fit", "lead_quality"}


def test_points_and_guards_cost_no_call(tmp_path: Path) -> None:
    assert hashes(_changed(tmp_path, "signals.yml", "strong: 30", "strong: 35")) == hashes(POLICY)


def test_agent_version_and_model_are_part_of_the_question() -> None:
    base = hashes(POLICY)
    for change in ({"agent": "claude"}, {"version": "2"}, {"model": "m"}):
        changed = hashes(POLICY, **change)
        assert all(changed[name] != base[name] for name in base)


def test_the_agents_version_follows_its_lexicon(tmp_path: Path) -> None:
    changed = _changed(tmp_path, "rules_agent/words.yml", "budget*,", "budget*, moolah, funding")
    assert rules.version(changed) != rules.version(POLICY)
    assert rules.version(POLICY) == rules.version(load(ROOT / "policies"))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("rules_agent/facts.yml", "MONEY ~7 FROZEN", "MONEYS ~7 FROZEN"),
        ("rules_agent/facts.yml", "MONEY ~7 FROZEN", "MONEY ~7"),
        ("rules_agent/facts.yml", "date: linked", "date: whenever"),
        ("rules_agent/facts.yml", "timeline:", "time_line:"),
        ("rules_agent/facts.yml", "first: true", "frist: true"),
        ("rules_agent/words.yml", "MONEY:", "MONNEY:"),
        ("rules_agent/words.yml", "MONEY:", "MONEY: ["),
    ],
)
def test_a_broken_lexicon_is_one_clear_error(tmp_path: Path, file: str, old: str, new: str) -> None:
    policy = _changed(tmp_path, file, old, new)
    with pytest.raises(NightdeskError) as caught:
        rules.lexicons.load(policy)
    assert caught.value.where and caught.value.todo


def test_a_missing_lexicon_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", folder)
    (folder / "rules_agent" / "dates.yml").unlink()
    with pytest.raises(NightdeskError, match=r"dates\.yml"):
        rules.version(load(folder))


def test_an_incomplete_operation_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "operations" / "scoring" / "icp_fit"
    folder.mkdir(parents=True)
    (folder / "operation.yml").write_text("name: icp_fit\n", encoding="utf-8")
    with pytest.raises(NightdeskError) as caught:
        registry.operations(tmp_path / "operations")
    assert "operation.yml" in caught.value.where
