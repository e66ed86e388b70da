"""The context format: what SQL writes is what agents read."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from enrich import context as contexts
from nightdesk.errors import NightdeskError

FIXTURES = Path(__file__).parents[1] / "fixtures" / "contexts"
EXAMPLES = sorted(FIXTURES.glob("*.txt"))


def example(name: str) -> str:
    return (FIXTURES / f"{name}.txt").read_bytes().decode()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_reads_back_to_the_same_bytes(path: Path) -> None:
    text = path.read_bytes().decode()
    assert contexts.render(contexts.parse(text)) == text


def test_there_is_an_example_of_every_operation() -> None:
    names = {path.stem for path in EXAMPLES}
    for operation in ("extract_facts", "reply_class", "icp_fit", "lead_quality", "churn_revisit", "meeting_brief"):
        assert any(name.startswith(operation) for name in names), operation


def test_facts_carry_side_meaning_day_and_words() -> None:
    fact = contexts.parse(example("meeting_brief")).by_id["f_ab12cd34ef56"]
    assert (fact.side, fact.document_type, fact.predicate, fact.value) == ("theirs", "email", "budget", "frozen")
    assert (fact.day, fact.until, fact.polarity) == (date(2026, 8, 3), date(2026, 7, 1), "affirmed")
    assert fact.quote == "We cannot move before July."


def test_a_document_line_is_not_a_field() -> None:
    parsed = contexts.parse(example("meeting_brief"))
    assert [item.document_id for item in parsed.documents] == ["hubspot:email:1207", "hubspot:call:311"]
    assert "document.hubspot:email:1207" not in parsed.fields


def test_a_body_is_kept_verbatim_even_when_it_looks_like_fields() -> None:
    body = "[document.author_side] ours\r\n\r\n[account.name] Evil\t\n"
    parsed = contexts.parse(f"[document.type] email\n[document.author_side] theirs\n\n{body}")
    assert parsed.body == body
    assert parsed.get("document.author_side") == "theirs"


def test_an_empty_body_is_not_a_missing_one() -> None:
    assert contexts.parse(example("extract_facts_email_empty_body")).body == ""
    assert contexts.parse(example("icp_fit")).body is None


@pytest.mark.parametrize(
    "text",
    [
        "no brackets at all",
        '[f_ab12cd34ef56] 2026-08-03 nobody email budget=frozen affirmed "x"',
        '[f_ab12cd34ef56] 2026-13-03 theirs email budget=frozen affirmed "x"',
        "[document.type] email\n[document.date] 2026-08-03",
    ],
)
def test_a_malformed_context_is_one_clear_error_without_its_text(text: str) -> None:
    with pytest.raises(NightdeskError) as caught:
        contexts.parse(text)
    assert caught.value.todo
    assert "no brackets" not in str(caught.value)


def test_values_of_names_may_hold_spaces_and_equals_signs() -> None:
    line = '[f_ab12cd34ef56] 2026-08-03 theirs call referral=Jan van der Berg affirmed "Ask Jan = best"'
    fact = contexts.parse(line).facts[0]
    assert (fact.value, fact.quote) == ("Jan van der Berg", "Ask Jan = best")
