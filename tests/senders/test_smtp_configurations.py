"""SMTP configurations and their users, on both engines: limits that hold when many ask, and what goes with what."""

from __future__ import annotations

import asyncio
import re

import pytest
from sqlalchemy import Table, func, select

from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor, list_entries
from ekiden.access.authenticate import Authenticator, LoginRefusal, Password, Proof
from ekiden.access.config import AccessConfig
from ekiden.access.credentials import list_credentials
from ekiden.access.directory import Directory
from ekiden.access.errors import AccessError, BadName
from ekiden.access.vault import Vault
from ekiden.core.clock import SECOND
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.config import DomainsConfig
from ekiden.domains.errors import DomainInUse
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.service import Domains
from ekiden.senders.errors import BadValue, InUse, NoSuch, TooManyUsers
from ekiden.senders.projects import Project, Projects
from ekiden.senders.smtp_configurations import SmtpConfiguration, SmtpConfigurations
from ekiden.senders.smtp_users import NewSmtpUser, SmtpUser, SmtpUsers, generate_username
from ekiden.store.api import Store
from ekiden.store.tables import account as account_table
from ekiden.store.tables import smtp_configuration, smtp_user
from support.manual_clock import ManualClock

ME = Actor("test", "192.0.2.1")


class Shop:
    """An account with a project, and its services."""

    def __init__(self, store: Store, clock: ManualClock, project: Project) -> None:
        self.store = store
        self.clock = clock
        self.project = project
        self.configurations = SmtpConfigurations(store, clock)
        self.users = SmtpUsers(store, clock)
        lookup = DnsLookup(DnsResolver(DnsConfig(nameservers=("127.0.0.1",), port=9), clock, loopback_only=True))
        config = DomainsConfig(ed25519=False)
        self.domains = Domains(store, clock, Vault(bytes(32)), lookup, config, "mail.sender.example")

    async def configuration(self, name: str, *, project: Project | None = None) -> SmtpConfiguration:
        """With a domain of the same name."""
        domain = await self.domains.add(self.project.account_id, f"{name}.example", vouched=True)
        return await self.configurations.create(
            project or self.project, domain.id, name, attachments=False, max_recipients=50, actor=ME
        )

    async def revision(self) -> int:
        query = select(account_table.c.revision).where(account_table.c.id == self.project.account_id)
        async with self.store.read() as connection:
            return int(await connection.scalar(query) or 0)


@pytest.fixture
async def shop(store: Store) -> Shop:
    clock = ManualClock()
    account = await create_account(store, "acme", clock.now())
    return Shop(store, clock, await Projects(store, clock).create(account.id, "shop"))


def test_generated_user_names() -> None:
    names = {generate_username() for _ in range(100)}
    assert len(names) == 100
    assert all(re.fullmatch(r"[a-z0-9]{18}\d{2}", name) for name in names)


async def test_five_users_however_many_ask_at_once(shop: Shop) -> None:
    configuration = await shop.configuration("one")
    asked = (shop.users.create(configuration, str(number), actor=ME) for number in range(8))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, TooManyUsers) for answer in answers) == 3
    page = await shop.users.list(configuration.id, offset=0, limit=100)
    assert (len(page.items), page.total) == (5, 5)
    # Those that were refused left no credential behind.
    assert len(await list_credentials(shop.store)) == 5


async def test_one_configuration_for_a_domain_however_many_ask_at_once(shop: Shop) -> None:
    domain = await shop.domains.add(shop.project.account_id, "one.example")
    asked = (
        shop.configurations.create(shop.project, domain.id, f"n{number}", attachments=False, max_recipients=1)
        for number in range(4)
    )
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, SmtpConfiguration) for answer in answers) == 1
    refused = [answer for answer in answers if isinstance(answer, InUse)]
    assert len(refused) == 3
    assert "one.example" in refused[0].text("ja")


