"""The four arms' numbers as a report: per contact with intervals, per question, per night and over a month."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from sandbox.evaluation import arms, tokens
from sandbox.evaluation.metrics import Interval
from sandbox.evaluation.results import Goal, Result
from sandbox.evaluation.tokens import Cost

NIGHTS = 30
DUMP_GOAL, LOOP_GOAL = 10.0, 40.0

ARMS: Mapping[str, str] = {
    "loop": "tool loop, one document a turn",
    "loop_wide": f"tool loop, {arms.WIDE} documents a turn",
    "loop_relevant": "tool loop until the facts the question asks for are covered",
    "loop_full": "tool loop over everything",
    "loop_wide_full": f"tool loop over everything, {arms.WIDE} documents a turn",
    "dump": "raw records in one call a question",
    "dump_relevant": "raw records until the facts the question asks for are covered",
    "dump_full": "all raw records in one call a question",
    "at_once": "raw records, one call for all questions of an account",
    "at_once_full": "all raw records, one call for all questions of an account",
    "curated": "curated + memory, reading the documents included",
    "curated_asking": "curated + memory, documents read before",
}


class ArmLine(Result):
    """One arm of the first night, per contact asked about. `usd_cached` uses the prompt cache where it takes it."""

    arm: str
    about: str
    calls: float
    tokens: float
    interval: Interval | None
    own_tokens: float
    usd: float
    usd_cached: float


class QuestionLine(Result):
    """One operation, per question. `own` tokens are those read of the record, without prompt, schema and answer."""

    operation: str
    questions: int
    known: float
    coverage: float | None
    relevant: float
    relevant_coverage: float | None
    tokens: dict[str, float]
    own: dict[str, float]


class NightLine(Result):
    """What one night asked of the curated arm, and what the raw arms pay for the same questions; per contact."""

    night: str
    documents_read: int
    questions: int
    curated: float
    curated_usd: float
    dump: float
    dump_usd: float
    loop: float
    loop_usd: float


class RatioLine(Result):
    """How many times more one arm spends than the curated one, in tokens and dollars."""

    name: str
    tokens: float | None
    interval: Interval | None
    usd: float | None
    goal: float | None
    is_met: bool | None


class TokensReport(Result):
    """The whole comparison."""

    contacts: int
    contacts_asked: int
    seed: int | None
    as_of: date
    tokenizer: str
    models: dict[str, str]
    arms: tuple[ArmLine, ...]
    ratios: tuple[RatioLine, ...]
    questions: tuple[QuestionLine, ...]
    nights: tuple[NightLine, ...]
    goals: tuple[Goal, ...]


def report(
    first: arms.Night,
    later: Sequence[tuple[str, arms.Night]],
    *,
    contacts: int,
    seed: int | None,
    as_of: date,
    models: Mapping[str, str],
    resamples: int = 2000,
) -> TokensReport:
    """Put the nights together.

    Args:
        first: The first night, everything new.
        later: (what it was, the night), in order; the last one is the ordinary night of the month.
        contacts: Of the company.
        seed: Of the company.
        as_of: The company's today.
        models: Operation to model.
        resamples: Of each bootstrap.
    """
    accounts = _accounts(first)
    people = _per_account(first.contacts.values(), accounts)
    lines = tuple(_arm_line(first, arm, accounts, people, resamples) for arm in ARMS)
    nights = (_night_line("first night", first, first), *(_night_line(name, night, first) for name, night in later))
    ratios = tuple(_ratios(first, later, accounts, resamples))
    asked = sum(people)
    return TokensReport(
        contacts=contacts,
        contacts_asked=int(asked),
        seed=seed,
        as_of=as_of,
        tokenizer=tokens.TOKENIZER,
        models=dict(models),
        arms=lines,
        ratios=ratios,
        questions=tuple(_question_line(first, name) for name in arms.QUESTIONS),
        nights=nights,
        goals=tuple(_goals(ratios, nights)),
    )


def _accounts(night: arms.Night) -> list[str]:
    found = {line.account for line in night.asked} | {line.account for line in night.readings}
    return sorted(found | set(night.contacts.values()))


def _per_account(values: Iterable[str], accounts: Sequence[str]) -> list[float]:
    counted = Counter(values)
    return [float(counted[account]) for account in accounts]


def _tokens(cost: Cost) -> float:
    return cost.usage.tokens


def _usd(cost: Cost) -> float:
    return cost.usd


def _usd_cached(cost: Cost) -> float:
    return cost.usd_cached


def _own(cost: Cost) -> float:
    return cost.usage.own


def _calls(cost: Cost) -> float:
    return float(cost.usage.calls)


def _arm_line(night: arms.Night, arm: str, accounts: Sequence[str], people: Sequence[float], resamples: int) -> ArmLine:
    spent = arms.by_account(night, arm, _tokens)
    mean, interval = tokens.ratio_interval([spent[a] for a in accounts], people, resamples=resamples)
    asked = sum(people) or 1.0
    return ArmLine(
        arm=arm,
        about=ARMS[arm],
        calls=sum(arms.by_account(night, arm, _calls).values()) / asked,
        tokens=mean or 0.0,
        interval=interval,
        own_tokens=sum(arms.by_account(night, arm, _own).values()) / asked,
        usd=sum(arms.by_account(night, arm, _usd).values()) / asked,
        usd_cached=sum(arms.by_account(night, arm, _usd_cached).values()) / asked,
    )


def _question_line(night: arms.Night, operation: str) -> QuestionLine:
    asked = [line for line in night.asked if line.operation == operation]
    known, relevant = sum(line.known for line in asked), sum(line.relevant for line in asked)
    shown = sorted(asked[0].costs) if asked else []
    number = len(asked) or 1
    return QuestionLine(
        operation=operation,
        questions=len(asked),
        known=known / number,
        coverage=sum(line.covered for line in asked) / known if known else None,
        relevant=relevant / number,
        relevant_coverage=sum(line.relevant_covered for line in asked) / relevant if relevant else None,
        tokens={arm: sum(line.costs[arm].usage.tokens for line in asked) / number for arm in shown},
        own={arm: sum(line.costs[arm].usage.own for line in asked) / number for arm in shown},
    )


def _total(night: arms.Night, arm: str, part: str) -> float:
    return sum(arms.by_account(night, arm, {"tokens": _tokens, "usd": _usd}[part]).values())


def _night_line(name: str, night: arms.Night, first: arms.Night) -> NightLine:
    """Per contact that the first night asked about, so that nights can be compared and added."""
    people = len(first.contacts) or 1
    return NightLine(
        night=name,
        documents_read=len(night.readings),
        questions=len(night.asked),
        curated=_total(night, "curated", "tokens") / people,
        curated_usd=_total(night, "curated", "usd") / people,
        dump=_total(night, "dump", "tokens") / people,
        dump_usd=_total(night, "dump", "usd") / people,
        loop=_total(night, "loop", "tokens") / people,
        loop_usd=_total(night, "loop", "usd") / people,
    )


def _ratios(
    first: arms.Night, later: Sequence[tuple[str, arms.Night]], accounts: Sequence[str], resamples: int
) -> list[RatioLine]:
    """Every ratio that is told: first night, asking with the memory filled, and a month."""
    ordinary = later[-1][1] if later else None

    def spent(night: arms.Night, arm: str, part: str, times: int = 1) -> list[float]:
        found = arms.by_account(night, arm, {"tokens": _tokens, "usd": _usd, "own": _own}[part])
        return [found[account] * times for account in accounts]

    def line(name: str, raw: str, curated: str, goal: float | None, part: str = "tokens") -> RatioLine:
        value, interval = tokens.ratio_interval(
            spent(first, raw, part), spent(first, curated, part), resamples=resamples
        )
        dollars, _ = tokens.ratio_interval(spent(first, raw, "usd"), spent(first, curated, "usd"), resamples=2)
        return _ratio(name, value, interval, dollars if part == "tokens" else None, goal)

    found = [
        line("first night: one-shot dump", "dump", "curated", DUMP_GOAL),
        line("first night: tool loop", "loop", "curated", LOOP_GOAL),
        line("memory filled: one-shot dump", "dump", "curated_asking", DUMP_GOAL),
        line("memory filled: one-shot dump, facts asked for", "dump_relevant", "curated_asking", DUMP_GOAL),
        line("memory filled: one-shot dump, everything", "dump_full", "curated_asking", None),
        line("memory filled: one call an account", "at_once", "curated_asking", None),
        line("memory filled: tool loop", "loop", "curated_asking", LOOP_GOAL),
        line(f"memory filled: tool loop, {arms.WIDE} documents a turn", "loop_wide", "curated_asking", None),
        line("memory filled: tool loop, facts asked for", "loop_relevant", "curated_asking", LOOP_GOAL),
        line("memory filled: tool loop over everything", "loop_full", "curated_asking", None),
        line("read of the record alone: one-shot dump", "dump", "curated_asking", DUMP_GOAL, "own"),
        line(
            "read of the record alone: one-shot dump, facts asked for",
            "dump_relevant",
            "curated_asking",
            DUMP_GOAL,
            "own",
        ),
        line("read of the record alone: tool loop", "loop", "curated_asking", LOOP_GOAL, "own"),
    ]
    if ordinary is None:
        return found
    for raw, what, goal in (
        ("dump", "one-shot dump", DUMP_GOAL),
        ("dump_full", "one-shot dump of everything", None),
        ("loop", "tool loop", LOOP_GOAL),
    ):
        for name, later_nights, raw_nights in (
            (f"{NIGHTS} nights, nothing new after the first: {what} every night", None, first),
            (f"{NIGHTS} nights, each {later[-1][0]}: {what} every night", ordinary, first),
            (f"{NIGHTS} nights, each {later[-1][0]}: {what} of changed records only", ordinary, ordinary),
        ):
            above, below = (
                {
                    part: _added(spent(first, arm, part), spent(then, arm, part, NIGHTS - 1))
                    if then is not None
                    else spent(first, arm, part)
                    for part in ("tokens", "usd")
                }
                for arm, then in ((raw, raw_nights), ("curated", later_nights))
            )
            value, interval = tokens.ratio_interval(above["tokens"], below["tokens"], resamples=resamples)
            dollars, _ = tokens.ratio_interval(above["usd"], below["usd"], resamples=2)
            found.append(_ratio(name, value, interval, dollars, goal))
    return found


def _added(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [one + other for one, other in zip(left, right, strict=True)]


def _ratio(
    name: str, value: float | None, interval: Interval | None, dollars: float | None, goal: float | None
) -> RatioLine:
    met = None if goal is None or value is None else value >= goal
    return RatioLine(name=name, tokens=value, interval=interval, usd=dollars, goal=goal, is_met=met)


def _goals(ratios: Sequence[RatioLine], nights: Sequence[NightLine]) -> list[Goal]:
    """The promise as it was made: total tokens of the first night, and a quiet second night."""
    by_name = {line.name: line for line in ratios}
    found: list[Goal] = []
    for name, least in (("first night: one-shot dump", DUMP_GOAL), ("first night: tool loop", LOOP_GOAL)):
        line = by_name[name]
        found.append(Goal(name=f"{name} / curated", goal=f">= {least:.0f}", reached=line.tokens, is_met=line.is_met))
    quiet = next((line for line in nights if line.night == "second night, nothing new"), None)
    if quiet is not None:
        found.append(
            Goal(name="second night, tokens of curated", goal="0", reached=quiet.curated, is_met=quiet.curated == 0)
        )
    return found
