"""The lab's HTTP API. Every route is in ``docs/lab.md``; errors are ``{"error": "…"}`` with a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar
from urllib.parse import unquote

import msgspec

from ekiden.core.errors import EkidenError
from ekiden.core.language import Language, reader_language
from ekiden.lab.behaviour import Behaviour, LabError
from ekiden.lab.forms import parts
from ekiden.lab.http import Callback, HttpRule, Request, Response
from ekiden.lab.inbox import as_text, inbox_page, mail_page
from ekiden.lab.internet import Domain, domain_name
from ekiden.lab.routes import Route
from ekiden.lab.sending import Letter

if TYPE_CHECKING:
    from ekiden.lab.lab import Lab
    from ekiden.lab.mailbox import Mail

MAX_WAIT = 300.0  # seconds that a request may wait for mail or callbacks
OCTETS: Final = "application/octet-stream"
T = TypeVar("T")
_Query = dict[str, str]
_Route = Callable[[list[str], _Query, bytes], Awaitable[Any]]


class _HttpError(EkidenError):
    def __init__(self, status: int, text: str, allow: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.allow = allow


class HttpState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the receiver of callbacks shall be; dead for ``seconds`` (0: until it is told to be up)."""

    state: Literal["up", "dead"]
    seconds: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 0


