"""API users: an e-mail address with a key, for APIs that take both in the body of a request.

People bring their keys along from elsewhere, so keys are kept as passwords are. An API user gives and is told local
times, in a time zone of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ekiden.access.audit import SYSTEM, Actor
from ekiden.access.credentials import (
    API_USER,
    Credential,
    bounds_values,
    change_login,
    set_login,
)
from ekiden.access.errors import BadName, NotFound
from ekiden.access.passwords import MAX_PASSWORD, MIN_PASSWORD, generate_password, hash_password
from ekiden.core.address import BadAddress, parse_address
from ekiden.core.clock import Millis
from ekiden.core.zones import NoSuchZone, find_zone

if TYPE_CHECKING:
    from ekiden.store.api import Store

DEFAULT_ZONE: Final = "Asia/Tokyo"
_MIXED: Final = re.compile(r"(?=.*[A-Za-z])(?=.*[0-9])[!-~]+", re.ASCII)


def api_user_login(text: str) -> str:
    """How the id of an API user is kept: an e-mail address in lower case. Raises ``BadName``."""
    try:
        return parse_address(text.strip()).key
    except (BadAddress, UnicodeEncodeError) as error:
        raise BadName("the id of an API user is an e-mail address: {why}", why=str(error)) from None


def generate_key() -> str:
    """A key: 24 letters and digits, of both kinds."""
    while not _MIXED.fullmatch(key := generate_password()):
        pass
    return key


async def set_api_user(
    store: Store,
    account_id: int,
    login: str,
    key: str,
    now: Millis,
    *,
    time_zone: str | None = None,
    scopes: Iterable[str] | None = None,
    networks: Iterable[str] | None = None,
    replace: bool = False,
    actor: Actor = SYSTEM,
) -> Credential:
    """A new API user, or with ``replace`` another key for one. Of one that is there, what is ``None`` stays.

    Raises ``BadName``, and ``NameTaken`` when somebody has that login already.
    """
    login = api_user_login(login)
    if not MIN_PASSWORD <= len(key) <= MAX_PASSWORD or _MIXED.fullmatch(key) is None:
        raise BadName(
            "the key of an API user has {shortest} to {longest} characters without blanks, letters and digits among"
            " them",
            shortest=MIN_PASSWORD,
            longest=MAX_PASSWORD,
        )
    values = {"secret_hash": await hash_password(key), **bounds_values(scopes, networks)}
    if time_zone is not None or not replace:
        values["time_zone"] = _checked(time_zone or DEFAULT_ZONE)
    return await set_login(store, account_id, API_USER, login, values, now, replace=replace, actor=actor)


async def set_time_zone(
    store: Store, login: str, time_zone: str, now: Millis, *, actor: Actor = SYSTEM
) -> Credential:
    """Times that the API user gives and is told are of that zone. Raises ``BadName``, ``NotFound``."""
    login, values = api_user_login(login), {"time_zone": _checked(time_zone)}
    found = await change_login(store, API_USER, login, values, now, "credential.time_zone", actor=actor)
    if found is None:
        raise NotFound("there is no API user {name!r}", name=login)
    return found


def _checked(time_zone: str) -> str:
    try:
        find_zone(time_zone)
    except NoSuchZone:
        raise BadName(
            "{zone!r} is not a time zone; give one such as {example}", zone=time_zone, example=DEFAULT_ZONE
        ) from None
    return time_zone
