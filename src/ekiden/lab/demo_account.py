"""The account of a demo: a domain that proves itself by records in the lab, and a credential of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from ekiden.access.access_keys import create_access_key
from ekiden.access.accounts import create_account, get_account, set_reporting
from ekiden.access.api_users import generate_key, set_api_user
from ekiden.access.credential_scopes import MANAGE, READ
from ekiden.access.credentials import create_api_key, set_password
from ekiden.access.passwords import generate_password
from ekiden.core.texts import TranslatedError
from ekiden.documents.installation import DemoAccessKey, DemoAccount, DemoApiUser
from ekiden.domains.model import PLATFORM, Domain
from ekiden.domains.names import return_path_host
from ekiden.domains.service import Domains
from ekiden.inbound.inbound_domains import add_inbound_domain
from ekiden.net.clock import SystemClock
from ekiden.notify.endpoints import Endpoints
from ekiden.notify.formats import PULL
from ekiden.process.instance_key import checked_vault
from ekiden.process.translations import TEXTS
from ekiden.senders.projects import Projects
from ekiden.store.open import open_store
from ekiden.wiring.dialects import DIALECTS
from ekiden.wiring.services import make_domains

if TYPE_CHECKING:
    from ekiden.access.vault import Vault
    from ekiden.config.model import Config
    from ekiden.store.api import Store

DOMAIN: Final = "demo.lab.test"
RETURN_PATH: Final = return_path_host(DOMAIN)
INBOUND: Final = f"in.{DOMAIN}"
"""Whose mail is received, once a route takes it."""
ACCOUNT: Final = "demo"


class DemoError(TranslatedError):
    """The demo cannot start or go on."""


async def make_account(config: Config, put: Callable[[str, list[str]], None]) -> DemoAccount:
    """A new one. ``put``: publishes the records of a name and type in the lab. Raises ``DemoError``."""
    clock = SystemClock()
    password = generate_password()
    store = await open_store(config.store_url())
    try:
        account = await create_account(store, ACCOUNT, clock.now(), region="demo")
        await set_password(store, account.id, "demo", password, clock.now())
        key = await create_api_key(store, account.id, "demo", clock.now())
        iam = await create_api_key(store, account.id, "iam", clock.now(), scopes=(READ, MANAGE))
        project = await Projects(store, clock).create(account.id, "demo", region="demo")
        vault = await checked_vault(config, store)
        naver = await _access_key(store, vault, account.id)
        cmc = await _api_user(config, store, account.id)
        kept = await Endpoints(store, clock, vault).find(account.id, PULL, "")
        await set_reporting(store, ACCOUNT, clock.now(), reports_endpoint=kept, suppress_bounces=True)
        await add_inbound_domain(store, account.id, INBOUND, clock.now())
        domains = make_domains(config, store, clock, vault)
        domain = await _published(domains, account.id, DOMAIN, put)
        # What the platform writes itself, such as bounce reports, is signed as well.
        await _published(domains, PLATFORM, config.hostname, put)
    finally:
        await store.close()
    if domain.status != "verified":
        raise DemoError(TEXTS, "the domain of the demo is not verified: {why}", why=domain.reason)
    return DemoAccount(
        account.name, "demo", password, key.key, DOMAIN, project.uid, iam.key, naver, cmc, RETURN_PATH, INBOUND
    )


async def completed(config: Config, account: DemoAccount) -> DemoAccount:
    """An older Ekiden's with the credentials that it lacks."""
    store = await open_store(config.store_url())
    try:
        id = (await get_account(store, ACCOUNT)).id
        naver, cmc = account.naver, account.cmc
        if not naver.access_key:
            naver = await _access_key(store, await checked_vault(config, store), id)
        if not cmc.api_user:
            cmc = await _api_user(config, store, id)
        if not account.inbound_domain:
            await add_inbound_domain(store, id, INBOUND, SystemClock().now())
    finally:
        await store.close()
    domains = {"return_path_domain": RETURN_PATH, "inbound_domain": INBOUND}
    return msgspec.structs.replace(account, naver=naver, cmc=cmc, **domains)


async def _published(domains: Domains, owner: int, name: str, put: Callable[[str, list[str]], None]) -> Domain:
    """A new domain that has been looked at, with its records in the lab."""
    domain = await domains.add(owner, name)
    for record in await domains.records(domain):
        if record.type == "TXT" and record.kind != "dmarc":
            put(f"/dns/{record.name}/TXT", [record.value])
    return await domains.verify(domain.id)


async def _access_key(store: Store, vault: Vault, account_id: int) -> DemoAccessKey:
    made = await create_access_key(store, vault, account_id, "demo", SystemClock().now())
    return DemoAccessKey(made.id, made.secret)


async def _api_user(config: Config, store: Store, account_id: int) -> DemoApiUser:
    key = generate_key()
    made = await set_api_user(store, account_id, f"api@{DOMAIN}", key, SystemClock().now())
    section = config.of(next(item for item in DIALECTS if item.name == "cmc").config)
    return DemoApiUser(made.name, key, section.server_composition)
