"""Inbound webhooks: a mail that came in, taken apart for an application, as a form with its files or as JSON
without (contract §2.2).

Names and their order are as they were seen. Texts have the line ends that came; values of header fields are for
people, their encoded words decoded. In the form, whose ``headers`` is JSON in a text, ``<`` and ``>`` are escaped
as in event webhooks; the body of JSON has them as they are.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from ekiden.core.events import EventType
from ekiden.core.notices import Happening
from ekiden.mime.message_view import ReceivedFile, read_message
from ekiden.notify.bodies import Body

if TYPE_CHECKING:
    from ekiden.mime.message_view import MessageView

INBOUND: Final = "cmc-inbound"
_PLAIN: Final = re.compile(r"[\x20!#-\[\]-~]*")
"""What a file name may have between its quotation marks."""
_MOST: Final = 1 << 40
"""Octets of a file: all of it, whatever is received."""


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an endpoint's settings say. ``filter``: the name of the route."""

    filter: str = ""
    json: bool = False


class InboundFormat:
    """``notify.formats.Format`` of one mail: can be adjusted, has header fields of its own, needs contents."""

    name: Final = INBOUND
    batch: Final = 1

    def __init__(self, composition: str, shape: Shape = Shape()) -> None:  # noqa: B008 (it is frozen)
        """``composition``: the name of the server configuration, which every body has."""
        self.content_type: Final = "application/json" if shape.json else "multipart/form-data"
        self._composition = composition
        self._shape = shape
        self._adjusted = lru_cache(maxsize=100)(self._adjust)

    def settled(self, settings: Mapping[str, Any]) -> InboundFormat:
        return self._adjusted(msgspec.convert(settings, Shape))

    def _adjust(self, shape: Shape) -> InboundFormat:
        return InboundFormat(self._composition, shape)

    def headers(self, host: str, port: int) -> Mapping[str, str]:
        """The host with its port, whichever it is (contract §1.1)."""
        return {"Host": f"{host}:{port}", "Connection": "Keep-Alive", "Accept-Encoding": "gzip, deflate"}

    def wants(self, happening: Happening) -> bool:
        return happening.type is EventType.RECEIVED

    def encode(self, happenings: Sequence[Happening]) -> NoReturn:
        raise ValueError("a mail is told with its content")

    def body(self, happening: Happening, content: bytes) -> Body:
        view = read_message(content)
        return self._as_json(happening, view) if self._shape.json else self._as_form(happening, view)

    def _as_json(self, happening: Happening, view: MessageView) -> Body:
        first = {"filter": self._shape.filter, "headers": _headers(view)}
        rest = {
            "subject": view.subject,
            "envelope-to": happening.recipient,
            "server_composition": self._composition,
            **({} if view.html is None else {"html": view.html}),
            **({} if view.text is None else {"text": view.text}),
            "envelope-from": happening.sender,
        }
        return Body(self.content_type, (_encode(first)[:-1],), (b"," + _encode(rest)[1:],), _member)

    def _as_form(self, happening: Happening, view: MessageView) -> Body:
        headers = _encode(_headers(view)).replace(b"<", b"\\u003C").replace(b">", b"\\u003E")
        fields: list[tuple[str, bytes]] = [
            ("server_composition", _octets(self._composition)),
            ("filter", _octets(self._shape.filter)),
            ("headers", headers),
            ("subject", _octets(view.subject)),
            ("envelope-from", _octets(happening.sender)),
            ("envelope-to", _octets(happening.recipient)),
        ]
        fields += [
            (name, _octets(text)) for name, text in (("text", view.text), ("html", view.html)) if text is not None
        ]
        fields.append(("attachments", b"%d" % len(view.files)))
        # Nobody who writes a mail knows it beforehand, so it stands nowhere else.
        boundary = token_hex(24)

        def part(name: str, value: str) -> bytes:
            return b"".join(_field(boundary, name, _octets(value)))

        pieces = [piece for name, value in fields for piece in _field(boundary, name, value)]
        for number, file in enumerate(view.files, 1):
            pieces += _file(boundary, number, file)
        pieces.append(f"--{boundary}--\r\n".encode())
        return Body(f"multipart/form-data; boundary={boundary}", (), tuple(pieces), part)


_encode: Final = msgspec.json.Encoder().encode


def _headers(view: MessageView) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in view.headers]


def _member(name: str, value: str) -> bytes:
    """A key among the members of an object, behind ``headers``, where it was seen."""
    return b"," + _encode(name) + b":" + _encode(value)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _field(boundary: str, name: str, value: bytes) -> Iterator[bytes]:
    head = f'Content-Disposition: form-data; name="{name}"\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n'
    yield f"--{boundary}\r\n{head}".encode()
    yield value
    yield b"\r\n"


def _file(boundary: str, number: int, file: ReceivedFile) -> Iterator[bytes]:
    disposition = f'Content-Disposition: form-data; name="attachment{number}"; filename="{_file_name(file.name)}"'
    yield f"--{boundary}\r\n{disposition}\r\nContent-Type: {file.content_type}\r\n\r\n".encode()
    yield file.octets(_MOST)
    yield b"\r\n"


def _file_name(name: str) -> str:
    """An encoded word, if it has more than ASCII: one, however long, since not all readers join several."""
    if _PLAIN.fullmatch(name) and "=?" not in name:
        return name
    return f"=?UTF-8?B?{b64encode(_octets(name)).decode()}?="
