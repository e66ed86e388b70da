"""The arithmetic of the evaluation, on numbers that can be checked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.evaluation import metrics
from sandbox.evaluation.metrics import Counts

counts = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)).map(
    lambda three: Counts(three[0], three[1], min(three))
)


def test_precision_recall_and_f1_of_a_known_case() -> None:
    found = Counts(planted=10, found=8, matched=6)
    assert found.precision == 0.75
    assert found.recall == 0.6
    assert found.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))


def test_a_share_of_nothing_is_unknown_not_zero_or_one() -> None:
    assert Counts(0, 0, 0).precision is None
    assert Counts(0, 3, 0).recall is None
    assert Counts(0, 3, 0).f1 == 0
    assert metrics.wilson(0, 0) is None
    assert metrics.mean([None, None]) is None


def test_more_matched_than_there_is_is_refused() -> None:
    with pytest.raises(ValueError, match="3 matched of 2 planted"):
        Counts(2, 5, 3)


@given(st.lists(counts, min_size=1))
def test_micro_adds_up_and_stays_between_the_groups(groups: list[Counts]) -> None:
    total = metrics.micro(groups)
    assert (total.planted, total.found, total.matched) == (
        sum(group.planted for group in groups),
        sum(group.found for group in groups),
        sum(group.matched for group in groups),
    )
    recalls = [group.recall for group in groups if group.recall is not None]
    if recalls and total.recall is not None:
        assert min(recalls) - 1e-9 <= total.recall <= max(recalls) + 1e-9


def test_macro_counts_a_rare_group_as_much_as_a_common_one_and_leaves_out_empty_ones() -> None:
    groups = [Counts(1000, 1000, 1000), Counts(1, 1, 0), Counts(0, 5, 0)]
    assert metrics.macro_f1(groups) == 0.5


def test_wilson_matches_a_published_value() -> None:
    # 10 of 100: 0.0552 to 0.1744 (Wilson 1927, without continuity correction).
    found = metrics.wilson(10, 100)
    assert found is not None
    assert found.low == pytest.approx(0.0552, abs=5e-5)
    assert found.high == pytest.approx(0.1744, abs=5e-5)


@given(st.integers(1, 300), st.data())
def test_wilson_holds_the_rate_and_stays_inside(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    found = metrics.wilson(successes, trials)
    assert found is not None
    assert -1e-9 <= found.low <= successes / trials + 1e-9
    assert successes / trials - 1e-9 <= found.high <= 1 + 1e-9


def test_confusion_rows_are_the_truth() -> None:
    pairs = [("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")]
    assert metrics.confusion(pairs, ["a", "b"]) == [[1, 1], [0, 2]]
    with pytest.raises(KeyError):
        metrics.confusion([("a", "c")], ["a", "b"])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"))))
def test_confusion_holds_every_pair_once_and_agrees_with_the_class_counts(pairs: list[tuple[str, str]]) -> None:
    matrix = metrics.confusion(pairs, "abc")
    assert sum(map(sum, matrix)) == len(pairs)
    by_class = metrics.class_counts(pairs, "abc")
    for index, name in enumerate("abc"):
        assert by_class[name].planted == sum(matrix[index])
        assert by_class[name].found == sum(row[index] for row in matrix)
        assert by_class[name].matched == matrix[index][index]


def test_auc_counts_pairs_and_halves_ties() -> None:
    assert metrics.auc([3, 2, 1], [True, False, False]) == 1
    assert metrics.auc([1, 1, 0], [True, False, False]) == 0.75
    assert metrics.auc([1, 2], [True, True]) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[int, bool]]) -> None:
    wins = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high, is_positive in rows
        if is_positive
        for low, is_other in rows
        if not is_other
    ]
    expected = sum(wins) / len(wins) if wins else None
    assert metrics.auc([score for score, _ in rows], [label for _, label in rows]) == pytest.approx(expected)


def test_the_bootstrap_repeats_and_holds_the_auc() -> None:
    scores = [float(index % 17) for index in range(200)]
    labels = [index % 17 > 11 or index % 13 == 0 for index in range(200)]
    groups = [str(index // 4) for index in range(200)]
    first = metrics.auc_interval(scores, labels, groups, resamples=200)
    assert first == metrics.auc_interval(scores, labels, groups, resamples=200)
    reached = metrics.auc(scores, labels)
    assert first is not None
    assert reached is not None
    assert first.low < reached < first.high


def test_the_bootstrap_ranks_as_scikit_learn_does() -> None:
    # With one group every draw is the sample itself, ties included, so both ends of the interval are its AUC.
    scores = [float(index * 7 % 11) for index in range(60)]
    labels = [index % 3 == 0 or index % 7 == 2 for index in range(60)]
    found = metrics.auc_interval(scores, labels, ["all"] * 60, resamples=3)
    assert found is not None
    assert found.low == found.high == pytest.approx(metrics.auc(scores, labels))


def test_records_that_depend_on_each_other_widen_the_interval() -> None:
    # Twenty copies of the same ten records hold no more evidence than the ten.
    scores = [float(index % 10) for index in range(200)]
    labels = [index % 10 in (4, 7, 9) for index in range(200)]
    alone = metrics.auc_interval(scores, labels, [str(index) for index in range(200)], resamples=300)
    together = metrics.auc_interval(scores, labels, [str(index % 10) for index in range(200)], resamples=300)
    assert alone is not None
    assert together is not None
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_no_interval_without_both_classes() -> None:
    assert metrics.auc_interval([1, 2], [False, False], ["a", "b"]) is None
