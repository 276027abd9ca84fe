"""IAM: ``POST /identity/token`` gives a token for an API key (contract §1.3). Errors have a shape of their own."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from litestar import Response

from ekiden.access.authenticate import LoginRefusal, Password
from ekiden.access.credential_scopes import SCOPES
from ekiden.access.credentials import API_KEY_USERNAME
from ekiden.access.tokens import GRANT_TYPE
from ekiden.dialects.ibm.auth import client_address
from ekiden.dialects.ibm.call import IbmServices
from ekiden.dialects.ibm.errors import (
    JSON,
    AnyRequest,
    ApiError,
    as_api_error,
    error_text,
    trace_headers,
    transaction_id,
)
from ekiden.dialects.ibm.http import answer, read_body
from ekiden.web.body import Body
from ekiden.web.need import Need

FORM: Final = "application/x-www-form-urlencoded"
UNKNOWN_KEY: Final = "BXNIM0415E"
MISSING: Final = "BXNIM0109E"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_FIELDS = 20
_BODY: Final = Need(16_384, 100, 4)
"""Of an operation that anybody may ask for: the key is in there."""


async def give_token(request: AnyRequest, services: IbmServices) -> Response[bytes]:
    """A token for the API key. Raises ``ApiError``; nothing that is logged or told holds the key."""
    form = await _form(request, services)
    if form.get("grant_type") != GRANT_TYPE:
        raise ApiError(400, "the form needs grant_type {wanted}", code=MISSING, wanted=GRANT_TYPE)
    key = form.get("apikey", "")
    if not key:
        raise ApiError(400, "the form needs apikey", code=MISSING)
    proof = await services.authenticator.prove(Password(API_KEY_USERNAME, key), client_address(request))
    if isinstance(proof, LoginRefusal):
        raise _refused(proof)
    scopes = proof.scopes
    # Words that are not ours are somebody else's scopes: they bound nothing.
    narrowed = set(form.get("scope", "").split()).intersection(SCOPES)
    if narrowed:
        scopes &= narrowed
    token = services.tokens.issue(proof.credential, proof.account, scopes, services.config.token_ttl)
    shape = {
        "access_token": token.text,
        "refresh_token": "not_supported",
        "token_type": "Bearer",
        "expires_in": token.expires_at - token.issued_at,
        "expiration": token.expires_at,
        "scope": "ibm openid",
    }
    return answer(request, shape, headers=_NO_STORE)


async def _form(request: AnyRequest, services: IbmServices) -> dict[str, str]:
    """The fields, the first of each name; of the body only: a key in a query would be in every proxy's log.

    Raises ``ApiError``, ``web.errors``.
    """
    body = await read_body(request, Body(request, _BODY, services.bodies, f"http:{client_address(request)}"))
    if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise ApiError(415, "the body must be a form, with Content-Type: application/x-www-form-urlencoded")
    try:
        fields = parse_qs(body.decode("utf-8"), max_num_fields=_FIELDS)
    except (ValueError, UnicodeDecodeError):
        raise ApiError(400, "the body is not a form") from None
    return {name: values[0] for name, values in fields.items()}


def _refused(refusal: LoginRefusal) -> ApiError:
    if refusal is LoginRefusal.BUSY:
        return ApiError(429, "too many logins wait to be checked, try again later", headers={"Retry-After": "60"})
    if refusal is LoginRefusal.TOO_MANY:
        return ApiError(429, "too many failed attempts, try again later", headers={"Retry-After": "60"})
    if refusal is LoginRefusal.SUSPENDED:
        return ApiError(403, "the account is suspended")
    if refusal is LoginRefusal.UNAVAILABLE:
        return ApiError(503, "the database cannot be reached; try again later")
    # Also for a key that is right, but not from there.
    return ApiError(400, "Provided API key could not be found.", code=UNKNOWN_KEY)


def handle_iam_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    """For ``exception_handlers``: ``{errorCode, errorMessage, context}``."""
    known = as_api_error(request, error)
    context: dict[str, Any] = {
        "requestId": transaction_id(request),
        "requestType": "incoming.Identity_Token",
        "url": str(request.url.with_replacements(query="")),
    }
    body = {"errorCode": known.code, "errorMessage": error_text(request, known), "context": context}
    return Response(
        msgspec.json.encode(body),
        status_code=known.status,
        media_type=JSON,
        headers={**trace_headers(request), **_NO_STORE, **known.headers},
    )
