"""Who speaks, where a line only says `Name: text`: which words before a colon are names, judged over the whole file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from sources.transcripts.model import Speaker, clean_company, clean_name

_MOST_WORDS = 6
_PREFIX = re.compile(r"\s*(?:>>+\s*)?(?P<name>[^:\n]{1,120}?)\s*:(?:\s+|$)(?P<text>.*)", re.DOTALL)
_PARTICLES = frozenset(
    "de del della da di do dos du la le les van von der den ten ter zu zum bin ibn al el y e und and i".split()  # noqa: SIM905
)
# Words that open a remark, not a turn, and lines that head a page.
_NO_NAMES = frozenset(
    """
    note notes ps p.s re fwd aw question answer q a example examples agenda http https ftp tel fax email e-mail mail
    web www url subject date time duration attendees participants present title topic meeting location language
    summary overview action actions decision decisions next steps todo warning important tip hint disclaimer
    recording transcript host organizer organiser from to cc
    """.split()  # noqa: SIM905
)
_EMAIL = re.compile(r"[^\s<>@,;\"']+@[^\s<>@,;\"']+\.[^\s<>@,;\"']+")


def split_prefix(line: str) -> tuple[str, str] | None:
    """The words before the first colon and the rest, if those words look like a name, with a company or without."""
    match = _PREFIX.match(line)
    if match is None or not _is_like_a_name(match["name"]):
        return None
    return match["name"].strip(), match["text"].strip()


@lru_cache(maxsize=4096)
def _is_like_a_name(text: str) -> bool:
    name, _ = name_and_company(text)
    words = name.split()
    if not words or len(words) > _MOST_WORDS or len(name) > 80:
        return False
    if name.casefold().strip(".") in _NO_NAMES or re.search(r"[?!;/\\<>{}=*_\"“”|]", name):
        return False
    if any(word.endswith((",", ";")) for word in words[:-1]) and len(words) > 3:
        return False
    return all(_is_name_word(word, first=number == 0) for number, word in enumerate(words))


def _is_name_word(word: str, *, first: bool) -> bool:
    if not first and word.casefold().strip(".") in _PARTICLES:
        return True
    head = word.lstrip("(+'’#&-")[:1]
    # Letters without case (most of the world's scripts) can't be told from a name's; digits are phones and "Speaker 2".
    return bool(head) and (
        head.isupper() or head.istitle() or head.isdigit() or (head.isalpha() and head.lower() == head.upper())
    )


def names_among(lines: Sequence[str]) -> tuple[frozenset[str], float]:
    """Which prefixes of lines are names.

    Args:
        lines: One text per cue or paragraph.

    Returns:
        The prefixes that are names, as written; and the share of lines that carry one.
    """
    found: Counter[str] = Counter()
    spoken = 0
    for line in lines:
        if line.strip():
            spoken += 1
            split = split_prefix(line)
            if split is not None:
                found[split[0]] += 1
    share = sum(found.values()) / spoken if spoken else 0.0
    sure = {
        name for name, count in found.items() if share >= 0.9 or (share >= 0.2 and (count > 1 or len(name.split()) > 1))
    }
    total = sum(found[name] for name in sure)
    return frozenset(sure), (total / spoken if spoken else 0.0)


@lru_cache(maxsize=4096)
def name_and_company(text: str) -> tuple[str, str]:
    """`Dana Reyes (Acme Freight)` taken apart; the company is empty where there is none."""
    match = re.fullmatch(r"\s*(?P<name>[^()]*?)\s*\((?P<company>[^()]*)\)\s*", text)
    if match is None or not match["name"]:
        return _first_name_first(clean_name(text)), ""
    company = clean_company(match["company"])
    # What meeting tools put there is about the connection, not the firm.
    if company.casefold() in (
        "host",
        "co-host",
        "me",
        "guest",
        "external",
        "unverified",
        "presenter",
        "organizer",
        "you",
    ):
        return _first_name_first(clean_name(match["name"])), ""
    return _first_name_first(clean_name(match["name"])), company


def _first_name_first(name: str) -> str:
    """`Reyes, Dana`, as company directories write it, turned round."""
    last, comma, first = (part.strip() for part in name.partition(","))
    if not comma or not first or "," in first or len(name.split()) > _MOST_WORDS:
        return name
    is_suffix = first.casefold().strip(".") in (
        "jr",
        "sr",
        "ii",
        "iii",
        "phd",
        "md",
        "mba",
        "esq",
        "inc",
        "ltd",
        "gmbh",
        "llc",
    )
    return name if is_suffix else f"{first} {last}"


def person(text: str) -> Speaker | None:
    """A participant written as `Name <address>`, an address, or a name; None where nothing is left."""
    found = _EMAIL.search(text)
    email = found[0].strip("<>()[].,;").casefold() if found else ""
    rest = re.sub(r"mailto:|[<>\"]|\(\s*\)|\[\s*\]", " ", _EMAIL.sub(" ", text)).strip(" ,;-")
    name, company = name_and_company(rest) if rest else ("", "")
    if not name and not email:
        return None
    return Speaker(name, email, company, spoke=False)


def people(text: str) -> list[Speaker]:
    """Participants in one text, separated by commas, semicolons or line ends."""
    return [one for part in re.split(r"[,;\n]", text) if (one := person(part)) is not None]
