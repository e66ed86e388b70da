"""The answer of `churn_revisit`: the state of their budget and the reason."""

from __future__ import annotations

from enrich.answer import JudgementOutput, OutputModel, ParsedAnswer, SentenceOutput, judgement, sentences


class Output(OutputModel):
    budget: JudgementOutput
    reason: list[SentenceOutput]

    def to_answer(self) -> ParsedAnswer:
        return ParsedAnswer(judgements={"budget": judgement(self.budget)}, sentences=sentences("reason", self.reason))