async def test_users_log_in_and_passwords_are_nowhere(shop: Shop) -> None:
    configuration = await shop.configuration("one")
    made = await shop.users.create(configuration, "app", actor=ME)
    assert made.password not in repr(made)
    clock = shop.clock
    directory = Directory(shop.store, clock)
    authenticator = Authenticator(shop.store, clock, AccessConfig(delay=0.0, max_delay=0.0), directory=directory)
    try:
        shown = Password(made.user.username, made.password)
        proof = await authenticator.prove(shown, "192.0.2.1", "send")
        assert isinstance(proof, Proof)
        assert proof.credential.kind == "smtp_user"
        clone = await shop.users.clone(await shop.configuration("two"), made.user.username, actor=ME)
        assert clone.credential_id == made.user.credential_id
        await shop.users.delete(configuration.id, made.user.id, actor=ME)
        assert isinstance(await authenticator.prove(shown, "192.0.2.1"), Proof)
        await shop.users.delete(clone.configuration_id, clone.id, actor=ME)
        clock.advance(2 * SECOND)
        assert await authenticator.prove(shown, "192.0.2.1") is LoginRefusal.BAD_CREDENTIALS
    finally:
        await authenticator.close()
    entries = await list_entries(shop.store, shop.project.account_id)
    actions = [(entry.action, entry.target) for entry in entries if entry.action.startswith("smtp_user")]
    name = made.user.username
    assert actions == [("smtp_user.delete", name)] * 2 + [("smtp_user.create", name)] * 2
    assert made.password not in str(entries)


async def test_clones_stay_within_their_project(shop: Shop) -> None:
    made = await shop.users.create(await shop.configuration("one"))
    elsewhere = await Projects(shop.store, shop.clock).create(shop.project.account_id, "elsewhere")
    for configuration in (await shop.configuration("two", project=elsewhere),):
        with pytest.raises(NoSuch):
            await shop.users.clone(configuration, made.user.username)
    await shop.users.delete(made.user.configuration_id, made.user.id)
    with pytest.raises(NoSuch):
        await shop.users.clone(await shop.configuration("three"), made.user.username)


async def test_a_configuration_takes_its_users_along(shop: Shop) -> None:
    one, two = await shop.configuration("one"), await shop.configuration("two")
    alone = await shop.users.create(one)
    shared = await shop.users.create(one)
    clone = await shop.users.clone(two, shared.user.username)
    await shop.configurations.delete(shop.project.id, one.id, actor=ME)
    revoked = {item.name: item.revoked_at is not None for item in await list_credentials(shop.store)}
    assert revoked == {alone.user.username: True, shared.user.username: False}
    assert isinstance(await shop.users.get(two.id, clone.id), SmtpUser)
    with pytest.raises(NoSuch):
        await shop.users.create(one)
    with pytest.raises(NoSuch):
        await shop.configurations.get(shop.project.id, one.id)
    # The domain is the account's and stays; a new configuration takes it.
    domain = await shop.domains.get(shop.project.account_id, "one.example")
    again = await shop.configurations.create(shop.project, domain.id, "one", attachments=True, max_recipients=9)
    assert (again.attachments, again.max_recipients, again.domain) == (True, 9, "one.example")


async def test_every_change_is_noticed(shop: Shop) -> None:
    configuration = await shop.configuration("one")
    project, id_ = shop.project.id, configuration.id
    user = (await shop.users.create(configuration)).user
    before = await shop.revision()
    changes = (
        lambda: shop.configurations.update(project, id_, name="x", actor=ME),
        lambda: shop.configurations.set_allowed_subnets(project, id_, ["192.0.2.1"], actor=ME),
        lambda: shop.users.update(id_, user.id, description="d", actor=ME),
        lambda: shop.users.delete(id_, user.id, actor=ME),
        lambda: shop.configurations.delete(project, id_, actor=ME),
    )
    for number, change in enumerate(changes, 1):
        await change()
        assert await shop.revision() == before + number


async def test_the_deprecated_list(shop: Shop) -> None:
    configuration = await shop.configuration("one")
    assert (configuration.allowed_subnets, configuration.allowed_at) == ((), None)
    shop.clock.advance(1000)
    subnets = ["192.168.1.64", "203.0.113.0/24", "2001:db8::/32", "192.168.1.64"]
    changed = await shop.configurations.set_allowed_subnets(shop.project.id, configuration.id, subnets)
    assert changed.allowed_subnets == ("192.168.1.64", "203.0.113.0/24", "2001:db8::/32")
    assert changed.allowed_at == shop.clock.now()
    for wrong in ([], ["x"], ["192.0.2.1/24"], ["192.0.2.1"] * 101, ["::1\0"]):
        with pytest.raises((BadValue, BadName)):
            await shop.configurations.set_allowed_subnets(shop.project.id, configuration.id, wrong)


