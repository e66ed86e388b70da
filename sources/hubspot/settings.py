"""What a HubSpot load is told, and what it reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints


class HubSpotSettings(BaseModel):
    """How to reach the CRM and how hard to press it.

    Attributes:
        base_url: Scheme and host of the API, such as `https://api.hubapi.com`.
        token: Private app token; never printed.
        base_path: `/crm/v3`, or a date version such as `/crm/objects/2026-03` (then objects live right under it).
        namespace: Prefix of the properties Nightdesk itself writes.
        page_size: Records per list page (HubSpot allows 100; 50 where property history is asked for).
        overlap_seconds: How far before the watermark a later load looks again, because search lags behind writes.
        requests_per_10s: The private app's burst limit (190 on Professional and Enterprise, 100 below).
        searches_per_second: Search has a limit of its own.
        in_flight: Requests under way at once.
        max_attempts: Tries per request before the CRM counts as down.
        backoff_seconds: First wait between tries; doubles each time.
        timeout_seconds: Longest wait for one answer.
        accept_type_changes: `object.property` whose changed type has been looked at and is fine.
        accept_missing: Required `object.property` that the company does without, such as an opt-out flag.
        policies: Folder of the policy files, so that a vanished value they name is said louder; None to not look.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+/?$")]
    token: SecretStr
    base_path: Annotated[str, StringConstraints(pattern=r"^/[^\s?#]*[^\s?#/]$")] = "/crm/v3"
    namespace: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = "nightdesk_"
    page_size: Annotated[int, Field(ge=1, le=100)] = 100
    overlap_seconds: Annotated[int, Field(ge=0)] = 600
    requests_per_10s: Annotated[int, Field(ge=1)] = 190
    searches_per_second: Annotated[int, Field(ge=1)] = 4
    in_flight: Annotated[int, Field(ge=1, le=16)] = 4
    max_attempts: Annotated[int, Field(ge=1)] = 6
    backoff_seconds: Annotated[float, Field(gt=0)] = 0.5
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    accept_type_changes: tuple[str, ...] = ()
    accept_missing: tuple[str, ...] = ()
    policies: Path | None = None
