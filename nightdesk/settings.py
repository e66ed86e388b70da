"""Where things are and whom to talk to: environment variables and `.env`, nothing else."""

from __future__ import annotations

import getpass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from nightdesk.errors import NightdeskError

AgentName = Literal["rules", "claude", "claude_batch", "recorded"]


class Settings(BaseSettings):
    """Settings of one command, read once. Every field is `NIGHTDESK_<NAME>` in the environment or in `.env`.

    Attributes:
        data_dir: Folder of the three databases, the spool and what is published.
        policies: Folder of the policy files.
        sources: The file that says what a night loads.
        hubspot_url: Origin of the CRM's API, without a path.
        hubspot_token: Private-app token.
        salesforce_url: The org's address; with it, each night plans for Salesforce as well.
        salesforce_token: Session id or access token of the integration user.
        salesforce_client_id, salesforce_client_secret: A connected app that gives access tokens, instead of one.
        salesforce_api_version: Such as `62.0`.
        salesforce_ca_bundle: PEM file of the authorities to trust, behind a proxy that signs with its own.
        tryton_url: Origin of a Tryton server; with it, each night plans for Tryton as well.
        tryton_database, tryton_user, tryton_password: Which database, and who writes there.
        agent: Who answers: `rules` (offline), `claude`, `claude_batch` (both need ANTHROPIC_API_KEY) or `recorded`
            (replays).
        record: Keep every answer of the agent, so that `recorded` can play it back without a key.
        as_of: The day the night belongs to; today in UTC when unset.
        openlineage_url: A receiver of OpenLineage events; nothing is sent when empty.
    """

    model_config = SettingsConfigDict(env_prefix="NIGHTDESK_", env_file=".env", extra="ignore", frozen=True)

    data_dir: Path = Path("data")
    policies: Path = Path("policies")
    sources: Path = Path("sources.yml")
    hubspot_url: str = "https://api.hubapi.com"
    hubspot_token: SecretStr = SecretStr("")
    hubspot_base_path: str = "/crm/v3"
    hubspot_requests_per_10s: int = Field(default=190, ge=1)
    salesforce_url: str = ""
    salesforce_token: SecretStr = SecretStr("")
    salesforce_client_id: str = ""
    salesforce_client_secret: SecretStr = SecretStr("")
    salesforce_api_version: str = Field(default="62.0", pattern=r"^\d+\.0$")
    salesforce_ca_bundle: Path | None = None
    tryton_url: str = ""
    tryton_database: str = ""
    tryton_user: str = ""
    tryton_password: SecretStr = SecretStr("")
    agent: AgentName = "rules"
    record: bool = False
    as_of: date = Field(default_factory=lambda: datetime.now(UTC).date())
    actor: str = Field(default_factory=getpass.getuser)
    openlineage_url: str = ""

    @field_validator("openlineage_url", "salesforce_url", "tryton_url")
    @classmethod
    def _url_or_nothing(cls, value: str) -> str:
        return cls._url_is_an_origin(value) if value else value

    @field_validator("hubspot_url")
    @classmethod
    def _url_is_an_origin(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    # Paths ------------------------------------------------------------------------------------------------------

    @property
    def raw(self) -> Path:
        return self.data_dir / "raw.duckdb"

    @property
    def warehouse(self) -> Path:
        return self.data_dir / "warehouse.duckdb"

    @property
    def ledger(self) -> Path:
        return self.data_dir / "ledger.duckdb"

    @property
    def spool(self) -> Path:
        return self.data_dir / "spool"

    @property
    def recordings(self) -> Path:
        """What `record` keeps and the agent `recorded` plays back."""
        return self.data_dir / "recordings.jsonl"

    @property
    def pipelines(self) -> Path:
        return self.data_dir / "dlt"

    @property
    def published(self) -> Path:
        return self.data_dir / "published"

    @property
    def sandbox(self) -> Path:
        return self.data_dir / "sandbox"

    @property
    def anchor(self) -> Path:
        """The audit chain's anchor, outside every database."""
        return self.data_dir / "audit-anchor.jsonl"

    @property
    def logs(self) -> Path:
        return Path("target") / "logs"


def read(project: Path | None = None) -> Settings:
    """Read the settings of the project in `project` (the current folder when None).

    Raises:
        NightdeskError: A variable has a value that cannot be used; the message names it.
    """
    try:
        return Settings(_env_file=(project or Path.cwd()) / ".env")  # pyright: ignore[reportCallIssue]
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise NightdeskError(
            f"The setting NIGHTDESK_{name} cannot be used: {first['msg'].removeprefix('Value error, ')}",
            where="environment or .env",
            todo="Correct it in `.env` or in the environment of the command.",
        ) from None
