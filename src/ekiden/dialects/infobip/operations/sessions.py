"""Tokens in the place of a password or an API key: ``/auth/1`` (contract §1.1)."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import Response

from ekiden.access.credentials import API_KEY_USERNAME
from ekiden.access.proof import LoginRefusal, Password, Unreadable
from ekiden.access.sessions import SessionToken
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.errors import ApiError
from ekiden.dialects.infobip.http import answer, decode_json, empty
from ekiden.dialects.infobip.proof import SESSION_SCHEME, basic, prove, refused, unauthorized
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.web.need import Need
from ekiden.web.operation import Operation
from ekiden.web.proof import authorization, client_address

TOKEN_TTL: Final = 3_600.0
"""Seconds that a bearer token is good for."""
GRANT_TYPE: Final = "client_credentials"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_BODY: Final = Need(16_384, 20, 3)
"""Of operations that anybody may ask for: the credential is in there."""
_LONGEST: Final = 512


class _Login(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    username: Any = None
    password: Any = None


async def open_session(call: Call) -> Response[bytes]:
    """A session for a user name and a password."""
    request, services = call.request, call.services
    checks = Checks()
    given = await call.json(_Login, checks)
    username = _required(checks, "username", given.username)
    password = _required(checks, "password", given.password)
    checks.done()
    shown = Password(username, password)
    proof = await prove(services.authenticator, shown, client_address(request))
    token = await call.api.sessions.open(proof)
    return answer({"token": token}, headers=dict(_NO_STORE))


async def close_session(call: Call) -> Response[None]:
    """The end of a session, also of a suspended account."""
    request = call.request
    scheme, token = authorization(request)
    if scheme != SESSION_SCHEME:
        raise unauthorized()
    sessions = call.api.sessions
    shown = SessionToken(sessions, token)
    found = await call.services.authenticator.prove(shown, client_address(request))
    if isinstance(found, LoginRefusal) and found is not LoginRefusal.SUSPENDED:
        raise refused(found, shown)
    await sessions.close(token)
    return empty()


async def give_token(call: Call) -> Response[bytes]:
    """The client's secret is an API key; its id may be anything. A scope of ours in ``scope`` bounds the token."""
    request, services = call.request, call.services
    given = await _form(call)
    checks = Checks()
    grant = _required(checks, "grant_type", given.get("grant_type"))
    if grant and grant != GRANT_TYPE:
        checks.add("grant_type", "must be one of {known}", known=GRANT_TYPE)
    if "client_secret" not in given and b"client_secret=" in request.scope["query_string"]:
        checks.add("client_secret", "must be in the body, never in the query")
        checks.done()
    secret = _required(checks, "client_secret", given.get("client_secret"))
    checks.done()
    shown = Password(API_KEY_USERNAME, secret)
    proof = await prove(services.authenticator, shown, client_address(request))
    token = services.tokens.grant(proof, given.get("scope", ""), TOKEN_TTL)
    return answer(
        {
            "access_token": token.text,
            "token_type": "Bearer",
            "expires_in": token.expires_at - token.issued_at,
        },
        headers=dict(_NO_STORE),
    )


async def _form(call: Call) -> dict[str, str]:
    """The fields; a JSON object will do as well.

    They are in the body, or id and secret in ``Authorization: Basic`` (RFC 6749 §2.3.1), and in no query: what is
    there ends up in the logs of every proxy on the way. Infobip's client for Node puts them there, and is told.
    """
    request, services = call.request, call.services
    body = await call.body.read_json()
    given: dict[str, str] = {}
    scheme, credentials = authorization(request)
    if scheme == "basic":
        client = basic(credentials)
        if isinstance(client, Unreadable):
            await prove(services.authenticator, client, client_address(request))
        else:
            given["client_secret"] = client.password
    if body.lstrip()[:1] == b"{":
        found: dict[str, Any] = decode_json(body, dict)
        return given | {name: value for name, value in found.items() if isinstance(value, str)}
    try:
        return given | dict(parse_qsl(body.decode(), max_num_fields=20))
    except ValueError as error:
        raise ApiError.because(
            400, "the body is not a form as its Content-Type says: {why}", why=str(error)
        ) from None


def _required(checks: Checks, name: str, value: Any) -> str:
    if value is None:
        checks.add(name, "must not be null")
    return checks.take(name, lambda given: fields.line(given, _LONGEST), value, "")


OPERATIONS: Final = (
    Operation("POST", "/auth/1/session", open_session, need=_BODY),
    Operation("DELETE", "/auth/1/session", close_session),
    Operation("POST", "/auth/1/oauth2/token", give_token, need=_BODY),
)
