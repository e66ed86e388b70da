"""`extract_facts` by rules: every readable sentence, the rules that may speak of it, and what surrounds each match."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from enrich.agents.rules.dates import Mention
from enrich.agents.rules.lexicon import FactRule, Lexicon
from enrich.agents.rules.machine_text import is_repetition
from enrich.agents.rules.patterns import Match, find
from enrich.agents.rules.tokens import Tagged, fold, tokenise, visible
from enrich.spans import Span

_AMBIGUOUS_TECH = frozenset({"Excel", "Oracle", "Dynamics", "Manhattan", "Infor"})
# What an automatic reply may say, and what a person can only say of themselves, never of whose text they pass on.
_FROM_MACHINES = frozenset({"out_of_office", "opt_out"})
_OF_THE_WRITER = frozenset({"out_of_office", "opt_out", "meeting_asked", "commitment", "next_step"})
# What two sentences may say together; anything else is said in one.
TOGETHER = frozenset({"budget", "need", "pain", "objection", "renewal_risk", "tech_in_use", "authority"})
_SAID_ONCE = TOGETHER - {"tech_in_use"} | {"product_feedback", "legal_asked", "security_asked", "pricing_asked"}
_NAMED = frozenset({"tech_in_use"})  # the cited sentence must hold the name
_THOUSANDS = re.compile(r"^\d{1,3}(?:[.,]\d{3})+$")


@dataclass(frozen=True, slots=True)
class FoundFact:
    """One fact as the output model wants it; `day` is ISO or None."""

    predicate: str
    value: str
    polarity: str
    day: str | None
    span: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sentence with its words and the mask of their classes."""

    span: Span
    tokens: list[str]
    mask: int


