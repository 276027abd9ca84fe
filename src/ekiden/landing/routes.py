"""Which link leads where: ``/t/o`` the picture, ``/t/c`` a link of a message, ``/t/u`` the way out (RFC 8058)."""

from __future__ import annotations

from base64 import b64decode
from contextlib import closing, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit, urlunsplit

import structlog
from litestar import MediaType, Response, Router, post, route
from litestar.exceptions import HTTPException, NotFoundException, ServiceUnavailableException
from multipart import MultipartError, MultipartParser, parse_options_header  # type: ignore[import-untyped]

from ekiden.access.unavailable import StoreUnavailable
from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.core.language import Language
from ekiden.landing import pages
from ekiden.recipients.tracking_recorder import Recorder, Visit
from ekiden.recipients.unsubscribing import Unsubscribing
from ekiden.web.body import Bodies, Body
from ekiden.web.errors import NoRoom, RequestRefused, TooLarge, TooMany
from ekiden.web.need import SMALL
from ekiden.web.problem import AnyRequest, language_of
from ekiden.web.proof import client_address
from ekiden.web.urlencoded import BadForm, UrlencodedReader

if TYPE_CHECKING:
    from ekiden.content.landing_pages import LandingPages
    from ekiden.recipients.suppressions import Suppressions
    from ekiden.recipients.tracking_tokens import TrackingTokens

log = structlog.get_logger()

_LONGEST_TYPE: Final = 1_000
"""Octets of a Content-Type that are read."""
_RETRY_AFTER: Final = "60"
# 1×1, transparent.
_GIF: Final = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True, slots=True)
class LandingServices:
    """What the links need."""

    tokens: TrackingTokens
    recorder: Recorder
    suppressions: Suppressions
    pages: LandingPages
    bodies: Bodies = field(default_factory=Bodies)


def landing_handlers(services: LandingServices) -> list[Router]:
    """For ``listeners.http_app.make_app``, beside the dialects."""
    tokens, recorder = services.tokens, services.recorder
    unsubscribing = Unsubscribing(services.suppressions, recorder)

    @route("/o/{token:str}", http_method=["GET", "HEAD"], status_code=200)
    async def opened(request: AnyRequest) -> Response[bytes]:
        token = tokens.read_open(request.path_params["token"])
        if token is None:
            raise NotFoundException
        await recorder.opened(token, _visit(request))
        return Response(_GIF, media_type="image/gif", headers=pages.HEADERS)

    @route("/c/{token:str}", http_method=["GET", "HEAD"], status_code=302)
    async def clicked(request: AnyRequest) -> Response[bytes]:
        token = tokens.read_click(request.path_params["token"])
        if token is None:
            raise NotFoundException
        await recorder.clicked(token, _visit(request))
        headers = {**pages.HEADERS, "Location": location(token.url)}
        return Response(b"", status_code=302, media_type=MediaType.TEXT, headers=headers)

    @route("/u/{token:str}", http_method=["GET", "HEAD"], status_code=200)
    async def ask(request: AnyRequest) -> Response[str]:
        # Scanners follow links, so looking changes nothing (RFC 8058 §2).
        token = tokens.read_unsubscribe(request.path_params["token"])
        if token is None:
            raise NotFoundException
        lang = language_of(request)
        if await unsubscribing.left(token):
            return _page(lang, pages.done(lang, token))
        page = await services.pages.find(token.account_id, token.page) if token.page else None
        shown = pages.own(lang, page, token) if page is not None and page.can_be_shown else ""
        if not shown:
            return _page(lang, pages.asked(lang, token))
        return Response(shown, media_type=MediaType.HTML, headers=pages.CUSTOM_HEADERS)

    @post("/u/{token:str}", status_code=200, request_max_body_size=None)
    async def answer(request: AnyRequest) -> Response[str]:
        token = tokens.read_unsubscribe(request.path_params["token"])
        if token is None:
            raise NotFoundException
        lang, visit = language_of(request), _visit(request)
        form = await read_form(request, services.bodies)
        if form.get("list-unsubscribe", "").strip().lower() == "one-click":
            await unsubscribing.leave(token, "one-click", visit)
            return Response("", media_type=MediaType.TEXT, headers=pages.HEADERS)
        if pages.RESUBSCRIBE in form:
            if recorder.often(token):
                raise HTTPException(status_code=429)
            await unsubscribing.come_back(token, visit)
            return _page(lang, pages.undone(lang, token))
        await unsubscribing.leave(token, "page", visit)
        return _page(lang, pages.done(lang, token))

    handlers = [opened, clicked, ask, answer]
    return [Router("/t", route_handlers=handlers, exception_handlers={Exception: handle_error})]


async def read_form(request: AnyRequest, bodies: Bodies) -> dict[str, str]:
    """The fields of a form of either kind by lower-case name, as far as it can be read. Raises ``web.errors``."""
    fields: dict[str, str] = {}

    def found(name: str, value: str) -> None:
        fields[name.lower()] = value

    media_type, options = parse_options_header(request.headers.get("content-type", "")[:_LONGEST_TYPE])
    with bodies.counted(), closing(Body(request, SMALL, bodies, client_address(request))) as body:
        whole = bytes(await body.read())
    # The link alone says who leaves. A provider's broken form is no reason to go on mailing.
    with suppress(MultipartError, BadForm, TooMany):
        if media_type == "multipart/form-data":
            for part in MultipartParser(BytesIO(whole), options.get("boundary", "")):
                if not part.filename:
                    found(part.name, part.raw.decode("utf-8", "replace"))
        elif media_type == "application/x-www-form-urlencoded":
            reader = UrlencodedReader(found, SMALL.values, SMALL.octets)
            reader.feed(whole)
            reader.close()
    return fields


def location(url: str) -> str:
    """``url`` as it may stand in a header field: letters beyond ASCII encoded (RFC 3987 §3.1)."""
    if url.isascii():
        return url
    parts = urlsplit(url)
    before, at, host = parts.netloc.rpartition("@")
    name, colon, port = host.partition(":")
    try:
        netloc = f"{quote(before, _URL_CHARACTERS)}{at}{to_ascii_domain(name)}{colon}{port}"
    except BadAddress:
        netloc = parts.netloc
    return quote(urlunsplit(parts._replace(netloc=netloc)), _URL_CHARACTERS)


def handle_error(request: AnyRequest, error: Exception) -> Response[str]:
    """For ``exception_handlers`` of Litestar: a page for people, which says nothing of ours."""
    headers = {}
    if isinstance(error, ServiceUnavailableException | NoRoom):
        status = 503
    elif isinstance(error, RequestRefused):
        status = 413 if isinstance(error, TooLarge) else 400
    elif isinstance(error, StoreUnavailable):
        log.warning("a link cannot be answered", error=type(error).__name__)
        status = 503
    elif isinstance(error, HTTPException) and error.status_code < 500:
        status = error.status_code
        headers = {"Allow": (error.headers or {}).get("allow", "")} if status == 405 else {}
    else:
        log.error("a link cannot be answered", exc_info=error)
        status = 500
    if status in (429, 503):
        headers = {"Retry-After": _RETRY_AFTER}
    lang = language_of(request)
    return _page(lang, pages.error(lang, status), status, headers)


def _page(lang: Language, text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response[str]:
    return Response(
        text,
        status_code=status,
        media_type=MediaType.HTML,
        headers={**pages.PAGE_HEADERS, "Content-Language": lang, **(headers or {})},
    )


def _visit(request: AnyRequest) -> Visit:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Visit(request.method, headers, client_address(request))
