"""Two sources make a fact, one a hypothesis: at the check, whatever the agent says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enrich import answer, registry
from enrich.agents.protocol import WebPage
from tests.research_kit import POLICY, Fact, Text, toolbox, warehouse

CONTEXT = (
    "[account.name] Acme Freight\n[account.industry] RETAIL\n[account.employees] 420\n[deal.stage] Proposal sent\n"
    "[record.documents] 4\n[record.facts] 3\n[record.fingerprint] 0f3a91c27b4e"
)
BY_HAND, AGAIN = "Everything is done by hand.", "Our planners still type it all in by hand."
TEXTS = (
    Text("hubspot:email:1", BY_HAND, "2026-08-03"),
    Text("hubspot:email:2", AGAIN, "2026-09-01"),
    Text("hubspot:email:3", BY_HAND, "2026-09-02"),  # the first one, logged twice
    Text("hubspot:email:4", "They do it all by hand, I heard.", "2026-09-03",
         side="unknown", author=None, email="x@y.example"),
)  # fmt: skip
ONE, TWO, COPY, HEARSAY = (
    Fact(text.id, "pain", "manual_work", text.body, day=text.day, side=text.side) for text in TEXTS
)
SAYS = "They work by hand."


def checked(section: str, *evidence: str, text: str = SAYS, pages: tuple[WebPage, ...] = ()) -> answer.CheckedAnswer:
    operation = registry.operations()["account_deep_dive"]
    said: dict[str, list[Any]] = {name: [] for name in operation.spec.sections}
    said[section] = [{"text": text, "evidence": list(evidence)}]
    with warehouse(TEXTS, (ONE, TWO, COPY, HEARSAY)) as connection:
        box = toolbox(connection)
        results = [box.call("list_facts", "{}"), box.call("list_documents", "{}"), box.found(pages)]
        results += [box.call("read_document", json.dumps({"document_id": f"d{n}"})) for n in range(1, 5)]
    shown = {item.id: item for result in results for item in result.shown}
    return answer.check(operation, json.dumps(said), CONTEXT, POLICY, record_id="hubspot:company:1", also_shown=shown)


@pytest.mark.parametrize("section", ["summary", "trigger"])
def test_two_documents_carry_a_fact_and_one_does_not(section: str) -> None:
    assert checked(section, ONE.id, TWO.id).sentences
    assert checked(section, ONE.id, "d2.s1").sentences
    lonely = checked(section, ONE.id)
    assert lonely.sentences == () and "it is a hypothesis" in lonely.rejections[0].reason
    assert checked("hypothesis", ONE.id).sentences


@pytest.mark.parametrize(
    "evidence",
    [(ONE.id, ONE.id), (ONE.id, "d1.s1"), (ONE.id, "d1"), (ONE.id, COPY.id), ("d1.s1", "d3.s1"), (ONE.id, HEARSAY.id),
     (HEARSAY.id, "d4.s1"), (ONE.id, "account.name"), (ONE.id, "account.industry"), (ONE.id, "record.documents")],
    ids=lambda ids: "+".join(ids),
)  # fmt: skip
def test_one_source_counted_twice_is_one_source(evidence: tuple[str, ...]) -> None:
    assert checked("summary", *evidence).sentences == ()


def test_the_crms_own_fields_carry_a_fact_and_a_name_carries_none() -> None:
    assert checked("summary", "account.industry", "account.employees", text="The firm has 420 employees.").sentences
    assert not checked("summary", "account.name", text="They are rich.").sentences
    assert not checked("summary", "record.fingerprint", "record.documents", text="They are rich.").sentences
    assert not checked("trigger", "account.employees", text="They have 420 employees.").sentences


def test_a_web_page_is_never_more_than_a_hypothesis() -> None:
    page = WebPage("https://news.example/1", "Acme Freight opens a depot in Leeds")
    text = "A depot in Leeds may open."
    assert checked("hypothesis", "w1", text=text, pages=(page,)).sentences
    for section in ("summary", "trigger", "stakeholders", "unknowns"):
        refused = checked(section, "w1", ONE.id, TWO.id, text=text, pages=(page,))
        assert refused.sentences == () and "web page" in refused.rejections[0].reason, section
    (cited,) = checked("hypothesis", "w1", text=text, pages=(page,)).evidence
    assert cited.evidence_id.startswith("web.") and "news" not in cited.evidence_id and "http" not in cited.quote


def test_what_no_tool_showed_cannot_be_cited() -> None:
    for unknown in ("d5.s1", "f_000000000000", "w1", "hubspot:email:1"):
        assert checked("hypothesis", unknown).sentences == ()


def test_a_fact_of_a_context_without_its_document_is_no_second_source() -> None:
    operation = registry.operations()["account_deep_dive"]
    context = CONTEXT + "".join(
        f'\n[f_{digit * 12}] 2026-08-0{n} theirs email pain=manual_work affirmed "{quote}"'
        for n, (digit, quote) in enumerate((("a", BY_HAND), ("b", AGAIN)), start=1)
    )
    said = {name: [] for name in operation.spec.sections} | {
        "summary": [{"text": SAYS, "evidence": ["f_aaaaaaaaaaaa", "f_bbbbbbbbbbbb"]}]
    }
    result = answer.check(operation, json.dumps(said), context, POLICY, record_id="hubspot:company:1")
    assert result.sentences == ()
