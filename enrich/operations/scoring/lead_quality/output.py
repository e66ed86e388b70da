"""The answer of `lead_quality`: three levels and the reason."""

from __future__ import annotations

from enrich.answer import JudgementOutput, OutputModel, ParsedAnswer, SentenceOutput, judgement, sentences


class Output(OutputModel):
    persona: JudgementOutput
    seniority: JudgementOutput
    function: JudgementOutput
    reason: list[SentenceOutput]

    def to_answer(self) -> ParsedAnswer:
        levels = {name: judgement(getattr(self, name)) for name in ("persona", "seniority", "function")}
        return ParsedAnswer(judgements=levels, sentences=sentences("reason", self.reason))
