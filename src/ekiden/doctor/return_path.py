"""The check of ``ekiden doctor`` on the way back of bounces: records of the return path, and the port that takes
them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ekiden.doctor.checks import Finding, Patient, find, in_each
from ekiden.doctor.hostname import make_resolver
from ekiden.doctor.talk import TROUBLE, smtp
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.outgoing import outgoing
from ekiden.domains.queries import own_domain
from ekiden.domains.return_paths import ReturnPathLook, rp_spf
from ekiden.net.listen import parse_listen_address
from ekiden.wiring.services import incoming_of

if TYPE_CHECKING:
    from ekiden.config.model import ListenerConfig

PORT: Final = 25
"""Where the mail servers of others connect to (RFC 5321 §4.5.4.2)."""
_TITLE: Final = "Return path"


async def check_return_path(patient: Patient) -> list[Finding]:
    config = patient.config
    incoming = incoming_of(config)
    if incoming is None:
        what = "bounces that come later are not received: they go to clients' envelope senders"
        return [_find("ok", what)]
    found = [*await _records(patient), *await _port(patient)]
    if patient.store is not None:
        async with patient.store.read() as connection:
            if await own_domain(connection, config.hostname) is None:
                what = "bounce reports that Ekiden writes are not signed"
                fix = "add the hostname as a domain, and publish its records: ekiden domain add {name} --platform"
                found.append(_find("warn", what, fix, name=config.hostname))
    return found


async def _records(patient: Patient) -> list[Finding]:
    config = patient.config
    incoming = incoming_of(config)
    assert incoming is not None
    ours = outgoing(config.domains, config.hostname, config.delivery.families().versions)
    look = ReturnPathLook(incoming.host, DnsLookup(make_resolver(patient)), ours, incoming)
    found = []
    values: dict[str, Any] = {"host": incoming.host, "mx": incoming.mx, "record": rp_spf(ours.include)}
    for check, level, fix in (
        (await look.mx(), "fail", "publish at {host} the MX record: 10 {mx}"),
        (await look.spf(), "warn", "publish at {host} the TXT record: {record}"),
    ):
        if check.code == "our_mx":
            what = "{mx}, which is to receive bounces, has no address in DNS"
            todo = "publish an A or AAAA record for it, or set domains.mx to the host that receives mail"
            found.append(_find("fail", what, todo, **values))
        # Others are told by the checks of the resolver, and of our own record.
        elif check.result == "advice":
            found.append(_find(level, "{host}: {why}", fix, **values, why=in_each(check.text)))
    if not found:
        found.append(_find("ok", "bounces to {host} come to us, and SPF passes for it", **values))
    return found


async def _port(patient: Patient) -> list[Finding]:
    """Whether a listener takes mail on the port to which others connect, and answers."""
    config = patient.config
    listeners = [item for item in config.listeners if item.mode == "inbound"]
    if not listeners:
        what = "no listener of this machine receives bounces; another one has to"
        fix = 'add a listener with mode = "inbound" on port {port}, here or on the machine that MX records lead to'
        return [_find("warn", what, fix, port=PORT)]
    found = []
    ports = {parse_listen_address(address).port for item in listeners for address in item.addresses}
    if PORT not in ports and not config.lab.enabled:
        what = "no listener receives mail on port {port}, to which mail servers connect"
        fix = "listen there, or lead that port to one of: {ports}"
        found.append(_find("warn", what, fix, port=PORT, ports=", ".join(map(str, sorted(ports)))))
    if "inbound" in config.workers.roles:
        for item in listeners:
            found += [await _answers(item, address) for address in item.addresses]
    return found


async def _answers(listener: ListenerConfig, text: str) -> Finding:
    address = parse_listen_address(text)
    values = {"name": listener.name, "address": text}
    if not address.port:
        return _find("ok", "{name}: mail comes in on any free port", **values)
    try:
        async with smtp(address, listener) as (made, code, greeting):
            made.write(b"QUIT\r\n")
    except TROUBLE:
        return _find("warn", "{name}: nothing answers at {address}", "start Ekiden: ekiden serve", **values)
    if code != 220:
        return _find("warn", "{name}: {address} turns senders away: {greeting}", **values, greeting=greeting[:200])
    return _find("ok", "{name}: {address} takes mail", **values)


def _find(level: Any, what: str, fix: str = "", **values: Any) -> Finding:
    return find("return_path", level, _TITLE, what, fix, **values)
