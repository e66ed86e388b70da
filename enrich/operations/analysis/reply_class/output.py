"""The answer of `reply_class`: one level and where it was read."""

from __future__ import annotations

from enrich.answer import JudgementOutput, OutputModel, ParsedAnswer, judgement


class Output(OutputModel):
    reply_class: JudgementOutput | None

    def to_answer(self) -> ParsedAnswer:
        return ParsedAnswer(judgements={"reply_class": judgement(self.reply_class)} if self.reply_class else {})
