"""The order of agents, computed from dbt's manifest.

An operation waits for another when its queue model descends from the other's published model. Nothing lists the
order by hand: add a queue that reads a published model, and its operation moves to a later wave by itself.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nightdesk.errors import NightdeskError

# What a model may look at beside tables: the night, the clock, chance, the environment, files, answers of queries.
_OUTSIDE = re.compile(
    r"\b(?:as_of|var|env_var|now|today|random|uuid|gen_random_uuid|getenv|getvariable|current_setting|run_query"
    r"|load_result|statement|query|query_table|glob|sniff_csv|read_(?:csv|json|ndjson|parquet|text|blob|xlsx)\w*)\s*\("
    r"|\b(?:modules|flags)\s*\."
    r"|\b(?:run_started_at|invocation_id|current_timestamp|current_date|current_time|localtime|localtimestamp"
    r"|get_current_\w+|transaction_timestamp)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Graph:
    """What waves need of a manifest.

    Attributes:
        models: Unique id to name, for models, seeds and snapshots (what a build makes).
        tests: Unique id to the ids it reads, for data tests.
        names: Unique id to the name `--select` takes, for models and tests.
        parents: Unique id to the ids it reads directly, sources included.
        queues: Operation to its queue model's id.
        published: Operation to its published model's id.
        ledger_tables: Ledger source table name to its id.
        raw: Source id to its dataset, for tables of the raw database.
        dated: Ids of models that look at the night's day or anything else that is not in a table.
    """

    models: dict[str, str]
    tests: dict[str, frozenset[str]]
    names: dict[str, str]
    parents: dict[str, frozenset[str]]
    queues: dict[str, str]
    published: dict[str, str]
    ledger_tables: dict[str, str]
    raw: dict[str, str] = field(default_factory=dict[str, str])
    dated: frozenset[str] = frozenset()

    def resting_on(self, datasets: Collection[str]) -> frozenset[str]:
        """Ids of models that descend from tables of these datasets alone, and look at nothing else."""
        found: set[str] = set()
        for unique_id in self.models:
            above = self.ancestors([unique_id])
            roots = {one for one in above | {unique_id} if not self.parents.get(one)}
            is_raw = roots <= self.raw.keys() and {self.raw[one] for one in roots} <= set(datasets)
            if is_raw and not (above | {unique_id}) & self.dated:
                found.add(unique_id)
        return frozenset(found)

    def ancestors(self, ids: Iterable[str]) -> set[str]:
        """Everything the given ids descend from, themselves left out unless they are each other's ancestors."""
        found: set[str] = set()
        stack = list(ids)
        while stack:
            for parent in self.parents.get(stack.pop(), ()):
                if parent not in found:
                    found.add(parent)
                    stack.append(parent)
        return found

    def descendants(self, ids: Iterable[str]) -> set[str]:
        """Everything that descends from the given ids, themselves left out."""
        children: dict[str, list[str]] = defaultdict(list)
        for child, parents in self.parents.items():
            for parent in parents:
                children[parent].append(child)
        found: set[str] = set()
        stack = list(ids)
        while stack:
            for child in children[stack.pop()]:
                if child not in found:
                    found.add(child)
                    stack.append(child)
        return found


def read(manifest: Mapping[str, Any]) -> Graph:
    """Take from a manifest (the dict of `target/manifest.json`) what waves need.

    Raises:
        NightdeskError: A queue has no published model or the other way round, or two models claim one operation.
    """
    models: dict[str, str] = {}
    tests: dict[str, frozenset[str]] = {}
    names: dict[str, str] = {}
    parents: dict[str, frozenset[str]] = {}
    roles: dict[str, dict[str, str]] = {"queue": {}, "published": {}}
    for unique_id, node in manifest["nodes"].items():
        reads = frozenset(node.get("depends_on", {}).get("nodes", ()))
        kind = node["resource_type"]
        if kind in {"model", "seed", "snapshot"}:
            models[unique_id] = node["name"]
            names[unique_id] = node["name"]
            parents[unique_id] = reads
            meta = node.get("config", {}).get("meta", {}).get("nightdesk") or node.get("meta", {}).get("nightdesk")
            if meta:
                claimed = roles[meta["role"]]
                if meta["operation"] in claimed:
                    raise NightdeskError(
                        f"Two models are the {meta['role']} model of `{meta['operation']}`",
                        where=f"{claimed[meta['operation']]} and {unique_id}",
                        todo="Correct `meta.nightdesk` of one of them.",
                    )
                claimed[meta["operation"]] = unique_id
        elif kind == "test":
            tests[unique_id] = reads
            names[unique_id] = node["name"]
    for one, other in (("queue", "published"), ("published", "queue")):
        for operation, unique_id in roles[one].items():
            if operation not in roles[other]:
                raise NightdeskError(
                    f"The operation `{operation}` has a {one} model but no {other} model",
                    where=unique_id,
                    todo=f"Add the {other} model with `meta.nightdesk: {{role: {other}, operation: {operation}}}`.",
                )
    ledger = {
        source["name"]: unique_id
        for unique_id, source in manifest["sources"].items()
        if source["source_name"] == "ledger"
    }
    raw = {
        unique_id: str(source["source_name"])
        for unique_id, source in manifest["sources"].items()
        if source["source_name"] != "ledger"
    }
    return Graph(
        models, tests, names, parents, roles["queue"], roles["published"], ledger, raw, _dated(manifest, models)
    )


