"""The answer of `icp_fit`: four levels and the reason."""

from __future__ import annotations

from enrich.answer import JudgementOutput, OutputModel, ParsedAnswer, SentenceOutput, judgement, sentences


class Output(OutputModel):
    industry_fit: JudgementOutput
    size_fit: JudgementOutput
    region_fit: JudgementOutput
    champion: JudgementOutput
    reason: list[SentenceOutput]

    def to_answer(self) -> ParsedAnswer:
        levels = {
            name: judgement(getattr(self, name)) for name in ("industry_fit", "size_fit", "region_fit", "champion")
        }
        return ParsedAnswer(judgements=levels, sentences=sentences("reason", self.reason))
