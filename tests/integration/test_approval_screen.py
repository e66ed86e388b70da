"""The full-screen review: marks are only marks until they are saved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightdesk.cli.review_screen import ReviewScreen, read_filter
from nightdesk.errors import NightdeskError
from reverse_etl.marks import Saved
from reverse_etl.plan import load
from reverse_etl.select import Selection
from tests.approval_kit import people, write
from tests.reverse_kit import Desk, desk, row

SCORE, TIER, REASON = "nightdesk_lead_score", "nightdesk_lead_tier", "nightdesk_lead_reason"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, policy=people()) as made:
        made.plan(
            [
                *(row(n, SCORE, "61") for n in (1, 2)),
                row(1, TIER, "B"),
                row(1, REASON, "They told us to wait for July."),
                row(3, SCORE, "50", is_suppressed=True),
            ]
        )
        yield made


def screen(room: Desk, person: str = "Dana", role: str = "revops") -> ReviewScreen:
    return ReviewScreen(
        room.ledger, load(room.ledger), Selection(), person, role, room.policy, room.clock, base_url="https://crm.test"
    )


def shown(app: ReviewScreen, where: str) -> str:
    return str(app.query_one(where).render())


def test_marks_are_written_only_when_saved(room: Desk) -> None:
    async def session() -> Saved | None:
        app = screen(room)
        async with app.run_test(size=(150, 40)) as pilot:
            await pilot.pause()
            text = shown(app, "#record")
            assert "contact:1" in text and "“We cannot move before July.” https://crm.test/records/emails/12" in text
            await pilot.press("A")  # all three changes of contact 1
            await pilot.press("u", "u")  # the second undo has nothing left to take back
            assert "nothing to undo" in shown(app, "#state")
            await pilot.press("A")
            await pilot.press("r")  # the first of them is not approved after all
            await pilot.press("e")
            app.query_one("#reason").value = "no title"
            await pilot.press("enter")
            assert "your reason: no title" in shown(app, "#record")
            assert "2 to approve, 1 to reject" in shown(app, "#state")
            assert room.ledger.execute("select count(*) from approvals").fetchone() == (0,)
            picture = app.export_screenshot()
            assert "approve" in picture and "nightdesk_lead_tier" in picture
            await pilot.press("s")
        return app.return_value

    assert asyncio.run(session()) == Saved(approved=2, rejected=1, notes=0)
    given = room.ledger.execute("select verdict, note, via from approvals order by verdict").fetchall()
    assert given == [("approved", None, "terminal"), ("rejected", "no title", "terminal")]
    assert write(room).counts == {"not_approved": 2, "denied": 1, "applied": 2}


def test_leaving_writes_nothing_and_asks_once(room: Desk) -> None:
    async def session() -> Saved | None:
        app = screen(room)
        async with app.run_test(size=(150, 40)) as pilot:
            await pilot.press("a", "q")
            assert "press q again" in shown(app, "#state")
            await pilot.press("q")
        return app.return_value

    assert asyncio.run(session()) == Saved()
    assert room.ledger.execute("select count(*) from approvals").fetchone() == (0,)


def test_the_filter_takes_terms_and_names_and_says_what_it_does_not_understand(room: Desk) -> None:
    async def session() -> None:
        app = screen(room)
        async with app.run_test(size=(150, 40)) as pilot:
            await pilot.press("slash")
            app.query_one("#filter").value = "property:nightdesk_lead_score p2"
            await pilot.press("enter")
            assert shown(app, "#state").startswith("1 changes shown")
            await pilot.press("slash")
            app.query_one("#filter").value = "confidence:many"
            await pilot.press("enter")
            assert "is not a range of numbers" in shown(app, "#state")

    asyncio.run(session())
    assert read_filter("record:1 acme").terms == (("record", ("1",)), ("label", ("acme",)))


def test_a_person_without_the_right_keeps_the_marks_and_learns_why(room: Desk) -> None:
    async def session() -> None:
        app = screen(room, "Eve")
        async with app.run_test(size=(200, 40)) as pilot:
            await pilot.press("a", "s")
            assert "`Eve` is not among the approvers" in shown(app, "#state")
            assert app.marks.count("approve") == 1

    asyncio.run(session())
    assert room.ledger.execute("select count(*) from approvals").fetchone() == (0,)


def test_what_waits_for_nobody_cannot_be_marked_and_a_reason_alone_is_a_remark(room: Desk) -> None:
    async def session() -> Saved | None:
        app = screen(room)
        async with app.run_test(size=(150, 40)) as pilot:
            await pilot.press("ctrl+end", "a")
            assert "does not wait for a person" in shown(app, "#state")
            await pilot.press("ctrl+home", "e")
            app.query_one("#reason").value = "ask Kim"
            await pilot.press("enter", "s")
        return app.return_value

    assert asyncio.run(session()) == Saved(notes=1)
    assert room.ledger.execute("select body, author from review_notes").fetchall() == [("ask Kim", "Dana")]


def test_without_the_extra_the_command_says_how_to_get_it(room: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from nightdesk.cli import review

    monkeypatch.setitem(sys.modules, "textual.app", None)
    monkeypatch.delitem(sys.modules, "nightdesk.cli.review_screen")
    monkeypatch.delattr("nightdesk.cli.review_screen", raising=False)
    with pytest.raises(NightdeskError, match="needs the extra `review`"):
        review._full_screen(None, None, None, "Dana", "revops", None)  # pyright: ignore
