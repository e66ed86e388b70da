"""JSON of vendors' exports, broken files included: one document, one a line, or the readable head of a cut one."""

from __future__ import annotations

import json
from typing import Any

from sources.transcripts.model import Reading

_DEEPEST = 100  # no vendor nests a tenth of that
_TODO = "Export the file again; it may have been cut off while it was written."


def parsed(text: str, reading: Reading) -> list[Any]:
    """The documents in a text; none where nothing can be read. What is wrong goes to the reading, with its line."""
    try:
        return [json.loads(text)]
    except RecursionError:
        reading.trouble(
            None, "The JSON is nested too deeply to be a transcript", "Leave the file out, or export it again."
        )
        return []
    except json.JSONDecodeError as error:
        first = error
    if first.msg == "Extra data":
        by_line = _by_line(text, reading)
        if by_line:
            return by_line
    rescued = _rescued(text)
    what = f"The JSON breaks off or is broken here ({first.msg.lower()}, column {first.colno})"
    if rescued is None:
        reading.trouble(first.lineno, what, _TODO)
        return []
    reading.trouble(first.lineno, what + "; what stands before it is loaded", _TODO)
    return [rescued]


def _by_line(text: str, reading: Reading) -> list[Any]:
    """JSON Lines: one document a line."""
    found: list[Any] = []
    bad: list[tuple[int, json.JSONDecodeError]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            bad.append((number, error))
        except RecursionError:
            continue
    if not found:
        return []
    for number, error in bad:
        reading.trouble(number, f"The line is no JSON ({error.msg.lower()}, column {error.colno})", _TODO)
    return [found]  # a list says whether its items are turns or calls


def _rescued(text: str) -> Any | None:
    """What a truncated document held: cut after the last object that is whole, open brackets closed."""
    stack: list[str] = []
    cut = 0
    closing = ""
    in_string = is_escaped = False
    for position, one in enumerate(text):
        if in_string:
            if is_escaped:
                is_escaped = False
            elif one == "\\":
                is_escaped = True
            elif one == '"':
                in_string = False
        elif one == '"':
            in_string = True
        elif one in "{[":
            stack.append("}" if one == "{" else "]")
            if len(stack) > _DEEPEST:
                return None
        elif one in "}]":
            if not stack or stack.pop() != one:
                break
            if stack:
                cut, closing = position + 1, "".join(reversed(stack))
    if not cut:
        return None
    try:
        return json.loads(text[:cut] + closing)
    except (ValueError, RecursionError):
        return None
