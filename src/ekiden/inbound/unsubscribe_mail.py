"""Mail to the address of List-Unsubscribe: whatever it says, its recipient wants no more (RFC 2369 §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ekiden.core.events import Event, EventType
from ekiden.core.ids import format_id
from ekiden.core.report import Kind
from ekiden.core.states import After
from ekiden.inbound.queries import subjects
from ekiden.inbound.reader import Found
from ekiden.store.records import Heard, Noted

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.inbound.queries import Key, Subject
    from ekiden.inbound.reader import Opened
    from ekiden.recipients.suppressing import Suppressing
    from ekiden.store.api import Store


class UnsubscribeMail:
    """``inbound.reader.MailReader``. One per worker."""

    def __init__(self, store: Store, clock: Clock, suppressing: Suppressing) -> None:
        self._store = store
        self._clock = clock
        self._suppressing = suppressing

    async def read(self, mails: Sequence[Opened]) -> list[Found | Exception]:
        wanted: dict[Key, tuple[set[int], tuple[()]]] = {}
        for mail in mails:
            for _, box in mail.boxes:
                if box.return_path is not None:
                    key = box.return_path.account_id, box.return_path.message_id
                    wanted.setdefault(key, (set(), ()))[0].add(box.return_path.number)
        async with self._store.read() as connection:
            found = await subjects(connection, wanted)
        answers: list[Found | Exception] = []
        for mail in mails:
            try:
                answers.append(await self._follow(mail, found))
            except Exception as error:
                answers.append(error)
        return answers

    async def _follow(self, mail: Opened, found: dict[Key, Subject]) -> Found:
        answer = Found(Kind.UNSUBSCRIBE, {"kind": Kind.UNSUBSCRIBE.value})
        for path in {box.return_path for _, box in mail.boxes if box.return_path is not None}:
            answer.told["message"] = format_id(path.message_id)
            subject = found.get((path.account_id, path.message_id))
            for sending in subject.deliveries if subject is not None else ():
                if subject is None or sending.number != path.number:
                    continue
                sent = subject.sent
                answer.told["number"] = sending.number
                await self._suppressing.left(sent, sending.recipient)
                if sending.after & After.UNSUBSCRIBED:
                    continue
                answer.heard.append(Heard(*sent[:2], sending.number, After.UNSUBSCRIBED))
                data = {"how": "mail", "mail": format_id(mail.mail.id)}
                kind, now = EventType.UNSUBSCRIBED, self._clock.now()
                answer.events.append(Noted(Event(*sent[:2], sending.number, kind, now, data), subject.routes))
        return answer
