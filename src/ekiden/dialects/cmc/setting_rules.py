"""What settings of webhooks have in common (contract §3): how fields are checked, how endpoints know who sends.

All that is wrong is told at once, field by field, in both languages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ekiden.core.texts import Texts, TranslatedError
from ekiden.net.network import is_loopback
from ekiden.notify.auth import Auth, Basic, Bearer, BodyKey, Several
from ekiden.notify.endpoints import parse_endpoint_url
from ekiden.notify.errors import NotifyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ekiden.core.language import Language
    from ekiden.notify.ssrf import Destinations

TEXTS: Final = Texts("dialects/cmc/setting_rules")
API_KEY: Final = "api_key"
"""The field or member of bodies that has the key (§1.2), and its name among the secrets."""
PASSWORD: Final = "password"  # noqa: S105
_LONGEST: Final = 255
"""Characters of a user name, a password or a key."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_KEY: Final = re.compile(r"[\x21-\x7e]+")


class FieldError(TranslatedError):
    """What is wrong with ``field``."""

    def __init__(self, field: str, template: str, /, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)
        self.field = field


class InvalidSettings(TranslatedError, ValueError):
    """Nothing was saved. A line for each of ``errors``."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        self.errors = errors
        super().__init__(TEXTS, "{errors}", errors=errors)

    def text(self, lang: Language) -> str:
        return "\n".join(f"{error.field}: {error.text(lang)}" for error in self.errors)


class Security(NamedTuple):
    """BASIC authentication and the key. ``bearer``: the key goes into ``Authorization``, not into the body."""

    basic_user: str = ""
    password: str = ""
    api_key: str = ""
    bearer: bool = False

    @property
    def secrets(self) -> dict[str, str]:
        """Those that there are."""
        return {name: value for name, value in ((PASSWORD, self.password), (API_KEY, self.api_key)) if value}

    @property
    def auth(self) -> Auth | None:
        """As requests have it."""
        parts: list[Basic | Bearer | BodyKey] = []
        if self.basic_user:
            parts.append(Basic(self.basic_user, self.password))
        if self.api_key:
            parts.append(Bearer(self.api_key) if self.bearer else BodyKey(API_KEY, self.api_key))
        if len(parts) > 1:
            return Several(tuple(parts))
        return parts[0] if parts else None


class Rules:
    """Gathers what is wrong. ``lab``: endpoints of the lab may be ``http://``, and no others."""

    def __init__(self, destinations: Destinations, *, lab: bool) -> None:
        self._destinations = destinations
        self._lab = lab
        self.errors: list[FieldError] = []

    def wrong(self, field: str, template: str, /, **values: Any) -> None:
        self.errors.append(FieldError(field, template, **values))

    def done(self) -> None:
        """Raises ``InvalidSettings``."""
        if self.errors:
            raise InvalidSettings(self.errors)

    def url(self, field: str, text: str) -> None:
        try:
            url = parse_endpoint_url(text, self._destinations)
        except NotifyError as error:
            self.wrong(field, "{why}", why=error)
            return
        if url.user is not None or url.password is not None:
            self.wrong(field, "give the URL without a user name and a password; BASIC authentication has both")
        host = url.host or ""
        of_the_lab = self._lab and (host == "localhost" or is_loopback(host))
        if url.scheme != "https" and not of_the_lab:
            self.wrong(field, "give a URL that begins with https://")

    def between(self, field: str, value: int, least: int, most: int) -> None:
        if not least <= value <= most:
            self.wrong(field, "give a whole number from {least} to {most}", least=least, most=most)

    def security(self, given: Security) -> None:
        user, password, key, bearer = given
        if password and not user:
            self.wrong("basic", "give a user name as well, or no password")
        if ":" in user:
            self.wrong("basic", "give a user name without a colon")
        for field, text in (("basic", user), ("basic", password), ("api-key", key)):
            if len(text) > _LONGEST:
                self.wrong(field, "give at most {longest} characters", longest=_LONGEST)
        if _CONTROL.search(user) or _CONTROL.search(password):
            self.wrong("basic", "give a user name and a password without control characters")
        if key and not _KEY.fullmatch(key):
            self.wrong("api-key", "give a key of ASCII characters without blanks")
        if bearer and not key:
            self.wrong("bearer", "give an API key as well: Authorization: Bearer has it")
        if bearer and user:
            # Both want the one field Authorization, and the contract does not say which wins (§1.1).
            self.wrong("bearer", "choose BASIC authentication or Bearer; a request has one Authorization")
