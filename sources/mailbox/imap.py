"""Mail on an IMAP server: only what is new is fetched, nothing is ever marked, a lost connection is taken up again."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final, TypeVar

from nightdesk.errors import NightdeskError
from sources.mailbox.direction import Place, is_read, is_sent_folder, last_name
from sources.mailbox.imap_parts import Part, assembled, attachments, is_fetched_whole, structure, wanted
from sources.mailbox.settings import MailboxSettings
from sources.mailbox.stores import FolderState, Item, Ledger, chunks, literal

_LISTED: Final = 20_000  # sequence numbers whose UIDs are asked for at once: the answer is one line
_DESCRIBED: Final = 200  # messages whose size and structure are asked for at once
_FETCHED: Final = 4_000_000  # bytes of messages fetched at once
_META: Final = ("RFC822.SIZE", "INTERNALDATE", "FLAGS", "BODYSTRUCTURE")

T = TypeVar("T")
Connect = Callable[[MailboxSettings], Any]


class _Changed(Exception):
    """The folder was made anew under the same name while it was read."""


def connect(settings: MailboxSettings) -> Any:
    """A client that has logged in.

    Raises:
        NightdeskError: The server refuses the login, or its certificate is not to be trusted.
        OSError, imaplib.IMAP4.abort: It cannot be reached now.
    """
    imapclient: Any = import_module("imapclient")  # its types do not say enough
    context = ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    secret = settings.secret()
    try:
        client = imapclient.IMAPClient(
            settings.host,
            settings.at_port,
            ssl=settings.security == "tls",
            ssl_context=context if settings.security == "tls" else None,
            timeout=settings.timeout_seconds,
        )
        client.normalise_times = False  # keep the zone of INTERNALDATE
        if settings.security == "starttls":
            client.starttls(context)
        if settings.token_env:
            client.oauth2_login(settings.login, secret)
        else:
            client.login(settings.login, secret)
    except ssl.SSLCertVerificationError as error:
        raise NightdeskError(
            f"The certificate of the mail server is not to be trusted: {error.verify_message}",
            where=f"mailbox {settings.name}, {settings.host}:{settings.at_port}",
            todo="Correct `host`; for a server with its own authority set `ca_file`.",
        ) from error
    except imapclient.exceptions.LoginError as error:
        raise NightdeskError(
            f"The mail server refuses the login of {settings.login}",
            where=f"mailbox {settings.name}, {settings.host}:{settings.at_port}",
            todo=(
                f"Check {settings.password_env or settings.token_env}; many providers want an app password or a fresh "
                "access token here, and IMAP switched on."
            ),
        ) from error
    except imapclient.exceptions.IMAPClientAbortError:
        raise  # the connection was lost: worth another try
    except imapclient.exceptions.IMAPClientError as error:
        raise _refused(settings, error) from error
    return client


def _refused(settings: MailboxSettings, error: Exception) -> NightdeskError:
    return NightdeskError(
        f"The mail server refuses to go on: {_said(error)}",
        where=f"mailbox {settings.name}, {settings.host}:{settings.at_port}",
        todo="Check `security` (does the server offer STARTTLS at this port?) and the account's rights.",
    )


def read(
    settings: MailboxSettings,
    ledger: Ledger,
    *,
    connect: Connect = connect,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Item]:
    """What is new in the folders of a mailbox on a server.

    Raises:
        NightdeskError: The server cannot be reached, or refuses the login.
    """
    import imaplib

    server = _Server(settings, ledger, connect, sleep)
    try:
        listed: list[tuple[Sequence[bytes], bytes | None, str]] = server.call(lambda client: client.list_folders())
        for flags, delimiter, folder in sorted(listed, key=lambda one: one[2]):
            attributes = tuple(one.decode("ascii", "replace") for one in flags)
            name = last_name(folder, (delimiter or b"").decode("ascii", "replace"))
            if is_read(folder, name, attributes, settings.folders, settings.exclude_folders):
                place = Place(
                    source=settings.name,
                    container=f"{settings.name}/{folder}",
                    folder=folder,
                    owner_email=settings.owner_email.lower(),
                    own_addresses=settings.own_addresses,
                    is_sent=is_sent_folder(name, attributes),
                )
                yield from _folder(server, place, " ".join(attributes))
        _note_vanished(settings, ledger, {f"{settings.name}/{folder}" for _, _, folder in listed})
    except imaplib.IMAP4.error as error:
        raise _refused(settings, error) from error
    finally:
        server.close()


def _note_vanished(settings: MailboxSettings, ledger: Ledger, there: set[str]) -> None:
    """Folders that were deleted or renamed: their copies are gone, the messages are not."""
    rows = ledger.ask(
        f"select container, folder from mailbox.folders where source = {literal(settings.name)} "
        "and kind = 'imap' and not is_gone"
    )
    for container, folder in rows:
        if container not in there:
            positions = ledger.ask(
                f"select position from mailbox.locations where container = {literal(str(container))} and not is_gone"
            )
            ledger.gone += [(str(container), str(one)) for (one,) in positions]
            ledger.folders.append(FolderState(str(container), settings.name, "imap", str(folder), is_gone=True))


class _Server:
    """A connection that is made again when it is lost."""

    def __init__(
        self, settings: MailboxSettings, ledger: Ledger, connect: Connect, sleep: Callable[[float], None]
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self._connect = connect
        self._sleep = sleep
        self._client: Any = None
        self._folder: tuple[str, int] | None = None  # the folder that is open, and its UIDVALIDITY

    def examine(self, folder: str) -> dict[bytes, Any]:
        """Opens a folder for reading only."""
        self._folder = None
        answer: dict[bytes, Any] = self.call(lambda client: client.select_folder(folder, readonly=True))
        self._folder = (folder, int(answer.get(b"UIDVALIDITY", 0)))
        return answer

    def call(self, ask: Callable[[Any], T]) -> T:
        """One question; asked again on a new connection when this one is lost.

        Raises:
            NightdeskError: The server cannot be reached for as many tries in a row as the settings allow.
            imaplib.IMAP4.error: The server says no to this question.
            _Changed: After connecting again the folder is another one.
        """
        import imaplib

        attempts = self.settings.max_attempts
        for attempt in range(1, attempts + 1):
            try:
                if self._client is None:
                    self._client = self._connect(self.settings)
                    if self._folder is not None:
                        again = self._client.select_folder(self._folder[0], readonly=True)
                        if int(again.get(b"UIDVALIDITY", 0)) != self._folder[1]:
                            raise _Changed
                self.ledger.requests += 1
                return ask(self._client)
            except (imaplib.IMAP4.abort, OSError) as error:
                self._drop()
                if attempt == attempts:
                    said = str(error).splitlines()
                    raise NightdeskError(
                        f"The mail server cannot be reached ({said[0][:200] if said else type(error).__name__})",
                        where=f"mailbox {self.settings.name}, {self.settings.host}:{self.settings.at_port}",
                        todo="Check host and port, or load again later; what is loaded stays, and nothing is lost.",
                    ) from error
                self._sleep(min(0.5 * 2 ** (attempt - 1), 30.0))
        raise AssertionError("max_attempts is at least 1")

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                client.shutdown()
            except OSError:
                return  # it was closed already

    def close(self) -> None:
        """Logs out, when somebody still listens."""
        import imaplib

        if self._client is None:
            return
        try:
            self._client.logout()
        except (imaplib.IMAP4.error, OSError):
            self._drop()
        self._client = None


# -- a folder --------------------------------------------------------------------------------------------------------


def _folder(server: _Server, place: Place, special_use: str) -> Iterator[Item]:
    import imaplib

    try:
        yield from _examined(server, place, special_use)
    except _Changed:
        server.ledger.problem(
            place.container, "", "the folder was made anew while it was read", "The next load reads it from the start."
        )
    except imaplib.IMAP4.error as error:
        server.ledger.problem(
            place.container,
            "",
            f"the server refuses to show the folder: {_said(error)}",
            "Exclude it, or ask its admin.",
        )


def _said(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _examined(server: _Server, place: Place, special_use: str) -> Iterator[Item]:
    settings, ledger = server.settings, server.ledger
    answer = server.examine(place.folder)
    count = int(answer.get(b"EXISTS", 0))
    validity = int(answer.get(b"UIDVALIDITY", 0))
    following = int(answer[b"UIDNEXT"]) if b"UIDNEXT" in answer else None
    before = ledger.known_folder(place.container)
    is_other = before is not None and before.uidvalidity != validity
    state = FolderState(
        place.container,
        settings.name,
        "imap",
        place.folder,
        special_use,
        uidvalidity=validity,
        uidnext=following,
        messages=count,
    )
    is_same = (
        before is not None
        and not is_other
        and not before.is_gone
        and following is not None
        and (before.uidnext, before.messages) == (following, count)
    )
    if is_same and before is not None:
        state.last_uid = before.last_uid
        ledger.folders.append(state)
        return
    if is_other or ledger.full:
        # UIDs of a folder made anew mean other messages: what was known of its copies is void.
        ledger.replaced.append(place.container)
    there = _uids(server, count)
    known: set[int] = (
        set() if is_other else {int(one.partition(":")[2]) for one in ledger.known_positions(place.container)}
    )
    ledger.gone += [(place.container, f"{validity}:{uid}") for uid in sorted(known - set(there))]
    new = [uid for uid in there if uid not in known]
    if settings.since is not None and new:
        start = settings.since
        recent = set(server.call(lambda client: client.search(["SINCE", start])))
        new = [uid for uid in new if uid in recent]
    missed = 0
    for some in chunks(new, _DESCRIBED):
        for item in _fetched(server, place, validity, some):
            if item is None:
                missed += 1
            else:
                yield item
    state.last_uid = max(there, default=None)
    if missed:
        state.uidnext = None  # so that the next load looks again, though nothing changed
    ledger.folders.append(state)


def _uids(server: _Server, count: int) -> list[int]:
    """All UIDs of the open folder, asked for by sequence number, because an answer is one line."""
    found: list[int] = []
    for start in range(1, count + 1, _LISTED):
        window = f"{start}:{min(start + _LISTED - 1, count)}"
        found += server.call(lambda client, window=window: [int(one) for one in client.search(window)])
    return sorted(set(found))


@dataclass(frozen=True, slots=True)
class _Meta:
    """What the server says about a message before it is fetched."""

    uid: int
    size: int
    internal: datetime | None
    is_draft: bool
    root: Part | None


def _fetched(server: _Server, place: Place, validity: int, uids: Sequence[int]) -> Iterator[Item | None]:
    """The messages under some UIDs; None for one that could not be fetched (it is said why)."""
    import imaplib

    most = server.settings.max_message_bytes
    try:
        metas = _described(server, uids)
    except (imaplib.IMAP4.abort, _Changed):
        raise
    except (imaplib.IMAP4.error, ValueError, IndexError, TypeError, KeyError) as error:
        if len(uids) > 1:
            for uid in uids:  # one of them is broken: find it
                yield from _fetched(server, place, validity, [uid])
            return
        yield _missed(server, place, uids[0], error)
        return
    groups: dict[tuple[str, ...], list[_Meta]] = {}
    for meta in metas:
        is_partial = meta.root is not None and not is_fetched_whole(meta.root)
        sections = wanted(meta.root, most) if is_partial and meta.root is not None else (f"BODY.PEEK[]<0.{most}>",)
        groups.setdefault(sections, []).append(meta)
    for sections, group in groups.items():
        for some in _by_size(group, most):
            yield from _bodies(server, place, validity, sections, some)


def _described(server: _Server, uids: Sequence[int]) -> list[_Meta]:
    answer: dict[int, dict[bytes, Any]] = server.call(lambda client: client.fetch(uids, _META))
    metas: list[_Meta] = []
    for uid in uids:
        one = answer.get(uid)
        if one is None:
            continue  # expunged since it was listed
        try:
            root = structure(one[b"BODYSTRUCTURE"])
        except (ValueError, IndexError, TypeError, KeyError, StopIteration, RecursionError):
            root = None
        internal = one.get(b"INTERNALDATE")
        flags = {bytes(flag).lower() for flag in one.get(b"FLAGS", ())}
        metas.append(
            _Meta(
                uid,
                int(one.get(b"RFC822.SIZE", 0)),
                internal.astimezone(UTC) if isinstance(internal, datetime) and internal.tzinfo else None,
                b"\\draft" in flags,
                root,
            )
        )
    return metas


def _by_size(metas: Sequence[_Meta], most: int) -> Iterator[list[_Meta]]:
    some: list[_Meta] = []
    size = 0
    for meta in metas:
        some.append(meta)
        size += min(meta.size, most)
        if size >= _FETCHED:
            yield some
            some, size = [], 0
    if some:
        yield some


def _bodies(
    server: _Server, place: Place, validity: int, sections: tuple[str, ...], metas: Sequence[_Meta]
) -> Iterator[Item | None]:
    import imaplib

    try:
        answer: dict[int, dict[bytes, Any]] = server.call(
            lambda client: client.fetch([meta.uid for meta in metas], sections)
        )
    except (imaplib.IMAP4.abort, _Changed):
        raise
    except (imaplib.IMAP4.error, ValueError, IndexError, TypeError, KeyError) as error:
        if len(metas) > 1:
            for meta in metas:
                yield from _bodies(server, place, validity, sections, [meta])
        elif len(sections) > 1:
            # The server does not know its own parts: the message is read whole, as far as the limit goes.
            yield from _bodies(server, place, validity, (f"BODY.PEEK[]<0.{server.settings.max_message_bytes}>",), metas)
        else:
            yield _missed(server, place, metas[0].uid, error)
        return
    for meta in metas:
        one = answer.get(meta.uid)
        if one is not None:
            yield _item(place, validity, meta, one, is_whole=len(sections) == 1)


def _item(place: Place, validity: int, meta: _Meta, answer: dict[bytes, Any], *, is_whole: bool) -> Item:
    cut = ""
    if is_whole:
        raw = bytes(answer.get(b"BODY[]<0>") or answer.get(b"BODY[]") or b"")
        if len(raw) < meta.size:
            cut = f"it has {meta.size} bytes, of which the first {len(raw)} were read"
    else:
        assert meta.root is not None
        raw = assembled(meta.root, answer)
    return Item(
        place=place,
        position=f"{validity}:{meta.uid}",
        raw=raw,
        internal=meta.internal,
        said_at=(place.container, f"UID {meta.uid}"),
        size=meta.size,
        attachments=None if is_whole or meta.root is None else tuple(attachments(meta.root)),
        cut=cut,
        is_draft=meta.is_draft,
    )


def _missed(server: _Server, place: Place, uid: int, error: Exception) -> None:
    server.ledger.problem(
        place.container, f"UID {uid}", f"the server does not hand it out: {_said(error)}", "The next load asks again."
    )
