"""Whatever an agent asks its tools, it gets this record's text, in bounds, and the same the second time."""

from __future__ import annotations

import json
from functools import cache

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.research import lines
from enrich.research.arguments import TOOLS
from enrich.research.toolbox import NOT_OURS
from tests.research_kit import OTHER, POLICY, Fact, Text, fill, toolbox

SECRET = "Nobody else may read of the walnut contract."
TEXTS = (
    Text("hubspot:email:1", "Two planners use Excel. What would 40 seats cost?"),
    Text("hubspot:email:2", "We run SAP. The budget is frozen until July.", "2026-09-01"),
    Text("hubspot:email:8", SECRET, "2026-09-02", record=OTHER, subject="walnut", author="Walnut Man"),
    Text("hubspot:note:9", SECRET, "2026-09-02", record="hubspot:contact:1", kind="note"),
)
FACTS = (
    Fact("hubspot:email:1", "tech_in_use", "Excel", "Two planners use Excel."),
    Fact("hubspot:email:8", "budget", "available", SECRET, record=OTHER),
)
OWN = {"hubspot:email:1", "hubspot:email:2", FACTS[0].id}

ids = st.one_of(
    st.sampled_from(
        ["hubspot:email:8", "hubspot:note:9", OTHER, "d1", "d2", "d3", "d99", "%", "_", "*", "'", "d1\x00"]
    ),
    st.text(max_size=30),
    st.from_regex(r"hubspot:(email|call|note|company|contact):\d{1,4}", fullmatch=True),
)
values = st.one_of(
    ids, st.none(), st.booleans(), st.integers(), st.sampled_from(["walnut", "contract", "email", "2026-09-02"])
)
KEYS = "document_id words kind since until predicate from_span include_superseded record_id".split()  # noqa: SIM905
keys = st.one_of(st.sampled_from(KEYS), st.text(max_size=8))
calls = st.tuples(
    st.one_of(st.sampled_from(sorted(TOOLS)), st.text(max_size=12)),
    st.one_of(st.dictionaries(keys, values, max_size=4).map(json.dumps), st.text(max_size=40)),
)


@cache
def connection() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    fill(opened, TEXTS, FACTS)
    return opened


@settings(deadline=None)  # the machine may be busy; a hang is what the suite's own limit is for
@given(st.lists(calls, max_size=6))
def test_no_call_reaches_another_record_or_breaks_a_bound(asked: list[tuple[str, str]]) -> None:
    box, again = toolbox(connection()), toolbox(connection())
    rule = POLICY.research.tools
    for name, arguments in asked:
        result = box.call(name, arguments)
        assert result == again.call(name, arguments)
        assert "walnut" not in result.text.lower() and "contract" not in result.text.lower()
        assert len(result.text) <= rule.tokens_per_result * POLICY.recall.token_estimate_chars + 200
        for item in result.shown:
            assert item.evidence_id.removeprefix("document.").partition("#")[0] in OWN
            assert item.source in {text.key for text in TEXTS[:2]}
        assert len(lines.parse(result.text)) == len(result.shown)


@settings(deadline=None)
@given(ids)
def test_every_id_that_is_not_ours_is_answered_alike(document_id: str) -> None:
    result = toolbox(connection()).call("read_document", json.dumps({"document_id": document_id}))
    if document_id in ("d1", "d2", "hubspot:email:1", "hubspot:email:2"):
        assert result.shown
    else:
        assert (result.text, result.shown) == (NOT_OURS, ())


texts = st.text(max_size=60)


@given(
    st.builds(
        lines.DocumentLine,
        st.from_regex(r"d[1-9]\d?", fullmatch=True), st.dates(), st.sampled_from(["theirs", "ours", "unknown"]),
        st.sampled_from(["email", "call", "note"]), texts, texts,
    ),
    st.builds(
        lines.SpanLine, st.from_regex(r"d[1-9]\d?", fullmatch=True), st.from_regex(r"s[1-9]\d?", fullmatch=True),
        st.sampled_from(["theirs", "ours", "unknown"]), texts, texts,
    ),
)  # fmt: skip
def test_a_line_reads_back_as_one_line_with_the_same_words(document: lines.DocumentLine, span: lines.SpanLine) -> None:
    for line in (document, span):
        shown = lines.render(line)
        assert len(shown.splitlines()) == 1
        (read,) = lines.parse(shown)
        assert type(read) is type(line) and lines.render(read) == shown
