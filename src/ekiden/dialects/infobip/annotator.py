"""What the X-IB-* fields of a message ask for, done at the door: for SMTP above all (contract §7.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ekiden.access.unavailable import StoreUnavailable
from ekiden.core.notices import News, Route
from ekiden.dialects.infobip.news.tracking import Tracking
from ekiden.dialects.infobip.smtp_headers import PREFIX, HeaderRefused, SmtpOptions, read_options
from ekiden.intake.errors import TemporarilyUnavailable
from ekiden.notify.errors import NotifyError

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts
    from ekiden.core.submission import Submission
    from ekiden.domains.queries import SendingSettings
    from ekiden.intake.tracking import Tracker
    from ekiden.mime.scan import Header
    from ekiden.notify.endpoints import Endpoints


class HeaderAnnotator:
    """``intake.door.Annotator``."""

    def __init__(self, endpoints: Endpoints, tracker: Tracker) -> None:
        self._endpoints = endpoints
        self._tracker = tracker

    def concerns(self, _: AccountFacts, header: Header) -> bool:
        return header.begins(PREFIX)

    async def annotate(self, _: AccountFacts, submission: Submission, header: Header) -> Submission:
        """The submission with what its fields say, without them. Raises ``IntakeError``: the field is named."""
        options = read_options(header)
        labels = submission.labels
        if options.callback_data:
            labels = {**labels, "callback_data": options.callback_data}
        annotated = replace(
            submission,
            content=header.without(options.names),
            marks=options.marks,
            labels=labels,
            priority=options.priority if "priority" in options.given else submission.priority,
            routes=(*submission.routes, *await self._routes(submission.account_id, options)),
        )
        return await self._tracked(annotated, options)

    async def _routes(self, account_id: int, options: SmtpOptions) -> list[Route]:
        routes = []
        for name, url, format, news in (
            (
                "X-IB-Notify-Url",
                options.notify_url,
                options.notify_format,
                News.FINAL | News.INTERMEDIATE if options.intermediate else News.FINAL,
            ),
            ("X-IB-Tracking-Url", options.tracking_url, Tracking.name, News.TRACKING),
        ):
            if not url:
                continue
            try:
                routes.append(Route(await self._endpoints.find(account_id, format, url), int(news)))
            except NotifyError as error:
                raise HeaderRefused(name, error.text("en")) from None
            except StoreUnavailable as error:
                raise TemporarilyUnavailable from error
        return routes

    async def _tracked(self, submission: Submission, options: SmtpOptions) -> Submission:
        """With links and picture in its HTML, if it was asked for: by a URL to tell, or by ``X-IB-Track``."""
        asked = (options.track, options.track_opens, options.track_clicks)
        if submission.sender is None or not (options.tracking_url or any(asked)):
            return submission
        settings = await self._tracker.sending_settings(submission.account_id, submission.sender.domain)
        return await tracked(submission, options, self._tracker, settings)


async def tracked(
    submission: Submission, options: SmtpOptions, tracker: Tracker, settings: SendingSettings
) -> Submission:
    """With links and picture in its HTML, as the message's own fields say and the ``settings`` of its domain after
    them. Raises ``IntakeError``."""
    opens = _wish(options.track_opens, options.track, settings.tracking.opens)
    clicks = _wish(options.track_clicks, options.track, settings.tracking.clicks)
    if not opens and not clicks:
        return submission
    message_id = tracker.new_id()
    content = await tracker.tracked(
        submission.content,
        submission.account_id,
        message_id,
        len(submission.recipients),
        settings,
        opens=opens,
        clicks=clicks,
    )
    return replace(submission, content=content, message_id=message_id)


def _wish(own: bool | None, master: bool | None, default: bool) -> bool:
    if own is not None:
        return own
    return default if master is None else master
