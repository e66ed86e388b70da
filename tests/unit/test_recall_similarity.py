"""Nearness of facts to questions: computed once, of words and model alone; and refused clearly when it cannot be."""

from __future__ import annotations

import importlib.util
import random
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import jinja2
import numpy as np
import pytest

from enrich.memory import encoder, similarity
from enrich.memory.similarity import Query, Semantic
from nightdesk import ledger, policy
from nightdesk.errors import NightdeskError
from sandbox.evaluation.recall import Candidate, Record, Wanted, Weighed, plain_ranks, reached

if TYPE_CHECKING:
    from enrich.agents.protocol import Agent

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 17, 3, tzinfo=UTC)
LATER = datetime(2026, 11, 18, 3, tzinfo=UTC)
WORDS = ("money", "champion", "price")
HAS_LIBRARY = importlib.util.find_spec(encoder.LIBRARY) is not None
needs_library = pytest.mark.skipif(not HAS_LIBRARY, reason="needs the extra `semantic` (docs/memory.md)")


class Counting:
    """An encoder of three dimensions, one per word of `WORDS`; remembers what it was given."""

    def __init__(self, identity: str = "one") -> None:
        self.asked: list[str] = []
        self.encoder = encoder.Encoder(identity, self.encode)

    def encode(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        return np.array([[text.lower().count(word) for word in WORDS] for text in texts], dtype=np.float32)


def a_query(operation: str = "icp_fit", text: str = "money", about: str = "Means something.") -> Query:
    return Query(operation, text, {"budget": about})


# The numbers ------------------------------------------------------------------------------------------------------


def test_a_similarity_is_the_cosine_cut_at_zero_and_nothing_where_a_side_is_unknown() -> None:
    def encode(texts: Sequence[str]) -> Any:
        vectors = {"q": [3, 4], "none": [0, 0], "same": [6, 8], "half": [1, 0], "against": [-3, -4]}
        return np.array([vectors[text] for text in texts], dtype=np.float16)

    found = similarity.similarities(encode, ["q", "none"], ["same", "half", "against", "none"])
    assert found == [[1.0, None], [0.6, None], [0.0, None], [None, None]]
    assert similarity.similarities(encode, ["q"], []) == []


def test_a_number_does_not_depend_on_what_it_is_computed_with(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = {str(number): vector for number, vector in enumerate(np.random.default_rng(1).normal(size=(60, 37)))}

    def encode(texts: Sequence[str]) -> Any:
        return np.array([vectors[text] for text in texts], dtype=np.float32)

    together = similarity.similarities(encode, ["0", "1"], list(vectors))
    alone = [similarity.similarities(encode, ["0"], [name])[0][0] for name in vectors]
    monkeypatch.setattr(similarity, "_CHUNK", 7)
    assert similarity.similarities(encode, ["0", "1"], list(vectors)) == together
    assert [row[0] for row in together] == alone


def test_vectors_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(NightdeskError, match="not numbers"):
        similarity.similarities(lambda texts: np.full((len(texts), 2), np.nan), ["q"], ["a"])


# The queries ------------------------------------------------------------------------------------------------------


def folder_with(tmp_path: Path, block: str) -> Path:
    folder = Path(shutil.copytree(ROOT / "policies", tmp_path / "policies"))
    with (folder / "recall.yml").open("a", encoding="utf-8") as file:
        file.write(f"\n{block}\n")
    return folder


def test_a_query_is_what_the_operation_asks_unless_the_policy_words_it(tmp_path: Path) -> None:
    block = 'semantic: {model: m, weight: 0.3, queries: {churn_revisit: "Is there money again?"}}'
    loaded = policy.load(folder_with(tmp_path, block))
    found = {query.operation: query for query in similarity.queries(loaded)}
    assert set(found) == set(loaded.recall.operations)
    assert found["churn_revisit"].text == "Is there money again?"
    assert found["icp_fit"].text.startswith("How well an account fits")
    assert "Whether we serve the country." in found["icp_fit"].text
    for operation, rule in loaded.recall.operations.items():
        assert set(found[operation].predicates) == {name for name, share in rule.relevance.items() if share}


def test_a_query_is_another_when_anything_its_numbers_depend_on_is_another() -> None:
    query = a_query()
    assert query.hash("one") == a_query().hash("one")
    others = {a_query(text="price").hash("one"), a_query(about="Other.").hash("one"), query.hash("two")}
    assert len(others | {query.hash("one")}) == 4


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("semantic: {model: m, weight: 0}", "semantic.weight"),
        ("semantic: {model: m, weight: 1}", "semantic.weight"),
        ("semantic: {weight: 0.5}", "semantic.model"),
        ("semantic: {model: '', weight: 0.5}", "semantic.model"),
        ("semantic: {model: m, weight: 0.5, wieght: 1}", "semantic.wieght"),
        ("semantic: {model: m, weight: 0.5, queries: {reply_class: x}}", "not reminded of facts"),
    ],
)
def test_a_block_that_cannot_be_meant_is_refused(tmp_path: Path, block: str, said: str) -> None:
    with pytest.raises(NightdeskError, match=said):
        policy.load(folder_with(tmp_path, block))


