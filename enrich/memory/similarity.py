"""How near a fact's words are to what an operation asks: computed once, kept in the ledger, read by `int_recall`.

A similarity depends on the fact's text, the query's text and the model's files, and on nothing else. It is appended to
the ledger when a fact (or another query, or another model) is new; so a quiet night computes nothing, and what an agent
is shown never moves by itself. Without a similarity a fact weighs what it weighs when all this is off.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enrich.memory.encoder import Encode, Encoder, open_folder
from nightdesk import ledger
from nightdesk.clock import Clock
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    from nightdesk.policy import Policy

TABLES = ("recall_similarity", "recall_queries")
_VERSION = 1
"""Raised when the same texts and model would give other numbers."""
_CHUNK = 4096
TEXT_ID = "left(sha256(facts.fact_id || chr(10) || facts.quote), 12)"
"""As the macro `fact_text_id` says it to dbt."""


@dataclass(frozen=True, slots=True)
class Query:
    """What facts are compared with for one operation.

    Attributes:
        text: What the operation asks.
        predicates: Predicate it has a use for, to what the predicate means; a fact's text begins with that.
    """

    operation: str
    text: str
    predicates: Mapping[str, str]

    def hash(self, model: str) -> str:
        """Fingerprint of all that its similarities depend on besides the facts' own words."""
        said = json.dumps([_VERSION, model, self.text, sorted(self.predicates.items())], ensure_ascii=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def queries(policy: Policy) -> tuple[Query, ...]:
    """One query per operation that is reminded of facts.

    Unless the policy words it, a query is what the operation, its judgements and its sections say they are about. The
    predicates' meanings are left out on purpose: how much each of them matters is `relevance` already.
    """
    from enrich.registry import operations

    known = operations()
    worded = policy.recall.semantic.queries if policy.recall.semantic else {}
    found: list[Query] = []
    for operation, rule in policy.recall.operations.items():
        spec = known[operation].spec
        parts = (spec.about, *(item.about for item in (*spec.judgements.values(), *spec.sections.values())))
        used = sorted(predicate for predicate, relevance in rule.relevance.items() if relevance)
        found.append(
            Query(
                operation,
                worded.get(operation) or " ".join(parts),
                {predicate: policy.predicates.predicates[predicate].about for predicate in used},
            )
        )
    return tuple(found)


def similarities(encode: Encode, query_texts: Sequence[str], texts: Sequence[str]) -> list[list[float | None]]:
    """For each text, its similarity to each query: the cosine, cut at 0, four decimals; None where a side is unknown.

    Each row is summed by itself, in double precision, so a number doesn't depend on what it is computed together with.

    Raises:
        NightdeskError: The model gives something that is not a finite number.
    """
    import numpy as np

    asked = _unit(encode(query_texts))
    found: list[list[float | None]] = []
    for start in range(0, len(texts), _CHUNK):
        said = _unit(encode(texts[start : start + _CHUNK]))
        columns: list[list[float | None]] = []
        for query in asked:
            cosines = np.clip((said * query).sum(axis=1), 0.0, 1.0).round(4).tolist()
            known = (said.any(axis=1) & query.any()).tolist()
            columns.append([cosine if is_known else None for cosine, is_known in zip(cosines, known, strict=True)])
        found += [list(row) for row in zip(*columns, strict=True)]
    return found


def _unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Rows of length one; rows of zeros stay."""
    import numpy as np

    exact = np.ascontiguousarray(vectors, dtype=np.float64)
    if not np.isfinite(exact).all():
        raise NightdeskError(
            "The model for semantic recall gives vectors that are not numbers",
            where="semantic.model in recall.yml",
            todo="Put another model there, or take the `semantic:` block out.",
        )
    lengths = np.sqrt((exact * exact).sum(axis=1, keepdims=True))
    return exact / np.where(lengths == 0, 1.0, lengths)


@dataclass(frozen=True, slots=True)
class Semantic:
    """Semantic recall, switched on: what is asked, and what encodes."""

    queries: tuple[Query, ...]
    encoder: Encoder

    def update(self, ledger_path: Path, clock: Clock) -> int:
        """Append the similarities that are missing and put the present queries in force, in one transaction.

        Returns:
            Similarities appended plus queries put in force; 0 when nothing was to do, and then no model was loaded.

        Raises:
            NightdeskError: The model cannot be read. A query that is not in force yet is encoded in any case, so this
                shows before a fact exists.
        """
        hashes = {query.operation: query.hash(self.encoder.identity) for query in self.queries}
        with ledger.connect(ledger_path) as connection:
            anew = sorted(set(hashes.items()) - _in_force(connection))
            missing = _missing(connection, self.queries, hashes)
            if not anew and not missing:
                return 0
            rows = self._rows(missing, hashes)
            now = clock()
            connection.begin()
            try:
                _append(connection, rows, now)
                for operation, query_hash in anew:
                    connection.execute(
                        "insert into recall_queries values (?, ?, ?, ?)",
                        [operation, query_hash, self.encoder.identity, now],
                    )
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
        return len(rows) + len(anew)

    def _rows(self, missing: Sequence[tuple[str, str, str, str, list[str]]], hashes: Mapping[str, str]) -> list[_Row]:
        about = {predicate: text for query in self.queries for predicate, text in query.predicates.items()}
        texts = sorted({f"{about[predicate]} {quote}" for _, _, predicate, quote, _ in missing})
        numbers = dict(
            zip(
                texts,
                similarities(self.encoder.encode, [query.text for query in self.queries], texts),
                strict=True,
            )
        )
        place = {query.operation: position for position, query in enumerate(self.queries)}
        return [
            (operation, hashes[operation], fact_id, text_id, numbers[f"{about[predicate]} {quote}"][place[operation]])
            for fact_id, text_id, predicate, quote, wanted in missing
            for operation in wanted
        ]


_Row = tuple[str, str, str, str, float | None]


def switched_on(policy: Policy, folder: Path) -> Semantic | None:
    """Semantic recall as the policy wants it; None when it is off. `folder`: where a relative model folder starts.

    Raises:
        NightdeskError: The policy wants it, and the model's folder, its files or the extra is missing.
    """
    rule = policy.recall.semantic
    if rule is None:
        return None
    return Semantic(queries(policy), open_folder(folder / Path(rule.model).expanduser()))


def _in_force(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    """(operation, query hash) as `stg_ledger__recall_queries` chooses them."""
    rows = connection.execute(
        """
        select operation, query_hash from recall_queries
        qualify row_number() over (partition by operation order by asked_since desc, query_hash desc) = 1
        """
    ).fetchall()
    return {(str(row[0]), str(row[1])) for row in rows}


def _missing(
    connection: duckdb.DuckDBPyConnection, wanted: Sequence[Query], hashes: Mapping[str, str]
) -> list[tuple[str, str, str, str, list[str]]]:
    """(fact, text id, predicate, quote, operations) of every fact ever read that lacks a similarity to a query."""
    from enrich import arrow

    pairs = [(query.operation, predicate) for query in wanted for predicate in query.predicates]
    columns: dict[str, tuple[arrow.Kind, Sequence[Any]]] = {
        "operation": ("text", [operation for operation, _ in pairs]),
        "query_hash": ("text", [hashes[operation] for operation, _ in pairs]),
        "predicate": ("text", [predicate for _, predicate in pairs]),
    }
    with arrow.registered(connection, "wanted_pairs", columns):
        return connection.execute(
            f"""
            with said as (
                select distinct fact_id, {TEXT_ID} as text_id, predicate, quote
                from facts
            )

            select said.fact_id, said.text_id, said.predicate, said.quote,
                list(wanted_pairs.operation order by wanted_pairs.operation)
            from said
            inner join wanted_pairs using (predicate)
            where not exists (
                select 1
                from recall_similarity as kept
                where kept.operation = wanted_pairs.operation
                    and kept.query_hash = wanted_pairs.query_hash
                    and kept.fact_id = said.fact_id
                    and kept.text_id = said.text_id
            )
            group by all
            order by 1, 2
            """
        ).fetchall()


def _append(connection: duckdb.DuckDBPyConnection, rows: Sequence[_Row], now: datetime) -> None:
    from enrich import arrow

    columns: dict[str, tuple[arrow.Kind, Sequence[Any]]] = {
        "operation": ("text", [row[0] for row in rows]),
        "query_hash": ("text", [row[1] for row in rows]),
        "fact_id": ("text", [row[2] for row in rows]),
        "text_id": ("text", [row[3] for row in rows]),
        "similarity": ("share", [row[4] for row in rows]),
        "computed_at": ("time", [now] * len(rows)),
    }
    with arrow.registered(connection, "similarity_rows", columns):
        connection.execute("insert into recall_similarity by name select * from similarity_rows")
