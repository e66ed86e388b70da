"""What sellers write about us is data: it is counted and read by people, and no agent is shown a word of it."""

from __future__ import annotations

import re
from pathlib import Path

from nightdesk.policy import load

ROOT = Path(__file__).parents[2]
MODELS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "models").rglob("*.sql")}
REFS = {name: set(re.findall(r"ref\('([a-z0-9_]+)'\)", text)) for name, text in MODELS.items()}


def upstream(name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        for ref in REFS.get(todo.pop(), set()) - found:
            found.add(ref)
            todo.append(ref)
    return found


def test_no_queue_reads_feedback_questions_or_answers() -> None:
    queues = [name for name in MODELS if name.startswith("queue_")]
    assert len(queues) >= 8
    for name in queues:
        above = upstream(name)
        assert not above & {"seller_feedback", "feedback_by_operation", "approvals"}, name
        assert not any("nightdesk_feedback" in MODELS.get(model, "") for model in above), name
    assert "int_source_namespaced_values" in upstream("seller_feedback")


def test_what_people_fill_in_is_asked_for_where_it_can_be_answered_and_written_by_nobody() -> None:
    mapping = load(ROOT / "policies").field_mapping
    for object_type in ("contacts", "companies", "meetings"):
        names = {item.property: item for item in mapping.asked[object_type]}
        assert names["nightdesk_feedback"].options == ("useful", "not_useful")
        assert names["nightdesk_feedback_reason"].type == "text"
        assert not set(names) & {item.property for item in mapping.fields.get(object_type, ())}
        assert [name for name, item in names.items() if item.question] in ([], ["nightdesk_review"])
