"""How a callback proves that it comes from us: HTTP Basic, a bearer token, a header field, or a key in the body."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from ekiden.notify.bodies import Body
from ekiden.notify.errors import BadEndpoint

if TYPE_CHECKING:
    from ekiden.access.vault import Vault

PURPOSE = "callback authentication"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Basic(msgspec.Struct, frozen=True, tag="basic"):
    """RFC 7617."""

    user: str
    password: str


class Bearer(msgspec.Struct, frozen=True, tag="bearer"):
    """RFC 6750 §2.1."""

    token: str


class Header(msgspec.Struct, frozen=True, tag="header"):
    """A header field of the receiver's choice."""

    name: str
    value: str


class BodyKey(msgspec.Struct, frozen=True, tag="body"):
    """A member of the JSON object, or a field of the form, that the body is."""

    name: str
    value: str


class Several(msgspec.Struct, frozen=True, tag="several"):
    """More than one of them, in different places of the request."""

    parts: tuple[Basic | Bearer | Header | BodyKey, ...]


Auth = Basic | Bearer | Header | BodyKey | Several
_decode = msgspec.json.Decoder(Auth).decode


def check_auth(auth: Auth) -> None:
    """Raises ``BadEndpoint`` for what could be taken for more than one header field."""
    if isinstance(auth, Several):
        for part in auth.parts:
            check_auth(part)
        return
    for field in auth.__struct_fields__:
        if _CONTROL.search(getattr(auth, field)):
            raise BadEndpoint("a user name, password or key for callbacks has no control characters")
    if isinstance(auth, Header) and not _TOKEN.fullmatch(auth.name):
        raise BadEndpoint("{name!r} is not the name of a header field", name=auth.name)


def seal_auth(vault: Vault, auth: Auth) -> bytes:
    """What may be stored."""
    return vault.seal(msgspec.json.encode(auth), PURPOSE)


def open_auth(vault: Vault, sealed: bytes | None) -> Auth | None:
    """From ``seal_auth``. Raises ``VaultError``."""
    return None if sealed is None else _decode(vault.open(sealed, PURPOSE))


def authenticated(auth: Auth | None, body: bytes | Body, content_type: str) -> tuple[dict[str, str], bytes | Body]:
    """Header fields to add, and the body, with the key if it belongs there.

    ``ValueError`` for a key in a body that is neither a JSON object nor a form.
    """
    match auth:
        case None:
            return {}, body
        case Basic(user, password):
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}, body
        case Bearer(token):
            return {"Authorization": f"Bearer {token}"}, body
        case Header(name, value):
            return {name: value}, body
        case BodyKey(name, value):
            if isinstance(body, Body):
                return {}, body.with_key(name, value)
            return {}, _with_key(name, value, body, content_type)
        case Several(parts):
            headers: dict[str, str] = {}
            for part in parts:
                more, body = authenticated(part, body, content_type)
                headers |= more
            return headers, body


def _with_key(name: str, value: str, body: bytes, content_type: str) -> bytes:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        pair = urlencode({name: value}).encode()
        return pair + b"&" + body if body else pair
    if media_type == "application/json" and body.startswith(b"{"):
        member = msgspec.json.encode(name) + b":" + msgspec.json.encode(value)
        rest = body[1:].lstrip()
        return b"{" + member + (b"" if rest.startswith(b"}") else b",") + rest
    raise ValueError(f"a key cannot be put into a body of type {content_type}")
