"""The journal says the same after a crash at any byte as before, or as after: never something in between."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from enrich.agents.batch_journal import Journal, Status, open_calls
from enrich.agents.protocol import AgentRequest

NOW = datetime(2026, 11, 17, 2, 0, tzinfo=UTC)
PATHS: dict[str, list[Status]] = {
    "whole": ["created", "ended", "collected"],
    "half": ["created", "ended"],
    "refused": ["refused"],
    "lost": ["lost"],
    "unknown": [],
}


def request(key: str) -> AgentRequest:
    return AgentRequest("icp_fit", "account", f"hubspot:company:{key}", key, "prompt", "words of a customer", "words")


def state(journal: Journal) -> list[tuple[str, str | None, tuple[str, ...], frozenset[str]]]:
    return [(batch.status, batch.batch_id, tuple(sorted(batch.calls)), batch.leftovers) for batch in journal.batches]


@settings(max_examples=25, deadline=None)
@given(
    batches=st.lists(st.tuples(st.sampled_from(sorted(PATHS)), st.integers(1, 4)), min_size=1, max_size=4),
    cut=st.floats(0, 1),
)
def test_a_journal_cut_at_any_byte_is_a_journal_of_an_earlier_moment(
    batches: list[tuple[str, int]], cut: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batches" / "claude.jsonl"
        journal = Journal(path)
        moments = [state(journal)]
        for number, (course, size) in enumerate(batches):
            keys = [f"{number}-{call}" for call in range(size)]
            batch = journal.intend("icp_fit", "claude-haiku-5-5", [request(key) for key in keys], NOW)
            moments.append(state(journal))
            for status in PATHS[course]:
                batch_id = f"msgbatch_{number}" if status == "created" else None
                journal.move(batch, status, batch_id=batch_id, leftovers=keys[:1] if status == "collected" else ())
                moments.append(state(journal))
        journal.close()
        assert state(Journal(path)) == moments[-1]
        assert "customer" not in path.read_text()
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * cut)])
        after = Journal(path)
        seen = state(after)
        assert seen in moments
        after.intend("icp_fit", "claude-haiku-5-5", [request("new")], NOW)
        after.close()
        assert state(Journal(path)) == [*seen, ("intent", None, ("new",), frozenset())]


def test_open_calls_are_those_that_may_be_paid_for_already(tmp_path: Path) -> None:
    path = tmp_path / "claude.jsonl"
    assert open_calls(path, "icp_fit") == 0
    journal = Journal(path)
    for course in PATHS.values():
        batch = journal.intend("icp_fit", "claude-haiku-5-5", [request("a"), request("b")], NOW)
        for status in course:
            journal.move(batch, status)
    journal.close()
    assert open_calls(path, "icp_fit") == 4
    assert open_calls(path, "reply_class") == 0