async def test_lists_are_in_order_and_searched(shop: Shop) -> None:
    names = []
    for number in range(4):
        shop.clock.advance(1)
        names.append((await shop.configuration(f"n{number}")).name)
    page = await shop.configurations.list(shop.project.id, offset=1, limit=2)
    assert ([item.name for item in page.items], page.total) == (names[1:3], 4)
    page = await shop.configurations.list(shop.project.id, offset=0, limit=9, search="N2")
    assert ([item.name for item in page.items], page.total) == (["n2"], 1)
    await shop.configurations.update(shop.project.id, page.items[0].id, name="Été\\_100%")
    for part in ("Été", "\\_1", "0%", "\\"):
        found = await shop.configurations.list(shop.project.id, offset=0, limit=9, search=part)
        assert found.total == 1, part
    for pattern in ("n%", "N_", "n_"):
        assert (await shop.configurations.list(shop.project.id, offset=0, limit=9, search=pattern)).total == 0


@pytest.mark.parametrize("values", [{"name": ""}, {"name": "x" * 251}, {"description": "x" * 251}, {"name": "\0"}])
async def test_texts_have_bounds(shop: Shop, values: dict[str, str]) -> None:
    configuration = await shop.configuration("one")
    with pytest.raises(AccessError):
        await shop.configurations.update(shop.project.id, configuration.id, **values)  # type: ignore[arg-type]


async def _rows(shop: Shop, table: Table) -> int:
    async with shop.store.read() as connection:
        return int(await connection.scalar(select(func.count()).select_from(table)) or 0)


async def test_a_user_given_up_everywhere_at_once_is_revoked(shop: Shop) -> None:
    one, two = await shop.configuration("one"), await shop.configuration("two")
    for _ in range(8):
        user = (await shop.users.create(one)).user
        clone = await shop.users.clone(two, user.username)
        await asyncio.gather(shop.users.delete(one.id, user.id), shop.users.delete(two.id, clone.id))
    assert all(item.revoked_at is not None for item in await list_credentials(shop.store))


async def test_a_user_cloned_while_it_is_given_up_is_one_or_none(shop: Shop) -> None:
    one, two = await shop.configuration("one"), await shop.configuration("two")
    for _ in range(8):
        user = (await shop.users.create(one)).user
        answers = await asyncio.gather(
            shop.users.delete(one.id, user.id), shop.users.clone(two, user.username), return_exceptions=True
        )
        (credential,) = [item for item in await list_credentials(shop.store) if item.name == user.username]
        assert (credential.revoked_at is None) == isinstance(answers[1], SmtpUser)
        if isinstance(answers[1], SmtpUser):
            await shop.users.delete(two.id, answers[1].id)
        else:
            assert isinstance(answers[1], NoSuch)


async def test_no_users_are_left_of_a_configuration_that_goes(shop: Shop) -> None:
    for number in range(6):
        made = await shop.configuration(f"n{number}")
        await shop.users.create(made)
        answers = await asyncio.gather(
            shop.users.create(made),
            shop.configurations.delete(shop.project.id, made.id),
            shop.users.create(made),
            return_exceptions=True,
        )
        assert answers[1] is None
        assert all(isinstance(answer, NewSmtpUser | NoSuch) for answer in (answers[0], answers[2]))
    assert await _rows(shop, smtp_user) == 0
    assert all(item.revoked_at is not None for item in await list_credentials(shop.store))


async def test_a_configuration_has_a_domain_of_its_account(shop: Shop) -> None:
    for number in range(6):
        domain = await shop.domains.add(shop.project.account_id, f"n{number}.example", vouched=True)
        making = shop.configurations.create(
            shop.project, domain.id, f"n{number}", attachments=False, max_recipients=1
        )
        made, removed = await asyncio.gather(making, shop.domains.remove(domain.id), return_exceptions=True)
        assert isinstance(made, NoSuch) == (removed is None)
        assert isinstance(made, SmtpConfiguration) == isinstance(removed, DomainInUse)
    page = await shop.configurations.list(shop.project.id, offset=0, limit=100)
    assert await _rows(shop, smtp_configuration) == page.total == len(page.items)
    other = await create_account(shop.store, "other", shop.clock.now())
    foreign = await shop.domains.add(other.id, "foreign.example")
    with pytest.raises(NoSuch, match="domain"):
        await shop.configurations.create(shop.project, foreign.id, "x", attachments=False, max_recipients=1)