class FactReader:
    """Reads facts with one lexicon. Holds no state between documents."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._by_side = {
            side: _Index([rule for rule in lexicon.rules if side in rule.sides], lexicon)
            for side in ("theirs", "ours", "unknown")
        }

    def prepare(self, span: Span) -> Prepared:
        """A sentence in words: what a person sees of it, slips mended, without the phrases it merely opens or ends with."""  # noqa: E501
        lexicon = self._lexicon
        shown = visible(span.text)
        written = tokenise(shown)
        tokens = lexicon.tagger.correct(written)
        if tokens != written:
            for index, (one, other) in enumerate(zip(written, tokens, strict=True)):
                if index and one != other and f" {one.capitalize()}" in shown:
                    tokens[index] = one  # a name in the middle of a sentence is no slip
        tokens = lexicon.grammar.without_fillers(tokens)
        return Prepared(span, tokens, lexicon.tagger.mask(tokens))

    def readable(self, spans: Sequence[Span], body: str, *, is_call: bool = False) -> list[Prepared]:
        """The sentences, without those that talk to a machine or stand in one paragraph with such talk."""
        machine_text = self._lexicon.machine_text
        prepared = [self.prepare(span) for span in spans]
        left_out = machine_text.unreadable(
            body,
            spans,
            [machine_text.talks_to_machine(item.mask) or is_repetition(item.tokens) for item in prepared],
            is_call=is_call,
        )
        return [item for item in prepared if item.span.id not in left_out] if left_out else prepared

    def read(self, sentences: Sequence[Prepared], today: date, *, is_machine: bool = False) -> list[FoundFact]:
        """The facts of one document, in reading order.

        Args:
            sentences: As from `readable`.
            today: The document's own date; relative dates are counted from it.
            is_machine: An automatic reply: only absence and opt-out are read from it.
        """
        found: list[FoundFact] = []
        before: tuple[Prepared, list[FoundFact]] | None = None
        for item in sentences:
            facts = self.read_prepared(item, today)
            if before is not None:
                facts += self._read_together(before, (item, facts), today)
            said_before = (
                {(fact.predicate, fact.value, fact.polarity) for fact in before[1]}
                if before is not None and before[0].span.author == item.span.author
                else set[tuple[str, str, str]]()
            )
            before = item, facts
            for fact in facts:
                if fact.predicate in _SAID_ONCE and (fact.predicate, fact.value, fact.polarity) in said_before:
                    continue  # the second half of one remark
                if is_machine and fact.predicate not in _FROM_MACHINES:
                    continue
                if item.span.is_forwarded and fact.predicate in _OF_THE_WRITER:
                    continue
                found.append(fact)
        return found

    def read_span(self, span: Span, today: date) -> list[FoundFact]:
        """The facts of one sentence."""
        return self.read_prepared(self.prepare(span), today)

    def read_prepared(self, item: Prepared, today: date) -> list[FoundFact]:
        """The facts of one sentence."""
        lexicon = self._lexicon
        tokens, mask = item.tokens, item.mask
        if len(tokens) < 2 or _is_listing(tokens):
            return []
        if any(token[0].isdigit() for token in tokens):
            mask |= 1 << lexicon.number_class
        candidates = self._by_side[item.span.side].candidates(mask)
        if not candidates:
            return []
        tagged = lexicon.tagger.tag(tokens)
        self._tag_numbers(tagged)
        if lexicon.machine_text.talks_to_machine(mask) or lexicon.grammar.is_ironic(tagged):
            return []
        sentence = _Sentence(self._lexicon, item.span, tagged, mask, today)
        found: dict[tuple[str, str, str], FoundFact] = {}
        done: set[str] = set()
        for rule in candidates:
            if rule.predicate in done:
                continue
            for fact in sentence.apply(rule):
                found.setdefault((fact.predicate, fact.value, fact.polarity), fact)
                if rule.first:
                    done.add(rule.predicate)
        return list(found.values())

    def _read_together(
        self, before: tuple[Prepared, list[FoundFact]], after: tuple[Prepared, list[FoundFact]], today: date
    ) -> list[FoundFact]:
        """What two sentences say only together: a question and its answer, a thing and "that is what we want"."""
        (first, first_facts), (second, second_facts) = before, after
        joined = self._lexicon.dialogue.join(first, second)
        if joined is None:
            return []
        known = {(fact.predicate, fact.value) for fact in (*first_facts, *second_facts)}
        tokens = self._lexicon.grammar.without_fillers(joined)
        span = replace(second.span, text=f"{first.span.text.rstrip(' ?')}, {second.span.text}")
        facts = self.read_prepared(Prepared(span, tokens, self._lexicon.tagger.mask(tokens)), today)
        return [
            fact
            for fact in facts
            if fact.predicate in TOGETHER
            and (fact.predicate, fact.value) not in known
            and (fact.predicate not in _NAMED or fact.value.casefold() in second.span.text.casefold())
        ]

    def _tag_numbers(self, tagged: Tagged) -> None:
        number = self._lexicon.number_class
        for index, token in enumerate(tagged.tokens):
            if token[0].isdigit():
                tagged.places.setdefault(number, []).append((index, index + 1))


def _is_listing(tokens: list[str]) -> bool:
    """Tables, logs and tracking dumps pasted into mails: numbers and codes, nobody's remark."""
    return len(tokens) > 12 and sum(any(char.isdigit() for char in token) for token in tokens) > 0.3 * len(tokens)


