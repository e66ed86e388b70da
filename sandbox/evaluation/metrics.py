"""The arithmetic of the evaluation: pure functions over counts and arrays, with their intervals.

A number that cannot be had (precision of nothing found, ranking of one class) is None, never 0 or 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What was there, what was found, and how many of both belong together one to one.

    Raises:
        ValueError: More matched than there are on one side.
    """

    planted: int
    found: int
    matched: int

    def __post_init__(self) -> None:
        if not 0 <= self.matched <= min(self.planted, self.found):
            raise ValueError(f"{self.matched} matched of {self.planted} planted and {self.found} found")

    @property
    def precision(self) -> float | None:
        """Share of what was found that is true; None when nothing was found."""
        return share(self.matched, self.found)

    @property
    def recall(self) -> float | None:
        """Share of what is true that was found; None when nothing is true."""
        return share(self.matched, self.planted)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both; None when there is nothing to find and nothing was found."""
        return share(2 * self.matched, self.planted + self.found)

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.planted + other.planted, self.found + other.found, self.matched + other.matched)


def share(part: int, whole: int) -> float | None:
    """`part / whole`, None of nothing."""
    return part / whole if whole else None


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that exist."""
    kept = [value for value in values if value is not None]
    return sum(kept) / len(kept) if kept else None


def micro(groups: Iterable[Counts]) -> Counts:
    """All groups as one: every fact counts the same."""
    total = Counts(0, 0, 0)
    for group in groups:
        total += group
    return total


def macro_f1(groups: Iterable[Counts]) -> float | None:
    """Mean F1 over the groups that have something to find: every group counts the same, however rare."""
    return mean(group.f1 for group in groups if group.planted)


def wilson(successes: int, trials: int) -> Interval | None:
    """Wilson's score interval of a rate, which stays inside 0..1 and works for small numbers."""
    if not trials:
        return None
    from scipy import stats

    test: Any = stats.binomtest(successes, trials)  # pyright: ignore[reportUnknownMemberType]
    found = test.proportion_ci(confidence_level=CONFIDENCE, method="wilson")
    return Interval(float(found.low), float(found.high))


def confusion(pairs: Iterable[tuple[str, str]], classes: Sequence[str]) -> list[list[int]]:
    """Counts of (truth, said): one row per true class, one column per said class, both in the order of `classes`.

    Raises:
        KeyError: A pair names a class that is not in `classes`.
    """
    position = {name: index for index, name in enumerate(classes)}
    matrix = [[0] * len(classes) for _ in classes]
    for truth, said in pairs:
        matrix[position[truth]][position[said]] += 1
    return matrix


def class_counts(pairs: Sequence[tuple[str, str]], classes: Sequence[str]) -> Mapping[str, Counts]:
    """Per class: how often it was true, said, and both."""
    return {
        name: Counts(
            planted=sum(truth == name for truth, _ in pairs),
            found=sum(said == name for _, said in pairs),
            matched=sum(truth == said == name for truth, said in pairs),
        )
        for name in classes
    }


def auc(scores: Sequence[float] | Floats, labels: Sequence[bool] | Bools) -> float | None:
    """Chance that a random positive is ranked above a random negative (ties count half); None with one class only."""
    import numpy as np

    truth = np.asarray(labels, dtype=bool)
    if truth.all() or not truth.any():
        return None
    from sklearn import metrics as sklearn_metrics

    area: Any = sklearn_metrics.roc_auc_score  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return float(area(truth, np.asarray(scores, dtype=float)))


def auc_interval(
    scores: Sequence[float] | Floats,
    labels: Sequence[bool] | Bools,
    groups: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 20261117,
) -> Interval | None:
    """Percentile bootstrap of the AUC that draws whole groups with replacement.

    People of one account share its budget, its mood and often its purchase, so they are not independent; drawing
    accounts instead of people gives the wider, honest interval.

    Args:
        scores: One per record.
        labels: Whether the record is a positive.
        groups: The cluster each record belongs to, the account for contacts.
        resamples: How many draws; those that hold one class only are left out.
        seed: Of the draws, so that a report repeats.

    Returns:
        None when the AUC itself does not exist.
    """
    import numpy as np

    values, truth = np.asarray(scores, dtype=float), np.asarray(labels, dtype=bool)
    if truth.all() or not truth.any():
        return None
    _, rank = np.unique(values, return_inverse=True)
    ranks = int(rank.max()) + 1
    _, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    count = int(member.max()) + 1
    generator = np.random.default_rng(seed)
    drawn: list[float] = []
    for _ in range(resamples):
        # How often each group was drawn is the weight of its members.
        weight = np.bincount(generator.integers(0, count, size=count), minlength=count)[member].astype(float)
        positive = np.bincount(rank[truth], weight[truth], minlength=ranks)
        negative = np.bincount(rank[~truth], weight[~truth], minlength=ranks)
        pairs = float(positive.sum() * negative.sum())
        if pairs:
            # Weighted AUC: a thousand draws are too many for scikit-learn's checks of every call.
            below = np.cumsum(negative) - negative
            drawn.append(float((positive * (below + negative / 2)).sum()) / pairs)
    if not drawn:
        return None
    tail = (1 - CONFIDENCE) / 2
    return Interval(float(np.quantile(drawn, tail)), float(np.quantile(drawn, 1 - tail)))
