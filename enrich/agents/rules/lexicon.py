"""Loads `policies/rules_agent/*.yml` and compiles it once per process."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from enrich.agents.rules.dates import DateGrammar
from enrich.agents.rules.dialogue import Dialogue
from enrich.agents.rules.machine_text import MachineText
from enrich.agents.rules.names import Names
from enrich.agents.rules.patterns import Pattern, compile_pattern
from enrich.agents.rules.scope import Grammar
from enrich.agents.rules.tokens import Tagger, entries_of, fold
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from nightdesk.policy.load import Policy

FILES = ("words", "grammar", "dates", "facts", "replies", "titles", "phrases", "machine_text")
FOLDER = "rules_agent"

DateMode = Literal["none", "any", "until", "linked", "required", "required_until"]
_DATE_MODES: tuple[DateMode, ...] = get_args(DateMode)


@dataclass(frozen=True, slots=True)
class FactRule:
    """One rule of `facts.yml`, compiled. `values` that depend on the text: month, number, person, competitor, tech, back_date."""  # noqa: E501

    predicate: str
    position: int
    value: str
    patterns: tuple[Pattern, ...]
    unless: tuple[Pattern, ...]
    negated: str
    keeps: frozenset[str]
    question: str
    date: DateMode
    first: bool
    sides: frozenset[str]
    masks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """One rule of `replies.yml`, compiled."""

    level: str
    weight: int
    patterns: tuple[Pattern, ...]
    unless: tuple[Pattern, ...]
    negated: str
    keeps: frozenset[str]
    question: str


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """Everything the rules agent knows about language. Read-only once built."""

    tagger: Tagger
    grammar: Grammar
    dates: DateGrammar
    names: Names
    machine_text: MachineText
    dialogue: Dialogue
    rules: tuple[FactRule, ...]
    replies: tuple[ReplyRule, ...]
    replies_data: Mapping[str, Any]
    titles: Mapping[str, Any]
    phrases: Mapping[str, Any]
    number_class: int
    person_class: int
    number_words: Mapping[str, int]
    competitors: Mapping[int, str]
    tech: Mapping[int, str]
    version: str


def content_version(policy: Policy) -> str:
    """sha256 hex over the lexicon files as the policy was loaded with them.

    Raises:
        NightdeskError: A file is missing.
    """
    digest = hashlib.sha256()
    for name in FILES:
        known = policy.file_hashes.get(f"{FOLDER}/{name}.yml")
        if known is None:
            raise NightdeskError(
                f"The rules agent's file `{name}.yml` is missing",
                where=str(policy.folder / FOLDER),
                todo="Restore it from version control.",
            )
        digest.update(f"{name}:{known}\n".encode())
    return digest.hexdigest()


_compiled: OrderedDict[tuple[Path, str], Lexicon] = OrderedDict()
_compiling = threading.Lock()


def load(policy: Policy) -> Lexicon:
    """The lexicon beside this policy (`<policies>/rules_agent`), compiled at most once per process and policy."""
    key = (policy.folder, policy.hash)
    found = _compiled.get(key)
    if found is not None:
        return found
    with _compiling:
        if key not in _compiled:
            _compiled[key] = _load(policy)
            while len(_compiled) > 4:
                _compiled.popitem(last=False)
        return _compiled[key]


def _load(policy: Policy) -> Lexicon:
    folder = policy.folder / FOLDER
    version = content_version(policy)
    data = {name: _read(folder / f"{name}.yml") for name in FILES}
    competitors = tuple((item.name, tuple(item.also)) for item in policy.competitors.competitors)
    speakers = {name: item.speaker for name, item in policy.predicates.predicates.items()}
    try:
        return _compile(data, version, policy.icp.company, competitors, tuple(policy.icp.tech_in_use), speakers)
    except (KeyError, ValueError, TypeError, AttributeError, re.error) as error:
        raise NightdeskError(
            f"The rules agent's lexicon does not compile: {error}",
            where=str(folder),
            todo="Mend the entry; the comments in the files say what is allowed.",
        ) from None


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        # Words only: YAML would read `no`, `on` and `yes` as truth values.
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        return yaml.load(path.read_text(encoding="utf-8"), loader)  # BaseLoader makes strings only
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise NightdeskError(
            f"`{path.name}` is not valid YAML: {getattr(error, 'problem', error)}", where=where, todo="Mend the line."
        ) from None


def _compile(
    data: Mapping[str, Any],
    version: str,
    company: str,
    competitor_names: tuple[tuple[str, tuple[str, ...]], ...],
    tech_names: tuple[str, ...],
    speakers: Mapping[str, str],
) -> Lexicon:
    tagger = Tagger()
    for name, value in data["words"].items():
        tagger.add(name, entries_of(value))
    dates = DateGrammar(data["dates"])
    number_words = {
        word: number for word, number in dates.numbers.items() if " " not in word and word not in _NOT_COUNTS
    }
    tagger.add("NUMBER", number_words)
    tagger.add(
        "WHEN",
        [
            *(word for word in dates.months if word not in _NOT_COUNTS),
            *dates.weekdays,
            *dates.offsets,
            "next week",
            "this week",
            "week of",
            "am",
            "pm",
            "o clock",
            "uhr",
            "nächste woche",
            "la semaine prochaine",
            "la semana que viene",
            "próxima semana",
            "volgende week",
            "in the morning",
            "in the afternoon",
        ],
    )
    tagger.numbers["PERSON"] = len(tagger.numbers)
    competitors: dict[int, str] = {}
    for name, also in competitor_names:
        tagger.add("COMPETITOR", [name, *also])
        competitors[tagger.add(f"#competitor {name}", [name, *also])] = name
    tech: dict[int, str] = {}
    for name in tech_names:
        tagger.add("TECH", [name])
        tech[tagger.add(f"#tech {name}", [name])] = name
    if not competitor_names:
        tagger.numbers["COMPETITOR"] = len(tagger.numbers)
    if not tech_names:
        tagger.numbers["TECH"] = len(tagger.numbers)
    grammar = Grammar(data["grammar"], tagger)
    person = 1 << tagger.numbers["PERSON"]
    rules: list[FactRule] = []
    for predicate, entries in data["facts"].items():
        if predicate not in speakers:
            raise ValueError(f"facts.yml: there is no predicate `{predicate}` in predicates.yml")
        for position, entry in enumerate(entries):
            rules.append(_fact_rule(predicate, position, entry, speakers[predicate], tagger, person))
    replies = tuple(_reply_rule(entry, tagger) for entry in data["replies"]["rules"])
    not_names = frozenset(
        word
        for text in (
            company,
            *tech_names,
            *(alias for name, also in competitor_names for alias in (name, *also)),
            *dates.months,
            *dates.weekdays,
            *dates.seasons,
            *dates.fixed,
        )
        for word in fold(text).split()
        if word not in _FIRST_NAMES
    )
    return Lexicon(
        tagger=tagger,
        grammar=grammar,
        dates=dates,
        names=Names(not_names),
        machine_text=MachineText(data["machine_text"], tagger),
        dialogue=Dialogue(data["grammar"]["dialogue"], tagger),
        rules=tuple(rules),
        replies=replies,
        replies_data=data["replies"],
        titles=data["titles"],
        phrases=data["phrases"],
        number_class=tagger.numbers["NUMBER"],
        person_class=tagger.numbers["PERSON"],
        number_words=number_words,
        competitors=competitors,
        tech=tech,
        version=version,
    )


_NOT_COUNTS = frozenset("a an ein eine einem einer einen un une una een one sept may mar dec".split())  # noqa: SIM905
_FIRST_NAMES = frozenset("april may june august mai jan juni juli".split())  # noqa: SIM905
_RULE_KEYS = frozenset("value any unless negated hypothetical modal question past third_party date first sides".split())  # noqa: SIM905


def _fact_rule(
    predicate: str, position: int, entry: Mapping[str, Any], speaker: str, tagger: Tagger, person: int
) -> FactRule:
    unknown = set(entry) - _RULE_KEYS
    if unknown:
        raise ValueError(f"facts.yml: {predicate}: no such key `{sorted(unknown)[0]}`")
    if entry.get("date", "none") not in _DATE_MODES:
        raise ValueError(f"facts.yml: {predicate}: `date` is one of {', '.join(_DATE_MODES)}")
    patterns = tuple(compile_pattern(text, tagger) for text in entry["any"])
    sides = {"theirs": {"theirs", "unknown"}, "ours": {"ours"}, "both": {"theirs", "ours", "unknown"}}[speaker]
    if "sides" in entry:
        sides = sides & ({"theirs", "unknown"} if entry["sides"] == "theirs" else {"ours"})
    return FactRule(
        predicate=predicate,
        position=position,
        value=entry["value"],
        patterns=patterns,
        unless=tuple(compile_pattern(text, tagger) for text in entry.get("unless", ())),
        negated=entry.get("negated", "drop"),
        keeps=frozenset(key for key in ("hypothetical", "modal", "past", "third_party") if entry.get(key) == "keep"),
        question=entry.get("question", "drop"),
        date=entry.get("date", "none"),
        first=entry.get("first") == "true",
        sides=frozenset(sides),
        masks=tuple(sorted({pattern.mask & ~person for pattern in patterns})),
    )


def _reply_rule(entry: Mapping[str, Any], tagger: Tagger) -> ReplyRule:
    return ReplyRule(
        level=entry["level"],
        weight=int(entry["weight"]),
        patterns=tuple(compile_pattern(text, tagger) for text in entry["any"]),
        unless=tuple(compile_pattern(text, tagger) for text in entry.get("unless", ())),
        negated=entry.get("negated", "drop"),
        keeps=frozenset(key for key in ("hypothetical", "past", "third_party") if entry.get(key) == "keep"),
        question=entry.get("question", "keep"),
    )
