"""Which CRM a command talks to: the one adapter for its name, made from the settings."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from nightdesk.erasure import tombstones
from nightdesk.errors import NightdeskError
from nightdesk.settings import Settings, read

if TYPE_CHECKING:
    from nightdesk.policy import Policy
    from nightdesk.prepare import Project
    from reverse_etl.crms.protocol import CrmAdapter
    from reverse_etl.crms.salesforce.adapter import SalesforceAdapter
    from sources.config import SalesforceOptions
    from sources.salesforce import SalesforceSourceSettings

HUBSPOT = "hubspot"
NAMES = (HUBSPOT, "salesforce", "tryton")


class _Closeable(Protocol):
    def close(self) -> None: ...


def planned(project: Project) -> tuple[str, ...]:
    """The CRMs that each night plans for: those that records come from, and those the settings name an address of."""
    settings = project.settings
    addresses = {"salesforce": settings.salesforce_url, "tryton": settings.tryton_url}
    return tuple(name for name in NAMES if name in project.sources.crms or addresses.get(name))


@contextmanager
def open_crm(project: Project, crm: str = HUBSPOT) -> Generator[CrmAdapter]:
    """The CRM to write to, as a context. Texts of erased people that it still holds are read as masks.

    Raises:
        NightdeskError: There is no such CRM, or the settings lack its address or token.
    """
    from reverse_etl.crms.masked import Masked

    erased = tombstones.read_file(project.settings.ledger)
    adapter, closing = _connect(project, crm)
    try:
        yield adapter if erased is None else Masked(adapter, erased)
    finally:
        closing.close()


def hubspot_token(settings: Settings) -> str:
    """The private-app token.

    Raises:
        NightdeskError: There is none.
    """
    token = settings.hubspot_token.get_secret_value()
    if not token:
        raise NightdeskError(
            "There is no token for the CRM",
            where="NIGHTDESK_HUBSPOT_TOKEN in .env or the environment",
            todo="Put a private-app token there, or try a sample CRM with `nightdesk demo`.",
        )
    return token


def _connect(project: Project, crm: str) -> tuple[CrmAdapter, _Closeable]:
    settings, policy = project.settings, project.policy
    if crm == HUBSPOT:
        from reverse_etl.crms.hubspot.adapter import HubSpotAdapter

        hubspot = HubSpotAdapter.connect(
            settings.hubspot_url,
            hubspot_token(settings),
            policy,
            settings.as_of,
            base_path=settings.hubspot_base_path,
            requests_per_10s=settings.hubspot_requests_per_10s,
            # A token that was replaced in .env while a night runs is found there.
            renew=lambda: hubspot_token(read(project.folder)),
        )
        return hubspot, hubspot
    if crm == "salesforce":
        salesforce = _salesforce(settings, policy)
        return salesforce, salesforce
    if crm == "tryton":
        from reverse_etl.crms.tryton.adapter import TrytonAdapter

        password = settings.tryton_password.get_secret_value()
        complete = settings.tryton_url and settings.tryton_database and settings.tryton_user and password
        _require(complete, "Tryton", "TRYTON_URL, _DATABASE, _USER and _PASSWORD")
        tryton = TrytonAdapter.connect(
            settings.tryton_url,
            settings.tryton_database,
            settings.tryton_user,
            password,
            policy,
            settings.as_of,
        )
        return tryton, tryton
    raise NightdeskError(f"There is no CRM `{crm}`", todo=f"One of: {', '.join(NAMES)}.")


def salesforce_source(settings: Settings, options: SalesforceOptions, policy: Policy) -> SalesforceSourceSettings:
    """How the org is loaded from.

    Raises:
        NightdeskError: The settings lack its address or a credential.
    """
    from sources.salesforce import SalesforceSourceSettings

    app, secret = settings.salesforce_client_id, settings.salesforce_client_secret
    token = settings.salesforce_token.get_secret_value()
    has_app = bool(app and secret.get_secret_value())
    _require(
        settings.salesforce_url and (token or has_app), "Salesforce", "SALESFORCE_URL and NIGHTDESK_SALESFORCE_TOKEN"
    )
    return SalesforceSourceSettings(
        base_url=settings.salesforce_url,
        token=settings.salesforce_token,
        client_id=app if has_app else "",
        client_secret=secret,
        api_version=settings.salesforce_api_version,
        ca_bundle=settings.salesforce_ca_bundle,
        namespace=policy.mapping("salesforce").namespace,
        policies=settings.policies,
        **options.model_dump(),
    )


def _salesforce(settings: Settings, policy: Policy) -> SalesforceAdapter:
    """Salesforce with a token as it is, or with a connected app that gives another whenever one has expired."""
    import ssl

    from reverse_etl.crms.quota import DailyQuota
    from reverse_etl.crms.salesforce.adapter import SalesforceAdapter
    from reverse_etl.crms.salesforce.oauth import client_credentials

    url, token = settings.salesforce_url, settings.salesforce_token.get_secret_value()
    app, secret = settings.salesforce_client_id, settings.salesforce_client_secret.get_secret_value()
    has_app = bool(app and secret)
    _require(url and (token or has_app), "Salesforce", "SALESFORCE_URL and NIGHTDESK_SALESFORCE_TOKEN")
    bundle = settings.salesforce_ca_bundle
    try:
        verify = True if bundle is None else ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise NightdeskError(
            "The certificates to trust cannot be read", where=f"NIGHTDESK_SALESFORCE_CA_BUNDLE={bundle}"
        ) from error
    renew = client_credentials(url, app, secret, verify=verify) if has_app else None
    return SalesforceAdapter.connect(
        url,
        token or (renew() if renew else ""),
        policy,
        settings.as_of,
        renew=renew,
        verify=verify,
        api_version=settings.salesforce_api_version,
        quota=DailyQuota(policy.guards.quota.share_for_people),
    )


def _require(given: object, name: str, settings: str) -> None:
    if not given:
        raise NightdeskError(
            f"The settings do not say how to reach {name}",
            where=f"NIGHTDESK_{settings} in .env or the environment",
            todo="Set them; docs/adapters.md links the page of each CRM.",
        )
