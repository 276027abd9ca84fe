"""The return path of a domain, ``rp.DOMAIN``: what it has to publish so that bounces come to us, and so that SPF
passes for it, and the look at both.

What is found never decides whether the domain may be sent from: a return path that is not right is not used, and
that of the installation is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ekiden.domains.examine import MAX_ANSWERS, Examination, both
from ekiden.domains.model import PLATFORM, Check, Kind, Result
from ekiden.domains.names import return_path_host
from ekiden.sender_auth.dns import RecordType, TemporaryDnsError
from ekiden.sender_auth.recorded_lookup import RecordedLookup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ekiden.domains.model import Domain
    from ekiden.domains.outgoing import Outgoing
    from ekiden.domains.reasons import Fault
    from ekiden.sender_auth.dns import Lookup

RP_KINDS: Final[frozenset[Kind]] = frozenset({"rp_mx", "rp_spf"})
_MOST_HOSTS: Final = 10
"""Hosts of a name whose addresses are looked up."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Where bounces are received: ``host`` is the installation's return path, ``mx`` the name of the server."""

    host: str
    mx: str

    def of(self, domain: Domain) -> str:
        """The host of the return path of ``domain``."""
        return self.host if domain.account_id == PLATFORM else return_path_host(domain.name)

    @property
    def record(self) -> str:
        """The value of the MX record."""
        return f"10 {self.mx}"


def rp_spf(include: str) -> str:
    """The SPF record of a return path: nobody but us sends with it."""
    return f"v=spf1 include:{include} -all"


class ReturnPathLook:
    """The checks of one return path at one time."""

    def __init__(self, host: str, lookup: Lookup, ours: Outgoing, incoming: Incoming) -> None:
        self._host = host
        self._lookup = RecordedLookup(lookup)
        self._ours = ours
        self._incoming = incoming

    async def spf(self) -> Check:
        """Whether SPF passes for each of our outgoing addresses."""
        check = await Examination(self._host, self._lookup, self._ours).spf()
        code = check.code
        if code == "without_include" and await self._same_record():
            code = ""
        result: Result = "advice" if check.result == "fail" else check.result
        expected = rp_spf(self._ours.include)
        return replace(check, kind="rp_spf", result=result, code=code, expected=expected)

    async def _same_record(self) -> bool:
        """It is the record of the installation's return path: by a CNAME, which changes with it."""
        records = await self._lookup(self._host, "TXT")
        return sorted(records) == sorted(await self._answers(self._incoming.host, "TXT"))

    async def mx(self) -> Check:
        """Whether mail for it comes to us: each host of the best preference is ours, by name or by address."""
        try:
            hosts = await self._hosts(self._host)
            if not hosts:
                return self._mx("advice", "missing")
            shown = tuple(f"{preference} {host or '.'}" for preference, host in hosts)
            best = sorted({host for preference, host in hosts if preference == hosts[0][0]})
            names, addresses = await self._us()
            if not addresses:
                return self._mx("temporary", "our_mx", shown, mx=self._incoming.mx)
            for host in best[:_MOST_HOSTS]:
                if host not in names and not addresses & set(await self._addresses(host)):
                    return self._mx("advice", "mx_elsewhere", shown, found=host or ".")
        except TemporaryDnsError as error:
            return self._mx("temporary", "dns_failure", problem=both(str(error)))
        return self._mx("pass", "", shown)

    async def _hosts(self, name: str) -> list[tuple[int, str]]:
        """Preference and name, the best first; a name without MX is its own host if it has an address."""
        found = [(int(mx[0]), str(mx[1]).rstrip(".").lower()) for mx in await self._lookup(name, "MX")]
        if not found and await self._addresses(name):
            found = [(0, name)]
        return sorted(found)

    async def _us(self) -> tuple[set[str], set[str]]:
        """Names and addresses of where mail for the installation's return path goes."""
        names = {self._incoming.mx}
        if self._host != self._incoming.host:
            names |= {host for _, host in (await self._hosts(self._incoming.host))[:_MOST_HOSTS] if host}
        addresses: set[str] = set()
        for name in names:
            addresses.update(await self._addresses(name))
        return names, addresses

    async def _addresses(self, name: str) -> list[str]:
        return [*await self._lookup(name, "A"), *await self._lookup(name, "AAAA")]

    async def _answers(self, name: str, rdtype: RecordType) -> Iterable[Any]:
        try:
            return await self._lookup(name, rdtype)
        except TemporaryDnsError:
            return ()

    def _mx(self, result: Result, code: Fault, answered: tuple[str, ...] = (), **values: Any) -> Check:
        asked = (self._host, "MX")
        return Check("rp_mx", result, code, asked, self._incoming.record, answered[:MAX_ANSWERS], values)
