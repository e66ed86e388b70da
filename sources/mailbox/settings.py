"""How one mailbox is reached: an account on a server, or mail exported to files."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nightdesk.errors import NightdeskError

Kind = Literal["imap", "mbox", "maildir", "eml"]
Security = Literal["tls", "starttls", "none"]

_PORTS = {"tls": 993, "starttls": 143, "none": 143}
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class MailboxSettings(BaseModel):
    """One mailbox.

    Attributes:
        name: What it is called in the raw tables; keep it, or everything is read again.
        kind: `imap`, or files: `mbox` (one file, or a folder of them), `maildir`, `eml` (a folder, searched through).
        owner_email: Whose mailbox it is. Only mail from this address (or `aliases`) can count as sent by us.
        aliases: Further addresses its owner sends from.
        path: Of the files.
        host: Of the IMAP server.
        port: 993 with `tls`, else 143, unless given.
        security: `tls`, `starttls`, or `none`, which only a server on this machine may have.
        user: Login; `owner_email` unless given.
        password_env: Environment variable with the password (an app password, where the provider asks for one).
        token_env: Environment variable with an OAuth 2 access token (XOAUTH2); instead of a password.
        ca_file: Certificates to trust, for a server with a certificate of its own authority.
        folders: Patterns of folders to read (`*` any text). A folder that is excluded by default is read when a pattern
            names it without a star.
        exclude_folders: Patterns of folders not to read. Drafts, junk, trash, templates and outboxes never are, unless
            named in `folders`.
        since: Older mail is left alone.
        max_message_bytes: A larger message is read up to here; attachments are never read.
        workers: Processes that parse; 0 decides by the machine once there is enough to do.
        timeout_seconds: Longest wait for an answer of the server.
        max_attempts: Connections tried in a row before the load gives up on a mailbox.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,99}$")]
    kind: Kind
    owner_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    aliases: tuple[str, ...] = ()
    path: Path | None = None
    host: str = ""
    port: Annotated[int | None, Field(ge=1, le=65_535)] = None
    security: Security = "tls"
    user: str = ""
    password_env: str = ""
    token_env: str = ""
    ca_file: Path | None = None
    folders: tuple[str, ...] = ("*",)
    exclude_folders: tuple[str, ...] = ()
    since: date | None = None
    max_message_bytes: Annotated[int, Field(ge=10_000, le=50_000_000)] = 1_000_000
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    max_attempts: Annotated[int, Field(ge=1)] = 5

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "imap":
            if not self.host:
                raise ValueError("an imap mailbox needs `host`")
            if bool(self.password_env) == bool(self.token_env):
                raise ValueError("an imap mailbox needs `password_env` or `token_env`")
            if self.security == "none" and self.host not in _LOOPBACK:
                raise ValueError("`security: none` would send the password readable over the network")
        elif self.path is None:
            raise ValueError(f"a mailbox of kind {self.kind} needs `path`")
        return self

    @property
    def own_addresses(self) -> frozenset[str]:
        """The owner's addresses, lower case."""
        return frozenset(one.strip().lower() for one in (self.owner_email, *self.aliases))

    @property
    def login(self) -> str:
        """The name to log in with."""
        return self.user or self.owner_email

    @property
    def at_port(self) -> int:
        """The server's port."""
        return self.port or _PORTS[self.security]

    def secret(self) -> str:
        """The password or token, from the environment.

        Raises:
            NightdeskError: The variable is not set.
        """
        name = self.password_env or self.token_env
        value = os.environ.get(name, "")
        if not value:
            raise NightdeskError(
                f"The environment variable {name} is empty, and mailbox {self.name} needs it to log in",
                where=f"mailbox {self.name}",
                todo=f"Set {name} to the mailbox's {'password' if self.password_env else 'access token'}.",
            )
        return value
