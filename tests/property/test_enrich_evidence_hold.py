"""The evidence check holds for any answer: nothing illegal comes out, nothing raises, nothing is counted twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from enrich import answer, evidence, registry, spans
from enrich import context as contexts
from nightdesk.policy.load import load

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "contexts"
POLICY = load(ROOT / "policies")
OPERATIONS = registry.operations()
EMAIL = (FIXTURES / "extract_facts_email.txt").read_bytes().decode()
BRIEF = (FIXTURES / "meeting_brief.txt").read_bytes().decode()
SECTIONS = ("agenda", "they_said", "changed_since", "lead_with", "objections", "commitments", "questions")

FACTS = st.fixed_dictionaries(
    {
        "predicate": st.one_of(st.sampled_from(sorted(POLICY.predicates.predicates)), st.text(max_size=12)),
        "value": st.one_of(
            st.sampled_from(["frozen", "yes", "2027-07", "2", "Excel", "Portview", "unknown", "2026-08-20", "Dana"]),
            st.text(max_size=12),
        ),
        "polarity": st.sampled_from(["affirmed", "negated"]),
        "date": st.one_of(st.none(), st.sampled_from(["2027-07-01", "2126-01-01", "soon"]), st.text(max_size=10)),
        "span": st.one_of(st.integers(0, 8).map(lambda number: f"s{number}"), st.text(max_size=4)),
    }
)
WORDS = st.sampled_from(
    "They cannot move before July September 40 48,000 forty Portview Globex Dana Reyes January 2027 2026 5 October https://x.example <b> % € said the price is a lot of money Monday".split()  # noqa: E501, SIM905
)
SENTENCES = st.fixed_dictionaries(
    {
        "text": st.one_of(st.lists(WORDS, max_size=14).map(" ".join), st.text(max_size=80)),
        "evidence": st.lists(
            st.one_of(
                st.sampled_from([*contexts.parse(BRIEF).by_id, *contexts.parse(BRIEF).fields]), st.text(max_size=6)
            ),
            max_size=3,
        ),
    }
)


def printed(value: Any) -> str:
    return json.dumps(value)


@settings(max_examples=200, deadline=None)
@given(st.lists(FACTS, max_size=6))
def test_facts_that_pass_are_legal_and_stand_in_the_text(facts: list[dict[str, Any]]) -> None:
    checked = answer.check(
        OPERATIONS["extract_facts"], printed({"facts": facts}), EMAIL, POLICY, record_id="hubspot:email:7"
    )
    assert checked.is_valid
    body = contexts.parse(EMAIL).body or ""
    readable = {(span.start, span.end) for span in spans.segment(contexts.parse(EMAIL), "Harbourline")}
    for fact in checked.facts:
        predicate = POLICY.predicates.predicates[fact.predicate]
        assert (fact.span_start, fact.span_end) in readable
        assert fact.quote == body[fact.span_start : fact.span_end]
        assert not predicate.values or fact.fact_value in predicate.values
        assert predicate.speaker != "ours" or fact.author_side == "ours"
    distinct = {printed(fact) for fact in facts}
    assert len(checked.facts) <= len(distinct) <= len(facts) or not facts
    assert len({fact.fact_id for fact in checked.facts}) == len(checked.facts)
    assert len({(r.item_kind, r.item_key, r.position) for r in checked.rejections}) == len(checked.rejections)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(SECTIONS), st.lists(SENTENCES, max_size=4)))
def test_sentences_that_pass_claim_nothing_that_is_not_cited(said: dict[str, Any]) -> None:
    full = {name: said.get(name, []) for name in SECTIONS}
    checked = answer.check(OPERATIONS["meeting_brief"], printed(full), BRIEF, POLICY, record_id="hubspot:meeting:1")
    shown = evidence.shown_in(contexts.parse(BRIEF), (), "x")
    cited: dict[str, set[str]] = {}
    for item in checked.evidence:
        assert item.evidence_id in shown
        cited.setdefault(item.item_key, set()).add(item.evidence_id)
    for sentence in checked.sentences:
        ids = cited[f"{sentence.section}/{sentence.position}"]
        text = evidence.normalise(" ".join(shown[name].supports for name in ids))
        assert "september" not in sentence.body.lower() or "2026-09" in text
        for word in ("globex", "https", "<b>"):
            assert word not in sentence.body.lower()
        for name in ("portview", "dana", "48,000", "monday"):
            assert (
                name not in sentence.body.lower() or name.replace(",", "") in text.replace(",", "") or name == "monday"
            )
    total = sum(len(items) for items in full.values())
    assert len(checked.sentences) + len(checked.rejections) == total


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=300))
def test_no_text_makes_the_check_raise(raw: str) -> None:
    for name, context in (("extract_facts", EMAIL), ("meeting_brief", BRIEF)):
        checked = answer.check(OPERATIONS[name], raw, context, POLICY, record_id="hubspot:x:1")
        assert checked.outcome in ("rejected", "enriched", "insufficient_data")
        assert not (checked.facts or checked.sentences)


@given(st.text(max_size=200))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = evidence.normalise(text)
    assert evidence.normalise(once) == once


@given(
    st.text(alphabet="abcdefgh ", min_size=3, max_size=40).filter(lambda text: bool(text.strip())),
    st.sampled_from(["“{}”", "  {}\u200b ", "{}\n", "\u00a0{}"]),
)
def test_how_a_phrase_is_written_does_not_hide_it(text: str, frame: str) -> None:
    assert evidence.phrase_in(text, f"before {frame.format(text)} after")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(OPERATIONS["icp_fit"].spec.judgements)), unique=True),
    st.text(max_size=10),
    st.lists(st.text(max_size=12), max_size=3),
)
def test_made_up_evidence_never_carries_a_level(components: list[str], level: str, ids: list[str]) -> None:
    context = (FIXTURES / "icp_fit.txt").read_bytes().decode()
    known = {*contexts.parse(context).fields, *contexts.parse(context).by_id}
    said: dict[str, Any] = {
        name: {"level": spec.levels[0], "evidence": [i for i in ids if i not in known]}
        for name, spec in OPERATIONS["icp_fit"].spec.judgements.items()
    }
    for name in components:
        said[name]["level"] = level
    checked = answer.check(
        OPERATIONS["icp_fit"], printed(said | {"reason": []}), context, POLICY, record_id="hubspot:company:1"
    )
    assert all(item.level in ("unknown", "none") and item.evidence_count == 0 for item in checked.judgements)
