"""What a score is worth as a promise: lift at the top of the list, and whether a score means a probability.

Points are no probabilities, so calibration is asked of the score after it has been turned into one, by isotonic
regression and by a logistic curve (Platt), each fitted on other accounts than those it is judged on. Brier's score of
the base rate says what knowing nothing would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sandbox.evaluation import charts, ranking, results
from sandbox.evaluation.metrics import CONFIDENCE, Interval, wilson
from sandbox.evaluation.terminal import between, number, percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sandbox.evaluation.evaluate_sections import Finished

    Floats = NDArray[np.float64]

SHARES = (0.05, 0.10, 0.20, 0.30)  # of the list that a seller would work through
FOLDS = 5
FEWEST = 10  # who bought; fewer cannot be split into folds that say anything
BANDS = 10


@dataclass(frozen=True, slots=True)
class Band:
    """Contacts with neighbouring scores: what their probability was on average, and how many bought."""

    lowest: float
    highest: float
    contacts: int
    bought: int
    expected: float
    interval: Interval | None

    @property
    def rate(self) -> float:
        """Share that bought."""
        return self.bought / self.contacts


def average_precision(scores: Floats, labels: Floats, weights: Floats | None = None) -> float | None:
    """Mean precision over the purchases, from the top of the list down (scikit-learn's); None without purchases."""
    import numpy as np
    from sklearn import metrics as sklearn_metrics

    if not (labels if weights is None else labels * weights).any():
        return None
    area: Any = sklearn_metrics.average_precision_score  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return float(area(np.asarray(labels, dtype=bool), scores, sample_weight=weights))


def lift(scores: Floats, labels: Floats, share: float, weights: Floats | None = None) -> float | None:
    """Rate among the best `share` of the list over the rate of all. Ties at the cut count in part, as by lot."""
    import numpy as np

    each = np.ones(len(scores)) if weights is None else weights
    total, bought = float(each.sum()), float((labels * each).sum())
    if not bought or not total:
        return None
    wanted = share * total
    taken = got = 0.0
    for score in np.unique(scores)[::-1]:
        tied = scores == score
        size = float(each[tied].sum())
        part = min(1.0, (wanted - taken) / size) if size else 0.0
        got += part * float((labels[tied] * each[tied]).sum())
        taken += part * size
        if taken >= wanted:
            break
    return (got / wanted) / (bought / total)


def drawn(
    measure: Callable[[Floats | None], float | None], groups: Sequence[str], *, resamples: int, seed: int = 20261117
) -> Interval | None:
    """Percentile bootstrap that draws whole groups with replacement; draws without a value are left out."""
    import numpy as np

    _, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    count = int(member.max()) + 1
    generator = np.random.default_rng(seed)
    values: list[float] = []
    for _ in range(resamples):
        weight = np.bincount(generator.integers(0, count, size=count), minlength=count)[member].astype(float)
        value = measure(weight)
        if value is not None:
            values.append(value)
    if not values:
        return None
    tail = (1 - CONFIDENCE) / 2
    return Interval(float(np.quantile(values, tail)), float(np.quantile(values, 1 - tail)))


def out_of_fold(scores: Floats, labels: Floats, groups: Sequence[str], how: str) -> Floats:
    """Probability of each contact from a curve fitted on the other accounts. `how` is `isotonic` or `platt`."""
    import numpy as np
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    made = np.zeros(len(scores))
    folds: Any = StratifiedGroupKFold(n_splits=FOLDS, shuffle=True, random_state=7)
    for train, test in folds.split(scores.reshape(-1, 1), labels, groups):
        if how == "isotonic":
            curve: Any = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
            made[test] = curve.fit(scores[train], labels[train]).predict(scores[test])
        else:
            model: Any = LogisticRegression(C=1e6)
            model.fit(scores[train].reshape(-1, 1) / 100, labels[train])
            made[test] = model.predict_proba(scores[test].reshape(-1, 1) / 100)[:, 1]
    return made


def brier(expected: Floats, labels: Floats) -> float:
    """Mean squared distance between probability and outcome; smaller is better."""
    return float(((expected - labels) ** 2).mean())


def bands(scores: Floats, labels: Floats, expected: Floats) -> list[Band]:
    """Ten bands of neighbouring scores of about the same size; people with one score are never split."""
    import numpy as np

    edges = np.unique(np.quantile(scores, np.linspace(0, 1, BANDS + 1), method="nearest"))
    found: list[Band] = []
    for index, (low, high) in enumerate(pairwise(edges)):
        inside = (scores >= low if index == 0 else scores > low) & (scores <= high)
        if inside.any():
            size, bought = int(inside.sum()), int(labels[inside].sum())
            lowest, highest = float(scores[inside].min()), float(scores[inside].max())
            mean = float(expected[inside].mean())
            found.append(Band(lowest, highest, size, bought, mean, wilson(bought, size)))
    return found


def section(night: Finished) -> results.Section | None:
    """Lift, average precision and calibration of `lead_quality`."""
    import numpy as np

    weights = [str(name) for name in night.policy.scoring.lead_quality.weights]
    leads = ranking.read(night.connection, weights, night.subject.as_of).leads
    bought = sum(lead.has_converted for lead in leads)
    if bought < FEWEST or bought == len(leads):
        return None
    scores = np.array([lead.score for lead in leads], dtype=float)
    labels = np.array([lead.has_converted for lead in leads], dtype=float)
    groups = [lead.group for lead in leads]
    base = float(labels.mean())
    precision = average_precision(scores, labels)
    precision_interval = drawn(
        lambda weight: average_precision(scores, labels, weight), groups, resamples=night.resamples // 4
    )
    top = [("average precision", number(precision), between(precision_interval), number(base))]
    for share in SHARES:
        reached = lift(scores, labels, share)
        interval = drawn(
            lambda weight, share=share: lift(scores, labels, share, weight), groups, resamples=night.resamples // 4
        )
        top.append((f"lift of the best {share:.0%}", _two(reached), between(interval, digits=2), "1.00"))
    curves = {how: out_of_fold(scores, labels, groups, how) for how in ("isotonic", "platt")}
    found = bands(scores, labels, curves["platt"])
    flat = brier(np.full(len(labels), base), labels)
    briers = {how: brier(expected, labels) for how, expected in curves.items()}
    return results.Section(
        name="lead",
        title=f"lead_quality as a promise: {len(leads):,} contacts, {bought:,} bought",
        tables=(
            results.Table(
                title="top of the list", columns=("", "reached", "95 % interval", "by chance"), rows=tuple(top)
            ),
            results.Table(
                title="score band",
                columns=("", "contacts", "bought", "said, %", "bought, %", "95 % interval"),
                rows=tuple(
                    (
                        f"{band.lowest:.0f}-{band.highest:.0f}",
                        f"{band.contacts:,}",
                        f"{band.bought:,}",
                        percent(band.expected),
                        percent(band.rate),
                        between(band.interval, 100, 1),
                    )
                    for band in found
                ),
            ),
            results.Table(
                title="Brier's score, out of fold",
                columns=("", "", "better than the base rate by, %"),
                rows=(
                    *((how, f"{value:.4f}", percent(1 - value / flat)) for how, value in briers.items()),
                    ("base rate", f"{flat:.4f}", ""),
                ),
            ),
        ),
        notes=(
            "Intervals of the top draw whole accounts with replacement; those of the bands are Wilson's. Said: mean "
            "probability that the logistic curve, fitted on other accounts, gives the band.",
        ),
        drawings=(
            results.Drawing(
                svg=_chart(found, base),
                caption="Calibration: what the score said (curve fitted on other accounts) against who bought.",
            ),
        ),
        numbers={
            "average_precision": results.Measured(value=precision, n=len(leads), interval=precision_interval),
            "brier_platt": results.Measured(value=briers["platt"], n=len(leads), fewer_is_better=True),
        },
    )


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _chart(found: Sequence[Band], base: float) -> str:
    import altair as alt

    lines = [
        {"said": band.expected, "bought": band.rate, "low": band.interval.low, "high": band.interval.high,
         "contacts": band.contacts}
        for band in found
        if band.interval is not None
    ]  # fmt: skip
    most = max([base, *(line["high"] for line in lines), *(line["said"] for line in lines)]) * 1.05
    scale = alt.Scale(domain=[0, most])
    chart = alt.Chart(alt.Data(values=lines)).encode(
        x=alt.X("said:Q", title="said", axis=alt.Axis(format="%"), scale=scale)
    )
    points = chart.mark_point(filled=True, size=70, opacity=1, color="#1f5fa8").encode(
        y=alt.Y("bought:Q", title="bought within 100 days", axis=alt.Axis(format="%"), scale=scale)
    )
    spans = chart.mark_rule(color="#1f5fa8").encode(y="low:Q", y2="high:Q")
    ideal = (
        alt.Chart(alt.Data(values=[{"said": 0, "bought": 0}, {"said": most, "bought": most}]))
        .mark_line(color="#8a94a0", strokeDash=[5, 4])
        .encode(x="said:Q", y="bought:Q")
    )
    return charts.svg((ideal + spans + points).properties(width=360, height=240))