def test_it_is_off_when_left_out_or_empty_and_dbt_is_told_no_weight(tmp_path: Path) -> None:
    from nightdesk.policy.tables import rows

    weight_of: dict[str, list[str]] = {"": [], "semantic:": [], "semantic: {model: m, weight: 0.25}": ["0.2500"]}
    for number, (block, told) in enumerate(weight_of.items()):
        loaded = policy.load(folder_with(tmp_path / str(number), block))
        settings = [row[3] for row in rows(loaded)["policy_settings"] if row[1:3] == ("recall", "semantic.weight")]
        assert settings == told
        if not told:
            assert similarity.switched_on(loaded, tmp_path) is None


# The model's folder -----------------------------------------------------------------------------------------------


def a_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    return folder


def refused(folder: Path) -> NightdeskError:
    with pytest.raises(NightdeskError) as caught:
        encoder.open_folder(folder)
    assert caught.value.where and caught.value.todo
    return caught.value


def test_a_missing_or_incomplete_folder_is_one_clear_error(tmp_path: Path) -> None:
    assert "is missing" in refused(tmp_path / "nowhere").what
    folder = a_folder(tmp_path)
    (folder / "tokenizer.json").unlink()
    assert "no static embedding model" in refused(folder).what


def test_a_missing_extra_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "LIBRARY", "a_library_that_is_nowhere")
    assert "[semantic]" in (refused(a_folder(tmp_path)).todo or "")


def test_a_model_is_known_by_its_files_and_a_damaged_one_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "LIBRARY", "json")  # any module: it has no models to give
    folder = a_folder(tmp_path)
    first = encoder.open_folder(folder)
    (folder / "README.md").write_text("About it.", encoding="utf-8")
    assert encoder.open_folder(folder).identity == first.identity
    (folder / "model.safetensors").write_text("{ }", encoding="utf-8")
    assert encoder.open_folder(folder).identity != first.identity
    with pytest.raises(NightdeskError, match="cannot be read"):
        first.encode(["money"])


