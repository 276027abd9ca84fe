"""IAM: ``POST /identity/token`` gives a token for an API key (contract §1.3). Errors have a shape of their own."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs

from litestar import Response

from ekiden.access.authenticate import LoginRefusal, Password
from ekiden.access.credentials import API_KEY_USERNAME
from ekiden.access.tokens import GRANT_TYPE
from ekiden.dialects.ibm.call import Call
from ekiden.dialects.ibm.errors import ApiError, IbmEnvelope, error_text, respond, transaction_id
from ekiden.dialects.ibm.http import answer, read_body
from ekiden.web.need import Need
from ekiden.web.operation import Operation
from ekiden.web.problem import AnyRequest
from ekiden.web.proof import client_address

FORM: Final = "application/x-www-form-urlencoded"
UNKNOWN_KEY: Final = "BXNIM0415E"
MISSING: Final = "BXNIM0109E"
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_FIELDS = 20
_BODY: Final = Need(16_384, 100, 4)
"""Of an operation that anybody may ask for: the key is in there."""


async def give_token(call: Call) -> Response[bytes]:
    """A token for the API key. Raises ``ApiError``; nothing that is logged or told holds the key."""
    request, services = call.request, call.services
    form = await _form(call)
    if form.get("grant_type") != GRANT_TYPE:
        raise ApiError(400, "the form needs grant_type {wanted}", code=MISSING, wanted=GRANT_TYPE)
    key = form.get("apikey", "")
    if not key:
        raise ApiError(400, "the form needs apikey", code=MISSING)
    proof = await services.authenticator.prove(Password(API_KEY_USERNAME, key), client_address(request))
    if isinstance(proof, LoginRefusal):
        raise _refused(proof)
    token = services.tokens.grant(proof, form.get("scope", ""), call.settings.token_ttl)
    shape = {
        "access_token": token.text,
        "refresh_token": "not_supported",
        "token_type": "Bearer",
        "expires_in": token.expires_at - token.issued_at,
        "expiration": token.expires_at,
        "scope": "ibm openid",
    }
    return answer(request, shape, headers=_NO_STORE)


async def _form(call: Call) -> dict[str, str]:
    """The fields, the first of each name; of the body only: a key in a query would be in every proxy's log.

    Raises ``ApiError``, ``web.errors``.
    """
    body = await read_body(call.request, call.body)
    if body and call.content_type.partition(";")[0].strip().lower() != FORM:
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


class IamEnvelope(IbmEnvelope):
    """``{errorCode, errorMessage, context}``."""

    def write(self, request: AnyRequest, error: ApiError) -> Response[bytes]:
        context: dict[str, Any] = {
            "requestId": transaction_id(request),
            "requestType": "incoming.Identity_Token",
            "url": str(request.url.with_replacements(query="")),
        }
        body = {"errorCode": error.code, "errorMessage": error_text(request, error), "context": context}
        return respond(request, error, body, _NO_STORE)


OPERATIONS: Final = (Operation("POST", "/identity/token", give_token, need=_BODY),)
