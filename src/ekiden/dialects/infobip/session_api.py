"""Tokens in the place of a password or an API key: ``/auth/1`` (contract §1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import Response, Router, delete, post

from ekiden.access.credential_scopes import SCOPES
from ekiden.access.credentials import API_KEY_USERNAME
from ekiden.access.proof import LoginRefusal, Password, Proof, Unreadable
from ekiden.access.sessions import SessionToken
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.auth import (
    SESSION_SCHEME,
    authorization,
    basic,
    client_address,
    prove,
    unauthorized,
    unavailable,
)
from ekiden.dialects.infobip.errors import RETRY_AFTER, AnyRequest, ApiError, handle_legacy
from ekiden.dialects.infobip.http import answer, decode_json, empty, read_json
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.web.body import Body
from ekiden.web.need import Need

if TYPE_CHECKING:
    from ekiden.access.tokens import Token
    from ekiden.dialects.infobip.call import InfobipServices

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


def session_router(services: InfobipServices) -> Router:
    """``/auth/1``."""

    @post("/session", status_code=200)
    async def open_session(request: AnyRequest) -> Response[bytes]:
        return await _open_session(request, services)

    @delete("/session", status_code=204)
    async def close_session(request: AnyRequest) -> Response[None]:
        return await _close_session(request, services)

    @post("/oauth2/token", status_code=200)
    async def give_token(request: AnyRequest) -> Response[bytes]:
        return await _give_token(request, services)

    return Router(
        "/auth/1",
        route_handlers=[open_session, close_session, give_token],
        exception_handlers={Exception: handle_legacy},
    )


async def _open_session(request: AnyRequest, services: InfobipServices) -> Response[bytes]:
    checks = Checks()
    given = await read_json(_body(request, services), request.headers.get("content-type", ""), _Login, checks)
    username = _required(checks, "username", given.username)
    password = _required(checks, "password", given.password)
    checks.done()
    shown = Password(username, password)
    proof = await prove(services.logins.authenticator, shown, client_address(request))
    token = await services.logins.sessions.open(proof)
    return answer({"token": token}, headers=dict(_NO_STORE))


async def _close_session(request: AnyRequest, services: InfobipServices) -> Response[None]:
    scheme, token = authorization(request)
    if scheme != SESSION_SCHEME:
        raise unauthorized()
    logins = services.logins
    found = await logins.authenticator.prove(SessionToken(logins.sessions, token), client_address(request))
    if found is LoginRefusal.UNAVAILABLE:
        raise unavailable(RETRY_AFTER)
    # Also of a suspended account.
    if isinstance(found, LoginRefusal) and found is not LoginRefusal.SUSPENDED:
        raise unauthorized()
    await logins.sessions.close(token)
    return empty()


async def _give_token(request: AnyRequest, services: InfobipServices) -> Response[bytes]:
    """The client's secret is an API key; its id may be anything. A scope of ours in ``scope`` bounds the token."""
    given = await _form(request, services)
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
    proof = await prove(services.logins.authenticator, shown, client_address(request))
    token = _issue(services, proof, given.get("scope", ""))
    return answer(
        {
            "access_token": token.text,
            "token_type": "Bearer",
            "expires_in": token.expires_at - token.issued_at,
        },
        headers=dict(_NO_STORE),
    )


def _issue(services: InfobipServices, proof: Proof, wanted: str) -> Token:
    scopes = proof.scopes
    # Words that are not ours are somebody else's scopes: they bound nothing.
    narrowed = set(wanted.split()).intersection(SCOPES)
    if narrowed:
        scopes &= narrowed
    return services.logins.tokens.issue(proof.credential, proof.account, scopes, TOKEN_TTL)


def _body(request: AnyRequest, services: InfobipServices) -> Body:
    return Body(request, _BODY, services.bodies, f"http:{client_address(request)}")


async def _form(request: AnyRequest, services: InfobipServices) -> dict[str, str]:
    """The fields; a JSON object will do as well.

    They are in the body, or id and secret in ``Authorization: Basic`` (RFC 6749 §2.3.1), and in no query: what is
    there ends up in the logs of every proxy on the way. Infobip's client for Node puts them there, and is told.
    """
    body = await _body(request, services).read_json()
    given: dict[str, str] = {}
    scheme, credentials = authorization(request)
    if scheme == "basic":
        client = basic(credentials)
        if isinstance(client, Unreadable):
            await prove(services.logins.authenticator, client, client_address(request))
        else:
            given["client_secret"] = client.password
    if body.lstrip()[:1] == b"{":
        found: dict[str, Any] = decode_json(body, dict)
        return given | {name: value for name, value in found.items() if isinstance(value, str)}
    try:
        return given | dict(parse_qsl(body.decode(), max_num_fields=20))
    except ValueError as error:
        raise ApiError.because(400, "the body is no form as its Content-Type says: {why}", why=str(error)) from None


def _required(checks: Checks, name: str, value: Any) -> str:
    if value is None:
        checks.add(name, "must not be null")
    return checks.take(name, lambda given: fields.line(given, _LONGEST), value, "")
