"""Files of a request on their way into what its messages share: from a form, from JSON, or uploaded before."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import AsyncIterable, Iterator
from typing import Final

from ekiden.content.errors import NoSuchContent
from ekiden.content.uploads import Upload, Uploads
from ekiden.dialects.infobip import form_reader as forms
from ekiden.dialects.infobip.blocked_files import blocked_extension
from ekiden.dialects.infobip.errors import ApiError, Violation
from ekiden.dialects.infobip.form_reader import UploadedFile
from ekiden.mime.attachment_parts import PartWriter, SharedBuilder, SharedParts, refer_inline

_BLOCK: Final = 1_048_576
"""Octets that are read and encoded before others on the event loop get their turn."""
_BLANKS: Final = b" \t\r\n"
_STEP: Final = 1_398_104
"""Characters of base64 that are decoded before others get their turn."""


class Attachments:
    """Files and inline images of one message, in their order. Raises ``ApiError`` for what is too much."""

    def __init__(self, id: int) -> None:
        """``id`` is that of the shared content (``Mailer.new_id``)."""
        self._builder = SharedBuilder(id)
        self._inline: list[str] = []
        self._count = 0
        self._size = 0

    async def add_form_file(self, uploaded: UploadedFile) -> None:
        """A file of a form, read from where it was spooled to. Its name and size were checked on its way in."""
        inline = uploaded.field == "inlineimage"
        writer = self._begin(uploaded.field, uploaded.filename, uploaded.content_type, inline)
        while chunk := uploaded.file.read(_BLOCK):
            await self._write(writer, uploaded.field, chunk)
        writer.end()

    async def add_upload(self, property_: str, uploads: Uploads, upload: Upload, *, inline: bool = False) -> None:
        """A file that is kept here already."""
        extension = blocked_extension(upload.name)
        if extension:
            raise ApiError.field(property_, "files of the type .{extension} are not accepted", extension=extension)
        writer = self._begin(property_, upload.name, upload.media_type, inline)
        await self._write_all(writer, property_, uploads.pieces(upload))
        writer.end()

    async def add_reference(
        self, property_: str, uploads: Uploads, account_id: int, uid: str, *, inline: bool = False
    ) -> None:
        """A file that the account has uploaded (contract §2.5)."""
        try:
            upload = await uploads.open(account_id, uid)
            await self.add_upload(property_, uploads, upload, inline=inline)
        except NoSuchContent as error:
            raise ApiError(400, (Violation.of(property_, error),)) from None

    async def add_base64(
        self, property_: str, filename: str, content_type: str, text: str, *, inline: bool = False
    ) -> None:
        """A file of a JSON body, whose name was checked. ``property_`` is the path of its content."""
        writer = self._begin(property_, filename, content_type, inline)
        try:
            for chunk in decoded_base64(text):
                await self._write(writer, property_, chunk)
        except (binascii.Error, ValueError):
            raise ApiError.field(property_, "must be encoded in base64") from None
        writer.end()

    def refer(self, html: str | None) -> str | None:
        """The HTML with its references to inline images as the parts are named."""
        return refer_inline(html, self._inline) if html and self._inline else html

    def build(self) -> SharedParts | None:
        """What was added; ``None``: nothing."""
        return self._builder.build()

    def _begin(self, property_: str, filename: str, content_type: str, inline: bool) -> PartWriter:
        self._count += 1
        if self._count > forms.MAX_FILES:
            raise ApiError.field(property_, "there must not be more than {most} files", most=forms.MAX_FILES)
        if inline:
            self._inline.append(filename)
        return self._builder.begin(filename, content_type, inline=inline)

    async def _write_all(self, writer: PartWriter, property_: str, chunks: AsyncIterable[bytes]) -> None:
        async for chunk in chunks:
            await self._write(writer, property_, chunk)

    async def _write(self, writer: PartWriter, property_: str, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > forms.MAX_FILES_SIZE:
            raise ApiError.field(
                property_, "the files must not have more than {most} octets together", most=forms.MAX_FILES_SIZE
            )
        writer.write(chunk)
        await asyncio.sleep(0)


def decoded_base64(text: str) -> Iterator[bytes]:
    """Bit by bit; blanks and line breaks do not count. Raises ``binascii.Error`` and ``ValueError``."""
    rest = b""
    ended = False
    for at in range(0, len(text), _STEP):
        octets = rest + text[at : at + _STEP].encode("ascii").translate(None, _BLANKS)
        whole = len(octets) - len(octets) % 4
        rest, octets = octets[whole:], octets[:whole]
        if ended and octets:
            raise ValueError("padding within")
        ended = octets.endswith(b"=")
        yield binascii.a2b_base64(octets, strict_mode=True)
    if rest:
        raise ValueError("it does not come to its end")
