"""The answer of `meeting_brief`: seven sections of sentences."""

from __future__ import annotations

from itertools import chain

from enrich.answer import OutputModel, ParsedAnswer, SentenceOutput, sentences

SECTIONS = ("agenda", "they_said", "changed_since", "lead_with", "objections", "commitments", "questions")


class Output(OutputModel):
    agenda: list[SentenceOutput]
    they_said: list[SentenceOutput]
    changed_since: list[SentenceOutput]
    lead_with: list[SentenceOutput]
    objections: list[SentenceOutput]
    commitments: list[SentenceOutput]
    questions: list[SentenceOutput]

    def to_answer(self) -> ParsedAnswer:
        return ParsedAnswer(
            sentences=tuple(chain.from_iterable(sentences(name, getattr(self, name)) for name in SECTIONS))
        )
