"""What a request to an endpoint looks like. The dialects bring the formats; the outbox knows them by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ekiden.core.notices import Happening
from ekiden.store.retention import RETIRED

if TYPE_CHECKING:
    from ekiden.notify.bodies import Body

PULL = "pull"
"""The name in ``endpoint.format`` of those whose news is fetched by the client and never sent."""


class Format(Protocol):
    """A body of a request, made of events. Stateless; shared by all endpoints."""

    @property
    def name(self) -> str:
        """As it stands in ``endpoint.format``."""
        ...

    @property
    def content_type(self) -> str: ...

    @property
    def batch(self) -> int:
        """How many events one request may carry; 1: each goes by itself."""
        ...

    def wants(self, happening: Happening) -> bool:
        """Whether it has words for the event; others are taken off the outbox without a request."""
        ...

    def encode(self, happenings: Sequence[Happening]) -> bytes:
        """The body for 1 to ``batch`` events that it wants."""
        ...


@runtime_checkable
class Adjustable(Protocol):
    """A format that endpoints have settings for: version, time zone, kind of body … (``options.Kept.settings``)."""

    def settled(self, settings: Mapping[str, Any]) -> Format:
        """The format as an endpoint with these settings has it; ``{}``: one that has none. Raises ``ValueError``
        (``msgspec.ValidationError``) for what it does not know."""
        ...


@runtime_checkable
class Addressed(Protocol):
    """A format whose requests have header fields of their own, besides ``Content-Type`` and the sender's proof."""

    def headers(self, host: str, port: int) -> Mapping[str, str]:
        """For an endpoint there."""
        ...


@runtime_checkable
class OfContent(Protocol):
    """A format that tells what is in a mail that came in (``EventType.RECEIVED``), one in each request.

    Each stands for itself: a receiver that fails at one of them may take the next.
    """

    def body(self, happening: Happening, content: bytes) -> Body:
        """In the place of ``Format.encode``. Called in a thread."""
        ...


class _Retired:
    """Has words for nothing: what waits there, or still comes, is taken off the outbox."""

    name = RETIRED
    content_type = ""
    batch = 1

    def wants(self, _: Happening) -> bool:
        return False

    def encode(self, _: Sequence[Happening]) -> bytes:
        raise ValueError("nobody wants it")


def by_name(formats: Iterable[Format]) -> dict[str, Format]:
    """Formats as the outbox takes them, with ``RETIRED``. Names are unique, and none of them is ``pull``."""
    found: dict[str, Format] = {RETIRED: _Retired()}
    for item in formats:
        if item.name in found or item.name == PULL:
            raise ValueError(f"{item.name!r} is the name of another format")
        found[item.name] = item
    return found
