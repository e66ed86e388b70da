"""Published calendars: fetched when they changed, kept when their server fails, their addresses never shown."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from sources.calendar import CalendarSettings
from sources.calendar.feed import fetched
from sources.calendar.load import CalendarLoad
from tests.calendar_kit import AS_OF, Recorder, calendar, event

FEED = CalendarSettings(name="ann", url="http://user:word@127.0.0.1:9/private-secret/basic.ics")
FIRST = calendar(event("DTSTART:20261118T090000Z", "SUMMARY:Pilot")).encode()
SECOND = calendar(event("DTSTART:20261119T090000Z", "SUMMARY:Pilot")).encode()


class Server:
    """Gives one answer after another and notes what it was asked with."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx2.Headers] = []
        self.run = Recorder()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.headers)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def fetch(self, folder: Path) -> bytes | None:
        found = fetched(FEED, folder, self.run, httpx2.MockTransport(self))  # type: ignore[arg-type]
        return None if found is None else found.read_bytes()


def test_a_calendar_is_sent_again_only_when_it_changed(tmp_path: Path) -> None:
    server = Server(
        httpx2.Response(
            200, content=FIRST, headers={"ETag": '"one"', "Last-Modified": "Mon, 16 Nov 2026 10:00:00 GMT"}
        ),
        httpx2.Response(304),
        httpx2.Response(200, content=SECOND, headers={"ETag": '"two"'}),
        httpx2.Response(304),
    )
    assert [server.fetch(tmp_path) for _ in range(4)] == [FIRST, FIRST, SECOND, SECOND]
    assert server.run.requests == 4
    assert [one.get("if-none-match") for one in server.asked] == [None, '"one"', '"one"', '"two"']
    assert [one.get("if-modified-since") is not None for one in server.asked] == [False, True, True, False]
    assert server.run.problems == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx2.Response(500), "answers 500"),
        (httpx2.Response(404), "answers 404"),
        (httpx2.ConnectError("no"), "cannot be reached (ConnectError)"),
        (httpx2.ReadTimeout("slow"), "cannot be reached (ReadTimeout)"),
    ],
)
def test_a_server_that_fails_leaves_what_was_fetched(
    answer: httpx2.Response | Exception, said: str, tmp_path: Path
) -> None:
    assert Server(answer).fetch(tmp_path) is None
    server = Server(httpx2.Response(200, content=FIRST), answer)
    assert [server.fetch(tmp_path), server.fetch(tmp_path)] == [FIRST, FIRST]
    ((file, line, what),) = server.run.problems
    assert (file, line) == ("ann at 127.0.0.1", None)
    assert said in what
    assert sorted(one.suffix for one in tmp_path.iterdir()) == [".ics", ".json"]


def test_the_address_of_a_published_calendar_stands_nowhere(tmp_path: Path) -> None:
    server = Server(httpx2.Response(200, content=FIRST))
    path = fetched(FEED, tmp_path, server.run, httpx2.MockTransport(server))  # type: ignore[arg-type]
    assert path is not None
    CalendarLoad(server.run, FEED, path, AS_OF, "UTC", tmp_path / "scratch", None).load()  # type: ignore[arg-type]
    assert len(server.run.rows["events"]) == 1
    told = str(server.run.rows) + str([one.name for one in tmp_path.iterdir()])
    assert "private-secret" not in told
    assert "word" not in told
    assert "ann at 127.0.0.1" in told
