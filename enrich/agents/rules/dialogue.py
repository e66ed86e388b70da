"""What is said in two sentences: a question and its answer, or a thing and a word that points back at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from enrich.agents.rules.tokens import Tagger, tokenise

if TYPE_CHECKING:
    from enrich.agents.rules.facts import Prepared

_LONGEST = 30  # words of either sentence; beyond that nobody refers to the whole of it
_RHETORICAL = 5  # words of a question that its own author answers in the next breath


class Dialogue:
    """`grammar.yml`'s `dialogue`, compiled.

    Args:
        data: `yes`, `no`: how answers begin. `back`: how a sentence begins that speaks of the one before. `statements`:
            how a question begins, and how the same is stated.
        tagger: The lexicon's.
    """

    def __init__(self, data: Mapping[str, Any], tagger: Tagger) -> None:
        self._yes, self._no, self._back = (_by_first(data[name]) for name in ("yes", "no", "back"))
        self._statements = sorted(
            ((tokenise(question), tokenise(statement)) for question, statement in data["statements"].items()),
            key=lambda item: -len(item[0]),
        )

    def join(self, first: Prepared, second: Prepared) -> list[str] | None:
        """The words of both as one statement; None when they are no pair."""
        is_question = bool(first.tokens) and first.tokens[-1] == "?"
        if not is_question and (not second.tokens or second.tokens[0] not in self._back):
            return None
        if (
            not first.tokens
            or not second.tokens
            or len(first.tokens) > _LONGEST
            or len(second.tokens) > _LONGEST
            or second.span.text.rstrip().endswith("?")
            or first.span.is_forwarded != second.span.is_forwarded
        ):
            return None
        asked = first.tokens[:-1] if first.tokens[-1] == "?" else first.tokens
        if (first.span.side, first.span.author) == (second.span.side, second.span.author):
            # "The budget? Gone." is one statement; after a real question its author turns to another matter.
            is_rhetorical = is_question and len(asked) <= _RHETORICAL
            if is_rhetorical or (not is_question and self._begins(second.tokens, self._back)):
                return [*asked, ",", *second.tokens]
            return None
        if not is_question:
            return None
        is_yes = self._begins(second.tokens, self._yes)
        if not is_yes and not self._begins(second.tokens, self._no):
            return None
        for question, statement in self._statements:
            if asked[: len(question)] == question:
                said = [word for word in statement if is_yes or word != "really"]
                if not is_yes:
                    said.insert(2, "not")
                return [*said, *asked[len(question) :], ",", *_without_answer(second.tokens)]
        return None

    @staticmethod
    def _begins(tokens: list[str], phrases: Mapping[str, Sequence[list[str]]]) -> bool:
        return any(tokens[: len(phrase)] == phrase for phrase in phrases.get(tokens[0], ()))


def _by_first(entries: Sequence[str]) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for entry in entries:
        words = tokenise(entry)
        found.setdefault(words[0], []).append(words)
    return found


def _without_answer(tokens: list[str]) -> list[str]:
    """An answer without its yes or no: up to the first comma, when that comes soon."""
    head = tokens[:4]
    return tokens[head.index(",") + 1 :] if "," in head else tokens[1:]
