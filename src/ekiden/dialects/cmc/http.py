"""Answers: JSON or XML by the extension of the path; files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from litestar import Response

from ekiden.web.problem import JSON
from ekiden.web.xml import XML, element, xml_document, xml_text

_FILE: Final = "application/octet-stream"


def answer_list(is_xml: bool, name: str, item: str, entries: Iterable[Mapping[str, Any]]) -> Response[bytes]:
    """``{"bounces": [{…}]}`` or ``<bounces><bounce>…``: ``name`` and ``item`` are those of elements."""
    if is_xml:
        return _xml(element(name, "".join(element(item, entry) for entry in entries)))
    return Response(msgspec.json.encode({name: list(entries)}), media_type=JSON)


def answer_one(is_xml: bool, name: str, text: str) -> Response[bytes]:
    """``{"id": "…"}`` or ``<id>…</id>``."""
    if is_xml:
        return _xml(element(name, xml_text(text)))
    return Response(msgspec.json.encode({name: text}), media_type=JSON)


def answer_file(name: str, octets: bytes) -> Response[bytes]:
    """To be saved under that name, which needs no quoting."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(octets, media_type=_FILE, headers=headers)


def _xml(root: str) -> Response[bytes]:
    return Response(xml_document(root), media_type=XML)
