"""The forms of ``/email/{1,2,3}/send``: multipart/form-data (RFC 7578) read as it comes, and its urlencoded sister.

Names of fields match in any case and with any of the spellings of lists that clients have: ``to``, ``to[]``,
``to[0]``, ``to['0']`` (contract §0.5, §0.6). Files lie in temporary files beyond a few hundred kilobytes, so a form
costs little memory whatever its attachments. Everything is bounded, and everything that is wrong is told as a 400
with the field's name. A text may have a file name: ``curl -F 'html=@mail.html'`` means it so. A field that the
request does not have is refused (``form_names``).

The bounds are the contract's (§2.2), read as mebibytes: 26 for a request, 25 for attachments together, 20 of them,
10 for a text. There is none for one attachment but that for all.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Final

from ekiden.dialects.infobip.blocked_files import blocked_extension
from ekiden.dialects.infobip.errors import ApiError
from ekiden.dialects.infobip.form_names import FormFields, Problems
from ekiden.dialects.infobip.value_rules import BadField, Checks, single
from ekiden.web import multipart
from ekiden.web.body import Body
from ekiden.web.need import Need
from ekiden.web.urlencoded import BadForm, UrlencodedReader

_MIB: Final = 1_048_576
MAX_REQUEST: Final = 26 * _MIB
MAX_FILES_SIZE: Final = 25 * _MIB
MAX_FILES: Final = 20
MAX_TEXT: Final = 10 * _MIB
MAX_FILE_NAME: Final = 255
MAX_FIELDS: Final = 12_000
"""Parts, or pairs of an urlencoded form: enough to say that 10,000 recipients are too many."""
MAX_FIELD_NAME: Final = 255
FORM: Final = Need(MAX_REQUEST, 64)
"""Of a form with a text for each of its names."""
_LONGEST_CHARSET: Final = 40
IN_MEMORY: Final = 262_144
"""Octets of a file before it goes to a temporary file."""


_BAD_IN_NAME: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Other codecs of the library are no character sets of forms, and some take time beyond measure.
_CHARSETS: Final = re.compile(
    r"utf-8|utf-16|ascii|iso8859-\d+|cp125\d|cp932|euc_jp|euc_kr|iso2022_jp|gb2312|gbk|gb18030|big5|koi8-r"
)
# As the WHATWG encoding standard has it: what calls itself Shift_JIS is Windows' superset of it.
_ALIASES: Final = {"windows-31j": "cp932", "shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932"}
_PLAIN_ENCODINGS: Final = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(slots=True)
class UploadedFile:
    """``file`` stands at its begin. ``field`` in lower case; ``filename`` without folders."""

    field: str
    filename: str
    content_type: str
    file: SpooledTemporaryFile[bytes]
    size: int


@dataclass(slots=True)
class Form:
    """``texts`` by name in lower case, in their order. ``problems``: with parts that were not kept.

    Close it when it is no longer needed.
    """

    texts: dict[str, list[str]] = field(default_factory=dict)
    files: list[UploadedFile] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)

    def one(self, name: str, checks: Checks) -> str | None:
        """The text of a field that may be given once, by its documented name; blank is not given."""
        values = [value for value in self.texts.get(name.lower(), ()) if value.strip()]
        try:
            return single(values)
        except BadField as error:
            checks.add(name, error.template, **error.values)
            return None

    def many(self, name: str) -> list[str]:
        """The texts of a field that may be repeated, by its documented name; without blank ones."""
        return [value for value in self.texts.get(name.lower(), ()) if value.strip()]

    def close(self) -> None:
        """The files are gone."""
        for uploaded in self.files:
            uploaded.file.close()


def field_name(name: str) -> str:
    """``to['0']``, ``to[]`` and ``TO`` are all ``to``."""
    name = name.strip()
    if name.endswith("]"):
        # What stands in the last pair of brackets. No regular expression: it would look from each bracket anew.
        begin = name.find("[", name.rfind("]", 0, -1) + 1)
        name = name[:begin] if begin >= 0 else name
    return name.lower()


async def read_form(body: Body, content_type: str, fields: FormFields) -> Form:
    """The body as a form; the caller closes it, and looks at its problems. Its need counts fields as values.

    Raises ``ApiError`` (it is no form) and ``web.errors``, with nothing left behind.
    """
    media_type, _ = multipart.media_type(content_type)
    if media_type == multipart.MEDIA_TYPE:
        return await _Multipart(fields).read(multipart.events(body.chunks(), content_type, body.need.values))
    if media_type == "application/x-www-form-urlencoded":
        return await _urlencoded(body, fields)
    raise ApiError.because(400, "the body must be a form: multipart/form-data or application/x-www-form-urlencoded")


async def _urlencoded(body: Body, fields: FormFields) -> Form:
    form = Form()

    def field(given: str, value: str) -> None:
        name = field_name(given)
        if name in fields.texts:
            form.texts.setdefault(name, []).append(value)
        elif not form.problems.full:
            form.problems.note((fields.unknown(name, given.strip(), file=False),))

    reader = UrlencodedReader(field, body.need.values, MAX_TEXT)
    try:
        async for chunk in body.chunks():
            reader.feed(chunk)
        reader.close()
    except BadForm as error:
        if not error.name:
            raise _no_form(error.why) from None
        if error.why == "not UTF-8":
            raise ApiError.field(error.name, "must be valid Unicode text") from None
        raise ApiError.field(error.name, "must not have more than {most} octets", most=MAX_TEXT) from None
    return form


def _no_form(why: str) -> ApiError:
    return ApiError.because(400, "the body is not a form as its Content-Type says: {why}", why=why)


class _Multipart:
    """One form on its way in."""

    def __init__(self, fields: FormFields) -> None:
        self._fields = fields
        self._form = Form()
        self._files_size = 0
        self._name = ""
        self._given_name = ""
        self._text: _TextReader | None = None
        self._file: UploadedFile | None = None

    async def read(self, events: AsyncIterator[multipart.Event]) -> Form:
        try:
            async for event in events:
                try:
                    self._on(event)
                except ApiError as error:
                    self._refuse(error)
        except BadForm as error:
            self._drop()
            raise _no_form(error.why) from None
        except BaseException:
            self._drop()
            raise
        return self._form

    def _drop(self) -> None:
        self._form.close()
        if self._file is not None:
            self._file.file.close()

    def _on(self, event: multipart.Event) -> None:
        # A part's head, a piece of its content, or its end.
        if isinstance(event, multipart.Head):
            self._begin(event)
        elif event is None:
            self._end()
        else:
            self._more(event)

    def _refuse(self, error: ApiError) -> None:
        """What is left of the part is read, and dropped: other parts have their say, too."""
        self._form.problems.note(error.violations)
        self._text = None
        if self._file is not None:
            self._file.file.close()
            self._file = None

    def _begin(self, part: multipart.Head) -> None:
        given = part.name
        if len(given) > MAX_FIELD_NAME:
            raise ApiError.because(400, "the form has a field with a long name")
        self._name = field_name(given)
        if not self._name:
            raise ApiError.because(400, "the form has a field without a name")
        self._given_name = self._fields.documented(self._name, given)
        if self._name not in self._fields.texts and self._name not in self._fields.files:
            if not self._form.problems.full:
                raise ApiError(400, (self._fields.unknown(self._name, given, file=part.filename is not None),))
            return
        if part.encoding not in _PLAIN_ENCODINGS:  # RFC 7578 §4.7
            raise ApiError.field(self._given_name, "must not be encoded as {encoding}", encoding=part.encoding)
        if self._name in self._fields.texts:
            self._text = _TextReader(self._given_name, part.charset or "utf-8")
            return
        filename = self._file_name(part.filename or "")
        if len(self._form.files) >= MAX_FILES:
            raise ApiError.field(self._given_name, "there must not be more than {most} files", most=MAX_FILES)
        content_type = part.content_type or "application/octet-stream"
        # It is kept until the form is closed.
        spooled = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self._file = UploadedFile(self._name, filename, content_type, spooled, 0)

    def _file_name(self, name: str) -> str:
        if not name:
            raise ApiError.field(self._given_name, "must be a file with a name")
        if _BAD_IN_NAME.search(name) is not None or len(name) > MAX_FILE_NAME:
            raise ApiError.field(
                self._given_name, "{name} cannot be the name of a file", name=repr(name[:MAX_FILE_NAME])
            )
        extension = blocked_extension(name)
        if extension:
            raise ApiError.field(
                self._given_name, "files of the type .{extension} are not accepted", extension=extension
            )
        return name

    def _more(self, data: bytes) -> None:
        if self._file is not None:
            self._files_size += len(data)
            if self._files_size > MAX_FILES_SIZE:
                raise ApiError.field(
                    self._given_name,
                    "the files must not have more than {most} octets together",
                    most=MAX_FILES_SIZE,
                )
            self._file.size += len(data)
            self._file.file.write(data)
        elif self._text is not None:
            self._text.more(data)

    def _end(self) -> None:
        if self._file is not None:
            self._file.file.seek(0)
            self._form.files.append(self._file)
            self._file = None
        elif self._text is not None:
            self._form.texts.setdefault(self._name, []).append(self._text.end())
            self._text = None


class _TextReader:
    """A text on its way in, decoded piece by piece: codecs of the far east need a while for megabytes."""

    def __init__(self, name: str, charset: str) -> None:
        try:
            found = codecs.lookup(_ALIASES.get(charset.strip().lower(), charset[:_LONGEST_CHARSET]))
        except (LookupError, ValueError):
            found = None
        if found is None or found.incrementaldecoder is None or _CHARSETS.fullmatch(found.name) is None:
            raise ApiError.field(name, "{charset} is not supported", charset=repr(charset[:_LONGEST_CHARSET]))
        self._name = name
        self._decoder = found.incrementaldecoder("strict")
        self._size = 0
        self._pieces: list[str] = []

    def more(self, data: bytes, *, last: bool = False) -> None:
        self._size += len(data)
        if self._size > MAX_TEXT:
            raise ApiError.field(self._name, "must not have more than {most} octets", most=MAX_TEXT)
        try:
            self._pieces.append(self._decoder.decode(data, last))
        except UnicodeDecodeError:
            raise ApiError.field(self._name, "must be valid Unicode text") from None

    def end(self) -> str:
        self.more(b"", last=True)
        return "".join(self._pieces)
