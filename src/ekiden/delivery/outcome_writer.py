"""Takes outcomes and releases from all connections to the store, many in one transaction.

A connection does not wait for the commit of one message before it sends the next: it adds its outcomes here and
goes on, up to a bound. One report is under way at a time; whatever is added meanwhile shares the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import structlog

from ekiden.core.clock import Clock
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.ids import format_id
from ekiden.core.said import Remark, say
from ekiden.core.states import State
from ekiden.core.submission import OWN_REPORT
from ekiden.delivery.dsn import Notifier
from ekiden.delivery.letters import Letter
from ekiden.delivery.metrics import DeliveryMetrics
from ekiden.limits.journal import ACCEPTED, DELIVERED, FAILED, Kind, moment
from ekiden.store.api import Store, StoreUnavailable
from ekiden.store.errors import told
from ekiden.store.records import NewMessage, Outcome, Release
from ekiden.store.set_aside import noted

_MOST_UNREPORTED = 2_000
_MOST_AT_ONCE = 1_000
_UNWRITABLE = say("unwritable")
_MAX_REASON = 300
"""Characters of a reason in the log; the trace has all of it."""
_log = structlog.get_logger("ekiden.delivery")


class Report(NamedTuple):
    """Outcomes of one message.

    ``notice``: somebody may have to be told (``Notifier.wanted``). ``dsn_passed_on``: the peer promised to send
    success reports itself. ``local``: numbers of the recipients whose verdict is ours.
    """

    letter: Letter
    outcomes: list[Outcome]
    notice: bool
    dsn_passed_on: bool
    local: Collection[int]


class Reporter:
    def __init__(
        self,
        store: Store,
        worker: int,
        clock: Clock,
        metrics: DeliveryMetrics,
        notifier: Notifier,
        queued: Callable[[], None],
        bounced: Callable[[Outcome], None] | None = None,
    ) -> None:
        """``queued`` is called when a notification was queued: somebody should claim it. ``bounced``: see
        ``Dispatcher``.
        """
        self._bounced = bounced
        self._store = store
        self._worker = worker
        self._clock = clock
        self._metrics = metrics
        self._notifier = notifier
        self._queued = queued
        self._reports: list[Report] = []
        self._releases: list[Release] = []
        self._unreported = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing = False
        self._abandoned = False
        self.stalled = False
        """The store is away, and outcomes wait here."""

    def add(self, report: Report) -> None:
        self._reports.append(report)
        self._unreported += len(report.outcomes)
        self._wake.set()
        if self._unreported >= _MOST_UNREPORTED:
            self._room.clear()

    def release(self, releases: Sequence[Release]) -> None:
        self._releases.extend(releases)
        self._wake.set()

    @property
    def has_room(self) -> bool:
        return self._unreported < _MOST_UNREPORTED

    async def room(self) -> None:
        """Wait until few enough outcomes are unreported."""
        await self._room.wait()

    def close(self) -> None:
        """``run`` ends once everything added so far is reported."""
        self._closing = True
        self._wake.set()

    def abandon(self) -> None:
        """Report nothing more: this worker owns nothing any more."""
        self._abandoned = True
        self._reports.clear()
        self._releases.clear()
        self._room.set()
        self.close()

    async def run(self) -> None:
        """Until ``close``. Survives an unavailable store: outcomes wait here until it is back."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (self._reports or self._releases) and not self._abandoned:
                await self._flush()
            if self._closing:
                return

    async def _flush(self) -> None:
        reports = self._reports[:_MOST_AT_ONCE]
        del self._reports[:_MOST_AT_ONCE]
        releases, self._releases = self._releases, []
        if releases:
            await self._persist(lambda: self._store.release(self._worker, releases), len(releases))
        if not reports:
            return
        notices: dict[int, NewMessage] = {}
        for index, report in enumerate(reports):
            if report.notice:
                notice = await self._notice(report)
                if notice is not None:
                    notices[index] = notice
        outcomes = [outcome for report in reports for outcome in report.outcomes]
        if not await self._write(outcomes, list(notices.values())):
            # One of them cannot be written; it must not take the others with it.
            for index, report in enumerate(reports):
                await self._write_one(report.outcomes, [notices[index]] if index in notices else [])
        if notices and not self._abandoned:
            self._queued()
        self._unreported -= len(outcomes)
        if self._unreported < _MOST_UNREPORTED:
            self._room.set()

    async def _write_one(self, outcomes: list[Outcome], notices: list[NewMessage]) -> None:
        """With less and less of it, until the store takes it: what it never takes would be sent for ever."""
        if await self._write(outcomes, notices):
            return
        why = _UNWRITABLE.text()
        remark = str(Remark(_UNWRITABLE))
        for outcome in outcomes:
            seen = outcome.attempt
            bare = replace(
                outcome,
                reason=why,
                said=_UNWRITABLE,
                attempt=replace(seen, host="", address="", tls="", reply="", dialogue=remark, said=None),
            )
            if await self._write([bare], []):
                continue
            await self._persist(partial(self._store.settle, self._worker, [outcome], _UNWRITABLE), 1)
            noted("attempt", f"message_id={format_id(outcome.delivery.message.id)}", ValueError(why))

    async def _notice(self, report: Report) -> NewMessage | None:
        try:
            return await self._notifier.make(report.letter, report.outcomes, report.dsn_passed_on, report.local)
        except Exception:
            # The state of the delivery matters more than the news of it.
            _log.exception("a notification could not be made", message_id=format_id(report.letter.message.id))
            return None

    async def _write(self, outcomes: list[Outcome], messages: list[NewMessage]) -> bool:
        results: list[bool] | None = None

        async def finish() -> None:
            nonlocal results
            results = await self._store.finish(self._worker, outcomes, messages)

        done = await self._persist(finish, len(outcomes))
        if results is not None:
            try:
                self._tell(outcomes, results, messages)
            except Exception:
                _log.exception("what became of deliveries could not be told", outcomes=len(outcomes))
        return done

    def _tell(self, outcomes: list[Outcome], results: list[bool], messages: list[NewMessage]) -> None:
        """Of what is written. Whatever goes wrong here, it is not written again."""
        for outcome, owned in zip(outcomes, results, strict=True):
            if not owned:
                self._metrics.fenced()
                _log.warning(
                    "a report came too late: the delivery belongs to another worker now",
                    message_id=format_id(outcome.delivery.message.id),
                    recipient=outcome.delivery.number,
                )
                continue
            kind = DELIVERED if outcome.state is State.DELIVERED else FAILED
            if kind.tells(outcome.delivery.message.id):
                _tell(kind, outcome)
            if self._bounced is not None and outcome.state is State.BOUNCED:
                self._bounced(outcome)
        for message in messages:
            if ACCEPTED.tells(message.message.id):
                _tell_report(message)

    async def _persist(self, write: Callable[[], Awaitable[None]], count: int) -> bool:
        """Write, again and again while the store is away. False: it never will be."""
        wait = 0.2
        while not self._abandoned:
            try:
                await write()
            except StoreUnavailable as error:
                self.stalled = True
                _log.warning("the store is not available; outcomes wait", error=str(error), outcomes=count)
            except Exception as error:
                told(_log, "the store refused outcomes", error, outcomes=count)
                return False
            else:
                self.stalled = False
                return True
            await asyncio.sleep(wait)
            wait = min(wait * 2, 5.0)
        return True