class _Index:
    """Rules by the rarest class each of their patterns needs, so that a sentence meets only rules that may fit it."""

    def __init__(self, rules: Sequence[FactRule], lexicon: Lexicon) -> None:
        self._anchors = 0
        self._by_anchor: dict[int, list[tuple[int, int]]] = {}
        self._rules = rules
        weights = lexicon.tagger.weights
        for position, rule in enumerate(rules):
            for mask in rule.masks:
                bits = [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
                # A pattern of nothing but PERSON would need every sentence's names; no rule has one.
                anchor = min(bits, key=lambda bit: (weights.get(bit, 50.0), bit))
                self._by_anchor.setdefault(anchor, []).append((mask, position))
                self._anchors |= 1 << anchor

    def candidates(self, mask: int) -> list[FactRule]:
        """Rules one of whose patterns has all it needs, in their own order."""
        hits = mask & self._anchors
        found: set[int] = set()
        while hits:
            low = hits & -hits
            for need, position in self._by_anchor[low.bit_length() - 1]:
                if not need & ~mask:
                    found.add(position)
            hits ^= low
        return [self._rules[position] for position in sorted(found)]


class _Sentence:
    """One sentence with everything that is computed at most once for it."""

    def __init__(self, lexicon: Lexicon, span: Span, tagged: Tagged, mask: int, today: date) -> None:
        self.lexicon = lexicon
        self.span = span
        self.mask = mask
        self.today = today
        self.tagged = Tagged(tagged.tokens, tagged.places, mask)
        self.breaks = lexicon.grammar.breaks(self.tagged)
        self.is_question = lexicon.grammar.is_question(self.tagged)
        self._mentions: list[Mention] | None = None
        self._names: list[tuple[str, tuple[int, int]]] | None = None
        self._folded: str | None = None

    @property
    def mentions(self) -> list[Mention]:
        if self._mentions is None:
            self._folded = fold(self.span.text)
            self._mentions = self.lexicon.dates.find(" ".join(self._folded.split()), self.today)
        return self._mentions

    def _find_names(self) -> None:
        """Tag people's names, so that patterns can ask for PERSON."""
        if self._names is not None:
            return
        self._names = []
        tokens = self.tagged.tokens
        places: list[tuple[int, int]] = []
        for name in self.lexicon.names.find(self.span.text):
            words = self.lexicon.tagger.correct(tokenise(name))
            for start in range(len(tokens) - len(words) + 1):
                if tokens[start : start + len(words)] == words:
                    self._names.append((name, (start, start + len(words))))
                    places.append((start, start + len(words)))
                    break
        if places:
            self.tagged.places[self.lexicon.person_class] = places
            self.mask |= 1 << self.lexicon.person_class
            self.tagged = Tagged(tokens, self.tagged.places, self.mask)

    def apply(self, rule: FactRule) -> list[FoundFact]:
        if self.is_question and rule.question == "drop":
            return []
        if not self.is_question and rule.question == "only":
            return []
        person_bit = 1 << self.lexicon.person_class
        if any(pattern.mask & person_bit for pattern in (*rule.patterns, *rule.unless)):
            self._find_names()
        vetoed: bool | None = None
        for pattern in rule.patterns:
            for match in find(pattern, self.tagged, self.breaks):
                around = self.lexicon.grammar.around(match, self.tagged, self.breaks)
                if around.is_hypothetical and "hypothetical" not in rule.keeps:
                    continue
                if around.is_modal and not rule.keeps & {"hypothetical", "modal"}:
                    continue
                if around.is_past and "past" not in rule.keeps:
                    continue
                if around.is_third_party and "third_party" not in rule.keeps:
                    continue
                value, polarity = rule.value, "affirmed"
                if around.is_negated and rule.negated != "keep":
                    if rule.negated == "drop":
                        continue
                    if rule.negated == "polarity":
                        polarity = "negated"
                    else:
                        value = rule.negated
                if vetoed is None:
                    vetoed = any(next(find(veto, self.tagged, self.breaks), None) is not None for veto in rule.unless)
                if vetoed:
                    return []
                facts = self._facts(rule, match, value, polarity)
                if facts:
                    return facts
        return []

    def _facts(self, rule: FactRule, match: Match, value: str, polarity: str) -> list[FoundFact]:
        day: str | None = None
        if rule.date != "none":
            mention = self._mention(rule.date)
            if mention is None and rule.date in ("required", "required_until"):
                return []
            day = mention.day.isoformat() if mention is not None else None
        values: list[str]
        match value:
            case "month":
                mention = self._timeline_mention()
                if mention is None:
                    return []
                values, day = [mention.month], mention.day.isoformat()
            case "number":
                values = self._numbers(match)
            case "person":
                values = self._people(match)
            case "full_person":
                values = [name for name in self._people(match) if " " in name]
            case "competitor":
                values = self._competitors()
            case "tech":
                values = self._tech()
            case "back_date":
                mention = self._back_date()
                values = [mention.day.isoformat() if mention is not None else "unknown"]
                day = values[0] if mention is not None else None
            case _:
                values = [value]
        return [FoundFact(rule.predicate, item, polarity, day, self.span.id) for item in values]

    # --- dates -------------------------------------------------------------------------------------------------------

    def _mention(self, mode: str) -> Mention | None:
        ahead = [item for item in self.mentions if item.link != "since" and item.last >= self.today]
        if mode in ("until", "linked", "required_until"):
            linked = [item for item in ahead if item.link in ("until", "after", "from", "by")]
            if linked:
                return linked[-1]
            if mode in ("linked", "required_until"):
                return None
            return next((item for item in ahead if item.link == "in"), None)
        return next((item for item in ahead if item.link in ("by", "until", "in", "from")), ahead[0] if ahead else None)

    def _timeline_mention(self) -> Mention | None:
        """The month they want to be done by; a year alone or a clock time is not one."""
        fit = [
            item
            for item in self.mentions
            if item.link != "since" and item.last >= self.today and (item.grain != "year" or item.edge)
        ]
        linked = [item for item in fit if item.link in ("by", "until")]
        return linked[0] if linked else fit[-1] if fit else None

    def _back_date(self) -> Mention | None:
        fit = [item for item in self.mentions if item.link != "since" and item.last >= self.today]
        for links in (("until",), ("in", "from", "by")):
            for item in reversed(fit):
                if item.link in links and item.grain in ("day", "week", "month"):
                    return item
        return fit[-1] if fit else None

    # --- values ------------------------------------------------------------------------------------------------------

    def _numbers(self, match: Match) -> list[str]:
        places = self.tagged.places.get(self.lexicon.number_class, ())
        inside = [place for place in places if match.start <= place[0] < match.end] or list(places)
        for start, _ in inside:
            token = self.tagged.tokens[start]
            number = self.lexicon.number_words.get(token)
            if number is None:
                digits = token.replace(",", "").replace(".", "") if _THOUSANDS.match(token) else token
                if not digits.isdigit():
                    continue
                number = int(digits)
            if 1900 < number < 2100 and len(token) == 4:
                continue  # a year
            if 2 <= number <= 999_999:
                return [str(number)]
        return []

    def _people(self, match: Match) -> list[str]:
        names = self._names or []
        touched = [name for name, (start, end) in names if any(a <= start and end <= b for a, b in match.taken)]
        if touched and " " not in touched[0]:
            # "Ana Ruiz, our contact in Leeds, has left": the full name is meant, not the place nearest to the verb.
            full = [name for name, (start, _) in names if " " in name and start < match.end]
            return full[:1] or touched[:1]
        return touched[:1]

    def _competitors(self) -> list[str]:
        """Competitors named; a name made of everyday words counts only as written ("Track Well", not "track well")."""
        text = self.span.text
        found: list[str] = []
        for number, name in self.lexicon.competitors.items():
            if number not in self.tagged.places:
                continue
            said = ["".join(self.tagged.tokens[start:end]) for start, end in self.tagged.places[number]]
            is_split = all(end - start > 1 for start, end in self.tagged.places[number])
            if is_split and not any(word in fold(text) for word in said) and text != text.lower():
                first = {self.tagged.tokens[start] for start, _ in self.tagged.places[number]}
                if not any(word.capitalize() in text or word.upper() in text for word in first):
                    continue
            found.append(name)
        return found

    def _tech(self) -> list[str]:
        found: list[str] = []
        for number, name in self.lexicon.tech.items():
            if number not in self.tagged.places:
                continue
            if (
                name in _AMBIGUOUS_TECH
                and re.search(rf"\b(?:{re.escape(name)}|{name.upper()})\b", self.span.text) is None
            ):
                continue
            found.append(name)
        return found
