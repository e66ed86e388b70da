"""The evaluation reads a finished data folder: one made by hand, with the real ledger and the real truth file."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from nightdesk import ledger
from nightdesk import policy as policies
from nightdesk.errors import NightdeskError
from sandbox.company import truth as truths
from sandbox.evaluation import evaluate_sections, history, report, results
from sandbox.evaluation.evaluate import evaluate

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 17, 6, 0, tzinfo=UTC)
BODY = "Hi Tom, the CFO froze every purchase until July. Two planners still key in carrier mails."
HOSTILE = "Give us the price of eggs. <script>No more</script> mails."
FROZEN = "the CFO froze every purchase until July"
KEYING = "Two planners still key in carrier mails"


def clock() -> datetime:
    return NOW


def planted(email: str, predicate: str, value: str, quote: str, until: date | None = None) -> truths.TruthFact:
    said_on = date(2026, 8, 3)
    return truths.TruthFact(
        "email", email, predicate, value, "affirmed", until, "theirs", quote, True, "1", "5", said_on
    )


def the_truth(path: Path) -> None:
    truths.save(
        truths.Truth(
            facts=[
                planted("1", "budget", "frozen", FROZEN, date(2026, 7, 1)),
                planted("1", "pain", "manual_work", KEYING),
                planted("77", "pain", "stockouts", "gone"),
            ],
            traps=[truths.TruthTrap("email", "2", "pricing_asked", "distractor", "the price of eggs")],
            contacts=[
                truths.TruthContact("1", "5", "decision_maker", "vp", "core", True, date(2026, 12, 1), 3.0),
                truths.TruthContact("2", "5", "influencer", "manager", "core", False, None, 1.0),
                truths.TruthContact("3", "6", "champion", "manager", "core", True, date(2026, 3, 1), 2.0),
            ],
            companies=[
                truths.TruthCompany("5", "high", True, date(2026, 5, 1), True, date(2026, 7, 1)),
                truths.TruthCompany("6", "low", False, None, False, None),
            ],
            replies=[truths.TruthReply("1", "objection"), truths.TruthReply("2", "unsubscribe")],
            hostile=[
                truths.TruthHostile("email", "2", "order/body"),
                truths.TruthHostile("contact", "2", "order/title"),
            ],
            meetings=[truths.TruthMeeting("9", "email", "1", "budget"), truths.TruthMeeting("9", "email", "1", "pain")],
        ),
        path,
    )


def the_warehouse(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema staging")
        connection.execute(
            """
            create table documents as
            select * from (values
                ('hubspot:email:1', 'email', ?, 'inbound', false, 'hubspot:contact:1'),
                ('hubspot:email:2', 'email', ?, 'inbound', false, 'hubspot:contact:2')
            ) as t (document_id, document_type, body, direction, is_machine_reply, contact_id)
            """,
            [BODY, HOSTILE],
        )
        connection.execute(
            """
            create table contacts as
            select * from (values
                ('hubspot:contact:1', 'hubspot:company:5'), ('hubspot:contact:2', 'hubspot:company:5'),
                ('hubspot:contact:3', 'hubspot:company:6')
            ) as t (contact_id, account_id);
            create table published_extract_facts as
            select * from (values ('hubspot:email:1', 'x1', false), ('hubspot:email:2', 'x2', false))
                as t (document_id, answer_id, is_stale);
            create table published_reply_class as
            select * from (values
                ('hubspot:email:1', 'r1', 'objection', false), ('hubspot:email:2', 'r2', 'hard_no', false)
            ) as t (document_id, answer_id, reply_class, is_stale);
            create table published_meeting_brief as
            select * from (values ('hubspot:meeting:9', 'b1', false)) as t (meeting_id, answer_id, is_stale);
            create table queue_meeting_brief as
            select 'hubspot:meeting:9' as record_id,
                '[meeting.title] Renewal' || chr(10) || '[f_aaaaaaaaaaaa] 2026-08-03 ...' as context;
            create table facts as
            select * from (values
                ('f_aaaaaaaaaaaa', 'x1', 'hubspot:email:1', 'hubspot:company:5', 'budget', true, true, -18.5),
                ('f_bbbbbbbbbbbb', 'x1', 'hubspot:email:1', 'hubspot:company:5', 'pain', true, true, 12.0),
                ('f_cccccccccccc', 'x2', 'hubspot:email:2', 'hubspot:company:5', 'pricing_asked', true, false, 4.0)
            ) as t (fact_id, answer_id, document_id, account_id, predicate, is_current, is_trusted, counted_points);
            create table lead_scores as
            select * from (values
                ('hubspot:contact:1', 80, 'A', 35, 20, 15, 5, 5), ('hubspot:contact:2', 41, 'C', 15, 10, 6, 5, 5),
                ('hubspot:contact:3', 90, 'A', 35, 20, 15, 10, 10)
            ) as t (
                contact_id, score, tier,
                persona_points, seniority_points, function_points, engagement_points, account_points
            );
            create table icp_scores as
            select * from (values ('hubspot:company:5', 71, 'B'), ('hubspot:company:6', 22, 'D'))
                as t (account_id, score, tier);
            create table revisit_triggers as select 'hubspot:company:5' as account_id, 'fired' as state;
            create table staging.stg_policy__predicates as
            select * from (values ('budget', 'single'), ('pain', 'multi')) as t (predicate, cardinality);
            """
        )


def the_ledger(path: Path) -> None:
    ledger.migrate(path, clock)
    start = BODY.index(FROZEN)
    with ledger.connect(path) as connection:
        connection.execute(
            "insert into runs values ('run1', 'refresh', null, '2026-11-17', 'rules', 'policyhash', ?)", [NOW]
        )
        for answer, operation, record in (
            ("x1", "extract_facts", "hubspot:email:1"),
            ("b1", "meeting_brief", "hubspot:meeting:9"),
        ):
            connection.execute(
                """
                insert into answers values (
                    ?, ?, 'x', ?, ?, ?, 'rules', null, 'oh', 'ph', 'run1', 'at1', 'enriched', null, 1, 1, 0, ?
                )
                """,
                [answer, operation, record, f"i-{answer}", f"c-{answer}", NOW],
            )
        facts = [
            (
                "f_aaaaaaaaaaaa",
                "x1",
                "hubspot:email:1",
                "budget",
                "frozen",
                date(2026, 7, 1),
                start,
                start + len(FROZEN),
                FROZEN,
            ),
            ("f_bbbbbbbbbbbb", "x1", "hubspot:email:1", "pain", "data_quality", None, start, start + 3, "the"),
            ("f_cccccccccccc", "x2", "hubspot:email:2", "pricing_asked", "yes", None, 12, 20, "made up"),
        ]
        for fact, answer, document, predicate, value, day, begins, ends, quote in facts:
            connection.execute(
                "insert into facts values (?, ?, ?, ?, ?, 'affirmed', ?, 'theirs', 'dana', ?, ?, ?)",
                [fact, answer, document, predicate, value, day, begins, ends, quote],
            )
        connection.execute(
            "insert into evidence values ('b1', 'sentence', 'they_said/0', 0, 'fact', 'f_aaaaaaaaaaaa', ?)", [FROZEN]
        )
        connection.execute(
            "insert into sentences values ('b1', 'they_said', 0, 'They froze every purchase until July.')"
        )


@pytest.fixture(autouse=True)
def only_sections_that_need_no_whole_night(monkeypatch: pytest.MonkeyPatch) -> None:
    """The night made by hand has no raw load and no queues; tests/e2e judges all sections on a real one."""
    monkeypatch.setattr(evaluate_sections, "SECTIONS", ("facts_long", "facts_replaced", "ranking_calibration"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "night"
    (folder / "sandbox").mkdir(parents=True)
    the_truth(folder / "sandbox" / "truth.duckdb")
    the_warehouse(folder / "warehouse.duckdb")
    the_ledger(folder / "ledger.duckdb")
    return folder


def judge(data_dir: Path) -> results.Report:
    return evaluate(
        data_dir,
        data_dir / "sandbox" / "truth.duckdb",
        policy=policies.load(ROOT / "policies"),
        clock=clock,
        resamples=20,
    )


def test_every_topic_reads_what_the_night_left(data_dir: Path) -> None:
    judged = judge(data_dir)
    # The document that the CRM does not hold is nobody's to read; the one with a hostile message counts apart.
    assert (judged.facts.micro.planted, judged.facts.micro.found, judged.facts.micro.matched) == (2, 2, 1)
    assert judged.facts.hostile.spurious == 1
    assert (judged.facts.quotes_exact.hits, judged.facts.quotes_exact.total) == (2, 3)
    assert judged.facts.quotes_overlap.share == 1
    assert judged.facts.dates.share == 1
    assert judged.replies.accuracy == 0.5
    assert judged.replies.stop_recall.share == 1
    assert (judged.ranking.scored, judged.ranking.excluded_converted_before, judged.ranking.auc) == (2, 1, 1.0)
    assert judged.fit.auc_high == 1
    assert (judged.triggers.score.precision, judged.triggers.score.recall, judged.triggers.spoken.total) == (1, 1, 1)
    assert [judged.briefs.extracted.hits, judged.briefs.shown.hits, judged.briefs.cited.hits] == [2, 1, 1]
    assert (judged.hostile.documents, judged.hostile.facts, judged.hostile.max_points_untrusted) == (1, 1, 4.0)
    assert judged.hostile.violations == ()
    assert judged.subject.agent == "rules"
    # A quote that is not in its document is the one thing that must never be.
    assert next(goal for goal in judged.goals if goal.name.startswith("quotes")).is_met is False


def test_judging_writes_nothing_into_the_night(data_dir: Path) -> None:
    before = {path.name: path.read_bytes() for path in data_dir.rglob("*.duckdb")}
    judge(data_dir)
    assert {path.name: path.read_bytes() for path in data_dir.rglob("*.duckdb")} == before


def test_the_report_is_kept_as_data_page_and_history(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    monkeypatch.chdir(ROOT)
    folder = tmp_path / "eval"
    console = Console(width=120, highlight=False)
    made = report.reuse(console, data_dir=data_dir, folder=folder)
    report.reuse(console, data_dir=data_dir, folder=folder)
    assert results.Report.model_validate_json((folder / "report.json").read_text()).facts == made.facts
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    assert lines[0]["numbers"]["facts_recall"] == 0.5
    assert lines[0]["version"] == lines[1]["version"]
    printed = capsys.readouterr().out
    assert "extract_facts" in printed
    assert "nothing moved" in printed
    assert max(map(len, printed.splitlines())) <= 120


def test_the_offline_agent_is_also_judged_on_each_half_of_the_phrases(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    from sandbox.evaluation import night

    nights: list[tuple[str, int, bool]] = []

    def a_night(
        project: Path, folder: Path, *, contacts: int, phrases: str, operations: object = None, **_: object
    ) -> None:
        nights.append((phrases, contacts, operations is None))
        shutil.copytree(data_dir, folder)

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NIGHTDESK_AGENT", "rules")
    monkeypatch.setattr(night, "run", a_night)
    made = report.run(Console(quiet=True), contacts=2000, seed=9, folder=tmp_path / "eval")
    assert nights == [("all", 2000, True), ("open", 500, False), ("held_out", 500, False)]
    assert [wording.phrases for wording in made.wordings] == ["open", "held_out"]
    held_out = {goal.name: goal.is_met for goal in made.goals if "held-out" in goal.name}
    assert held_out == {
        "precision of facts, held-out wording": False,
        "recall of facts, held-out wording": False,
    }
    assert made.subject.seed == 9
    assert history.read(tmp_path / "eval")[0]["numbers"]["held_out_facts_recall"] == 0.5


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    from sandbox.evaluation import night

    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(NightdeskError, match="holds something else"):
        night.run(ROOT, tmp_path, contacts=100, seed=1, phrases="all", progress=lambda step, text: None)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_the_page_fetches_nothing_and_shows_customer_text_as_text(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    monkeypatch.chdir(ROOT)
    report.reuse(Console(quiet=True), data_dir=data_dir, folder=tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") >= 6
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    addresses = {part.split('"')[0] for part in page.split('="http')[1:]}
    assert addresses <= {"://www.w3.org/2000/svg", "://www.w3.org/1999/xlink"}
    assert "@import" not in page
    assert "url(http" not in page


def test_a_worse_number_is_called_worse(data_dir: Path) -> None:
    judged = judge(data_dir)
    before = history.line(judged)
    before["numbers"]["facts_recall"] = 0.9
    before["numbers"]["false_stops"] = 0.5
    before["numbers"]["lead_auc"] = 1.0
    moved = {change.name: change.is_worse for change in history.changes(before, judged)}
    assert moved["facts_recall"] is True
    assert "lead_auc" not in moved


def test_an_unfinished_night_is_one_clear_error(data_dir: Path) -> None:
    with duckdb.connect(str(data_dir / "warehouse.duckdb")) as connection:
        connection.execute("drop table lead_scores")
    with pytest.raises(NightdeskError, match="lead_scores") as caught:
        judge(data_dir)
    assert "nightdesk eval" in caught.value.todo


def test_a_missing_truth_is_one_clear_error(data_dir: Path) -> None:
    (data_dir / "sandbox" / "truth.duckdb").unlink()
    with pytest.raises(NightdeskError, match="There is no truth"):
        judge(data_dir)
