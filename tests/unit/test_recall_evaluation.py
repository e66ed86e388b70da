"""What the comparison of ways to choose counts, by hand."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sandbox.evaluation.recall import Candidate, Record, Wanted, cut_off, greedy, reached


@given(st.lists(st.integers(1, 60), max_size=12), st.integers(0, 120))
def test_greedy_keeps_the_budget_and_passes_over_only_what_did_not_fit(sizes: list[int], budget: int) -> None:
    taken = greedy(sizes, budget)
    used = 0
    for size, is_taken in zip(sizes, taken, strict=True):
        assert is_taken == (used + size <= budget)
        used += size * is_taken
    assert used <= budget


def a_record() -> Record:
    """Three facts of 10 tokens; recall ranks two of them, and leaves out the third (`old`), which is wanted too."""
    return Record(
        "r",
        wanted=[Wanted("Budget is there.", "budget"), Wanted("It was hard.", "old"), Wanted("Nobody read this.", None)],
        candidates=[Candidate("need", 10, 1), Candidate("budget", 10, 0), Candidate("old", 10, None)],
        texts=["new: Budget is there. It was hard.", "old: Nobody read this. Budget is there."],
    )


def test_recall_takes_its_own_order_and_nothing_it_left_out() -> None:
    assert reached(a_record(), "recall", 10, 4, random.Random(1)) == 1
    assert reached(a_record(), "recall", 99, 4, random.Random(1)) == 1
    assert reached(a_record(), "recall", 9, 4, random.Random(1)) == 0


def test_the_lot_may_draw_what_recall_leaves_out_and_so_may_win() -> None:
    draw = random.Random(1)
    assert reached(a_record(), "lot", 99, 4, draw) == 2
    assert 0 < reached(a_record(), "lot", 10, 4, draw) < 1


def test_documents_reach_what_was_never_read_when_the_budget_lasts() -> None:
    draw = random.Random(1)
    assert reached(a_record(), "newest", 9, 4, draw) == 2
    assert reached(a_record(), "newest", 50, 4, draw) == 3
    assert reached(a_record(), "oldest", 6, 4, draw) == 1
    assert reached(a_record(), "oldest", 3, 4, draw) == 0


def test_a_cut_off_text_is_as_long_as_the_budget_allows() -> None:
    assert cut_off(["abcdefgh", "ijkl"], 2, 4) == "abcdefgh"
    assert cut_off(["abcd", "efgh"], 2, 4) == "abcd\n\nef"
