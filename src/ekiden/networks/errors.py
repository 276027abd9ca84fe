"""What can be wrong with network zones and rules. Every error says it in English and Japanese."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ekiden.access.errors import AccessError, NameTaken, NotFound
from ekiden.core.texts import TranslatedError
from ekiden.networks.translations import TEXTS


class NetworkError(AccessError):
    """A change to zones or rules was refused; nothing was written."""

    def __init__(self, template: str, **values: Any) -> None:
        TranslatedError.__init__(self, TEXTS, template, **values)


class BadValue(NetworkError, ValueError):
    """A field of a zone, a rule or a question about them cannot be as given; ``field`` is its path."""

    def __init__(self, field: str, template: str, **values: Any) -> None:
        self.field = field
        super().__init__(template, field=field, **values)


class NotProtected(BadValue):
    """A rule is aimed at a service, or at an operation of one, that rules do not protect."""


class ModeNotSupported(BadValue):
    """The operation that a rule names cannot be enforced in this way."""


class TooMany(NetworkError):
    """The account has as many zones or rules as it may have."""


class ZoneNameTaken(NetworkError, NameTaken):
    """The account has a zone of that name."""

    def __init__(self, name: str) -> None:
        super().__init__("there is a zone {name!r} already", name=name)


class ZoneInUse(NetworkError):
    """Rules name the zone, so it has to stay; ``rules`` are their ids."""

    def __init__(self, zone: str, rules: Sequence[str]) -> None:
        self.rules = tuple(rules)
        super().__init__("zone {zone} is named by rules: {rules}", zone=zone, rules=", ".join(rules))


class ZoneNotFound(NetworkError, NotFound):
    """The account has no such zone."""

    def __init__(self, zone: str) -> None:
        super().__init__("there is no zone {zone!r}", zone=zone)


class RuleNotFound(NetworkError, NotFound):
    """The account has no such rule."""

    def __init__(self, rule: str) -> None:
        super().__init__("there is no rule {rule!r}", rule=rule)


class VersionMismatch(NetworkError):
    """It was changed since the version that the change was made for."""

    def __init__(self, id_: str) -> None:
        super().__init__("{id} was changed in the meantime: its version is another one", id=id_)
