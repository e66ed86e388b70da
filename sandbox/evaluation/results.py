"""What an evaluation says, as written to `report.json`: frozen, typed. Shares are 0..1, None where nothing counts."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict

from sandbox.evaluation.metrics import Counts, Interval


class Result(BaseModel):
    """Base of everything in a report."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(Result):
    """`hits` of `total`."""

    name: str
    hits: int
    total: int
    share: float | None


class Score(Result):
    """Precision and recall of one group."""

    name: str
    planted: int
    found: int
    matched: int
    precision: float | None
    recall: float | None
    f1: float | None


class PredicateScore(Score):
    """One predicate, and what became of what did not match.

    `missed` and `spurious` have no partner at all; `wrong_value` and `wrong_polarity` found the remark and misread it.
    """

    quote_overlap: float | None
    wrong_value: int
    wrong_polarity: int
    missed: int
    spurious: int


class Error(Result):
    """One error, to be looked at: `planted` is null for a spurious fact, `found` for a missed one."""

    kind: str  # missed | spurious | wrong_value | wrong_polarity | confused (a reply)
    predicate: str
    document_id: str
    planted: str | None
    found: str | None
    quote: str
    where: str | None = None  # of a spurious fact: trap | other_planted | elsewhere


class HostileFacts(Result):
    """Facts in documents that hold a hostile message; they count nowhere else."""

    documents: int
    planted: int
    found: int
    matched: int
    spurious: int


class Facts(Result):
    """How well documents are read."""

    documents_selected: int
    documents_answered: int
    by_predicate: tuple[PredicateScore, ...]
    micro: Score
    macro_f1: float | None
    quotes_exact: Rate  # found quotes that stand in their document letter for letter
    quotes_overlap: Rate  # matched facts whose quote shares characters with the planted sentence
    dates: Rate  # matched facts with a planted date, whose date was read too
    supersession: Rate  # matched single-valued facts whose current/replaced flag agrees with the truth
    superseded: Rate  # contradicting pairs of which both were read: the earlier is marked as replaced
    by_document_type: tuple[Score, ...]
    by_side: tuple[Rate, ...]  # recall by who said it
    by_position: tuple[Rate, ...]  # recall in transcripts by where the remark stands
    traps: tuple[Rate, ...]  # traps that were read as the fact they look like
    spurious_where: dict[str, int]
    denials_read: int  # denied traps read as denials: right, planted as nothing, so counted as nothing
    hostile: HostileFacts
    errors: tuple[Error, ...]


class Replies(Result):
    """How well replies are told apart. Rows of `matrix` are the truth, columns what was said, silence last."""

    total: int
    answered: int
    accuracy: float | None
    macro_f1: float | None
    classes: tuple[Score, ...]
    columns: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    stop_recall: Rate  # of those who said stop or never: recognised as one of the two
    false_stops: Rate  # of those who said neither: silenced all the same
    errors: tuple[Error, ...]


class Window(Result):
    """Ranking of those who convert in a stretch of time among all who had not converted before it."""

    name: str
    first_day: date
    last_day: date
    at_risk: int
    converted: int
    auc: float | None
    interval: Interval | None


class Component(Result):
    """One part of a score: how it ranks alone, and how the score ranks without it."""

    name: str
    weight: float
    auc_alone: float | None
    auc_without: float | None


class Tier(Result):
    """How many of a tier converted."""

    name: str
    contacts: int
    converted: int
    rate: float | None
    interval: Interval | None
    lift: float | None  # rate over the rate of all scored contacts


class Ranking(Result):
    """How well `lead_quality` puts those who will buy on top. Outcomes lie after `as_of`, everything it read before."""

    scored: int
    excluded_converted_before: int
    converted: int
    auc: float | None
    interval: Interval | None
    ceiling_auc: float | None  # of the latent score conversions were drawn from: no reader can do better
    baselines: tuple[Rate, ...]
    windows: tuple[Window, ...]
    components: tuple[Component, ...]
    tiers: tuple[Tier, ...]
    deciles: tuple[Rate, ...]  # conversion by score decile, best first


class IcpLevel(Result):
    """ICP scores of the accounts of one true level."""

    level: str
    accounts: int
    mean_score: float | None
    tiers: dict[str, int]


class Fit(Result):
    """How well `icp_fit` tells accounts of the highest true level from the others."""

    scored: int
    auc_high: float | None
    levels: tuple[IcpLevel, ...]


class Triggers(Result):
    """Whether the budget trigger fires for the churned customers whose budget opened, and for nobody else."""

    churned: int
    score: Score
    spoken: Rate  # recall among those where somebody said so in a document: what a reader can know
    waiting: Rate  # budgets that open later and are shown as waiting
    by_state: dict[str, dict[str, int]]  # truth -> state -> accounts
    wrong: tuple[str, ...]


