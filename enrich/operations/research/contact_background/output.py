"""The answer of `contact_background`: four judgements and three sections of sentences."""

from __future__ import annotations

from itertools import chain

from enrich.answer import JudgementOutput, OutputModel, ParsedAnswer, SentenceOutput, judgement, sentences

JUDGEMENTS = ("role", "influence", "style", "move")
SECTIONS = ("background", "pains", "moves")


class Output(OutputModel):
    role: JudgementOutput
    influence: JudgementOutput
    style: JudgementOutput
    move: JudgementOutput
    background: list[SentenceOutput]
    pains: list[SentenceOutput]
    moves: list[SentenceOutput]

    def to_answer(self) -> ParsedAnswer:
        return ParsedAnswer(
            judgements={name: judgement(getattr(self, name)) for name in JUDGEMENTS},
            sentences=tuple(chain.from_iterable(sentences(name, getattr(self, name)) for name in SECTIONS)),
        )
