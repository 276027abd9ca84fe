"""Event webhooks: deliveries, bounces and blocks, in versions 1 and 2, as a form or as JSON (contract §1).

Every value is a text, and none is left out; members stand in the order in which they were seen. ``<`` and ``>`` are
escaped, also in JSON bodies, of which nobody has seen the octets. The key that proves the sender is put in front by
``notify.auth``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import quote_plus

import msgspec

from ekiden.core.address import shown_address
from ekiden.core.events import EventType
from ekiden.core.notices import Happening
from ekiden.core.zones import find_zone, local_text
from ekiden.dialects.cmc.codes import block_id, block_status
from ekiden.dialects.cmc.items import BOUNCE_TYPES, DELIVERY_STATUSES, bounce_item, delivery_item
from ekiden.notify.options import MOST_EVENTS

DELIVERIES: Final = "deliveries"
BOUNCES: Final = "bounces"
BLOCKS: Final = "blocks"
DEFAULT_ZONE: Final = "Asia/Tokyo"

_BLOCKS: Final = frozenset({EventType.BLOCKED, EventType.UNBLOCKED})


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an endpoint's settings say of the bodies."""

    version: Literal[1, 2] = 2
    zone: str = DEFAULT_ZONE
    """Of ``created``."""
    json: bool = False


class _Delivery1(msgspec.Struct, gc=False):
    created: str
    envelopeFrom: str
    envelopeTo: str
    messageId: str
    reason: str
    senderIp: str
    sourceIp: str
    status: str
    subject: str


class _Bounce1(msgspec.Struct, gc=False):
    created: str
    envelopeFrom: str
    envelopeTo: str
    messageId: str
    reason: str
    status: str
    subject: str


class _Block(msgspec.Struct, gc=False):
    """As the list of blocks has it (§4.6), and whether it was taken back; of both versions."""

    created: str
    email: str
    id: str
    occurred: str
    removed: str
    status: str


class Format:
    """One kind of events: a ``notify.formats.Format`` that can be adjusted and has header fields of its own.

    ``name`` is ``cmc-`` and the kind. ``make``: the item of an event, told the time there.
    """

    batch: Final = MOST_EVENTS

    def __init__(self, kind: str, composition: str, shape: Shape = Shape()) -> None:  # noqa: B008 (it is frozen)
        self.name: Final = f"cmc-{kind}"
        self.content_type: Final = "application/json" if shape.json else "application/x-www-form-urlencoded"
        self._kind = kind
        self._composition = composition
        self._shape = shape
        self._zone = find_zone(shape.zone)
        self._item = _ITEMS[kind, shape.version]
        self._adjusted = lru_cache(maxsize=100)(self._adjust)

    def settled(self, settings: Mapping[str, Any]) -> Format:
        return self._adjusted(msgspec.convert(settings, Shape))

    def _adjust(self, shape: Shape) -> Format:
        return Format(self._kind, self._composition, shape)

    def headers(self, host: str, port: int) -> Mapping[str, str]:
        """As the contract has them (§1.1): the host with its port, whichever it is."""
        return {"Host": f"{host}:{port}", "Connection": "Keep-Alive", "Accept-Encoding": "gzip, deflate"}

    def wants(self, happening: Happening) -> bool:
        return _WANTED[self._kind](happening)

    def encode(self, happenings: Sequence[Happening]) -> bytes:
        item, zone = self._item, self._zone
        events = {self._kind: [item(each, local_text(each.at, zone)) for each in happenings]}
        if self._shape.json:
            body = {"event_type": self._kind, "server_composition": self._composition, "event": events}
            return _escaped(body)
        fields = (
            ("server_composition", self._composition.encode()),
            ("event_type", self._kind.encode()),
            ("event", _escaped(events)),
        )
        return "&".join(f"{name}={_form_value(value)}" for name, value in fields).encode()


_encode: Final = msgspec.json.Encoder().encode


def _escaped(value: object) -> bytes:
    """Compact JSON. Neither character stands anywhere but in texts."""
    return _encode(value).replace(b"<", b"\\u003C").replace(b">", b"\\u003E")


def _form_value(value: bytes) -> str:
    """As Java's clients write it (URLEncoder): of the marks ``-._*`` stay."""
    return quote_plus(value, safe="*").replace("~", "%7E")


def _delivery1(happening: Happening, created: str) -> _Delivery1:
    new = delivery_item(happening, created)
    return _Delivery1(
        created=created,
        envelopeFrom=new.returnPath,
        envelopeTo=new.to,
        messageId=new.messageId,
        reason=new.reason,
        senderIp=new.senderIp,
        sourceIp=new.sourceIp,
        status=new.status,
        subject=new.subject,
    )


def _bounce1(happening: Happening, created: str) -> _Bounce1:
    new = bounce_item(happening, created)
    return _Bounce1(
        created=created,
        envelopeFrom=new.returnPath,
        envelopeTo=new.to,
        messageId=new.messageId,
        reason=new.reason,
        status=new.status,
        subject=new.subject,
    )


def _block(happening: Happening, created: str) -> _Block:
    data, address = happening.data, happening.recipient
    domain, kind = str(data.get("domain", "")), str(data.get("kind", ""))
    return _Block(
        created=created,
        email=shown_address(address),
        id=block_id(happening.account_id, domain, address, kind),
        occurred=str(data.get("occurred", 1)),
        removed="true" if happening.type is EventType.UNBLOCKED else "false",
        status=str(block_status(kind, happening.diagnosis)),
    )


_WANTED: Final[dict[str, Callable[[Happening], bool]]] = {
    DELIVERIES: lambda happening: happening.type in DELIVERY_STATUSES and bool(happening.recipient),
    BOUNCES: lambda happening: happening.type in BOUNCE_TYPES and bool(happening.recipient),
    BLOCKS: lambda happening: happening.type in _BLOCKS,
}
_ITEMS: Final[dict[tuple[str, int], Callable[[Happening, str], msgspec.Struct]]] = {
    (DELIVERIES, 1): _delivery1,
    (DELIVERIES, 2): delivery_item,
    (BOUNCES, 1): _bounce1,
    (BOUNCES, 2): bounce_item,
    (BLOCKS, 1): _block,
    (BLOCKS, 2): _block,
}


def event_formats(composition: str) -> tuple[Format, ...]:
    """One for each kind. ``composition``: the name of the server configuration, which every body has."""
    return tuple(Format(kind, composition) for kind in (DELIVERIES, BOUNCES, BLOCKS))
