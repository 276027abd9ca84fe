"""Reports that wait for their time, and what became of them: brought to the platform by the lab's own sender.

A report is tried again like mail of any server: not after a 5xx or where the DNS leads nowhere, else after 1, 2,
4, …, 60 seconds, ``MAX_TRIES`` times.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

import msgspec
import structlog

from ekiden.lab.behaviour import Format, Report
from ekiden.lab.mailbox import Mail
from ekiden.lab.report_formats import SINGLE, write
from ekiden.lab.report_parts import MAX_HEADER, Case
from ekiden.lab.sending import Letter, Outcome, Sender

_log = structlog.get_logger()

MAX_WAITING: Final = 10_000
MAX_KEPT: Final = 1_000
MAX_TRIES: Final = 10
MAX_PAUSE: Final = 60.0  # seconds
MAX_OCTETS: Final = 64 << 20  # of reports that are kept
_AUTOMATIC: Final = re.compile(rb"(?im)^auto-submitted:[ \t]*(?!no\b)[^ \t\r\n]")
_COMPLAINT: Final = re.compile(rb'(?i)report-type="?feedback-report')


class ReportRecord(msgspec.Struct):
    """One report. ``of`` is the id of the mail that it is about, ``due`` when it is first tried (milliseconds
    since 1970 UTC). ``state``: "waiting" (also for another try), then "accepted", "refused" (5xx) or "failed"
    (nobody said why). ``reply`` is what the last try led to."""

    id: int
    format: Format
    of: int
    recipients: tuple[str, ...]
    to: str
    due: int
    state: Literal["waiting", "accepted", "refused", "failed"] = "waiting"
    tries: int = 0
    reply: Outcome | None = None


class Reports:
    """``take`` what servers of the lab have accepted; ``host_of`` gives name and address of the server of a
    domain."""

    def __init__(self, sender: Sender, host_of: Callable[[str], tuple[str, str]]) -> None:
        self._sender = sender
        self._host_of = host_of
        self._tasks: set[asyncio.Task[None]] = set()
        self._kept: deque[tuple[ReportRecord, bytes]] = deque()
        self.max_waiting = MAX_WAITING
        self.max_kept = MAX_KEPT
        self.max_octets = MAX_OCTETS
        self._octets = 0
        self._serial = 0
        self._changed = asyncio.Event()
        self.dropped = 0

    def take(self, mail: Mail, wanted: list[tuple[str, Report]]) -> None:
        """A server has said 250 to this mail; ``wanted`` are recipients and what is reported about each."""
        groups: dict[tuple[str, Report], list[str]] = {}
        for recipient, report in wanted:
            if _may_be_sent(mail, recipient, report):
                own = recipient if report.format in SINGLE else recipient.rpartition("@")[2].lower()
                groups.setdefault((own, report), []).append(recipient)
        for (_, report), recipients in groups.items():
            if len(self._tasks) >= self.max_waiting:
                self.dropped += 1
                continue
            task = asyncio.get_running_loop().create_task(self._send(mail, report, tuple(recipients)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def find(self, to: str | None = None) -> list[ReportRecord]:
        """The last reports, oldest first; ``to``: that went there. Letter case does not matter."""
        return [record for record, _ in self._kept if to is None or record.to.lower() == to.lower()]

    def content(self, number: int) -> bytes | None:
        """The message that a report is; None when it is not kept, or not written yet."""
        return next((data or None for record, data in self._kept if record.id == number), None)

    async def wait(self, to: str | None, count: int, timeout: float) -> bool:
        """Wait until ``count`` reports (to ``to``) wait no more. False when ``timeout`` seconds passed before."""
        try:
            async with asyncio.timeout(timeout):
                while sum(record.state != "waiting" for record in self.find(to)) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def clear(self) -> int:
        """Forget those that are kept; says how many. What waits is sent all the same."""
        count = len(self._kept)
        self._kept.clear()
        self._octets = 0
        return count

    async def close(self) -> None:
        """Send no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, mail: Mail, report: Report, recipients: tuple[str, ...]) -> None:
        self._serial += 1
        host, address = self._host_of(recipients[0].rpartition("@")[2].lower())
        case = Case(mail, recipients, host, address, report, 0, self._serial)
        due = int(time.time() * 1000 + report.delay * 1000)
        record = ReportRecord(case.number, report.format, mail.id, recipients, destination(case), due)
        self._keep(record, b"")
        await asyncio.sleep(report.delay)
        try:
            data = write(case._replace(at=int(time.time() * 1000)))
            if report.dkim:
                data = await self._sender.signed(data, report.dkim)
            self._written(record, data)
            await self._try(record, Letter(record.to, "", None, data, helo=host, source=address))
        except Exception as error:
            _log.exception("a report of the lab failed")
            record.state, record.reply = "failed", Outcome(record.to, False, "", 0, repr(error))
        self._changed.set()

    async def _try(self, record: ReportRecord, letter: Letter) -> None:
        while True:
            record.tries += 1
            sent = await self._sender.send(letter)
            record.reply = reply = sent.replies[0]
            if reply.accepted:
                record.state = "accepted"
                return
            if reply.code >= 500 or reply.stage == "dns" or record.tries == MAX_TRIES:
                record.state = "refused" if reply.code >= 400 else "failed"
                return
            await asyncio.sleep(min(MAX_PAUSE, 2.0 ** (record.tries - 1)))

    def _keep(self, record: ReportRecord, data: bytes) -> None:
        self._kept.append((record, data))
        if len(self._kept) > self.max_kept:
            self._octets -= len(self._kept.popleft()[1])

    def _written(self, record: ReportRecord, data: bytes) -> None:
        for place, (kept, _) in enumerate(self._kept):
            if kept is record:
                self._kept[place] = (record, data)
                self._octets += len(data)
        while self._octets > self.max_octets and len(self._kept) > 1:
            self._octets -= len(self._kept.popleft()[1])


def destination(case: Case) -> str:
    """Where the report goes: to the envelope sender, perhaps with another local part, or where its behaviour
    says."""
    report, sender = case.report, case.mail.sender
    if report.to or not report.local_part:
        return report.to or sender
    return f"{report.local_part}@{sender.rpartition('@')[2]}"


def _may_be_sent(mail: Mail, recipient: str, report: Report) -> bool:
    """Nothing is sent about a bounce (RFC 5321 §4.5.5) to its null sender, no bounce that the client did not want
    (RFC 3461 §4.1), no reply to what is automatic itself (RFC 3834 §2), no complaint about a complaint."""
    header = mail.data[:MAX_HEADER].partition(b"\r\n\r\n")[0]
    if not mail.sender and (not report.to or report.format == "auto-reply"):
        return False
    if report.format == "auto-reply":
        return _AUTOMATIC.search(header) is None
    if report.format == "arf":
        return _COMPLAINT.search(header) is None
    wanted = notify(mail, recipient)
    return not wanted or ("DELAY" if report.action == "delayed" else "FAILURE") in wanted


def notify(mail: Mail, recipient: str) -> frozenset[str]:
    """What the client wanted to be told about this recipient (NOTIFY of RFC 3461); empty: it said nothing."""
    parameters = dict(zip(mail.to, mail.rcpt_parameters, strict=False)).get(recipient, "")
    found = re.search(r"(?:^| )NOTIFY=([A-Z,]+)", parameters.upper())
    return frozenset() if found is None else frozenset(found[1].split(","))