def _tell(kind: Kind, outcome: Outcome) -> None:
    """The line of an attempt that ended (``docs/logging.md``)."""
    delivery, attempt = outcome.delivery, outcome.attempt
    message = delivery.message
    facts: dict[str, object] = {
        "id": format_id(message.id),
        "number": delivery.number,
        "account": message.account_id,
        "state": outcome.state.name.lower(),
        "code": outcome.code,
        "enhanced": outcome.enhanced,
        "attempt": delivery.attempts,
        "seconds": (attempt.finished_at - attempt.started_at) / 1000,
        "age": (attempt.finished_at - message.accepted_at) / 1000,
    }
    if outcome.diagnosis is not Diagnosis.NONE:
        facts["cause"] = outcome.diagnosis.cause.name.lower()
        facts["diagnosis"] = outcome.diagnosis.label
    if outcome.state is State.DEFERRED:
        facts["due"] = moment(outcome.due_at)
    if attempt.address:
        facts["address"] = attempt.address
        facts["host"] = attempt.host
        facts["tls"] = attempt.tls
    facts["recipient"] = delivery.recipient
    facts["reason"] = outcome.reason if len(outcome.reason) <= _MAX_REASON else outcome.reason[:_MAX_REASON] + "…"
    kind.write(**facts)


def _tell_report(new: NewMessage) -> None:
    """The line of a notification, which nobody submitted."""
    message = new.message
    ACCEPTED.write(
        id=format_id(message.id),
        client="",
        via=OWN_REPORT,
        account=message.account_id,
        credential=message.credential_id,
        recipients=len(new.deliveries),
        size=message.size,
        sender=message.sender,
        header_id=message.header_id,
    )
