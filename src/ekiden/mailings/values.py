"""What a request to mail many consists of, and what becomes of it.

A *request* has texts, options and people. It is kept in *pieces*, each with some hundred of its *mails*: a mail to
one person (``individual``), or one that several see themselves in. A piece becomes messages as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Literal, NamedTuple

import msgspec

from ekiden.core.clock import DAY, Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.submission import Origin
from ekiden.core.texts import TranslatedError
from ekiden.mailings.translations import TEXTS

MAX_PEOPLE: Final = 100_000
"""That a request names; those of groups come on top."""
MAX_TOGETHER: Final = 30
"""Recipients of each kind that one mail of a group has."""
MAX_AHEAD: Final[Millis] = 30 * DAY
"""How far ahead a time may be asked for."""
MAX_FILES: Final = 20 * 1024 * 1024
"""Octets of the files of a mail together."""

Kind = Literal["R", "C", "B"]
"""Recipient, copy, blind copy."""


class MailingError(TranslatedError):
    """What was asked for cannot be done; nothing was changed. ``field``: what of a request is wrong."""

    def __init__(self, template: str, /, field: str = "", **values: Any) -> None:
        super().__init__(TEXTS, template, **values)
        self.field = field


class NoSuchRequest(MailingError, LookupError):
    """The account has no request, and no mail, of that id."""

    def __init__(self, id: str) -> None:
        super().__init__("there is no mail request {id}", id=id)


class NoSuchFile(MailingError, LookupError):
    """A file that the account has not uploaded, or that is gone."""

    def __init__(self, id: str) -> None:
        super().__init__("there is no file {id}, or it has expired", "files", id=id)


class NotAllowedNow(MailingError):
    """A request that stands where this one does cannot be changed so."""


class RequestState(IntEnum):
    """Numbers are what the store keeps."""

    STAGING = 0
    """It is being received: nobody sees it."""
    HELD = 1
    """It waits until somebody confirms it."""
    DUE = 2
    """Its pieces become messages from ``due_at`` on."""
    EXPANDED = 3
    """All of them have."""
    CANCELLED = 4
    """What had not become a message never will."""


class PieceState(IntEnum):
    """Numbers are what the store keeps, and what its hot path knows."""

    WAITING = 0
    EXPANDED = 1
    CANCELLED = 2


class MailStatus(IntEnum):
    """Of a mail, or of a request as a whole. Numbers are what the store keeps, and the order of lists by status."""

    CANCELLED = 1
    FAILED = 2
    SENDING = 3
    """Tried at least once, and not at its end."""
    PREPARING = 4
    """Of requests: not all of its recipients are known yet."""
    PARTLY = 5
    """Some got it, others did not."""
    READY = 6
    SENT = 7
    UNSUBSCRIBED = 8
    """Not sent to somebody who does not want advertising."""

    @property
    def final(self) -> bool:
        return self not in _OPEN


_OPEN = frozenset({MailStatus.SENDING, MailStatus.PREPARING, MailStatus.READY})


Counts = dict[MailStatus, int]
"""Mails by their status; those that do not occur are not there."""
_decode_counts = msgspec.json.Decoder(dict[int, int]).decode


def encode_counts(counts: Mapping[MailStatus, int]) -> str:
    """As the store keeps them."""
    return msgspec.json.encode({str(int(status)): count for status, count in counts.items() if count}).decode()


def decode_counts(text: str) -> Counts:
    """From ``encode_counts``. Raises ``ValueError`` and ``msgspec.MsgspecError`` for what is none."""
    return {MailStatus(status): count for status, count in _decode_counts(text).items()}


class Person(msgspec.Struct, array_like=True, frozen=True):
    """A recipient as it was written. ``values`` fill the placeholders of its own mail."""

    address: str
    name: str = ""
    kind: Kind = "R"
    values: dict[str, str] = {}


Mail = tuple[Person, ...]
"""Who gets one mail."""

encode_mails = msgspec.json.Encoder().encode
decode_mails = msgspec.json.Decoder(tuple[Mail, ...]).decode


class Failure(msgspec.Struct, array_like=True, frozen=True):
    """A mail of a piece that could not be made, or must not be sent. ``at``: its place in the piece."""

    at: int
    diagnosis: int
    why: str

    @property
    def told(self) -> Diagnosis:
        """As far as this Ekiden knows it."""
        try:
            return Diagnosis(self.diagnosis)
        except ValueError:
            return Diagnosis.UNKNOWN


encode_failures = msgspec.json.Encoder().encode
_decode_failures = msgspec.json.Decoder(tuple[Failure, ...]).decode


def decode_failures(text: str) -> tuple[Failure, ...]:
    """As ``mail_request_piece.failed`` has them."""
    return _decode_failures(text) if text else ()


class AttachedFile(msgspec.Struct, frozen=True):
    """``id`` is what the client called it."""

    id: str
    name: str
    size: int


class Groups(msgspec.Struct, frozen=True):
    """People of the address book: those who are in all of the groups, or in any."""

    names: tuple[str, ...]
    all: bool


class Content(msgspec.Struct, frozen=True):
    """What mails are made of, besides what has a column.

    ``unsubscribe`` is what advertising says of it, empty: our own text. ``unplaced`` are named, and in no mail
    before the people of ``groups`` are known: the copies, and whom these share the last mail with.
    ``shared``: there are files, kept as the content that its messages share.
    """

    html: str
    parameters: dict[str, str] = {}
    unsubscribe: str = ""
    references: str = ""
    files: tuple[AttachedFile, ...] = ()
    groups: Groups | None = None
    unplaced: tuple[Person, ...] = msgspec.field(default=(), name="copies")
    priority: int = 1
    origin: Origin = Origin("HTTP")
    shared: bool = False


encode_content = msgspec.json.Encoder().encode
decode_content = msgspec.json.Decoder(Content).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """What a client asks for. Texts have ``${name}`` where each recipient's own words go.

    ``hold``: it waits until somebody confirms it. ``files`` are ids of uploads. ``template``: id and name of what
    the texts came from. ``priority`` is ``core.states.Priority``.
    """

    account_id: int
    credential_id: int
    origin: Origin
    sender: str
    sender_name: str = ""
    subject: str
    html: str
    individual: bool = True
    advertising: bool = False
    unsubscribe: str = ""
    references: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    reserved_at: Millis | None = None
    hold: bool = False
    files: Sequence[str] = ()
    template: tuple[int, str] | None = None
    groups: Groups | None = None
    priority: int = 1
    via: Literal["API", "CONSOLE"] = "API"


class Accepted(NamedTuple):
    """A request that is on stable storage. ``id`` is what the client calls it; ``mails``: how many it comes to."""

    id: str
    mails: int
