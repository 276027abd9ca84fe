"""``ekiden doctor``: who holds what delivery has, and what is slow.

Asked of the store, which knows whose deliveries are under way and since when: nothing has to be written for it
while mail flows.
"""

from __future__ import annotations

from typing import Final

from ekiden.core.clock import MINUTE
from ekiden.doctor.checks import Finding, Patient, find, length_of
from ekiden.doctor.queries import busiest_accounts, oldest_domain

SLOW: Final = 5 * MINUTE
"""Milliseconds that an attempt may be under way, waiting in memory included, before it is worth a word."""
MANY: Final = 100
"""Deliveries under way from which on an account is worth one."""
_MOST: Final = 3  # accounts that are named


async def check_deliveries(patient: Patient) -> list[Finding]:
    """The accounts with most deliveries under way, when their oldest take long."""
    if patient.store is None:
        return []
    now = patient.clock.now()
    async with patient.store.read() as connection:
        rows = await busiest_accounts(connection, _MOST)
        found = []
        for row in rows:
            if row.number < MANY or now - row.since < SLOW:
                continue
            what = "account {name} has {count} under way, the oldest for {length} (to {domain})"
            fix = "slow servers hold them: ekiden queue shape; ekiden queue hold --account NAME --domain DOMAIN"
            found.append(
                find(
                    "deliveries",
                    "warn",
                    "Deliveries",
                    what,
                    fix,
                    name=row.name or row.account_id,
                    count=f"{row.number:,}",
                    length=length_of(now - row.since),
                    domain=await oldest_domain(connection, row.account_id) or "?",
                )
            )
    total = sum(row.number for row in rows)
    return found or [find("deliveries", "ok", "Deliveries", "{count} under way", count=f"{total:,}")]
