"""`account_deep_dive` by rules: what came up in two documents is known, what came up in one is a guess."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from enrich.agents.rules.research import Answer, Found, pairs
from enrich.agents.rules.research import RememberedLine as Remembered
from enrich.agents.rules.wording import Writer, enumerate_names, long_date
from enrich.context import Context, FactLine

_TRIGGERS = (
    "budget.available", "renewal_risk.high", "champion_left", "timeline", "pricing_asked", "meeting_asked",
    "security_asked", "legal_asked",
)  # fmt: skip
_NOT_TOLD = frozenset({"commitment", "next_step", "out_of_office", "opt_out", "authority", "champion"})
_MOST_SILENT = 2
_LONGEST_NAME = 60
_MOST = {"summary": 6, "trigger": 2, "hypothesis": 4, "stakeholders": 6, "unknowns": 5}


def account_deep_dive(context: Context, found: Found, writer: Writer) -> Answer:
    """All five sections; one with nothing to say stays empty."""
    research = _Account(context, found, writer)
    sections = {
        "summary": research.summary(),
        "trigger": research.trigger(),
        "hypothesis": research.hypothesis(),
        "stakeholders": research.stakeholders(),
        "unknowns": research.unknowns(),
    }
    return {name: _distinct(items, _MOST[name]) for name, items in sections.items()}


def _distinct(items: Iterable[Answer | None], most: int) -> list[Answer]:
    """The first so many; what comes after is never written, because each sentence is held to its evidence."""
    found: dict[str, Answer] = {}
    for item in items:
        if item is not None:
            found.setdefault(item["text"], item)
            if len(found) == most:
                break
    return list(found.values())


class _Account:
    def __init__(self, context: Context, found: Found, writer: Writer) -> None:
        self.context = context
        self.write = writer
        self.phrases: dict[str, Any] = writer.phrases["account_deep_dive"]
        self.theirs = found.theirs
        order = {predicate: position for position, predicate in enumerate(writer.phrases["order"])}
        told = [item for item in found.facts if item.fact.predicate not in _NOT_TOLD]
        current = {item.fact.id for item in self.theirs}
        # A remark that was replaced may confirm the one that stands, and never the other way round.
        self.pairs = sorted(
            (pair for pair in pairs(told) if pair[0].id in current),
            key=lambda pair: (order.get(pair[0].predicate, 99), -pair[0].day.toordinal(), pair[0].id),
        )
        doubled = {(fact.predicate, fact.value) for fact, _ in self.pairs}
        self.single = sorted(
            (
                item.fact
                for item in self.theirs
                if item.fact.polarity == "affirmed"
                and item.fact.predicate not in _NOT_TOLD
                and (item.fact.predicate, item.fact.value) not in doubled
            ),
            key=lambda fact: (order.get(fact.predicate, 99), -fact.day.toordinal(), fact.id),
        )

    def summary(self) -> Iterator[Answer | None]:
        yield self._firm()
        yield self._deal()
        for pair in self.pairs:
            if not _is_trigger(pair[0]):
                yield self._twice(*pair)

    def trigger(self) -> Iterator[Answer | None]:
        fit = sorted((pair for pair in self.pairs if _is_trigger(pair[0])), key=lambda pair: _rank(pair[0]))
        for pair in fit:
            yield self._twice(*pair)

    def hypothesis(self) -> Iterator[Answer | None]:
        seen: set[str] = set()
        for fact in self.single:
            if fact.predicate not in seen:
                seen.add(fact.predicate)
                yield self.write.sentence(self._phrase("once", fact), self.write.about(fact), [fact.id])

    def stakeholders(self) -> Iterator[Answer | None]:
        titles = self._titles()
        named: set[str] = set()
        # What somebody says of their part in the decision comes before what else they said.
        ranked = sorted(self.theirs, key=lambda item: item.fact.predicate not in ("authority", "champion"))
        for item in ranked:
            if item.author and item.author not in named and item.fact.polarity == "affirmed":
                sentence = self._person(item, titles.get(item.author, ""))
                if sentence is not None:
                    named.add(item.author)
                    yield sentence
        silent = [(name, title) for name, title in titles.items() if title and name not in named]
        for name, title in silent[:_MOST_SILENT]:
            values = {"who": name, "title": title}
            yield self.write.sentence(self.phrases["people"]["silent"], values, ["account.people"])

    def unknowns(self) -> Iterator[Answer | None]:
        name = self.context.get("account.name")
        # A name that long is no name, and questions should not repeat what somebody wrote there.
        name = name if len(name) <= _LONGEST_NAME else "this account"
        known = {item.fact.predicate: item.fact for item in reversed(self.theirs)}
        questions = self.write.phrases["questions"]
        for predicate, key in (
            ("authority", "authority_unknown"),
            ("budget", "budget_unknown"),
            ("timeline", "timeline_unknown"),
        ):
            if predicate not in known and name:
                yield self.write.sentence(questions[key], {"name": name}, ["account.name"])
        authority = known.get("authority")
        if authority is not None and authority.value in ("needs_approval", "committee"):
            yield self._ask(authority.value, authority)
        for predicate in ("champion_left", "competitor"):
            fact = known.get(predicate)
            if fact is not None and fact.polarity == "affirmed":
                yield self._ask(predicate, fact)

    # --- sentences ------------------------------------------------------------------------------------------------

    def _firm(self) -> Answer | None:
        parts: list[str] = []
        ids: list[str] = []
        values: dict[str, str] = {}
        for key in ("industry", "country", "employees"):
            value = self.context.get(f"account.{key}")
            if value:
                parts.append(self.phrases["firm"][key])
                ids.append(f"account.{key}")
                values[key] = value.replace("_", " ").lower() if key == "industry" else value
        if not parts:
            return None
        return self.write.sentence(f"{self.phrases['firm']['start']} {enumerate_names(parts)}", values, ids)

    def _deal(self) -> Answer | None:
        deal, stage, amount = (self.context.get(f"deal.{part}") for part in ("name", "stage", "amount"))
        if not deal or not stage:
            return None
        ids = ["deal.name", "deal.stage", *(["deal.amount"] if amount else [])]
        phrase = self.phrases["deal" if amount else "deal_no_amount"]
        return self.write.sentence(phrase, {"deal": deal, "stage": stage.lower(), "amount": _money(amount)}, ids)

    def _twice(self, fact: FactLine, other: FactLine) -> Answer | None:
        values = self.write.about(fact, other_day=long_date(other.day))
        phrase = self._phrase("twice_one_day" if fact.day == other.day else "twice", fact)
        return self.write.sentence(phrase, values, [fact.id, other.id])

    def _phrase(self, section: str, fact: FactLine) -> str:
        phrases: dict[str, str] = self.phrases[section]
        keys = (f"{fact.predicate}.{fact.value}", fact.predicate, "any")
        return next(phrases[key] for key in keys if key in phrases)

    def _person(self, item: Remembered, title: str) -> Answer | None:
        fact = item.fact
        phrases: dict[str, str] = self.phrases["people"]
        phrase = phrases.get(f"{fact.predicate}.{fact.value}", phrases.get(fact.predicate, phrases["any"]))
        who = f"{item.author}, {title}," if title else item.author
        ids = [fact.id, *(["account.people"] if title else [])]
        return self.write.sentence(phrase, self.write.about(fact, who=who), ids)

    def _ask(self, key: str, fact: FactLine) -> Answer | None:
        return self.write.sentence(self.write.phrases["questions"][key], self.write.about(fact), [fact.id])

    def _titles(self) -> dict[str, str]:
        """Name to title, as `account.people` has them: `Dana Reyes (VP Operations); Omar Haddad`."""
        people: dict[str, str] = {}
        for part in self.context.get("account.people").split("; "):
            name, _, title = part.partition(" (")
            if name.strip():
                people.setdefault(name.strip(), title.removesuffix(")").strip())
        return people


def _is_trigger(fact: FactLine) -> bool:
    return fact.predicate in _TRIGGERS or f"{fact.predicate}.{fact.value}" in _TRIGGERS


def _rank(fact: FactLine) -> tuple[int, int]:
    keys: Sequence[str] = _TRIGGERS
    key = fact.predicate if fact.predicate in keys else f"{fact.predicate}.{fact.value}"
    return keys.index(key), -fact.day.toordinal()


def _money(text: str) -> str:
    """`48000 EUR` as `48,000 EUR`."""
    digits, _, rest = text.partition(" ")
    return f"{int(digits):,} {rest}".strip() if digits.isdigit() else text
