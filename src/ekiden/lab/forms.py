"""The fields of a form that the receiver of callbacks got, taken apart to the letter: nothing is repaired, and a
body that is not what its Content-Type says is an error."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from ekiden.lab.behaviour import LabError

MAX_PARTS: Final = 10_000
_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_PARAMETER: Final = re.compile(r';\s*(name|filename)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))', re.IGNORECASE)


class Part(msgspec.Struct, frozen=True):
    """One field. ``headers``, ``name`` and ``filename`` as they were sent (octets that are no UTF-8 as ``\\xff``),
    the name without its quotation marks; ``filename`` None: no file. ``text``: ``data`` as UTF-8, None when it is
    none."""

    name: str
    filename: str | None
    headers: tuple[tuple[str, str], ...]
    size: int
    text: str | None
    data: bytes


def parts(content_type: str, body: bytes) -> list[Part]:
    """Of multipart/form-data and application/x-www-form-urlencoded, in order. ``LabError`` when it is none of
    them, or broken."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return _pairs(body)
    if kind != "multipart/form-data":
        raise LabError(f"this is no form: its Content-Type is {content_type or 'missing'}")
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise LabError("multipart/form-data without a boundary")
    delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(delimiter, MAX_PARTS + 2)
    if len(pieces) > MAX_PARTS + 2:
        raise LabError(f"a form of more than {MAX_PARTS} parts")
    if pieces[0] != b"":
        raise LabError("octets before the first boundary")
    if len(pieces) < 2 or pieces[-1] not in (b"--", b"--\r\n"):
        raise LabError("the last boundary is missing, or octets follow it")
    return [_part(piece, number) for number, piece in enumerate(pieces[1:-1], 1)]


def _part(piece: bytes, number: int) -> Part:
    if not piece.startswith(b"\r\n"):
        raise LabError(f"part {number}: no line end behind its boundary")
    head, end, data = piece[2:].partition(b"\r\n\r\n")
    if not end:
        raise LabError(f"part {number}: its header does not end")
    headers = []
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip() != name:
            raise LabError(f"part {number}: {_text(line)[:100]!r} is no header field")
        headers.append((_text(name), _text(value.strip(b" \t"))))
    disposition = next((value for name, value in headers if name.lower() == "content-disposition"), "")
    named = {
        match[1].lower(): match[2] if match[2] is not None else match[3]
        for match in _PARAMETER.finditer(disposition)
    }
    if not disposition.lower().startswith("form-data") or "name" not in named:
        raise LabError(f"part {number}: no name in its Content-Disposition")
    return _field(named["name"], named.get("filename"), tuple(headers), data)


def _pairs(body: bytes) -> list[Part]:
    found: list[Part] = []
    for pair in body.split(b"&", MAX_PARTS + 1) if body else ():
        if len(found) == MAX_PARTS:
            raise LabError(f"a form of more than {MAX_PARTS} fields")
        name, _, value = (unquote_to_bytes(side.replace(b"+", b" ")) for side in pair.partition(b"="))
        found.append(_field(_text(name), None, (), value))
    return found


def _field(name: str, filename: str | None, headers: tuple[tuple[str, str], ...], data: bytes) -> Part:
    try:
        text: str | None = data.decode()
    except UnicodeDecodeError:
        text = None
    return Part(name, filename, headers, len(data), text, data)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
