"""The life of a fact over three nights: read, its source edited, its source deleted; and what rests on it each time.

Everything is the real thing on a hand-made company: dbt builds, the rules agent reads and judges, the runner keeps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
import test_models_world as world
from test_models_support import AS_OF, ROOT, Project, insert

from enrich import runner
from enrich.agents.rules.agent import RulesAgent
from enrich.budget import NightBudget
from nightdesk.policy import Policy, load

NO_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
JUDGED = ("icp_fit", "lead_quality", "churn_revisit", "meeting_brief")
MARTS = ("stale_answers", "memory_dependants", "recall_history")
QUEUES = tuple(f"queue_{name}" for name in JUDGED)
EMAIL, WORDS = "101", "What would 40 seats cost?"
DOCUMENT = f"hubspot:email:{EMAIL}"

# Builds the project a dozen times. The unit tests of facts and fact_history hold what is current, replaced or taken
# back, and test_models_build.py that an answer over a changed text is stale.
pytestmark = pytest.mark.soak


def nothing(done: int, due: int) -> None:
    """Nobody watches."""


@dataclass
class Nights:
    """Nights of one small company, and what the marts said at chosen moments."""

    project: Project
    policy: Policy
    night: int = 0
    asked: dict[str, int] = field(default_factory=dict[str, int])
    seen: dict[str, dict[str, list[tuple[Any, ...]]]] = field(default_factory=dict[str, Any])

    def drain(self, operation: str) -> None:
        moment = datetime(2026, 11, 17, 2, 0, tzinfo=UTC) + timedelta(days=self.night)
        report = runner.drain(
            operation,
            warehouse=self.project.folder / "warehouse.duckdb",
            ledger=self.project.ledger,
            spool_dir=self.project.folder / "spool",
            agent=RulesAgent(self.policy),
            policy=self.policy,
            run_id=f"night-{self.night}",
            as_of=AS_OF,
            budget=NightBudget(Decimal(1), {operation: Decimal(1)}),
            clock=lambda: moment,
            on_progress=nothing,
        )
        self.asked[operation] = report.asked

    def build(self, changed: str, *wanted: str) -> None:
        """Build what descends from what changed, as far as it is wanted: the rest is as it was."""
        self.project.dbt("build", "--select", *(f"{changed}+,+{name}" for name in wanted), *NO_TESTS)

    def read(self) -> None:
        """The first half of a night, on queues that are built: what is new is read."""
        self.night += 1
        self.asked = {}
        for operation in ("extract_facts", "reply_class"):
            self.drain(operation)

    def judge(self) -> None:
        """The second half: what the facts bear on is judged, and the marts tell."""
        for operation in JUDGED:
            self.drain(operation)
        self.build("source:ledger", *MARTS)

    def look(self, moment: str) -> None:
        self.seen[moment] = {
            "history": self.project.rows(
                "select quote, status, retraction_reason, valid_from, valid_to, recorded_at::date, fact_id"
                f" from fact_history where document_id = '{DOCUMENT}' order by quote, fact_id"
            ),
            "dependants": self.project.rows(
                "select operation, record_id, quote, fact_status, retraction_reason, is_stale"
                " from memory_dependants order by all"
            ),
            "stale": self.project.rows(
                "select operation, record_id, reason, outdated_fact_count from stale_answers order by all"
            ),
            "shown": self.project.rows(
                "select operation, record_id, fact_id from recall_log where decision = 'included'"
            ),
            "asked": sorted(self.asked.items()),
        }

    def crm(self, sql: str) -> None:
        with duckdb.connect(str(self.project.raw)) as connection:
            connection.execute(sql)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory, manifest: Any) -> Nights:
    project = Project(tmp_path_factory.mktemp("memory") / "data", manifest=manifest)
    project.create(with_policies=True)
    world.fill(project)
    story = Nights(project, load(ROOT / "policies"))
    project.dbt("build", "--select", "+queue_extract_facts", "+queue_reply_class", *NO_TESTS)
    story.read()
    project.dbt("build", "--select", *(f"+{queue}" for queue in QUEUES), *NO_TESTS)
    story.judge()
    story.look("read")
    story.read()
    for operation in JUDGED:
        story.drain(operation)
    story.look("quiet")
    story.crm(
        "update hubspot.emails set hs_email_text = 'Two planners still use Excel. Nothing else for now.',"
        f" hs_lastmodifieddate = timestamptz '2026-11-17 20:00:00+00' where id = '{EMAIL}'"
    )
    story.build("source:hubspot.emails", "queue_reply_class", *MARTS)
    story.look("edited, not read")
    story.read()
    story.build("source:ledger", *QUEUES)
    story.judge()
    story.look("edited")
    insert(
        project.raw,
        "hubspot.deletions",
        [{"object_type": "emails", "object_id": EMAIL, "archived_at": datetime(2026, 11, 19, 8, 0, tzinfo=UTC)}],
    )
    story.build("source:hubspot.deletions", "queue_reply_class", *MARTS)
    story.look("deleted, not asked")
    story.read()
    story.judge()
    story.look("deleted")
    return story


def price(nights: Nights, moment: str) -> tuple[Any, ...]:
    (row,) = [row for row in nights.seen[moment]["history"] if row[0] == WORDS]
    return row[1:6]


def fact_of(nights: Nights, words: str) -> str:
    (row,) = [row for row in nights.seen["read"]["history"] if row[0] == words]
    return str(row[6])


def test_a_fact_that_was_read_holds_from_the_day_it_was_said(nights: Nights) -> None:
    assert price(nights, "read") == ("current", None, date(2026, 8, 3), None, date(2026, 11, 18))
    assert any(row[2] == fact_of(nights, WORDS) for row in nights.seen["read"]["shown"])
    assert nights.seen["read"]["dependants"] == nights.seen["read"]["stale"] == []


def test_a_quiet_night_asks_nothing_and_changes_no_fact(nights: Nights) -> None:
    assert [count for _, count in nights.seen["quiet"]["asked"]] == [0] * 6
    assert nights.seen["quiet"]["history"] == nights.seen["read"]["history"]


def test_words_that_were_edited_away_are_retracted_before_the_new_text_is_read(nights: Nights) -> None:
    assert price(nights, "edited, not read") == (
        "retracted", "document_edited", date(2026, 8, 3), date(2026, 11, 17), date(2026, 11, 18),
    )  # fmt: skip
    kept = [row for row in nights.seen["edited, not read"]["history"] if row[0].startswith("Two planners")]
    assert {row[1] for row in kept} <= {"current", "retracted"}


def test_what_rests_on_an_edited_source_is_stale_and_says_why(nights: Nights) -> None:
    resting = [row for row in nights.seen["edited, not read"]["dependants"] if row[2] == WORDS]
    assert resting, "no answer cited the price question: the example shows nothing"
    assert {row[3:5] for row in resting} == {("retracted", "document_edited")}


def test_what_rests_on_an_edited_source_is_asked_again_and_then_rests_on_it_no_more(nights: Nights) -> None:
    assert price(nights, "edited")[:2] == ("retracted", "document_edited")
    assert price(nights, "edited")[3] == date(2026, 11, 20), "the day on which the new text was read"
    asked = dict(nights.seen["edited"]["asked"])
    assert asked["extract_facts"] == 1
    resting = {row[0] for row in nights.seen["edited, not read"]["dependants"] if row[2] == WORDS}
    assert all(asked[operation] >= 1 for operation in resting)
    assert nights.seen["edited"]["dependants"] == nights.seen["edited"]["stale"] == []
    assert all(row[2] != fact_of(nights, WORDS) for row in nights.seen["edited"]["shown"])


def test_a_deleted_source_takes_its_facts_along(nights: Nights) -> None:
    history = nights.seen["deleted"]["history"]
    assert {row[1] for row in history} == {"retracted"}
    assert {row[2] for row in history} == {"document_deleted"}
    assert {row[4] for row in history} == {date(2026, 11, 19)}
    gone = {row[6] for row in history}
    assert not gone & {row[2] for row in nights.seen["deleted"]["shown"]}


def test_what_rests_on_a_deleted_source_is_stale_with_its_reason_and_asked_again(nights: Nights) -> None:
    before = nights.seen["deleted, not asked"]
    resting = [row for row in before["dependants"] if row[4] == "document_deleted"]
    assert resting, "no answer cited the mail: the example shows nothing"
    assert all(row[5] for row in resting), "an answer on facts that are gone must be marked stale"
    stale = {row[:2]: row[2:] for row in before["stale"]}
    assert all(stale[row[:2]] == ("Facts it cites were replaced or taken back", stale[row[:2]][1]) for row in resting)
    asked = dict(nights.seen["deleted"]["asked"])
    assert asked["extract_facts"] == 0
    assert all(asked[row[0]] >= 1 for row in resting)
    assert nights.seen["deleted"]["dependants"] == []


def test_no_sentence_an_agent_wrote_is_shown_to_an_agent_again(nights: Nights) -> None:
    with duckdb.connect(str(nights.project.ledger), read_only=True) as ledger:
        sentences = [row[0] for row in ledger.execute("select distinct body from sentences").fetchall()]
    assert len(sentences) > 5
    for operation in ("extract_facts", "reply_class", *JUDGED):
        contexts = "\n".join(row[0] or "" for row in nights.project.rows(f"select context from queue_{operation}"))
        assert contexts
        assert [body for body in sentences if body in contexts] == [], operation


def test_the_log_keeps_what_each_question_was_shown(nights: Nights) -> None:
    """The ledger's log of a question and the context that was sent name the same facts in the same order."""
    with duckdb.connect(str(nights.project.ledger), read_only=True) as ledger:
        logged = ledger.execute(
            """
            select operation, record_id, context_hash, list(fact_id order by position)
            from recall_log where decision = 'included' group by all
            """
        ).fetchall()
        runs = {row[0] for row in ledger.execute("select distinct run_id from recall_log").fetchall()}
        twice = ledger.execute(
            "select operation, context_hash, decision, fact_id from recall_log group by all having count(*) > 1"
        ).fetchall()
        per_fact = ledger.execute(
            "select count(*) from recall_log where decision in ('superseded', 'not_relevant') and fact_id <> '*'"
        ).fetchone()
    assert twice == []
    assert per_fact == (0,)
    assert "night-2" not in runs, "a quiet night asks nothing and logs nothing"
    assert {"night-1", "night-3"} <= runs
    now = 0
    for operation, record_id, context_hash, fact_ids in logged:
        found = nights.project.rows(
            f"select context from queue_{operation} where record_id = '{record_id}' and context_hash = '{context_hash}'"
        )
        for (context,) in found:
            now += 1
            shown = [line[1:15] for line in context.splitlines() if line.startswith("[f_")]
            assert shown == fact_ids
    assert now >= 3


