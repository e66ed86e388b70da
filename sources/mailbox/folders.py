"""Messages in files of their own: folders of .eml, and Maildir."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sources.mailbox.direction import Place, is_read, is_sent_folder, last_name
from sources.mailbox.settings import MailboxSettings
from sources.mailbox.stores import FolderState, Item, Ledger, chunks, literal, literals

_AT_ONCE: Final = 2_000  # files whose earlier reading is asked for in one question


# -- .eml ------------------------------------------------------------------------------------------------------------


def read_eml(settings: MailboxSettings, ledger: Ledger) -> Iterator[Item]:
    """What is new among the .eml and .eml.gz files under a folder."""
    assert settings.path is not None
    root = settings.path
    names = [root.name] if root.is_file() else list(_eml_names(root))
    base = root.parent if root.is_file() else root
    count = 0
    for some in chunks(names, _AT_ONCE):
        known = _known_files(settings.name, [str(base / name) for name in some], ledger)
        for name in some:
            folder = Path(name).parent.as_posix()
            if folder != "." and not is_read(folder, last_name(folder), (), settings.folders, settings.exclude_folders):
                continue
            count += 1
            try:
                yield from _eml(base / name, name, settings, ledger, known)
            except (OSError, EOFError, zlib.error) as error:
                what = getattr(error, "strerror", None) or str(error) or type(error).__name__
                ledger.problem(str(base / name), "", f"the file cannot be read: {what}", "Export it again.")
    ledger.folders.append(FolderState(settings.name, settings.name, "eml", base.name, messages=count))


def _eml_names(root: Path) -> Iterator[str]:
    for folder, inner, files in os.walk(root):
        inner.sort()
        for file in sorted(files):
            if file.lower().endswith((".eml", ".eml.gz")) and not file.startswith("._"):
                yield Path(folder, file).relative_to(root).as_posix()


def _known_files(source: str, paths: list[str], ledger: Ledger) -> dict[str, tuple[int, datetime, str]]:
    if ledger.full:
        return {}
    rows = ledger.ask(
        "select file, size_bytes, modified_at, sha256 from mailbox.files "
        f"where source = {literal(source)} and file in ({literals(paths)})"
    )
    return {str(file): (int(size), modified, str(sha256)) for file, size, modified, sha256 in rows}


def _eml(
    path: Path, name: str, settings: MailboxSettings, ledger: Ledger, known: dict[str, tuple[int, datetime, str]]
) -> Iterator[Item]:
    stat = path.stat()
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    before = known.get(str(path))
    if before is not None and before[:2] == (stat.st_size, modified):
        return
    is_packed = name.lower().endswith(".gz")
    most = settings.max_message_bytes
    with gzip.open(path, "rb") if is_packed else path.open("rb") as file:
        raw = file.read(most)
        rest = file.read(1)
    size = None if is_packed else stat.st_size
    digest = hashlib.sha256(raw).hexdigest()
    ledger.read_file(settings.name, str(path), stat.st_size, modified, digest, "eml.gz" if is_packed else "eml", 1)
    if before is not None and before[2] == digest and not rest:
        return
    folder = Path(name).parent.as_posix()
    place = Place(
        source=settings.name,
        container=settings.name,
        folder="" if folder == "." else folder,
        owner_email=settings.owner_email.lower(),
        own_addresses=settings.own_addresses,
        is_sent=is_sent_folder(last_name(folder)),
        is_export=True,
    )
    whole = f"{size} bytes" if size is not None else f"more than {most} bytes"
    cut = f"it has {whole}, of which the first {len(raw)} were read" if rest else ""
    yield Item(place, name, raw, None, (str(path), ""), size=size, cut=cut)


# -- Maildir ---------------------------------------------------------------------------------------------------------


def read_maildir(settings: MailboxSettings, ledger: Ledger) -> Iterator[Item]:
    """What is new in a Maildir and its folders (Maildir++: `.Sent`, `.Archive.2026`; or plain folders inside it).

    A file's name up to `:2,` is the message, the rest are flags; moving it from `new` to `cur` changes nothing.
    """
    assert settings.path is not None
    for path, folder in maildirs(settings.path):
        name = last_name(folder, ".") if folder.startswith(".") else last_name(folder)
        if folder != "INBOX" and not is_read(folder.lstrip("."), name, (), settings.folders, settings.exclude_folders):
            continue
        place = Place(
            source=settings.name,
            container=f"{settings.name}/{folder}",
            folder=folder,
            owner_email=settings.owner_email.lower(),
            own_addresses=settings.own_addresses,
            is_sent=is_sent_folder(name),
        )
        yield from _maildir(path, place, settings, ledger)


def maildirs(root: Path) -> Iterator[tuple[Path, str]]:
    """(path, folder) of every Maildir at a path: it has a `cur` or a `new` folder."""
    if (root / "cur").is_dir() or (root / "new").is_dir():
        yield root, "INBOX"
    for folder, inner, _ in os.walk(root):
        inner[:] = sorted(one for one in inner if one not in {"cur", "new", "tmp"})
        path = Path(folder)
        if path != root and ((path / "cur").is_dir() or (path / "new").is_dir()):
            yield path, _shown(path.relative_to(root).as_posix())


def _shown(name: str) -> str:
    """A folder's name as people see it: servers write what is not ASCII in IMAP's own UTF-7."""
    if "&" not in name or not name.isascii():
        return name
    from imapclient import imap_utf7

    try:
        return str(imap_utf7.decode(name.encode("ascii")))
    except (ValueError, IndexError):
        return name


def _maildir(path: Path, place: Place, settings: MailboxSettings, ledger: Ledger) -> Iterator[Item]:
    found: dict[str, Path] = {}
    for part in ("new", "cur"):
        if (path / part).is_dir():
            for entry in os.scandir(path / part):
                if entry.is_file() and not entry.name.startswith("."):
                    base, _, flags = entry.name.partition(":2,")
                    if "D" not in flags:  # a draft
                        found[base] = Path(entry.path)
    known = ledger.known_positions(place.container)
    if ledger.full:
        ledger.replaced.append(place.container)
    ledger.gone += [(place.container, one) for one in sorted(known - found.keys())]
    for base in sorted(found.keys() - known):
        file = found[base]
        try:
            with file.open("rb") as opened:
                raw = opened.read(settings.max_message_bytes)
                size = os.fstat(opened.fileno()).st_size
                modified = datetime.fromtimestamp(os.fstat(opened.fileno()).st_mtime, UTC)
        except FileNotFoundError:
            continue  # moved from new to cur, or away, just now: the next load sees it
        except OSError as error:
            ledger.problem(str(file), "", f"the file cannot be read: {error.strerror or error}", "Check its rights.")
            continue
        cut = f"it has {size} bytes, of which the first {len(raw)} were read" if size > len(raw) else ""
        yield Item(place, base, raw, modified, (str(file), ""), size=size, cut=cut)
    ledger.folders.append(
        FolderState(
            place.container,
            settings.name,
            "maildir",
            place.folder,
            "\\Sent" if place.is_sent else "",
            messages=len(found),
        )
    )
