"""The answer of `account_deep_dive`: five sections of sentences."""

from __future__ import annotations

from itertools import chain

from enrich.answer import OutputModel, ParsedAnswer, SentenceOutput, sentences

SECTIONS = ("summary", "trigger", "hypothesis", "stakeholders", "unknowns")


class Output(OutputModel):
    summary: list[SentenceOutput]
    trigger: list[SentenceOutput]
    hypothesis: list[SentenceOutput]
    stakeholders: list[SentenceOutput]
    unknowns: list[SentenceOutput]

    def to_answer(self) -> ParsedAnswer:
        return ParsedAnswer(
            sentences=tuple(chain.from_iterable(sentences(name, getattr(self, name)) for name in SECTIONS))
        )
