"""Domains whose name servers are slow on purpose: the look at them ends, and the others get their turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain_owner import INCLUDE

from ekiden.access.accounts import create_account
from ekiden.access.vault import Vault
from ekiden.core.clock import SECOND
from ekiden.domains.config import DomainsConfig
from ekiden.domains.lookup import PATIENCE
from ekiden.domains.service import Domains
from ekiden.sender_auth.dns import RecordType
from ekiden.store.api import Store
from support.manual_clock import ManualClock

SLOWNESS = 2 * SECOND


class SlowTarpit:
    """Every name has an answer, which takes its time and leads to more questions."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.asked = 0

    async def __call__(self, name: str, rdtype: RecordType, /) -> Sequence[Any]:
        self.asked += 1
        self.clock.advance(SLOWNESS)
        if rdtype == "TXT":
            return [b"v=spf1 " + b" ".join(b"mx:%%{i}.%d.tarpit.example" % n for n in range(9)) + b" -all"]
        if rdtype == "MX":
            return [(10, f"h{number}.{name}") for number in range(10)]
        return ["127.0.0.1"]


async def test_a_look_at_a_domain_ends(store: Store, clock: ManualClock, vault: Vault) -> None:
    dns = SlowTarpit(clock)
    config = DomainsConfig(spf_include=INCLUDE, addresses=("192.0.2.0/28",), ed25519=False)
    domains = Domains(store, clock, vault, dns, config, "mail.sender.example")
    account = await create_account(store, "acme", clock.now())
    made = await domains.add(account.id, "tarpit.example")
    looked = await domains.verify(made.id)
    assert dns.asked <= PATIENCE * SECOND / SLOWNESS
    spf = next(check for check in await domains.checks(made.id) if check.kind == "spf")
    assert (spf.result, spf.code) == ("temporary", "dns_failure")
    assert "60 seconds" in spf.text("en")
    assert looked.spf == "pending"
