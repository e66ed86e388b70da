"""What a Salesforce load is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

from nightdesk.salesforce import API_VERSION
from sources.salesforce.tables import OBJECTS, ObjectType


def custom_columns() -> dict[str, str]:
    """`table.column` -> API name by default, of every column that orgs name in their own way."""
    return {f"{kind.table.name}.{column}": name for kind in OBJECTS for column, name in kind.customs.items()}


class SalesforceSourceSettings(BaseModel):
    """How to reach the org and how hard to press it.

    Attributes:
        base_url: The org's own address, such as `https://mycompany.my.salesforce.com`, without a path.
        token: Access token or session id; never printed. Empty where a connected app gives tokens.
        client_id, client_secret: A connected app with the client credentials flow; renews an expired token.
        api_version: Such as `62.0`.
        ca_bundle: PEM file of the authorities to trust, behind a proxy that signs with its own.
        namespace: How the names of the fields begin that Nightdesk itself writes.
        custom_fields: `table.column` -> API name of the field that fills it; an empty name leaves the column empty.
            What is not named here keeps its default.
        page_size: Records per page of a query (200 to 2,000).
        bulk_threshold: From how many rows on an object is read with the Bulk API.
        bulk_page_rows: Rows per page of a bulk result.
        overlap_seconds: How far before the watermark a later load looks again: a long transaction shows its records
            late, with the stamps of when it began.
        quota_share: Share of the org's requests of 24 hours, used by anybody, at which a load stops.
        in_flight: Requests under way at once.
        max_attempts: Tries per request before the org counts as down.
        backoff_seconds: First wait between tries; doubles each time.
        timeout_seconds: Longest wait for one answer.
        poll_seconds: Longest wait between two looks at a bulk job.
        bulk_wait_seconds: Longest wait for a bulk job to be done.
        accept_type_changes: `Object.Field` whose changed type has been looked at and is fine.
        accept_missing: Required `Object.Field` that the company does without, such as an opt-out flag.
        policies: Folder of the policy files, so that a vanished value they name is said louder; None to not look.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+/?$")]
    token: SecretStr = SecretStr("")
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    api_version: Annotated[str, StringConstraints(pattern=r"^\d+\.0$")] = API_VERSION
    ca_bundle: Path | None = None
    namespace: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")] = "Nightdesk_"
    custom_fields: Mapping[str, str] = Field(default_factory=dict[str, str])
    page_size: Annotated[int, Field(ge=200, le=2000)] = 2000
    bulk_threshold: Annotated[int, Field(ge=1)] = 10_000
    bulk_page_rows: Annotated[int, Field(ge=1)] = 50_000
    overlap_seconds: Annotated[int, Field(ge=0)] = 600
    quota_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    in_flight: Annotated[int, Field(ge=1, le=16)] = 4
    max_attempts: Annotated[int, Field(ge=1)] = 6
    backoff_seconds: Annotated[float, Field(gt=0)] = 0.5
    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    poll_seconds: Annotated[float, Field(gt=0)] = 10.0
    bulk_wait_seconds: Annotated[float, Field(gt=0)] = 7200.0
    accept_type_changes: tuple[str, ...] = ()
    accept_missing: tuple[str, ...] = ()
    policies: Path | None = None

    @field_validator("custom_fields")
    @classmethod
    def _known_columns(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        known = custom_columns()
        unknown = sorted(set(value) - set(known))
        if unknown:
            raise ValueError(f"no such column: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        return value

    @model_validator(mode="after")
    def _some_credential(self) -> Self:
        if not (self.token.get_secret_value() or self.client_id):
            raise ValueError("give a token, or client_id and client_secret of a connected app")
        return self

    def fields_of(self, kind: ObjectType) -> dict[str, str]:
        """Column -> API name of every column of an object that a field of this org fills."""
        chosen = {
            column: self.custom_fields.get(f"{kind.table.name}.{column}", name) for column, name in kind.customs.items()
        }
        return dict(kind.fields) | {column: name for column, name in chosen.items() if name}
