"""What is said in two sentences: a question and its answer, or a thing and a word that points back at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from enrich.agents.rules.tokens import Tagger, tokenise

if TYPE_CHECKING:
    from enrich.agents.rules.facts import Prepared

_LONGEST = 30  # words of either sentence; beyond that nobody refers to the whole of it


class Dialogue:
    """`grammar.yml`'s `dialogue`, compiled.

    Args:
        data: `yes`, `no`: how answers begin. `back`: how a sentence begins that speaks of the one before. `statements`:
            how a question begins, and how the same is stated.
        tagger: The lexicon's.
    """

    def __init__(self, data: Mapping[str, Any], tagger: Tagger) -> None:
        self._yes, self._no, self._back = (
            sorted((tokenise(entry) for entry in data[name]), key=len, reverse=True) for name in ("yes", "no", "back")
        )
        self._statements = sorted(
            ((tokenise(question), tokenise(statement)) for question, statement in data["statements"].items()),
            key=lambda item: -len(item[0]),
        )
        self._starts = frozenset(words[0] for words in (*self._yes, *self._no, *self._back))

    def join(self, first: Prepared, second: Prepared) -> list[str] | None:
        """The words of both as one statement; None when they are no pair."""
        is_question = first.span.text.rstrip().endswith("?")
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
            if is_question or self._begins(second.tokens, self._back):
                return [*asked, ",", *second.tokens]
            return None
        if not is_question or second.tokens[0] not in self._starts:
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
    def _begins(tokens: list[str], phrases: list[list[str]]) -> bool:
        return any(tokens[: len(phrase)] == phrase for phrase in phrases)


def _without_answer(tokens: list[str]) -> list[str]:
    """An answer without its yes or no: up to the first comma, when that comes soon."""
    head = tokens[:4]
    return tokens[head.index(",") + 1 :] if "," in head else tokens[1:]
