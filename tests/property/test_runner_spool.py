"""What is spooled is read back as it was, whatever a model wrote and wherever a crash cut the file."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enrich.agents.protocol import AgentResponse
from enrich.spool import Damage, SpoolLine, SpoolWriter, mark_committed, pending_segments, read_segment
from nightdesk.errors import NightdeskError

NOW = datetime(2026, 11, 17, 2, 0, 0, 123456, tzinfo=UTC)
ANY_TEXT = st.text(st.characters(), max_size=80)  # lone surrogates, line ends and control characters included

RESPONSES = st.builds(
    AgentResponse,
    input_hash=st.just("h"),
    status=st.sampled_from(["ok", "refused", "truncated", "provider_error"]),
    text=ANY_TEXT,
    stop_reason=st.none() | ANY_TEXT,
    model=st.none() | st.just("claude-haiku-5-5"),
    input_tokens=st.integers(0, 10**9),
    cache_read_tokens=st.integers(0, 10**9),
    output_tokens=st.integers(0, 10**9),
    cost_usd=st.decimals(min_value=0, max_value=100, places=8),
    error=st.none() | ANY_TEXT,
    is_retryable=st.booleans(),
    retry_after_seconds=st.none() | st.floats(0, 1e6),
    requested_at=st.none() | st.just(NOW),
    responded_at=st.none() | st.just(NOW),
)


def line(response: AgentResponse, number: int = 1, *, is_final: bool = True) -> SpoolLine:
    return SpoolLine(
        attempt_id=f"a_{number}",
        run_id="run-1",
        operation="icp_fit",
        record_type="account",
        record_id="hubspot:company:1",
        input_hash="h",
        context_hash="c",
        operation_hash="o",
        question_hash="q",
        policy_hash="p",
        agent="rules",
        model=None,
        requested_at=NOW,
        responded_at=NOW,
        is_final=is_final,
        response=response,
    )


BASE: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def base(tmp_path_factory: pytest.TempPathFactory) -> None:
    BASE.append(tmp_path_factory.mktemp("spool"))


def folder() -> Path:
    return Path(mkdtemp(dir=BASE[-1]))


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(responses=st.lists(RESPONSES, min_size=1, max_size=5))
def test_lines_come_back_as_they_were_under_the_reference_given(responses: list[AgentResponse]) -> None:
    root = folder()
    writer = SpoolWriter(root, "run-1", "icp_fit")
    lines = [line(response, number) for number, response in enumerate(responses)]
    references = writer.append(lines[:1]) + writer.append(lines[1:])
    writer.close()
    (segment,) = pending_segments(root, "icp_fit")
    assert list(read_segment(segment)) == list(zip(references, lines, strict=True))


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4), cut=st.integers(0, 10_000))
def test_a_file_cut_anywhere_gives_every_whole_line_and_at_most_one_damaged(texts: list[str], cut: int) -> None:
    root = folder()
    writer = SpoolWriter(root, "run-1", "icp_fit")
    lines = [line(AgentResponse("h", "ok", text, cost_usd=Decimal(1)), number) for number, text in enumerate(texts)]
    writer.append(lines)
    writer.close()
    (segment,) = pending_segments(root, "icp_fit")
    data = segment.read_bytes()[: cut % (segment.stat().st_size + 1)]
    segment.write_bytes(data)
    found = [item for _, item in read_segment(segment)]
    whole = data.count(b"\n")
    assert found[:whole] == lines[:whole]
    rest = found[whole:]
    assert len(rest) == (0 if data.endswith(b"\n") or not data else 1)
    assert all(isinstance(item, Damage) and item.is_last for item in rest)


def test_segments_are_numbered_never_reused_and_rolled_over_when_large() -> None:
    root = folder()
    for _ in range(2):
        writer = SpoolWriter(root, "run-1", "icp_fit", segment_bytes=10)
        writer.append([line(AgentResponse("h", "ok", "x"))])
        writer.append([line(AgentResponse("h", "ok", "y"))])
        writer.close()
        assert len(writer.written) == 2
    names = [path.name for path in pending_segments(root, "icp_fit")]
    assert names == [f"icp_fit-{number:04d}.jsonl" for number in range(1, 5)]
    mark_committed(root / "run-1" / names[0])
    assert [path.name for path in pending_segments(root, "icp_fit")] == names[1:]
    assert pending_segments(root, "icp") == [], "another operation whose name begins alike is not ours"
    assert pending_segments(root / "nowhere", "icp_fit") == []


def test_a_writer_that_wrote_nothing_leaves_nothing() -> None:
    root = folder()
    SpoolWriter(root, "run-1", "icp_fit").close()
    assert list(root.iterdir()) == []


def test_a_run_id_cannot_leave_the_spool() -> None:
    with pytest.raises(NightdeskError, match="is not a run id"):
        SpoolWriter(folder(), "../elsewhere", "icp_fit")


def test_an_unwritable_spool_is_one_clear_error() -> None:
    root = folder()
    (root / "run-1").write_text("a file where the folder should be")
    with pytest.raises(NightdeskError, match="Raw answers cannot be kept") as caught:
        SpoolWriter(root, "run-1", "icp_fit").append([line(AgentResponse("h", "ok"))])
    assert caught.value.todo
