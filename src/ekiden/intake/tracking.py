"""Links and picture of a message that came composed, and what the settings of its sender's domain say of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ekiden.core.return_path import Purpose, ReturnPaths
from ekiden.domains.queries import SendingSettings
from ekiden.intake.errors import Busy, TemporarilyUnavailable, TooManyLinks
from ekiden.limits.workshop import Workshop
from ekiden.mime.tracked_message import MAX_LINKS, with_tracking
from ekiden.recipients.tracking_tokens import TrackingTokens, TrackingUrls, trackable
from ekiden.store.api import StoreUnavailable

if TYPE_CHECKING:
    from ekiden.access.directory import Directory
    from ekiden.access.remembered import Remembered
    from ekiden.core.clock import Clock
    from ekiden.core.ids import IdFactory

_LARGE = 16_384
"""Octets of a message from which on it is looked through in a thread: 25 ms if it is all links."""


class Tracker:
    """One per worker, for the mailer and the door's annotators. ``base_url`` is where the pages of ``landing`` are
    reached; ``max_size``: octets that a message may have."""

    def __init__(
        self,
        clock: Clock,
        ids: IdFactory,
        directory: Directory,
        settings: Remembered[str, SendingSettings],
        tokens: TrackingTokens,
        base_url: str,
        max_size: int,
        workshop: Workshop | None = None,
        *,
        paths: ReturnPaths | None = None,
        mail_host: str = "",
    ) -> None:
        """``workshop`` is the worker's own. ``paths`` and ``mail_host``: of addresses at which mail is received."""
        self._clock = clock
        self._ids = ids
        self._directory = directory
        self._settings = settings
        self._tokens = tokens
        self._base = base_url
        self._max_size = max_size
        self._workshop = workshop or Workshop()
        self._paths = paths
        self._mail_host = mail_host

    def new_id(self) -> int:
        """For a message whose links name it before it is submitted (``Submission.message_id``), and for shared
        content."""
        return self._ids.next(self._clock.now())

    def urls(self, settings: SendingSettings) -> TrackingUrls:
        """Of the messages of a domain."""
        return self._tokens.urls(base_for(self._base, settings.tracking.host))

    def unsubscribe_address(self, account_id: int, message_id: int, number: int) -> str:
        """Where a recipient unsubscribes by mail; empty: no mail is received."""
        if self._paths is None or not self._mail_host:
            return ""
        local = self._paths.seal(account_id, message_id, number, to=Purpose.UNSUBSCRIBE)
        return "" if local is None else f"{local}@{self._mail_host}"

    async def sending_settings(self, account_id: int, domain: str) -> SendingSettings:
        """Of an account's domain, those of a new one when it has none of that name.

        Raises ``TemporarilyUnavailable``.
        """
        try:
            account = await self._directory.account(account_id)
            if account is None:
                return SendingSettings()
            return await self._settings.load(account, domain)
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error

    async def tracked(
        self,
        content: bytes,
        account_id: int,
        message_id: int,
        recipients: int,
        settings: SendingSettings,
        *,
        opens: bool,
        clicks: bool,
    ) -> bytes:
        """The message with tracking in it as far as that breaks nothing (``mime.tracked_message``).

        ``message_id`` is one of ``new_id``. What another encoding makes too large stays as it is. Raises
        ``TooManyLinks``, ``Busy``.
        """
        if not opens and not clicks:
            return content
        urls = self.urls(settings)
        number = 1 if recipients == 1 else 0
        links = 0

        def link(url: str) -> str:
            nonlocal links
            if not trackable(url):
                return url
            links += 1
            if links > MAX_LINKS:
                raise TooManyLinks
            return urls.click(account_id, message_id, number, url)

        work = partial(
            with_tracking,
            content,
            link=link if clicks else None,
            pixel=urls.open(account_id, message_id, number) if opens else "",
        )
        try:
            tracked = work() if len(content) <= _LARGE else await self._workshop.run(account_id, work)
        except TimeoutError:
            raise Busy from None
        return tracked if len(tracked) <= self._max_size else content


def base_for(base_url: str, host: str) -> str:
    """``base_url`` with another host, if there is one: scheme and port stay."""
    if not host:
        return base_url
    parts = urlsplit(base_url)
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{parts.scheme}://{host}{port}"
