"""What our own mail has shown of an address."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, literal, or_, select

from ekiden.store.tables import BY_RECIPIENT, delivery, domain, suppression


def sent_to(account_id: int, recipient: str, since: int, most: int) -> Select[Any]:
    """The last deliveries to an address, written as it was. One of them at a time: given several, SQLite walks over
    all that the account has sent."""
    return (
        select(delivery.c.message_id, delivery.c.state, delivery.c.diagnosis, delivery.c.updated_at)
        .with_hint(delivery, BY_RECIPIENT, "sqlite")
        .where(delivery.c.account_id == account_id, delivery.c.recipient == recipient)
        .where(delivery.c.message_id >= since)
        .order_by(delivery.c.message_id.desc())
        .limit(most)
    )


def suppressions_of(account_id: int, key: str, now: int) -> Select[Any]:
    """By the domains of the account, as their index has them, and for all; ``key`` is that of the address."""
    theirs = select(domain.c.name).where(domain.c.account_id == account_id).union_all(select(literal("")))
    return select(suppression.c.kind, suppression.c.created_at).where(
        suppression.c.account_id == account_id,
        suppression.c.domain.in_(theirs),
        suppression.c.address == key,
        or_(suppression.c.expires_at.is_(None), suppression.c.expires_at > now),
    )
