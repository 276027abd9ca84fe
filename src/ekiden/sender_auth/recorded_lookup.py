"""A lookup that remembers: what was asked of the DNS and answered, and no question twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ekiden.sender_auth.dns import Lookup, RecordType, TemporaryDnsError

MAX_NAME = 253  # characters of a domain name as text, RFC 7208 §7.3
_MAX_LABEL = 63  # octets, RFC 1035 §2.3.4


class Asked(NamedTuple):
    """One question and its answers as text; ``error`` says why there is no answer.

    TXT octets outside ASCII are shown as ``\\xNN``; an MX is ``10 mx.example.com``.
    """

    name: str
    rdtype: RecordType
    answers: tuple[str, ...]
    error: str | None = None


class RecordedLookup:
    """Asks ``lookup`` each question once. ``trace`` lists what was asked, in order.

    A name that DNS cannot hold (an empty or overlong label, text outside ASCII) is never asked: it does not exist.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[tuple[str, RecordType], Sequence[Any] | TemporaryDnsError] = {}
        self.trace: list[Asked] = []

    async def __call__(self, name: str, rdtype: RecordType, /) -> Sequence[Any]:
        """The answers, empty when there are none. Raises ``TemporaryDnsError``."""
        name = name.removesuffix(".").lower()
        if not is_dns_name(name):
            return ()
        key = (name, rdtype)
        known = self._known.get(key)
        if known is None:
            try:
                known = await self._lookup(name, rdtype)
            except TemporaryDnsError as error:
                known = error
                self.trace.append(Asked(name, rdtype, (), str(error)))
            else:
                self.trace.append(Asked(name, rdtype, tuple(map(_shown, known))))
            self._known[key] = known
        if isinstance(known, TemporaryDnsError):
            raise known
        return known


def is_dns_name(name: str) -> bool:
    """Whether ``name`` (without the final dot) can be asked for: ASCII, labels of 1 to 63 octets, 253 in all."""
    return (
        name.isascii()
        and 0 < len(name) <= MAX_NAME
        and all(0 < len(label) <= _MAX_LABEL for label in name.split("."))
    )


def _shown(answer: Any) -> str:
    if isinstance(answer, bytes):
        return answer.decode("ascii", "backslashreplace")
    if isinstance(answer, tuple):
        return " ".join(map(str, answer))
    return str(answer)