def test_the_story_of_a_question_can_be_read_from_the_mart(nights: Nights) -> None:
    rows = nights.project.rows(
        "select operation, fact_status, answer_id is not null from recall_history"
        f" where fact_id = '{fact_of(nights, WORDS)}' and decision = 'included'"
    )
    assert rows
    assert {row[1:] for row in rows} == {("retracted", True)}


def test_no_model_that_makes_facts_or_recalls_them_descends_from_a_sentence() -> None:
    reads = {
        path.stem: set(re.findall(r"ref\('(\w+)'\)", path.read_text(encoding="utf-8")))
        for path in (ROOT / "models").rglob("*.sql")
    }
    macros = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "macros").glob("*.sql"))
    assert "stg_ledger__sentences" in macros, "the macro that reads sentences has moved: look again"
    for target in ("queue_extract_facts", "queue_reply_class", "facts", "fact_history", "int_recall"):
        seen: set[str] = set()
        stack = [target]
        while stack:
            name = stack.pop()
            if name not in seen:
                seen.add(name)
                stack += reads.get(name, ())
        texts = "".join(
            path.read_text(encoding="utf-8") for path in (ROOT / "models").rglob("*.sql") if path.stem in seen
        )
        assert not {"stg_ledger__sentences", "meeting_briefs"} & seen, target
        assert "reason_text()" not in texts, target