class Api:
    """``handle`` answers the requests of one lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._routes: dict[str, dict[str, tuple[_Route, str]]] = {
            # First segment of the path: method: (function, parameters that its query may have).
            "": {"GET": (self._index, "")},
            "mail": {
                "GET": (self._get_mail, "to from since after limit count wait lang"),
                "DELETE": (self._delete_mail, ""),
            },
            "inbox": {"GET": (self._get_inbox, "to lang")},
            "send": {"POST": (self._post_send, "")},
            "routes": {
                "GET": (self._get_routes, ""),
                "PUT": (self._put_route, ""),
                "DELETE": (self._delete_route, ""),
            },
            "reports": {"GET": (self._get_reports, "to wait count"), "DELETE": (self._delete_reports, "")},
            "sessions": {"GET": (self._get_sessions, "server limit"), "DELETE": (self._delete_sessions, "")},
            "dns": {"GET": (self._get_dns, ""), "PUT": (self._put_dns, ""), "DELETE": (self._delete_dns, "")},
            "queries": {"GET": (self._get_queries, "name")},
            "behaviour": {
                "GET": (self._get_behaviour, ""),
                "PUT": (self._put_behaviour, ""),
                "DELETE": (self._delete_behaviour, ""),
            },
            "http": {"GET": (self._get_http, "path since count wait bodies"), "DELETE": (self._delete_http, "")},
            "http-server": {"GET": (self._get_http_server, ""), "PUT": (self._put_http_server, "")},
            "http-behaviour": {
                "GET": (self._get_http_behaviour, ""),
                "PUT": (self._put_http_behaviour, ""),
                "DELETE": (self._delete_http_behaviour, ""),
            },
        }

    async def handle(self, request: Request) -> Response:
        """The handler for ``HttpServer``."""
        try:
            result, status = await self._dispatch(request), 200
            headers: tuple[tuple[str, str], ...] = ()
        except _HttpError as error:
            result, status = {"error": str(error)}, error.status
            headers = (("Allow", error.allow),) if error.allow else ()
        except LabError as error:
            result, status, headers = {"error": str(error)}, 400, ()
        if isinstance(result, Response):
            return result
        body = msgspec.json.encode(result) + b"\n"
        return Response(status, body, (("Content-Type", "application/json"), *headers))

    async def _dispatch(self, request: Request) -> Any:
        path, _, query_text = request.target.partition("?")
        first, *rest = path.strip("/").split("/")
        methods = self._routes.get(unquote(first))
        if methods is None:
            raise _HttpError(
                404, f"there is no /{first} here; there are {', '.join('/' + r for r in self._routes)}"
            )
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = ", ".join(methods)
            raise _HttpError(405, f"/{first} knows {allowed} only", allowed)
        function, known = route
        query = _parse_query(query_text)
        for name in query:
            if name not in known.split():
                raise LabError(f"unknown parameter {name!r}; /{first} knows: {known or 'none'}")
        fields = {name.lower(): value for name, value in request.headers}
        if first == "" and "text/html" in fields.get("accept", ""):
            return Response(302, b"", (("Location", "/inbox"),))  # a browser
        query.setdefault("lang", reader_language(fields.get("accept-language", "")))
        return await function([unquote(part) for part in rest], query, request.body)

    async def _index(self, path: list[str], query: _Query, body: bytes) -> Any:
        return self._lab.addresses()

    async def _get_mail(self, path: list[str], query: _Query, body: bytes) -> Any:
        mailbox = self._lab.mailbox
        to = query.get("to")
        if path == ["count"]:
            return {"count": mailbox.count(to), "received": mailbox.received, "dropped": mailbox.dropped}
        wait = _number(query, "wait")
        if wait is not None:
            await mailbox.wait(to, int(_number(query, "count") or 1), min(wait, MAX_WAIT))
        if path and (path[0].isdecimal() or path[0] == "last"):
            mail = self._one_mail(path[0], to)
            if path[1:] == ["text"]:
                return await asyncio.to_thread(as_text, mail, _lang(query))
            _no_more(path[1:])
            return Response(200, mail.data, (("Content-Type", "message/rfc822"),))
        _no_more(path)
        return mailbox.find(
            to,
            sender=query.get("from"),
            since=_integer(query, "since"),
            after=_integer(query, "after"),
            limit=_integer(query, "limit"),
        )

    def _one_mail(self, wanted: str, to: str | None = None) -> Mail:
        """By its id, or the last one (for ``to``)."""
        mailbox = self._lab.mailbox
        if wanted == "last":
            found = mailbox.find(to, limit=1)
        else:
            found = [mail for mail in mailbox.find() if str(mail.id) == wanted]
        if not found:
            raise _HttpError(404, f"no message {wanted} is kept" if wanted != "last" else "no message is kept yet")
        return found[0]

    async def _get_inbox(self, path: list[str], query: _Query, body: bytes) -> Any:
        lang = _lang(query)
        if path:
            _no_more(path[1:])
            return await asyncio.to_thread(mail_page, self._one_mail(path[0]), lang)
        return await asyncio.to_thread(inbox_page, self._lab.mailbox.find(query.get("to")), lang)

    async def _delete_mail(self, path: list[str], query: _Query, body: bytes) -> Any:
        _no_more(path)
        return {"deleted": self._lab.mailbox.clear()}

    async def _post_send(self, path: list[str], query: _Query, body: bytes) -> Any:
        _no_more(path)
        return await self._lab.sender.send(_decoded(body, Letter, "a message to send"))

    async def _get_routes(self, path: list[str], query: _Query, body: bytes) -> Any:
        _no_more(path)
        return self._lab.routes

    async def _put_route(self, path: list[str], query: _Query, body: bytes) -> Any:
        return self._lab.set_route(_one(path, "/routes/DOMAIN"), _decoded(body, Route, "a route"))

    async def _delete_route(self, path: list[str], query: _Query, body: bytes) -> Any:
        return {"deleted": self._lab.remove_route(_one(path, "/routes/DOMAIN"))}

    async def _get_reports(self, path: list[str], query: _Query, body: bytes) -> Any:
        reports = self._lab.reports
        if path:
            _no_more(path[1:])
            data = reports.content(int(path[0])) if path[0].isdecimal() else None
            if data is None:
                raise _HttpError(404, f"no report {path[0]} is kept, or it is not written yet")
            return Response(200, data, (("Content-Type", "message/rfc822"),))
        wait = _number(query, "wait")
        if wait is not None:
            await reports.wait(query.get("to"), int(_number(query, "count") or 1), min(wait, MAX_WAIT))
        return reports.find(query.get("to"))

    async def _delete_reports(self, path: list[str], query: _Query, body: bytes) -> Any:
        _no_more(path)
        return {"deleted": self._lab.reports.clear()}

    async def _get_sessions(self, path: list[str], query: _Query, body: bytes) -> Any:
        _no_more(path)
        server, limit = query.get("server"), _integer(query, "limit")
        chosen = [session for session in self._lab.sessions if server is None or session.server == server.lower()]
        return chosen if limit is None else chosen[max(0, len(chosen) - limit) :]

    async def _delete_sessions(self, path: list[str], query: _Query, body: bytes) -> Any:
        _no_more(path)
        count = len(self._lab.mailbox.sessions)
        self._lab.mailbox.sessions.clear()
        return {"deleted": count}

    async def _get_dns(self, path: list[str], query: _Query, body: bytes) -> Any:
        if not path:
            return self._lab.records.listing()
        if len(path) > 2:
            raise _HttpError(404, "the path is /dns, /dns/NAME or /dns/NAME/TYPE")
        sets = next(iter(self._lab.records.listing(path[0]).values()), {})
        return sets if len(path) == 1 else sets.get(path[1].upper(), [])

    async def _put_dns(self, path: list[str], query: _Query, body: bytes) -> Any:
        name, rdtype = _name_and_type(path)
        try:
            values = msgspec.json.decode(body, type=list[str])
        except msgspec.DecodeError as error:
            raise LabError(f"the body must be a JSON list of texts: {error}") from None
        self._lab.set_dns(name, rdtype, values)
        return next(iter(self._lab.records.listing(name).values()), {}).get(rdtype.upper(), [])

    async def _delete_dns(self, path: list[str], query: _Query, body: bytes) -> Any:
        name, rdtype = _name_and_type(path)
        return {"deleted": self._lab.remove_dns(name, rdtype)}

    async def _get_queries(self, path: list[str], query: _Query, body: bytes) -> Any:
        _no_more(path)
        name = query.get("name")
        return [q._asdict() for q in self._lab.queries if name is None or q.name == name.lower().rstrip(".")]

    async def _get_behaviour(self, path: list[str], query: _Query, body: bytes) -> Any:
        if not path:
            return {name: _described(domain) for name, domain in sorted(self._lab.internet.domains.items())}
        if path == ["schema"]:
            return msgspec.json.schema(Behaviour)
        found = self._lab.internet.domains.get(domain_name(_one(path)))
        if found is None:
            raise _HttpError(404, f"{path[0]} has no behaviour of its own")
        return _described(found)

    async def _put_behaviour(self, path: list[str], query: _Query, body: bytes) -> Any:
        return _described(await self._lab.set_behaviour(_one(path), _json(body)))

    async def _delete_behaviour(self, path: list[str], query: _Query, body: bytes) -> Any:
        return {"deleted": await self._lab.remove_behaviour(_one(path))}

    async def _get_http(self, path: list[str], query: _Query, body: bytes) -> Any:
        receiver, prefix = self._lab.receiver, query.get("path")
        if path == ["count"]:
            return {
                "count": len(receiver.find(prefix)),
                "received": receiver.received,
                "dropped": receiver.dropped,
            }
        wait = _number(query, "wait")
        if wait is not None:
            count = int(_number(query, "count") or 1)
            await receiver.wait(prefix, count, min(wait, MAX_WAIT))
        found = receiver.find(prefix, since=_integer(query, "since"))
        if path:
            return self._one_callback(path, found)
        if query.get("bodies") == "no":
            return [msgspec.structs.replace(callback, body=b"") for callback in found]
        return found

    def _one_callback(self, path: list[str], found: list[Callback]) -> Any:
        """By its id, or the last one; its body, the fields of a form, or the data of one field."""
        chosen = found[-1:] if path[0] == "last" else [c for c in found if str(c.id) == path[0]]
        if not chosen:
            raise _HttpError(404, f"no callback {path[0]} is kept")
        callback, content_type = chosen[0], chosen[0].field("content-type")
        match path[1:]:
            case []:
                return callback
            case ["body"]:
                return Response(200, callback.body, (("Content-Type", content_type or OCTETS),))
            case ["parts"]:
                return parts(content_type, callback.body)
            case ["parts", name]:
                for part in parts(content_type, callback.body):
                    if part.name == name:
                        return Response(200, part.data, (("Content-Type", OCTETS),))
                raise _HttpError(404, f"there is no field {name} in this form")
        raise _HttpError(404, "the path is /http/ID, /http/ID/body, /http/ID/parts or /http/ID/parts/NAME")

    async def _delete_http(self, path: list[str], query: _Query, body: bytes) -> Any:
        _no_more(path)
        return {"deleted": self._lab.receiver.clear()}

    async def _get_http_server(self, path: list[str], query: _Query, body: bytes) -> Any:
        _no_more(path)
        return {"state": "up" if self._lab.http_up else "dead", "url": self._lab.http_url}

    async def _put_http_server(self, path: list[str], query: _Query, body: bytes) -> Any:
        wanted = _decoded(body, HttpState, "a state of the receiver")
        await self._lab.set_http_up(wanted.state == "up", wanted.seconds)
        return await self._get_http_server(path, query, b"")

    async def _get_http_behaviour(self, path: list[str], query: _Query, body: bytes) -> Any:
        return self._lab.receiver.rules

    async def _put_http_behaviour(self, path: list[str], query: _Query, body: bytes) -> Any:
        given = _json(body)
        try:
            rules = msgspec.convert(given if isinstance(given, list) else [given], list[HttpRule])
        except msgspec.ValidationError as error:
            raise LabError(f"this is not a behaviour of the receiver: {error}") from None
        self._lab.set_http("/".join(path), rules)
        return rules

    async def _delete_http_behaviour(self, path: list[str], query: _Query, body: bytes) -> Any:
        self._lab.set_http("/".join(path), [])
        return {"deleted": True}


def _parse_query(text: str) -> _Query:
    """Names and values. A plus sign is itself: it is common in addresses, where blanks are not."""
    pairs = (pair.partition("=") for pair in text.split("&") if pair)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def _described(domain: Domain) -> dict[str, Any]:
    hosts = [
        {"name": host.name, "address": host.address, "state": wanted.state, "preference": wanted.preference}
        for wanted, host, _ in domain.hosts
    ]
    return {"behaviour": domain.behaviour, "servers": hosts}


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise LabError(f"the body must be JSON: {error}") from None


def _decoded(body: bytes, kind: type[T], what: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise LabError(f"this is not {what}: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LabError(f"the body must be JSON: {error}") from None


def _one(path: list[str], form: str = "/behaviour/DOMAIN") -> str:
    if len(path) != 1 or not path[0]:
        raise _HttpError(404, f"the path is {form}")
    return path[0]


def _name_and_type(path: list[str]) -> tuple[str, str]:
    if len(path) != 2 or not all(path):
        raise _HttpError(404, "the path is /dns/NAME/TYPE")
    return path[0], path[1]


def _lang(query: _Query) -> Language:
    if query["lang"] not in ("en", "ja"):
        raise LabError("lang must be en or ja")
    return "ja" if query["lang"] == "ja" else "en"


def _no_more(path: list[str]) -> None:
    if path:
        raise _HttpError(404, f"there is nothing at …/{'/'.join(path)}")


def _number(query: _Query, name: str) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        raise LabError(f"{name} must be a number that is not negative")
    return value


def _integer(query: _Query, name: str) -> int | None:
    value = _number(query, name)
    return None if value is None else int(value)
