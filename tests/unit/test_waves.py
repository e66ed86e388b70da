"""The order of agents comes from the manifest, and a model is built again only where an agent said something new."""

from __future__ import annotations

from typing import Any

import pytest

from nightdesk import waves
from nightdesk.errors import NightdeskError


def model(*reads: str, role: str | None = None, operation: str | None = None) -> dict[str, Any]:
    meta = {"nightdesk": {"role": role, "operation": operation}} if role else {}
    return {"resource_type": "model", "depends_on": {"nodes": list(reads)}, "config": {"meta": meta}}


def data_test(*reads: str) -> dict[str, Any]:
    return {"resource_type": "test", "depends_on": {"nodes": list(reads)}, "config": {}}


def manifest(nodes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "nodes": {name: {**node, "name": name} for name, node in nodes.items()},
        "sources": {
            "answers": {"source_name": "ledger", "name": "answers"},
            "people": {"source_name": "raw", "name": "people"},
        },
    }


# people -> staging -> queue_read -> published_read (with answers) -> facts -> queue_score -> published_score -> mart
CHAIN = {
    "staging": model("people"),
    "queue_read": model("staging", role="queue", operation="read"),
    "published_read": model("queue_read", "answers", role="published", operation="read"),
    "queue_sort": model("staging", role="queue", operation="sort"),
    "published_sort": model("queue_sort", "answers", role="published", operation="sort"),
    "facts": model("published_read"),
    "queue_score": model("facts", "staging", role="queue", operation="score"),
    "published_score": model("queue_score", "answers", role="published", operation="score"),
    "mart": model("published_score", "published_sort"),
    "test_staging": data_test("staging"),
    "test_facts": data_test("facts", "staging"),
    "test_mart": data_test("mart"),
}


def test_an_operation_waits_for_the_ones_its_queue_reads() -> None:
    assert waves.waves(waves.read(manifest(CHAIN))) == [["read", "sort"], ["score"]]


def test_two_operations_that_wait_for_each_other_are_refused() -> None:
    nodes = {**CHAIN, "queue_read": model("published_score", role="queue", operation="read")}
    with pytest.raises(NightdeskError, match="wait for each other: read, score"):
        waves.waves(waves.read(manifest(nodes)))


def test_a_queue_without_published_model_is_refused() -> None:
    nodes = {name: node for name, node in CHAIN.items() if name != "published_sort"}
    with pytest.raises(NightdeskError, match="`sort` has a queue model but no published model"):
        waves.read(manifest(nodes))


def test_two_queues_of_one_operation_are_refused() -> None:
    nodes = {**CHAIN, "queue_other": model("staging", role="queue", operation="read")}
    with pytest.raises(NightdeskError, match="Two models are the queue model of `read`"):
        waves.read(manifest(nodes))


def test_a_wave_builds_what_its_queues_need_with_the_tests_that_fit() -> None:
    fresh = waves.Freshness(waves.read(manifest(CHAIN)))
    first = fresh.needed_for(["read", "sort"])
    assert first == ["queue_read", "queue_sort", "staging", "test_staging"]
    fresh.built(first)
    second = fresh.needed_for(["score"])
    assert second == ["facts", "published_read", "queue_score", "test_facts"]
    fresh.built(second)
    assert fresh.rest() == ["mart", "published_score", "published_sort", "test_mart"]


def test_a_quiet_night_builds_every_model_once() -> None:
    graph = waves.read(manifest(CHAIN))
    fresh = waves.Freshness(graph)
    built: list[str] = []
    for operations in waves.waves(graph):
        names = fresh.needed_for(operations)
        built += names
        fresh.built(names)
        fresh.ledger_grew(())
    built += fresh.rest()
    assert sorted(built) == sorted(CHAIN)


def test_new_answers_make_what_reads_the_ledger_due_again_and_nothing_else() -> None:
    graph = waves.read(manifest(CHAIN))
    fresh = waves.Freshness(graph)
    fresh.built(fresh.rest())
    assert fresh.rest() == []
    fresh.ledger_grew(["answers"])
    due = set(fresh.rest())
    assert {"published_read", "facts", "queue_score", "mart", "test_facts", "test_mart"} <= due
    assert not due & {"staging", "queue_read", "queue_sort", "test_staging"}


def test_models_rest_on_raw_data_alone_when_nothing_else_is_above_them() -> None:
    graph = waves.Graph(
        models={"stg": "stg", "union": "union", "other": "other", "facts": "facts", "today": "today", "seed": "seed"},
        tests={"key": frozenset({"stg"}), "both": frozenset({"stg", "facts"})},
        names={one: one for one in ("stg", "union", "other", "facts", "today", "seed", "key", "both")},
        parents={
            "stg": frozenset({"raw.hubspot"}),
            "other": frozenset({"raw.mailbox"}),
            "union": frozenset({"stg", "other"}),
            "facts": frozenset({"union", "ledger.facts"}),
            "today": frozenset({"stg"}),
            "seed": frozenset(),
        },
        queues={},
        published={},
        ledger_tables={"facts": "ledger.facts"},
        raw={"raw.hubspot": "hubspot", "raw.mailbox": "mailbox"},
        dated=frozenset({"today"}),
    )
    assert graph.resting_on({"hubspot"}) == {"stg"}
    assert graph.resting_on({"hubspot", "mailbox"}) == {"stg", "other", "union"}
    fresh = waves.Freshness(graph, graph.resting_on({"hubspot"}))
    # A test that reads what is built anew runs, one that reads settled models only does not.
    assert fresh.rest() == ["both", "facts", "other", "seed", "today", "union"]


def test_a_model_is_dated_by_its_own_words_and_by_those_of_its_macros() -> None:
    def model(name: str, code: str, *macros: str) -> dict[str, object]:
        return {
            "resource_type": "model", "name": name, "raw_code": code, "config": {},
            "depends_on": {"nodes": ["source.p.hubspot.t"], "macros": list(macros)},
        }  # fmt: skip

    manifest = {
        "nodes": {
            "plain": model("plain", "select * from {{ source('hubspot', 't') }}"),
            "own": model("own", "select {{ as_of() }}", "m.as_of"),
            "nested": model("nested", "select {{ decay() }}", "m.decay"),
            "var": model("var", "select '{{ var('x') }}'"),
        },
        "sources": {"source.p.hubspot.t": {"name": "t", "source_name": "hubspot"}},
        "macros": {
            "m.as_of": {"package_name": "nightdesk", "macro_sql": "{{ var('as_of') }}", "depends_on": {"macros": []}},
            "m.decay": {"package_name": "nightdesk", "macro_sql": "x", "depends_on": {"macros": ["m.as_of"]}},
        },
    }
    assert waves.read(manifest).resting_on({"hubspot"}) == {"plain"}
