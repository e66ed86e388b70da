"""The report's charts: Altair describes them, vl-convert draws them as SVG in this process; no network, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.evaluation import results

_BLUE, _ORANGE, _GREY, _RED = "#1f5fa8", "#d9822b", "#8a94a0", "#b3372f"
_WIDTH = 560


def svg(chart: Any) -> str:
    """Draw a chart. Data is inline; addresses outside the chart are refused."""
    import vl_convert

    return vl_convert.vegalite_to_svg(
        chart.to_json(),
        allowed_base_urls=[],
        config={
            "background": "transparent",
            "font": "Helvetica, Arial, Liberation Sans, sans-serif",
            "view": {"stroke": None},
            "axis": {
                "gridColor": "#e4e8ec",
                "domainColor": "#c5ccd3",
                "tickColor": "#c5ccd3",
                "labelColor": "#3b4650",
                "titleColor": "#3b4650",
                "labelFontSize": 11,
                "titleFontWeight": "normal",
            },
            "legend": {"labelFontSize": 11, "title": None, "orient": "top"},
        },
    )


def facts(found: results.Facts) -> str:
    """Precision and recall of every predicate, the best on top."""
    import altair as alt

    rows: list[dict[str, Any]] = []
    for line in found.by_predicate:
        if line.planted:
            rows.append(
                {
                    "predicate": f"{line.name} ({line.planted:,})",
                    "share": line.precision,
                    "kind": "precision",
                    "f1": line.f1 or 0,
                }
            )
            rows.append(
                {
                    "predicate": f"{line.name} ({line.planted:,})",
                    "share": line.recall,
                    "kind": "recall",
                    "f1": line.f1 or 0,
                }
            )
    order = alt.EncodingSortField(field="f1", op="max", order="descending")
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("predicate:N", sort=order, title=None))
    line = base.mark_rule(color="#c5ccd3", strokeWidth=2).encode(x=alt.X("min(share):Q"), x2="max(share):Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
        color=alt.Color("kind:N", scale=alt.Scale(domain=["precision", "recall"], range=[_BLUE, _ORANGE])),
        shape=alt.Shape("kind:N", scale=alt.Scale(domain=["precision", "recall"], range=["circle", "diamond"])),
    )
    return svg((line + points).properties(width=_WIDTH, height=alt.Step(19)))


def confusion(found: results.Replies) -> str:
    """Who was taken for what: colour is the share of the true class, the number counts emails."""
    import altair as alt

    rows = [
        {"truth": line.name, "said": said, "count": count, "share": count / line.planted if line.planted else 0}
        for line, row in zip(found.classes, found.matrix, strict=True)
        for said, count in zip(found.columns, row, strict=True)
    ]
    names = [line.name for line in found.classes]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("said:N", sort=list(found.columns), title="said", axis=alt.Axis(orient="top", labelAngle=-35)),
        y=alt.Y("truth:N", sort=names, title="truth"),
    )
    cells = base.mark_rect(stroke="white").encode(
        color=alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], range=["#f4f6f8", _BLUE]), legend=None)
    )
    numbers = (
        base.transform_filter("datum.count > 0")
        .mark_text(fontSize=11)
        .encode(
            text=alt.Text("count:Q", format=","),
            color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("#1d2730")),
        )
    )
    return svg((cells + numbers).properties(width=_WIDTH - 80, height=alt.Step(27)))


def tiers(found: results.Ranking) -> str:
    """Share that bought per tier with its interval, and the share of all as a line."""
    import altair as alt

    rows = [
        {
            "tier": f"{tier.name} ({tier.contacts:,})",
            "rate": tier.rate,
            "low": tier.interval.low,
            "high": tier.interval.high,
        }
        for tier in found.tiers
        if tier.interval is not None
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("tier:N", title="tier (contacts)", axis=alt.Axis(labelAngle=0))
    )
    bars = base.mark_bar(color=_BLUE, size=46).encode(
        y=alt.Y("rate:Q", title="bought within 100 days", axis=alt.Axis(format="%"))
    )
    errors = base.mark_rule(color="#1d2730").encode(y=alt.Y("low:Q"), y2="high:Q")
    everyone = found.converted / found.scored if found.scored else 0
    average = (
        alt.Chart(alt.Data(values=[{"all": everyone}])).mark_rule(color=_ORANGE, strokeDash=[5, 4]).encode(y="all:Q")
    )
    return svg((bars + errors + average).properties(width=_WIDTH / 2 - 40, height=220))


def deciles(found: results.Ranking) -> str:
    """Share that bought per tenth of the ranking, best first."""
    import altair as alt

    rows = [{"tenth": int(line.name), "rate": line.share} for line in found.deciles]
    bars = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(color=_BLUE)
        .encode(
            x=alt.X("tenth:O", title="tenth of the ranking, best first", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("rate:Q", title="bought within 100 days", axis=alt.Axis(format="%")),
        )
    )
    everyone = found.converted / found.scored if found.scored else 0
    average = (
        alt.Chart(alt.Data(values=[{"all": everyone}])).mark_rule(color=_ORANGE, strokeDash=[5, 4]).encode(y="all:Q")
    )
    return svg((bars + average).properties(width=_WIDTH / 2 - 40, height=220))


def ranking(found: results.Ranking) -> str:
    """AUC of the score, of its components alone, and of what it is compared with; the line at 0.5 is chance."""
    import altair as alt

    rows: list[dict[str, Any]] = [{"what": "lead score", "auc": found.auc, "kind": "score"}]
    rows += [{"what": f"within: {window.name}", "auc": window.auc, "kind": "score"} for window in found.windows]
    rows += [{"what": f"{item.name} alone", "auc": item.auc_alone, "kind": "component"} for item in found.components]
    rows += [{"what": line.name, "auc": line.share, "kind": "comparison"} for line in found.baselines]
    rows.append({"what": "latent score (ceiling)", "auc": found.ceiling_auc, "kind": "comparison"})
    rows = [row for row in rows if row["auc"] is not None]
    order = [str(row["what"]) for row in rows]
    points = (
        alt.Chart(alt.Data(values=rows))
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            y=alt.Y("what:N", sort=order, title=None),
            x=alt.X("auc:Q", title="AUC", scale=alt.Scale(domain=[0.4, 1], clamp=True)),
            color=alt.Color(
                "kind:N", scale=alt.Scale(domain=["score", "component", "comparison"], range=[_BLUE, _ORANGE, _GREY])
            ),
        )
    )
    intervals = [
        {"what": name, "low": interval.low, "high": interval.high}
        for name, interval in (
            ("lead score", found.interval),
            *((f"within: {window.name}", window.interval) for window in found.windows),
        )
        if interval is not None
    ]
    spans = (
        alt.Chart(alt.Data(values=intervals))
        .mark_rule(color=_BLUE, strokeWidth=2)
        .encode(
            y=alt.Y("what:N", sort=order), x=alt.X("low:Q", scale=alt.Scale(domain=[0.4, 1], clamp=True)), x2="high:Q"
        )
    )
    chance = alt.Chart(alt.Data(values=[{"x": 0.5}])).mark_rule(color=_RED, strokeDash=[4, 4]).encode(x="x:Q")
    return svg((chance + spans + points).properties(width=_WIDTH - 60, height=alt.Step(20)))


def funnel(found: results.Briefs) -> str:
    """How many planted remarks are left after each step to the brief."""
    import altair as alt

    rows = [{"step": "said before the meeting", "count": found.planted}]
    rows += [{"step": line.name, "count": line.hits} for line in (found.extracted, found.shown, found.cited)]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("step:N", sort=[str(row["step"]) for row in rows], title=None, axis=alt.Axis(labelLimit=260)),
        x=alt.X("count:Q", title="remarks"),
    )
    bars = base.mark_bar(color=_BLUE)
    numbers = base.mark_text(align="left", dx=4, fontSize=11).encode(text=alt.Text("count:Q", format=","))
    return svg((bars + numbers).properties(width=_WIDTH - 140, height=alt.Step(28)))


SHOWN_OVER_TIME = (
    "facts_precision",
    "facts_recall",
    "replies_accuracy",
    "lead_auc",
    "trigger_recall",
    "brief_coverage",
    "replaced_right",
    "faithful_briefs",
)


def over_time(history: Sequence[Mapping[str, Any]]) -> str:
    """The key numbers of comparable evaluations, oldest first; empty with fewer than two."""
    import altair as alt

    if len(history) < 2:
        return ""
    rows = [
        {
            "run": f"{index}. {entry.get('release') or entry['version'][:6]}",
            "number": name.replace("_", " "),
            "value": entry["numbers"][name],
        }
        for index, entry in enumerate(history[-20:], start=1)
        for name in SHOWN_OVER_TIME
        if entry["numbers"].get(name) is not None
    ]
    order = list(dict.fromkeys(row["run"] for row in rows))
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("run:N", sort=order, title="evaluation and version", axis=alt.Axis(labelAngle=-35)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("number:N"),
        )
    )
    return svg(chart.properties(width=_WIDTH, height=240))