@needs_library
def test_the_library_reads_a_tiny_made_up_model_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    model2vec: Any = importlib.import_module(encoder.LIBRARY)
    tokenizers: Any = importlib.import_module("tokenizers")
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: place for place, word in enumerate(("[UNK]", *WORDS))}, unk_token="[UNK]")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    vectors = np.vstack([np.zeros(3), np.eye(3)]).astype(np.float32)
    model2vec.StaticModel(vectors, words, normalize=True).save_pretrained(tmp_path / "tiny")

    def no_network(*_: object) -> None:
        raise AssertionError("somebody asked the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    opened = encoder.open_folder(tmp_path / "tiny")
    texts = ["money money", "money price", "champion", "words it never saw"]
    assert similarity.similarities(opened.encode, ["money"], texts) == [[1.0], [0.7071], [0.0], [None]]
    (tmp_path / "tiny" / "model.safetensors").write_bytes(b"no vectors")
    with pytest.raises(NightdeskError, match="cannot be read"):
        encoder.open_folder(tmp_path / "tiny").encode(["money"])


# The ledger -------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.duckdb"
    ledger.migrate(path, lambda: NOW)
    return path


def read(path: Path, fact_id: str, quote: str, *, predicate: str = "budget", answer_id: str = "a") -> None:
    with ledger.connect(path) as connection:
        connection.execute(
            "insert into facts values (?, ?, 'd', ?, 'x', 'affirmed', null, 'theirs', null, 0, 9, ?)",
            [fact_id, answer_id, predicate, quote],
        )


def kept(path: Path) -> list[tuple[Any, ...]]:
    with ledger.connect(path, read_only=True) as connection:
        return connection.execute(
            "select operation, fact_id, similarity, computed_at from recall_similarity order by computed_at, 1, 2, 3"
        ).fetchall()


def test_every_fact_is_compared_once_per_question_and_a_quiet_night_computes_nothing(path: Path) -> None:
    counting = Counting()
    both = Semantic(
        (a_query(), Query("lead_quality", "money price", {"budget": "Means.", "champion": "Who."})), counting.encoder
    )
    read(path, "f_1", "The money is there.")
    read(path, "f_1", "The money is there.", answer_id="read again")
    read(path, "f_2", "A price.", predicate="champion")
    read(path, "f_3", "Not listened to.", predicate="pain")
    assert both.update(path, lambda: NOW) == 3 + 2
    first = kept(path)
    assert [row[:3] for row in first] == [
        ("icp_fit", "f_1", Decimal("1.0000")),
        ("lead_quality", "f_1", Decimal("0.7071")),
        ("lead_quality", "f_2", Decimal("0.7071")),
    ]
    counting.asked.clear()
    assert both.update(path, lambda: LATER) == 0
    assert counting.asked == []

    read(path, "f_4", "Words it does not know.")
    assert both.update(path, lambda: LATER) == 2
    assert not any("The money is there." in text for text in counting.asked)
    assert kept(path) == [*first, ("icp_fit", "f_4", None, LATER), ("lead_quality", "f_4", None, LATER)]
    assert both.update(path, lambda: LATER) == 0  # an unknown one is not asked about again


def test_other_words_in_the_same_place_are_compared_anew(path: Path) -> None:
    semantic = Semantic((a_query(),), Counting().encoder)
    read(path, "f_1", "The money is there.")
    semantic.update(path, lambda: NOW)
    read(path, "f_1", "The price is high.!", answer_id="after the edit")
    assert semantic.update(path, lambda: LATER) == 1
    assert [row[2] for row in kept(path)] == [Decimal("1.0000"), Decimal("0.0000")]


def test_another_model_is_computed_once_and_going_back_computes_nothing(path: Path) -> None:
    read(path, "f_1", "The money is there.")
    one, two = (Semantic((a_query(),), Counting(name).encoder) for name in ("one", "two"))
    assert [one.update(path, lambda: NOW), two.update(path, lambda: LATER)] == [2, 2]
    assert one.update(path, lambda: datetime(2026, 11, 19, tzinfo=UTC)) == 1
    with ledger.connect(path, read_only=True) as connection:
        models = connection.execute("select model_hash from recall_queries order by asked_since").fetchall()
    assert models == [("one",), ("two",), ("one",)]
    assert len(kept(path)) == 2


def test_a_model_that_cannot_be_read_shows_before_there_is_a_fact_and_leaves_nothing(path: Path) -> None:
    def broken(texts: Sequence[str]) -> Any:
        raise NightdeskError("It cannot be read")

    semantic = Semantic((a_query(),), encoder.Encoder("one", broken))
    with pytest.raises(NightdeskError, match="cannot be read"):
        semantic.update(path, lambda: NOW)
    with ledger.connect(path, read_only=True) as connection:
        assert connection.execute("select count(*) from recall_queries").fetchone() == (0,)


def test_no_words_of_anybody_are_kept(path: Path) -> None:
    read(path, "f_1", "The money is there, said Dana.")
    Semantic((a_query(),), Counting().encoder).update(path, lambda: NOW)
    with ledger.connect(path, read_only=True) as connection:
        rows = connection.execute("select * from recall_similarity, recall_queries").fetchall()
    assert rows and not any(word in str(rows) for word in ("money", "Dana"))


def test_python_and_dbt_know_the_same_words_by_the_same_name() -> None:
    macros = jinja2.Environment().from_string((ROOT / "macros" / "recall.sql").read_text(encoding="utf-8")).module
    assert str(macros.fact_text_id("facts")).strip() == similarity.TEXT_ID  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]


# The night and the evaluation -------------------------------------------------------------------------------------


class Nobody:
    """An agent that is never asked."""

    name = "nobody"


def a_project(tmp_path: Path, model: str) -> Any:
    from nightdesk.prepare import Project
    from nightdesk.settings import read as read_settings

    loaded = policy.load(folder_with(tmp_path, f"semantic: {{model: {model}, weight: 0.5}}"))
    return Project(tmp_path, read_settings().model_copy(update={"data_dir": tmp_path}), loaded)


