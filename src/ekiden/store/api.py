"""What a store does, whichever engine is behind it. One contract suite (tests/store) holds both to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.core.errors import EkidenError
from ekiden.core.said import Said
from ekiden.store.records import (
    Counters,
    Delivery,
    DeliveryKey,
    DueAccounts,
    ExpandedPiece,
    NewMessage,
    Noted,
    Outcome,
    QueueStats,
    ReceivedMail,
    Registration,
    Release,
    Understood,
)

Connection = AsyncConnection
"""One of ``Store.read`` and ``Store.write``, for those who pass it on."""


class StoreError(EkidenError):
    """The store could not do what was asked; nothing of it was done."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, is full, overloaded or read-only; the same call may succeed later."""


class Conflict(StoreError):
    """There is such a row already. ``constraint`` is the name of what must be unique, as ``store.tables`` gives it:
    ``uq_account_name``, ``pk_lease``."""

    def __init__(self, constraint: str) -> None:
        self.constraint = constraint
        super().__init__(f"there is such a row already: {constraint}")

    def instead(self, constraint: str, error: EkidenError) -> EkidenError:
        """``error`` when it is about ``constraint``, else this conflict: one that nobody has foreseen."""
        return error if constraint == self.constraint else self


class Fenced(StoreError):
    """What was to be changed belongs to somebody else by now; nothing was written."""


class SchemaOutdated(StoreError):
    """The database needs ``ekiden db upgrade``, or was written by a newer Ekiden."""


class StillInUse(StoreError):
    """The tables cannot be changed now: workers of an older Ekiden work with them."""

    def __init__(self, shown: str, workers: Sequence[str]) -> None:
        """``workers`` are ``host, process pid`` each."""
        self.shown = shown
        self.workers = tuple(workers)
        super().__init__(
            f"the database {shown} is in use by workers that know its present tables only: {'; '.join(workers)}"
        )


