"""``multipart/form-data`` (RFC 7578), read as it comes: nothing is kept but the heads of its parts.

``events`` is for forms whose parts are looked at as they come (``Head``, octets, ``None`` at the end of a part);
``parts`` is for files that go on to somewhere else, piece by piece.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from ekiden.mime.header import decode_words
from ekiden.web.urlencoded import BadForm

MEDIA_TYPE: Final = "multipart/form-data"
_LONGEST_TYPE: Final = 1_000
_EXTENDED: Final = re.compile(r";\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
_FOLDERS: Final = re.compile(r"[/\\]")


@dataclass(frozen=True, slots=True)
class Head:
    """Of a part. ``filename``: without folders, decoded; ``None``: it is not called a file."""

    name: str
    filename: str | None
    content_type: str
    """Empty: it does not say."""
    charset: str
    """Empty: it does not say."""
    encoding: str
    """``Content-Transfer-Encoding``, in lower case; empty: it does not say."""


Event = Head | bytes | None


def media_type(content_type: str) -> tuple[str, dict[str, str]]:
    """The media type in lower case, and its parameters."""
    found, options = parse_options_header(content_type[:_LONGEST_TYPE])
    return found, options


async def events(chunks: AsyncIterator[bytes], content_type: str, most: int) -> AsyncIterator[Event]:
    """What a form consists of, in its order; ``most``: parts.

    Raises ``BadForm``, and whatever ``chunks`` raises.
    """
    boundary = media_type(content_type)[1].get("boundary", "")
    try:
        parser = PushMultipartParser(boundary, max_segment_count=most)
        async for chunk in chunks:
            if not chunk or parser.closed:
                continue  # what comes behind the last delimiter is nothing (RFC 2046 §5.1.1)
            for found in parser.parse(chunk):
                if isinstance(found, MultipartSegment):
                    yield _head(found)
                else:
                    yield None if found is None else bytes(found)
        parser.close()
    except MultipartError as error:
        raise BadForm(str(error.args[0]) if error.args else str(error)) from None


class Part:
    """One part: its head, and its content, which can be read once."""

    def __init__(self, head: Head, source: AsyncIterator[Event]) -> None:
        self.head = head
        self._source = source
        self._ended = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises as ``events``."""
        while not self._ended:
            event = await anext(self._source, None)
            if isinstance(event, bytes):
                yield event
            else:
                self._ended = True

    async def skip(self) -> None:
        """Read what is left of it."""
        async for _ in self.chunks():
            pass


async def parts(chunks: AsyncIterator[bytes], content_type: str, most: int) -> AsyncIterator[Part]:
    """The parts of a form; what is not read of one is skipped when the next one is asked for.

    Raises as ``events``.
    """
    source = events(chunks, content_type, most)
    async for event in source:
        if isinstance(event, Head):
            part = Part(event, source)
            yield part
            await part.skip()


def _head(part: MultipartSegment) -> Head:
    given = part.filename or _extended_name(part.header("Content-Disposition", ""))
    named = part.filename is not None or bool(given)
    return Head(
        (part.name or "").strip(),
        _FOLDERS.split(decode_words(given))[-1].strip() if named else None,
        part.content_type or "",
        part.charset or "",
        part.header("Content-Transfer-Encoding", "").strip().lower(),
    )


def _extended_name(disposition: str) -> str:
    """From ``filename*=`` (RFC 5987), which RFC 7578 forbids and older clients send; empty: there is none."""
    match = _EXTENDED.search(disposition)
    return unquote(match[1], errors="replace") if match else ""