class Briefs(Result):
    """What became of the facts a good brief should cover, step by step."""

    meetings: int
    briefed: int
    planted: int
    extracted: Rate
    shown: Rate
    cited: Rate
    cited_of_shown: Rate
    per_meeting_coverage: float | None
    sentences: int
    rejected_items: int


class Violation(Result):
    """Something a hostile message did that it must not do."""

    document_id: str
    what: str
    measured: float
    limit: float


class Hostile(Result):
    """What hostile messages moved."""

    documents: int
    kinds: dict[str, int]
    read: int
    facts: int
    untrusted_documents: int
    max_points: float  # signal points of the document that moves most
    max_points_untrusted: float
    cap: float
    cap_untrusted: float
    accounts_touched: Rate  # accounts with such a document whose ICP score moved further than its caps allow
    max_icp_movement: float  # points of an ICP score (0-100) that hostile documents moved most
    max_icp_movement_allowed: float  # by one document
    values_citing: dict[str, int]  # published answers that cite a hostile document, per operation
    unnamespaced_operations: int
    protected_operations: int
    suppressed_writes: int
    violations: tuple[Violation, ...]


class Goal(Result):
    """A number that was promised, and the one that was reached."""

    name: str
    goal: str
    reached: float | None
    is_met: bool | None


class Subject(Result):
    """Who was judged, on what."""

    agent: str
    model: str | None
    policy_hash: str
    operation_hashes: dict[str, str]
    as_of: date
    run_id: str
    contacts: int
    seed: int | None
    evaluated_at: datetime
    calls: int = 0  # of the agent, answered or not
    cost_usd: float = 0.0


class Wording(Result):
    """The same company told in one half of the phrases: `held_out` is the half nobody tunes on."""

    phrases: str
    contacts: int
    facts: Score
    facts_macro_f1: float | None
    replies_accuracy: float | None
    replies_macro_f1: float | None
    staged: tuple[Rate, ...] = ()  # staged contradictions, both remarks read, that the memory got right
    placed: tuple[Rate, ...] = ()  # remarks staged in calls of an hour that were read, by third


class Table(Result):
    """Rows as shown, the first column to the left. Cells are text, as the section wants them read."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Drawing(Result):
    """A chart as SVG, made by `charts.svg`, and the line beneath it."""

    svg: str
    caption: str


class Measured(Result):
    """A number of a section that the history keeps and compares.

    `n` is what it counts over, `interval` is 95 %. A later value is worse beyond noise when it lies on the worse side
    of the interval, or, where there is none, further off than `tolerance`.
    """

    value: float | None
    n: int | None = None
    interval: Interval | None = None
    fewer_is_better: bool = False
    tolerance: float = 0.01


class Section(Result):
    """One topic that `evaluate_sections.SECTIONS` adds to the report; terminal, page and history show all alike."""

    name: str  # begins its numbers' names in the history
    title: str
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    numbers: dict[str, Measured] = {}
    goals: tuple[Goal, ...] = ()


class Report(Result):
    """A whole evaluation.

    `company` is a hash of what was planted: the same for the same company. `items` holds, per key number, one character
    per remark or reply in a fixed order, 1 where it was read right, so that two evaluations can be paired.
    """

    subject: Subject
    facts: Facts
    replies: Replies
    ranking: Ranking
    fit: Fit
    triggers: Triggers
    briefs: Briefs
    hostile: Hostile
    wordings: tuple[Wording, ...] = ()
    sections: tuple[Section, ...] = ()
    goals: tuple[Goal, ...] = ()
    company: str = ""
    items: dict[str, str] = {}


def at_least(name: str, reached: float | None, goal: float) -> Goal:
    """A goal that is met from `goal` on; open while there is no number."""
    return Goal(name=name, goal=f">= {goal:.2f}", reached=reached, is_met=None if reached is None else reached >= goal)


def none_of(what: str, count: int) -> Goal:
    """A goal that is met by zero."""
    return Goal(name=what, goal="0", reached=float(count), is_met=count == 0)


def rate(name: str, hits: int, total: int) -> Rate:
    """`hits` of `total` with its share."""
    return Rate(name=name, hits=hits, total=total, share=hits / total if total else None)


def score(name: str, counts: Counts) -> Score:
    """Counts with what follows from them."""
    return Score(
        name=name,
        planted=counts.planted,
        found=counts.found,
        matched=counts.matched,
        precision=counts.precision,
        recall=counts.recall,
        f1=counts.f1,
    )