class Store(Protocol):
    """Hot-path operations, written for the raw driver; everything rare goes through ``read`` and ``write``.

    ``accept``, ``accept_all``, ``note``, ``receive``, ``understand``, ``claim``, ``finish`` and ``release`` called
    at the same time share one transaction and one fsync (group commit); each returns after its rows are on stable
    storage, or raises and none of its rows are (with one exception: when a connection to PostgreSQL breaks during
    the commit, nobody knows; that counts as failed). Being cancelled does not take back what was called: shield
    calls whose result must not get lost.

    They raise ``StoreError``: ``StoreUnavailable``, or what is to blame on the rows that were given.

    Texts that a database cannot hold (NUL, halves of surrogate pairs) are kept with U+FFFD in their place.
    """

    @property
    def engine(self) -> str:
        """``sqlite`` or ``postgresql``."""
        ...

    @property
    def counters(self) -> Counters:
        """What was written so far, for metrics."""
        ...

    def on_notices(self, call: Callable[[], None]) -> None:
        """``call`` is called after every commit of this process that wrote notices on the hot path."""
        ...

    async def close(self) -> None:
        """Finish what is pending, then let go of everything."""
        ...

    # workers and leases: where ``now`` is ``None``, it is ``now()``, the clock that all workers share
    async def now(self) -> Millis:
        """By the clock that leases go by: the database's on PostgreSQL, since machines have clocks of their own;
        the machine's on SQLite, whose workers are all on one."""
        ...

    async def register_worker(
        self, host: str, pid: int, now: Millis | None, ttl: Millis, roles: Sequence[str] = ()
    ) -> Registration:
        """A new worker, alive until ``now + ttl`` unless it renews. ``roles``: what it does; none: nobody knows."""
        ...

    async def heartbeat(self, worker: int, now: Millis | None, ttl: Millis) -> Millis | None:
        """Stay alive, also after the time was over as long as nobody has ended the worker; returns ``now``.
        ``None``: somebody has ended it, and it owns nothing any more."""
        ...

    async def end_worker(self, worker: int, now: Millis | None) -> int:
        """Leave in order: what it still owns is due at once. Returns how many deliveries that were."""
        ...

    async def reap(self, now: Millis | None, limit: int = 1000, *, expired: bool = True) -> int:
        """End expired workers (unless ``expired`` is false: they may not have been able to renew) and make up to
        ``limit`` deliveries of ended ones due again.

        Such a delivery becomes ``DEFERRED``, with an attempt that says its outcome is unknown and a
        ``LEASE_LOST`` event. Its next time grows with its attempts, so that a message that kills its worker
        cannot keep doing so. Returns how many deliveries were freed.
        """
        ...

    async def take_lease(self, name: str, worker: int, now: Millis | None, ttl: Millis) -> bool:
        """Take a single duty, or renew it once half of its time is over: only then anything is written.

        True: it is this worker's for half of ``ttl`` at least.
        """
        ...

    # the road
    async def accept(self, worker: int, message: NewMessage) -> None:
        """Insert; returns once it is on stable storage.

        Deliveries in ``SENDING`` belong to ``worker`` from then on; one whose ``attempts`` is 0 is given 1.
        """
        ...

    async def accept_all(
        self, worker: int, messages: Sequence[NewMessage], piece: ExpandedPiece | None = None
    ) -> None:
        """``accept`` for all messages of one request: either all of them are on stable storage, or none is.

        With the ``piece`` that they are made of, which is done then. Raises ``Fenced`` when it is not ``worker``'s.
        """
        ...

    async def note(self, worker: int, events: Sequence[Noted]) -> None:
        """Write events that belong to no attempt, such as opens, and the notices of them."""
        ...

    async def receive(self, worker: int, mail: ReceivedMail) -> None:
        """Insert a mail that came in; returns once it is on stable storage.

        ``worker`` reads it, if its ``attempts`` are 1; else it waits for whoever does.
        """
        ...

    async def understand(self, worker: int, understood: Understood) -> None:
        """A mail that ``worker`` has read, with all that follows. Raises ``Fenced`` when it is not its any more."""
        ...

    async def claim(
        self, worker: int, now: Millis, limit: int, accounts: Sequence[int] = (), most: int = 0
    ) -> list[Delivery]:
        """Own up to ``limit`` due deliveries: higher priorities first, but each priority gets a share.

        With ``accounts``: of these only, and each of them gets as many as the others, so that whoever has a million
        due does not stand before who has one; what some leave goes to the others, up to ``most`` for each (0: as
        many as all of them can have). What is said of priorities holds within each account.

        Each is now ``SENDING`` with its attempt counted and committed; its ``due_at`` is ``now``. Contents are
        not loaded; deliveries of one message share one ``Message``.
        """
        ...

    async def content(self, account_id: int, message_id: int) -> bytes | None:
        """The whole content with what it shares, or ``None`` when retention or a final state has removed it."""
        ...

    async def finish(
        self, worker: int, outcomes: Sequence[Outcome], messages: Sequence[NewMessage] = ()
    ) -> list[bool]:
        """Apply ``outcomes`` and insert ``messages`` (DSNs) in one transaction.

        False in the result: that delivery was not owned any more (fenced), and nothing of it was written. When
        the last delivery of a message becomes final, its content is removed.
        """
        ...

    async def settle(self, worker: int, outcomes: Sequence[Outcome], why: Said) -> None:
        """For outcomes that ``finish`` refuses for their own sake: the deliveries are not left as they are.

        What is final stays so; everything else is ``HELD``, so that nothing is sent again and again. Only
        ``why`` is kept of what was seen. Fenced as ``finish`` is.
        """
        ...

    async def release(self, worker: int, releases: Sequence[Release]) -> None:
        """Give back what was not dialled."""
        ...

    async def owned(self, worker: int, before: Millis) -> list[DeliveryKey]:
        """What ``worker`` has owned since before ``before``."""
        ...

    async def free(self, worker: int, keys: Sequence[DeliveryKey], now: Millis) -> int:
        """Make deliveries that ``worker`` owns, and does not know of, due again as ``reap`` does.

        They come from a commit whose answer was lost: the rows are there, and nobody was told. Returns how many.
        """
        ...

    async def due_accounts(self, now: Millis, after: int, limit: int) -> DueAccounts:
        """The next accounts above ``after`` with deliveries that are due, ``limit`` at most.

        Fewer, or none at all, while many others with deliveries for later lie between: go on where it says.
        """
        ...

    async def next_due(self, now: Millis) -> Millis | None:
        """When the next waiting delivery is due (may be in the past), or ``None``."""
        ...

    async def stats(self) -> QueueStats: ...

    # everything rare
    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for SQLAlchemy Core queries that change nothing. Raises ``StoreUnavailable``."""
        ...

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction for rare changes; commits at the end, rolls back on an exception.

        On SQLite it takes its turn among the writers of the file. Raises ``StoreUnavailable`` and ``Conflict``;
        what else comes of a statement is a fault of ours, and as the driver told it (``store.errors``).
        """
        ...
