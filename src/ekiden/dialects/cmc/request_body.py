"""Bodies of requests: JSON, forms of both kinds, files in one of them (contract §4.1, §4.2).

What proves who sends a request stands in it, first of all with every client that was looked at. It is looked for as
the body comes in, and nobody who is not known sends more than ``UNPROVEN``: then neither large texts nor files have
been taken apart, or written to the disk, for a stranger.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ekiden.dialects.cmc.errors import MEDIA_TYPE, SYSTEM, SYSTEM_ERROR, TOO_MANY, UNREADABLE, ApiError, refused
from ekiden.dialects.cmc.proof import KEY, USER, missing
from ekiden.web import multipart
from ekiden.web.json_gauge import JsonGauge
from ekiden.web.json_members import BadJson, JsonObject
from ekiden.web.problem import JSON
from ekiden.web.urlencoded import BadForm, UrlencodedReader

if TYPE_CHECKING:
    from ekiden.web.body import Body

UNPROVEN: Final = 1_048_576
"""Octets of a body that are taken from somebody who is not known yet."""
_LOOK: Final = 65_536
"""Octets of JSON after which it is first looked for who sends it."""
MAX_TEXT: Final = 10 * 1_048_576
"""Octets of a field of a form."""
MAX_FILES: Final = 10
MAX_FILES_SIZE: Final = 15 * 1_048_576
"""Octets of all files of a request: 20 MiB in a mail."""
MAX_NAME: Final = 255
_IN_MEMORY: Final = 262_144
"""Octets of a file before it goes to a temporary file."""
_FILE: Final = re.compile(r"attachment([1-9][0-9]{0,3})\Z", re.ASCII)
_BAD_IN_NAME: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_URLENCODED: Final = "application/x-www-form-urlencoded"
_PLAIN_ENCODINGS: Final = ("", "7bit", "8bit", "binary")

Prove = Callable[[Any, Any], Awaitable[None]]
"""With ``api_user`` and ``api_key`` as they were given; raises when it is nobody, or may not."""


@dataclass(slots=True)
class GivenFile:
    """``file`` stands at its begin; ``number`` is that of its field."""

    number: int
    filename: str
    content_type: str
    """Empty: the form does not say."""
    file: SpooledTemporaryFile[bytes]


@dataclass(slots=True)
class Given:
    """What was sent. Values of a form are texts, or lists of texts of fields that are repeated. Close it."""

    values: dict[str, Any] = field(default_factory=dict)
    files: list[GivenFile] = field(default_factory=list)
    is_form: bool = False

    def add(self, name: str, text: str) -> None:
        """A field of a form."""
        if name in self.values:
            before = self.values[name]
            self.values[name] = [*before, text] if isinstance(before, list) else [before, text]
        else:
            self.values[name] = text

    def close(self) -> None:
        """The files are gone."""
        for given in self.files:
            given.file.close()


async def read_request(body: Body, content_type: str, prove: Prove) -> Given:
    """The whole body, of somebody who is known by then; the caller closes what it returns.

    Raises ``ApiError``, ``web.errors``, and what ``prove`` does, with nothing left behind.
    """
    kind, _ = multipart.media_type(content_type)
    if kind == multipart.MEDIA_TYPE:
        return await _Multipart(prove).read(body, content_type)
    if kind == _URLENCODED:
        return await _urlencoded(body, prove)
    if kind in ("", JSON) or kind.endswith("+json"):
        return await _json(body, prove)
    raise refused(415, MEDIA_TYPE, "the request body must be JSON or a form")


class _Once:
    """Proves who it is once both parts are there, and bounds what is read until then."""

    def __init__(self, prove: Prove) -> None:
        self._prove = prove
        self.known = False
        self._octets = 0

    async def look(self, values: Mapping[str, Any]) -> None:
        """What was read so far."""
        if not self.known and USER in values and KEY in values:
            await self._prove(values[USER], values[KEY])
            self.known = True

    def count(self, octets: int) -> None:
        """So many more are about to be worked on."""
        self._octets += octets
        if not self.known and self._octets > UNPROVEN:
            raise refused(
                401,
                "11-001",
                "{field} is missing: in a large request, api_user and api_key come within the first {most} octets",
                USER,
                most=UNPROVEN,
            )

    async def end(self, values: Mapping[str, Any]) -> None:
        """All of it was read."""
        await self.look(values)
        if not self.known:
            raise missing(KEY if values.get(USER) else USER)


# --- JSON ---------------------------------------------------------------------------------------------------------


async def _json(body: Body, prove: Prove) -> Given:
    once = _Once(prove)
    gauge = JsonGauge(body.need.values, body.need.depth)
    whole = bytearray()
    look = _LOOK
    async for chunk in body.chunks():
        once.count(len(chunk))
        gauge.feed(chunk)
        whole += chunk
        if not once.known and len(whole) >= look:
            await once.look(_first_members(whole))
            look *= 4
    if not once.known and len(whole) > _LOOK:
        await once.look(_first_members(whole))
    values = await body.work(len(whole), partial(_decoded, whole)) if whole else {}
    await once.end(values)
    return Given(values)


def _decoded(text: bytearray) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refused(400, UNREADABLE, "the request body is not JSON: {why}", why=str(error)[:200]) from None
    if not isinstance(found, dict):
        raise refused(400, UNREADABLE, "the request body must be a JSON object")
    return found


def _first_members(text: bytearray) -> dict[str, Any]:
    """Who sends it, as far as that has come."""
    found: dict[str, Any] = {}
    try:
        reader = JsonObject(text)
        for name in reader.members():
            value = reader.value()
            if name in (USER, KEY):
                found[name] = value
                if len(found) == 2:
                    break
    except BadJson:
        pass  # it goes on, or is none: the decoder says
    return found


# --- forms --------------------------------------------------------------------------------------------------------


def _no_form(error: BadForm) -> ApiError:
    return refused(400, UNREADABLE, "the request body is not a form: {why}", error.name, why=error.why)


async def _urlencoded(body: Body, prove: Prove) -> Given:
    given = Given(is_form=True)
    once = _Once(prove)
    reader = UrlencodedReader(given.add, body.need.values, MAX_TEXT)
    try:
        async for chunk in body.chunks():
            once.count(len(chunk))
            reader.feed(chunk)
            await once.look(given.values)
        reader.close()
    except BadForm as error:
        raise _no_form(error) from None
    await once.end(given.values)
    return given


class _Multipart:
    """One form on its way in."""

    def __init__(self, prove: Prove) -> None:
        self._once = _Once(prove)
        self._given = Given(is_form=True)
        self._name = ""
        self._text: bytearray | None = None
        self._file: GivenFile | None = None
        self._size = 0

    async def read(self, body: Body, content_type: str) -> Given:
        try:
            async for event in multipart.events(body.chunks(), content_type, body.need.values):
                if isinstance(event, multipart.Head):
                    self._begin(event)
                elif event is None:
                    self._end()
                    await self._once.look(self._given.values)
                else:
                    self._once.count(len(event))
                    self._more(event)
            await self._once.end(self._given.values)
        except BadForm as error:
            self._drop()
            raise _no_form(error) from None
        except BaseException:
            self._drop()
            raise
        self._given.files.sort(key=lambda item: item.number)
        return self._given

    def _drop(self) -> None:
        self._given.close()
        if self._file is not None:
            self._file.file.close()

    def _begin(self, part: multipart.Head) -> None:
        self._once.count(len(part.name) + len(part.filename or ""))
        self._name = part.name[:MAX_NAME]
        if part.encoding not in _PLAIN_ENCODINGS:  # RFC 7578 §4.7
            raise refused(
                400,
                UNREADABLE,
                "{field} must not be encoded as {encoding}",
                self._name,
                encoding=part.encoding[:40],
            )
        numbered = _FILE.match(part.name)
        if numbered is None:
            self._text = bytearray()
            return
        if len(self._given.files) >= MAX_FILES:
            raise refused(400, TOO_MANY, "there are more than {most} files", self._name, most=MAX_FILES)
        filename = _BAD_IN_NAME.sub("_", part.filename or self._name)[:MAX_NAME]
        # It is kept until the form is closed.
        spooled = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        self._file = GivenFile(int(numbered[1]), filename, part.content_type, spooled)

    def _more(self, data: bytes) -> None:
        if self._file is not None:
            self._size += len(data)
            if self._size > MAX_FILES_SIZE:
                raise refused(500, SYSTEM, SYSTEM_ERROR)
            self._file.file.write(data)
        elif self._text is not None:
            self._text += data
            if len(self._text) > MAX_TEXT:
                raise _no_form(BadForm("too long", self._name))

    def _end(self) -> None:
        if self._file is not None:
            self._file.file.seek(0)
            self._given.files.append(self._file)
            self._file = None
        elif self._text is not None:
            try:
                self._given.add(self._name, self._text.decode())
            except UnicodeDecodeError:
                raise _no_form(BadForm("not UTF-8", self._name)) from None
            self._text = None
