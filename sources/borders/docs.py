"""The Data Docs: Great Expectations' own pages, made to work without a network, behind one index of both borders.

As they come, the pages fetch styles and scripts from six hosts and report each look at them through a picture. What is
fetched is taken out, and a small style sheet beside the pages takes its place.
"""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from sources.borders.border import STATES

_STYLE: Final = "nightdesk.css"
_SIDES: Final = {
    "raw": ("Raw data in", "What was loaded from each source, looked at before anything is built on it."),
    "plan": (
        "Planned operations out",
        "What each CRM would be told, looked at before anybody can approve or apply it.",
    ),
}
_FETCHED = re.compile(
    r"<script[^>]*\ssrc=[\"']https?://[^>]*>\s*</script>"
    r"|<link\b[^>]*>|<img\b[^>]*>"
    r"|<footer.*?</footer>",
    re.DOTALL | re.IGNORECASE,
)
_REMOTE = re.compile(r"url\([\"']?https?://[^)]*\)", re.IGNORECASE)
_SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL | re.IGNORECASE)


def build(context: Any, docs_dir: Path) -> None:
    """Builds every page anew from the kept results.

    Args:
        context: The context of Great Expectations whose site lies in `docs_dir`.
        docs_dir: The folder of the site.
    """
    for old in ("validations", "expectations"):
        shutil.rmtree(docs_dir / old, ignore_errors=True)
    context.build_data_docs()
    shutil.rmtree(docs_dir / "static", ignore_errors=True)  # their pictures and fonts
    (docs_dir / "static").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).with_name(_STYLE), docs_dir / "static" / _STYLE)
    for page in (*docs_dir.glob("validations/**/*.html"), *docs_dir.glob("expectations/**/*.html")):
        page.write_text(_offline(page.read_text(encoding="utf-8"), page, docs_dir), encoding="utf-8")
    (docs_dir / "index.html").write_text(_index(docs_dir), encoding="utf-8")


def _offline(text: str, page: Path, docs_dir: Path) -> str:
    """A page that fetches nothing; its scripts go too, since all they do needs what they fetched."""
    root = "../" * len(page.relative_to(docs_dir).parent.parts)
    text = _REMOTE.sub("none", _SCRIPT.sub("", _FETCHED.sub("", text)))
    link = f'<link rel="stylesheet" href="{root}static/{_STYLE}">'
    back = f'<p class="back"><a href="{root}index.html">Both borders</a></p>'
    text = text.replace("</head>", f"{link}</head>", 1)
    return re.sub(r"(<body[^>]*>)", lambda found: found.group(1) + back, text, count=1)


def _index(docs_dir: Path) -> str:
    states = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((docs_dir / STATES).glob("*.json"))]
    sections = [_section(side, [one for one in states if one["side"] == side], docs_dir) for side in _SIDES]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Nightdesk borders</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" '
        f'href="static/{_STYLE}"></head><body class="index"><h1>Nightdesk borders</h1>{"".join(sections)}</body></html>'
    )


def _section(side: str, states: Sequence[Mapping[str, Any]], docs_dir: Path) -> str:
    title, about = _SIDES[side]
    rows = "".join(_row(one, docs_dir) for one in states)
    table = (
        "<table><thead><tr><th></th><th>Of</th><th>Held</th><th>Warned</th><th>Stopped</th><th>Looked at</th></tr>"
        f"</thead><tbody>{rows}</tbody></table>"
        if rows
        else "<p>Nothing has crossed it yet.</p>"
    )
    return f"<section><h2>{title}</h2><p>{about}</p>{table}</section>"


def _row(state: Mapping[str, Any], docs_dir: Path) -> str:
    verdicts = cast("list[dict[str, Any]]", state["verdicts"])
    broken = [one for one in verdicts if not one["success"]]
    counts = {kind: sum(one["severity"] == kind for one in broken) for kind in ("warn", "stop")}
    mark, word = ("bad", "stop") if counts["stop"] else ("so-so", "warn") if counts["warn"] else ("good", "held")
    name = f"{state['side']}-{state['dataset']}"
    page = next(iter(sorted(docs_dir.glob(f"validations/{name}/**/*.html"))), None)
    link = html.escape(page.relative_to(docs_dir).as_posix()) if page else ""
    title = html.escape(str(state["dataset"]))
    shown = f'<a href="{link}">{title}</a>' if link else title
    lines = "".join(
        f'<tr class="line {"bad" if one["severity"] == "stop" else "so-so"}"><td></td><td colspan="5">'
        f"{html.escape(one['meaning'])}: {html.escape('; '.join(one['failures']) or one['table'])}</td></tr>"
        for one in broken
    )
    return (
        f'<tr><td><span class="mark {mark}">{word}</span></td><td>'
        f"{shown} <small>{html.escape(str(state['about']))}</small></td>"
        f"<td>{len(verdicts) - len(broken)}</td><td>{counts['warn']}</td><td>{counts['stop']}</td>"
        f"<td>{html.escape(str(state['judged_at'])[:16].replace('T', ' '))} UTC</td></tr>{lines}"
    )