def test_a_night_stops_before_it_loads_when_the_model_is_not_there(tmp_path: Path, path: Path) -> None:
    from nightdesk.refresh import refresh

    done: list[str] = []
    with pytest.raises(NightdeskError, match="folder of its model is missing") as caught:
        refresh(
            a_project(tmp_path, "nowhere"),
            agent=cast("Agent", Nobody()),
            clock=lambda: NOW,
            progress=lambda step, text: done.append(step),
        )
    assert caught.value.where == str(tmp_path / "nowhere")
    assert done == []


def a_manifest() -> dict[str, Any]:
    """Two operations: one reads facts, the other is reminded of them."""

    def node(name: str, *reads: str, meta: dict[str, str] | None = None) -> tuple[str, dict[str, Any]]:
        config = {"meta": {"nightdesk": meta} if meta else {}}
        return name, {"resource_type": "model", "name": name, "depends_on": {"nodes": reads}, "config": config}

    return {
        "nodes": dict(
            [
                node("queue_extract_facts", meta={"role": "queue", "operation": "extract_facts"}),
                node("published_extract_facts", "facts", meta={"role": "published", "operation": "extract_facts"}),
                node("int_recall", "published_extract_facts", "recall_similarity"),
                node("queue_icp_fit", "int_recall", meta={"role": "queue", "operation": "icp_fit"}),
                node("published_icp_fit", meta={"role": "published", "operation": "icp_fit"}),
            ]
        ),
        "sources": {name: {"source_name": "ledger", "name": name} for name in ("facts", "recall_similarity")},
    }


def test_facts_read_in_a_night_are_compared_before_recall_is_built_in_it(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from enrich import runner
    from nightdesk import refresh

    seen: list[tuple[str, int]] = []

    class Dbt:
        def __init__(self, *_: object) -> None: ...

        def manifest(self) -> dict[str, Any]:
            return a_manifest()

        def build(self, names: list[str], **_: object) -> Any:
            seen.extend((name, len(kept(path))) for name in names if name in ("queue_extract_facts", "int_recall"))
            return SimpleNamespace(statuses={})

    def drain(operation: str, **_: object) -> Any:
        if operation == "extract_facts":
            read(path, f"f_{len(seen)}", "The money is there.")
        return SimpleNamespace(selected=1, asked=1, counts={}, warnings=(), answers_written=1, asks_anew=False)

    def a_model(folder: Path) -> encoder.Encoder:
        return Counting().encoder

    monkeypatch.setattr(similarity, "open_folder", a_model)
    monkeypatch.setattr(refresh, "Dbt", Dbt)
    monkeypatch.setattr(runner, "drain", drain)
    project = a_project(tmp_path, "model")
    for _ in range(2):
        refresh.refresh(
            project,
            agent=cast("Agent", Nobody()),
            clock=lambda: NOW,
            progress=lambda step, text: None,
            load_crm=False,
            write_plan=False,
        )
    per_fact = sum("budget" in query.predicates for query in similarity.queries(project.policy))
    assert per_fact > 1
    assert seen == [
        ("queue_extract_facts", 0),
        ("int_recall", per_fact),
        ("queue_extract_facts", per_fact),
        ("int_recall", 2 * per_fact),
    ]


def test_the_plain_order_is_what_recall_would_have_shown_without_similarity() -> None:
    rule = policy.load(ROOT / "policies").recall.operations["churn_revisit"].model_copy(update={"quota": 1})
    half, day = Decimal("0.5"), date(2026, 11, 1)
    facts = [
        Weighed("near", "budget", day, Decimal("0.400000000"), Decimal("1.0000")),
        Weighed("far", "need", day, Decimal("0.300000000"), Decimal("0.0000")),  # 0.6 without
        Weighed("further", "need", day, Decimal("0.250000000"), Decimal("0.0000")),  # beyond its quota
        Weighed("unknown", "pain", day, Decimal("0.500000000"), None),
    ]
    assert plain_ranks(facts, rule, half) == {"far": 0, "unknown": 1, "near": 2}
    candidates = [Candidate("near", 9, 0, 1), Candidate("far", 9, 1, 0)]
    record = Record("r", wanted=[Wanted("x", "far")], candidates=candidates)
    assert reached(record, "recall", 9, 4, random.Random(1)) == 0
    assert reached(record, "plain", 9, 4, random.Random(1)) == 1
