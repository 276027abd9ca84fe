"""``ekiden doctor``: who holds what delivery has, and what is slow.

Asked of the store, which knows whose deliveries are under way and since when: nothing has to be written for it
while mail flows.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select, text

from ekiden.core.clock import MINUTE
from ekiden.doctor.checks import Finding, Patient, find, length_of
from ekiden.store.tables import SENDING_SQL, account, delivery

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
    under_way = text(SENDING_SQL)
    counted = (
        select(
            delivery.c.account_id,
            func.count().label("number"),
            func.min(delivery.c.due_at).label("since"),
        )
        .where(under_way)
        .group_by(delivery.c.account_id)
        .subquery()
    )
    async with patient.store.read() as connection:
        rows = (
            await connection.execute(
                select(counted, account.c.name)
                .join_from(counted, account, account.c.id == counted.c.account_id, isouter=True)
                .order_by(counted.c.number.desc())
                .limit(_MOST)
            )
        ).all()
        found = []
        for row in rows:
            if row.number < MANY or now - row.since < SLOW:
                continue
            domains = await connection.execute(
                select(delivery.c.domain)
                .where(under_way, delivery.c.account_id == row.account_id)
                .order_by(delivery.c.due_at)
                .limit(1)
            )
            found.append(
                find(
                    "deliveries",
                    "warn",
                    "Deliveries",
                    "account {name} has {count} under way, the oldest for {length} (to {domain})",
                    "slow servers hold them: ekiden queue shape; ekiden queue hold --account NAME --domain DOMAIN",
                    name=row.name or row.account_id,
                    count=f"{row.number:,}",
                    length=length_of(now - row.since),
                    domain=domains.scalar_one_or_none() or "?",
                )
            )
    total = sum(row.number for row in rows)
    return found or [find("deliveries", "ok", "Deliveries", "{count} under way", count=f"{total:,}")]
