"""Mail that goes round ends in the session, before anything of it is kept.

Whoever sends mail on writes for whom it came (Delivered-To), so what comes for the same one again has been here.
And of one sender, a route sends only so much on in a minute, whatever changes the header on its way (RFC 5321
§6.3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from ekiden.inbound.mailboxes import Use
from ekiden.intake.errors import IntakeError
from ekiden.limits.lru import Lru
from ekiden.mime.scan import Header
from ekiden.smtp.reply import Reply

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.inbound.mailboxes import Mailbox

MOST_A_MINUTE: Final = 20
"""Mails of one sender that a route sends on; and bounces that go back to one address. Of each worker."""
PERIOD: Final = 60.0
"""Seconds."""
_REMEMBERED: Final = 20_000
"""Senders of routes."""

TOO_FAST: Final = Reply.of(450, "4.4.6", "Too much of this sender is sent on within a minute, try again later")
FIELD: Final = b"delivered-to"


class ForwardLoop(IntakeError):
    """It has been sent on for its recipient before."""

    default = Reply.of(550, "5.4.6", "The message loops: it was delivered to this recipient before")


def delivered_to(header: Header) -> frozenset[str]:
    """For whom the message was sent on until now, as ``known_as`` has them."""
    if not header.has(FIELD):
        return frozenset()
    fields = (header.content[each.value : each.end] for each in header.fields() if each.name == FIELD)
    return frozenset(known_as(value.decode("utf-8", "replace").strip("<> \t\r\n")) for value in fields)


def known_as(address: str) -> str:
    """Equal for addresses that are one mailbox."""
    return address.lower()


class Loops:
    """One per worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lately: Lru[tuple[int, str, str], deque[float]] = Lru(_REMEMBERED)

    def too_fast(self, box: Mailbox, sender: str) -> bool:
        """Whether a route that may take a mail of ``sender`` for ``box`` has sent on as much as it may."""
        now = self._clock.monotonic()
        for key in _keys(box, sender):
            times = self._lately.get(key)
            if times is not None and len(times) == MOST_A_MINUTE and times[0] > now - PERIOD:
                return True
        return False

    def check(self, header: Header, recipients: Sequence[str], boxes: Sequence[Mailbox]) -> None:
        """Raises ``ForwardLoop`` when nobody is left who has not had it: who has is passed over by whoever sends
        it on."""
        before = delivered_to(header)
        if before and all(
            bool(box.forwards) and known_as(recipient) in before
            for recipient, box in zip(recipients, boxes, strict=True)
        ):
            raise ForwardLoop

    def taken(self, sender: str, boxes: Iterable[Mailbox]) -> None:
        """A mail is taken for them."""
        now = self._clock.monotonic()
        for key in {key for box in boxes for key in _keys(box, sender)}:
            self._lately.put(key, times := self._lately.get(key) or deque(maxlen=MOST_A_MINUTE))
            times.append(now)


def _keys(box: Mailbox, sender: str) -> list[tuple[int, str, str]]:
    if box.use is Use.FORWARDED:
        back_to = box.rewritten.sender.lower() if box.rewritten is not None else str(box.return_path)
        return [(box.account_id, "", back_to)]
    return [(box.account_id, route, sender.lower()) for route in box.forwards]
