"""A dialect: the wire language of another service, as a value. ``wiring.dialects`` lists those that there are.

What Ekiden has of a dialect follows from its value: a section of the configuration with its help, what is answered
over HTTP, formats of callbacks, what is read of header fields, what ``ekiden demo`` tells. Every command loads the
module that makes the value, which therefore loads what it works with inside of its functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from ekiden.core.texts import Help

if TYPE_CHECKING:
    from ekiden.core.clock import Millis
    from ekiden.intake.door import Annotator
    from ekiden.intake.tracking import Tracker
    from ekiden.notify.endpoints import Endpoints
    from ekiden.notify.formats import Format
    from ekiden.notify.staged_settings import AppliedSettings
    from ekiden.web.operation import Api
    from ekiden.web.platform import Platform

S = TypeVar("S", bound=msgspec.Struct)


class DemoClient(NamedTuple):
    """Where the demo is, and who may use it. ``http``, ``lab``, ``lab_http`` are base URLs: of Ekiden, of the lab's
    API, of its receiver of callbacks. ``command``: how a shell calls ``ekiden``; ``now`` is in milliseconds."""

    http: str
    lab: str
    lab_http: str
    domain: str
    api_key: str
    instance_id: str
    iam_apikey: str
    access_key: str
    secret_key: str
    api_user: str
    api_user_key: str
    server_composition: str
    command: str
    now: Millis


class Shown(NamedTuple):
    """What the demo tells of a dialect: ``rows`` of label and value, ``examples`` of heading and commands."""

    rows: Sequence[tuple[Help, str]] = ()
    examples: Sequence[tuple[Help, str]] = ()


class ToSign(NamedTuple):
    """A request that is to be signed with an access key. ``target``: path and query as they go on the wire; ``at``:
    when, in milliseconds since the epoch."""

    method: str
    target: str
    access_key: str
    secret_key: str
    at: Millis


class DoorParts(NamedTuple):
    """What annotators work with, one of each per worker."""

    endpoints: Endpoints
    tracker: Tracker
    applied: AppliedSettings


def _none(*_: Any) -> tuple[()]:
    return ()


def _nothing(_: DemoClient) -> Shown:
    return Shown()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dialect(Generic[S]):
    """``name`` is that of its section; ``config`` the section, each key with a default; ``section`` and ``keys``
    say what they mean.

    ``load`` loads what the others work with: the supervisor does so before it forks workers, which then share it.
    ``api`` answers over HTTP: operations, envelopes of errors, schemes of credentials. ``formats`` are those of its
    callbacks. ``annotators`` read its header fields at the door. ``regions`` are examples of ``[[regions]]``, which
    ``ekiden init`` writes. ``legacy_allowlist``: seconds that lists of allowed subnets are honoured, which its
    operations set. ``demo``: for its clients. ``sign``: the header fields that prove who sends a request, where
    these are signed.
    """

    name: str
    config: type[S]
    section: Help
    keys: Mapping[str, Help]
    load: Callable[[], object]
    api: Callable[[Platform, S], Api]
    formats: Callable[[S], Sequence[Format]] = _none
    annotators: Callable[[DoorParts], Sequence[Annotator]] = _none
    regions: Sequence[Mapping[str, Any]] = ()
    legacy_allowlist: Callable[[S], float] | None = None
    demo: Callable[[DemoClient], Shown] = _nothing
    sign: Callable[[ToSign], Mapping[str, str]] | None = None
