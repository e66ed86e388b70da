"""`extract_facts` by rules: every readable sentence, the rules that may speak of it, and what surrounds each match."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from enrich.agents.rules.dates import Mention
from enrich.agents.rules.lexicon import FactRule, Lexicon
from enrich.agents.rules.patterns import Match, find
from enrich.agents.rules.tokens import Tagged, fold, tokenise
from enrich.spans import Span

_AMBIGUOUS_TECH = frozenset({"Excel", "Oracle", "Dynamics", "Manhattan", "Infor"})
_THOUSANDS = re.compile(r"^\d{1,3}(?:[.,]\d{3})+$")


@dataclass(frozen=True, slots=True)
class FoundFact:
    """One fact as the output model wants it; `day` is ISO or None."""

    predicate: str
    value: str
    polarity: str
    day: str | None
    span: str


class FactReader:
    """Reads facts with one lexicon. Holds no state between documents."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._by_side = {
            side: _Index([rule for rule in lexicon.rules if side in rule.sides], lexicon)
            for side in ("theirs", "ours", "unknown")
        }

    def read(self, spans: Sequence[Span], today: date, *, is_machine: bool = False) -> list[FoundFact]:
        """The facts of one document, in reading order.

        Args:
            today: The document's own date; relative dates are counted from it.
            is_machine: An automatic reply: only absence and opt-out are read from it.
        """
        found: list[FoundFact] = []
        for span in spans:
            for fact in self.read_span(span, today):
                if not is_machine or fact.predicate in ("out_of_office", "opt_out"):
                    found.append(fact)
        return found

    def read_span(self, span: Span, today: date) -> list[FoundFact]:
        """The facts of one sentence."""
        lexicon = self._lexicon
        tokens = lexicon.tagger.correct(tokenise(span.text))
        if len(tokens) < 2 or _is_listing(tokens):
            return []
        mask = lexicon.tagger.mask(tokens)
        if any(token[0].isdigit() for token in tokens):
            mask |= 1 << lexicon.number_class
        candidates = self._by_side[span.side].candidates(mask)
        if not candidates:
            return []
        tagged = lexicon.tagger.tag(tokens)
        self._tag_numbers(tagged)
        if lexicon.grammar.is_for_machines(tagged) or lexicon.grammar.is_ironic(tagged):
            return []
        sentence = _Sentence(self._lexicon, span, tagged, mask, today)
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
            case "competitor":
                values = [name for number, name in self.lexicon.competitors.items() if number in self.tagged.places]
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
