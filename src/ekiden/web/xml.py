"""XML that is written, as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Final

XML: Final = "application/xml"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
# What XML 1.0 §2.2 has no way to write.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """As the content of an element; characters that XML cannot hold become U+FFFD.

    A carriage return is written as a reference, or else readers would take it for a line feed (XML 1.0 §2.11).
    """
    if _NOT_XML.search(text) is not None:
        text = _NOT_XML.sub("\ufffd", text)
    text = escape(text, quote=False)
    return text.replace("\r", "&#13;") if "\r" in text else text


def element(name: str, content: str | Mapping[str, object]) -> str:
    """``content``: XML, or values that become the elements within, named as their keys."""
    if isinstance(content, Mapping):
        content = "".join(f"<{key}>{xml_text(str(value))}</{key}>" for key, value in content.items())
    return f"<{name}>{content}</{name}>"


def xml_document(root: str) -> bytes:
    """``root``: its element."""
    return f"{_DECLARATION}{root}".encode()
