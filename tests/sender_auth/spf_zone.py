"""Zone data for SPF and DMARC: one dictionary, asked by our code and by pyspf."""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from ekiden.sender_auth.dns import RecordType, TemporaryDnsError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pyspf is older than some of Python's rules about escapes
    import spf as pyspf

T = TypeVar("T")

# The answer of a server that does not answer.
TIMEOUT = "TIMEOUT"

# Name to type to answers; CNAME has one name. A TXT answer is text, octets, or a list of strings to be joined.
Zone = Mapping[str, Mapping[str, Any]]


class ZoneLookup:
    """A ``Lookup`` over a zone. ``asked`` lists the questions that came."""

    def __init__(self, zone: Zone) -> None:
        self.zone = {name.lower(): records for name, records in zone.items()}
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, name: str, rdtype: RecordType, /) -> Sequence[Any]:
        self.asked.append((name, rdtype))
        return self.answers(name, rdtype)

    def answers(self, name: str, rdtype: str) -> list[Any]:
        records = self.zone.get(name.lower().removesuffix("."), {})
        if "CNAME" in records:
            return self.answers(records["CNAME"], rdtype)
        found = records.get(rdtype, [])
        if found == TIMEOUT:
            raise TemporaryDnsError(f"no answer for {name} ({rdtype})")
        return [_octets(item) for item in found] if rdtype == "TXT" else list(found)


def _octets(item: str | bytes | list[str]) -> bytes:
    if isinstance(item, list):
        item = "".join(item)
    return item if isinstance(item, bytes) else item.encode()


class Oracle(NamedTuple):
    """What pyspf says; ``explanation`` is ``DEFAULT`` when the domain has none."""

    word: str
    explanation: str
    problem: str


def ask_pyspf(zone: Zone, ip: str, sender: str, helo: str) -> Oracle:
    """pyspf's result on the same zone. ``spf.DNSLookup`` is what it offers for that."""
    lookup = ZoneLookup(zone)

    def answer(name: str, rdtype: str, *_: Any) -> Iterator[tuple[tuple[str, str], Any]]:
        try:
            found = lookup.answers(name, rdtype)
        except TemporaryDnsError as error:
            raise pyspf.TempError(str(error)) from error
        for item in found:
            shown = item.removesuffix(".") if rdtype == "PTR" else item  # as its own DNS drivers do
            yield (name, rdtype), (shown,) if rdtype == "TXT" else shown

    before = pyspf.DNSLookup
    pyspf.DNSLookup = answer
    try:
        query = pyspf.query(i=ip, s=sender, h=helo)
        query.set_default_explanation("DEFAULT")
        word, _, explanation = query.check()
    finally:
        pyspf.DNSLookup = before
    return Oracle(word, explanation, getattr(query, "prob", ""))


def run(work: Coroutine[Any, Any, T]) -> T:
    """The value of a coroutine that never waits: the pure room has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise AssertionError("a pure coroutine waited")