def _dated(manifest: Mapping[str, Any], models: Iterable[str]) -> frozenset[str]:
    """Models that use the night's day, a variable, or the environment, themselves or through a macro."""
    macros = {
        name: node for name, node in manifest.get("macros", {}).items() if node.get("package_name") == "nightdesk"
    }
    telling = {name for name, node in macros.items() if _OUTSIDE.search(str(node.get("macro_sql", "")))}
    # Until nothing is added, because macros may call each other in a circle.
    while more := {name for name in macros.keys() - telling if telling & set(_macros(macros[name]))}:
        telling |= more
    return frozenset(
        unique_id
        for unique_id in models
        if _OUTSIDE.search(str(manifest["nodes"][unique_id].get("raw_code", "")))
        or telling & set(_macros(manifest["nodes"][unique_id]))
    )


def _macros(node: Mapping[str, Any]) -> Iterable[str]:
    return node.get("depends_on", {}).get("macros", ())


def waves(graph: Graph) -> list[list[str]]:
    """Group operations into waves: each waits only for operations of earlier waves. Names sorted inside a wave.

    Raises:
        NightdeskError: Two operations wait for each other.
    """
    waits: dict[str, set[str]] = {}
    for operation, queue in graph.queues.items():
        above = graph.ancestors([queue])
        waits[operation] = {
            other for other, published in graph.published.items() if published in above and other != operation
        }
    ordered: list[list[str]] = []
    done: set[str] = set()
    while len(done) < len(waits):
        ready = sorted(operation for operation, needed in waits.items() if operation not in done and needed <= done)
        if not ready:
            stuck = sorted(set(waits) - done)
            raise NightdeskError(
                f"These operations wait for each other: {', '.join(stuck)}",
                where="models of their queues",
                todo="Let one of the queues read something other than the published answers of the next.",
            )
        ordered.append(ready)
        done.update(ready)
    return ordered


class Freshness:
    """Which models and tests still have to run in this refresh.

    Everything is due at the start. A build makes models fresh; new ledger rows make what descends from them due again.
    So a model is built once a night, and once more only where an agent has said something new.
    """

    def __init__(self, graph: Graph, settled: Collection[str] = ()) -> None:
        """Everything is due but the models of `settled`, and the tests that read nothing else."""
        self._graph = graph
        self._due_models = set(graph.models) - set(settled)
        self._due_tests = {test for test, reads in graph.tests.items() if not reads or not reads <= set(settled)}

    def needed_for(self, operations: Iterable[str]) -> list[str]:
        """Names to build before the queues of `operations` are drained, the tests that fit included."""
        queues = [self._graph.queues[operation] for operation in operations]
        wanted = (self._graph.ancestors(queues) | set(queues)) & self._due_models
        return self._names(wanted)

    def needed_to_build(self, names: Iterable[str]) -> list[str]:
        """Names to build so that these models are there, the tests that fit included."""
        named = set(names)
        ids = {unique_id for unique_id, name in self._graph.models.items() if name in named}
        return self._names((self._graph.ancestors(ids) | ids) & self._due_models)

    def rest(self) -> list[str]:
        """Names of everything still due."""
        return self._names(set(self._due_models))

    def built(self, names: Iterable[str]) -> None:
        """Take note that these names were built and their tests passed."""
        done = set(names)
        self._due_models = {unique_id for unique_id in self._due_models if self._graph.names[unique_id] not in done}
        self._due_tests = {unique_id for unique_id in self._due_tests if self._graph.names[unique_id] not in done}

    def ledger_grew(self, tables: Iterable[str]) -> None:
        """Take note that rows were appended to these ledger tables."""
        sources = [self._graph.ledger_tables[table] for table in tables if table in self._graph.ledger_tables]
        stale = self._graph.descendants(sources) & set(self._graph.models)
        self._due_models |= stale
        self._due_tests |= {test for test, reads in self._graph.tests.items() if reads & stale}

    def _names(self, models: set[str]) -> list[str]:
        fresh_after = (set(self._graph.models) - self._due_models) | models
        tests = {
            test
            for test in self._due_tests
            if {unique_id for unique_id in self._graph.tests[test] if unique_id in self._graph.models} <= fresh_after
        }
        return sorted(self._graph.names[unique_id] for unique_id in models | tests)
