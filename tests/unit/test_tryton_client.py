"""The Tryton client against scripted answers: sessions, retries, lost answers, and servers that are something else."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest

from reverse_etl.crms.http import OutcomeUnknown, RequestRefused
from reverse_etl.crms.protocol import CrmRefused, CrmUnavailable
from reverse_etl.crms.tryton import TrytonClient
from reverse_etl.crms.tryton.client import CONCURRENCY, SERVER_ERROR, USER_ERROR, USER_WARNING

LOGIN = {"id": 1, "result": [7, "token-1", None]}


class Server:
    """Answers one after the other; remembers what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == "/my db/rpc/" and request.url.raw_path == b"/my%20db/rpc/"
        self.bodies.append(json.loads(request.content))
        self.authorizations.append(request.headers.get("Authorization"))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return httpx2.Response(answer, text="<html>")
        return httpx2.Response(200, json=answer)

    @property
    def client(self) -> TrytonClient:
        transport = httpx2.MockTransport(self)
        return TrytonClient(
            "http://crm.test", "my db", "us", "secret", attempts=3, transport=transport, sleep=self.waits.append
        )


def error(*parts: Any) -> dict[str, Any]:
    return {"id": 1, "error": list(parts)}


def test_a_call_logs_in_once_and_speaks_english() -> None:
    server = Server(LOGIN, {"id": 1, "result": [1]}, {"id": 1, "result": None})
    client = server.client
    assert client.call("model.party.party.search", [["id", "=", 1]], context={"active_test": False}) == [1]
    assert client.call("model.party.party.write", [1], {}, effect="write") is None
    assert client.user_id == 7
    login, search, _ = server.bodies
    assert (login["method"], login["params"]) == ("common.db.login", ["us", {"password": "secret"}, "en"])
    assert search["params"] == [[["id", "=", 1]], {"language": "en", "active_test": False}]
    session = "Session " + base64.b64encode(b"us:7:token-1").decode()
    assert server.authorizations == [None, session, session]


@pytest.mark.parametrize("effect", ["read", "write"])
def test_a_session_that_ended_is_renewed_once(effect: Any) -> None:
    server = Server(LOGIN, 401, {"id": 1, "result": [7, "token-2", None]}, {"id": 1, "result": "done"})
    assert server.client.call("m", effect=effect) == "done"
    assert server.authorizations[-1] == "Session " + base64.b64encode(b"us:7:token-2").decode()
    again = Server(LOGIN, 401, LOGIN, 401)
    with pytest.raises(CrmRefused, match="ends the session at once"):
        again.client.call("m", effect=effect)
    assert again.answers == []


def test_a_wrong_password_is_tried_once() -> None:
    server = Server(401, LOGIN)
    with pytest.raises(CrmRefused, match="does not let the user `us` in") as refused:
        server.client.call("m")
    assert len(server.bodies) == 1, "every wrong login makes the next one wait"
    assert "secret" not in str(refused.value) + refused.value.todo


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (error("UserError", ["No good.", "Because.", None]), USER_ERROR, "No good. - Because."),
        (error("UserWarning", ["party.replace 1 2", "Sure?", ""]), USER_WARNING, "Sure?"),
        (error("ConcurrencyException", "Records were modified"), CONCURRENCY, "Records were modified"),
        (error("invalid literal for int()", ""), SERVER_ERROR, "invalid literal for int()"),
        (400, SERVER_ERROR, "HTTP 400"),
        (413, SERVER_ERROR, "HTTP 413"),
    ],
)
def test_a_refusal_means_that_nothing_was_done(answer: Any, kind: str, message: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        Server(LOGIN, answer).client.call("m", effect="write")
    assert (refused.value.category, refused.value.message) == (kind, message)


@pytest.mark.parametrize("trouble", [httpx2.ReadTimeout("slow"), httpx2.ReadError("gone"), 500, 502, 503, 504])
def test_a_write_whose_answer_is_lost_is_never_sent_again(trouble: Any) -> None:
    server = Server(LOGIN, trouble, {"id": 1, "result": None})
    with pytest.raises(OutcomeUnknown):
        server.client.call("m", effect="write")
    assert len(server.bodies) == 2


@pytest.mark.parametrize("trouble", [httpx2.ReadTimeout("slow"), httpx2.ConnectError("no"), 502, 503])
def test_a_read_is_tried_again(trouble: Any) -> None:
    server = Server(LOGIN, trouble, trouble, {"id": 1, "result": 1})
    assert server.client.call("m") == 1
    assert server.waits == [0.5, 1.0]


def test_no_connection_ends_as_one_clear_error() -> None:
    server = Server(*[httpx2.ConnectError("refused")] * 3)
    with pytest.raises(CrmUnavailable, match="could not be reached") as gone:
        server.client.call("m", effect="write")
    assert "NIGHTDESK_TRYTON_DATABASE" in gone.value.todo


@pytest.mark.parametrize("answer", ["a text", {"neither": 1}, []])
def test_something_else_than_tryton_is_recognised(answer: Any) -> None:
    with pytest.raises(CrmRefused, match="does not answer like Tryton"):
        Server(LOGIN, answer).client.call("m")
    with pytest.raises(OutcomeUnknown, match="not Tryton's"):
        Server(LOGIN, answer).client.call("m", effect="write")


@pytest.mark.parametrize("status", [403, 404, 405])
def test_what_our_user_may_not_call_is_said_so(status: int) -> None:
    with pytest.raises(CrmRefused, match="does not offer this"):
        Server(LOGIN, status).client.call("m")


def test_too_many_wrong_logins_are_not_made_worse() -> None:
    server = Server(429)
    with pytest.raises(CrmUnavailable, match="makes logins wait"):
        server.client.call("m")
    assert len(server.bodies) == 1


def test_a_proxy_that_asks_to_wait_is_waited_for() -> None:
    server = Server(LOGIN, 429, {"id": 1, "result": 1})
    assert server.client.call("m", effect="write") == 1
    assert server.waits == [0.5]
