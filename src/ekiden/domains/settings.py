"""What the owner of a domain sets: for the messages that are composed here what is counted and the return path, for
all of its mail whether we receive the bounces.

It is read when a message is composed (``queries.sending_settings``) or goes out (``queries.bounces_to``); a change
reaches all workers with the account's revision.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.core.address import BadAddress, parse_address, to_ascii_domain
from ekiden.domains.errors import BadSetting
from ekiden.domains.model import Domain, Tracking
from ekiden.domains.queries import change_domains, find_domain, has_domain

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.store.api import Connection, Store

MAX_HOST: Final = 253
"""Characters of a host name (RFC 1035 §2.3.4, as it is written)."""


class DomainSettings:
    """One per process; see ``Domains.settings``."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def set_tracking(
        self,
        domain_id: int,
        *,
        opens: bool | None = None,
        clicks: bool | None = None,
        unsubscribes: bool | None = None,
        host: str | None = None,
        actor: Actor = SYSTEM,
    ) -> Domain:
        """Change what is given; the rest stays. Raises ``NoSuchDomain``, ``BadSetting``.

        ``host``: that of all links, for which the owner publishes a CNAME or address record and the operator has a
        certificate; empty: the host of the installation.
        """
        given = {"opens": opens, "clicks": clicks, "unsubscribes": unsubscribes}
        changes: dict[str, bool | str] = {name: value for name, value in given.items() if value is not None}
        if host is not None:
            changes["host"] = check_host(host) if host else ""
        async with self._store.write() as connection:
            before = await find_domain(connection, domain_id, lock=True)
            tracking = replace(before.tracking, **changes)  # type: ignore[arg-type]
            if tracking == before.tracking:
                return before
            values = {
                "track_opens": tracking.opens,
                "track_clicks": tracking.clicks,
                "track_unsubscribes": tracking.unsubscribes,
                "tracking_host": tracking.host,
            }
            await change_domains(connection, [domain_id], **values)
            data = _differences(before.tracking, tracking)
            await changed(
                connection, before.account_id, self._clock.now(), actor, "domain.tracking", before.name, **data
            )
        return replace(before, tracking=tracking)

    async def set_return_path(self, domain_id: int, address: str, *, actor: Actor = SYSTEM) -> Domain:
        """The envelope sender of what is composed here in the name of the domain; empty: the author.

        It is an address at the domain or at another one of the account's (one below it has to be added),
        since receivers ask for its SPF record, and the door takes no other sender. Raises ``NoSuchDomain``,
        ``BadSetting``.
        """
        async with self._store.write() as connection:
            before = await find_domain(connection, domain_id, lock=True)
            wanted = await _check_return_path(connection, before, address) if address else ""
            if wanted == before.return_path:
                return before
            await change_domains(connection, [domain_id], return_path=wanted)
            data = {"address": wanted, "before": before.return_path}
            await changed(
                connection, before.account_id, self._clock.now(), actor, "domain.return_path", before.name, **data
            )
        return replace(before, return_path=wanted)

    async def set_receive_bounces(self, domain_id: int, receive: bool, *, actor: Actor = SYSTEM) -> Domain:
        """Whether mail with an envelope sender at the domain goes out with one of ours; else its owner handles
        bounces. Raises ``NoSuchDomain``."""
        async with self._store.write() as connection:
            before = await find_domain(connection, domain_id, lock=True)
            if receive == before.receive_bounces:
                return before
            await change_domains(connection, [domain_id], receive_bounces=receive)
            now = self._clock.now()
            await changed(connection, before.account_id, now, actor, "domain.bounces", before.name, receive=receive)
        return replace(before, receive_bounces=receive)


def check_host(text: str) -> str:
    """``text`` as a host name in lower-case A-labels (RFC 1123 §2.1). Raises ``BadSetting``."""
    try:
        name = to_ascii_domain(text.strip())
    except BadAddress as error:
        raise BadSetting("{name} is not a host name: {why}", name=text, why=error) from None
    if name.startswith("[") or _is_address(name):
        raise BadSetting("{name} is an address; the links need a host name", name=text)
    if "." not in name or "_" in name or len(name) > MAX_HOST:
        raise BadSetting("{name} is not the name of a host on the Internet", name=text)
    return name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.rpartition(".")[2].isdecimal()
    return True


async def _check_return_path(connection: Connection, domain: Domain, text: str) -> str:
    try:
        address = parse_address(text)
    except BadAddress as error:
        raise BadSetting("{address} is not an e-mail address: {why}", address=text, why=error) from None
    if not address.local.isascii():
        # Else every message would need SMTPUTF8 (RFC 6531 §3.4), also those to recipients who lack it.
        raise BadSetting("{address}: the part before the @ of a return path is ASCII", address=text)
    if address.domain != domain.name and not await has_domain(connection, domain.account_id, address.domain):
        raise BadSetting(
            "{address} is not at {domain} or another domain of the account", address=text, domain=domain.name
        )
    return address.text


def _differences(before: Tracking, after: Tracking) -> dict[str, bool | str]:
    """What the audit log tells: the new values of what has changed."""
    names = ("opens", "clicks", "unsubscribes", "host")
    return {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}
