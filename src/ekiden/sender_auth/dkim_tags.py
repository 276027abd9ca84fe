"""Tag lists, the syntax of signatures and key records (RFC 6376 §3.2)."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64

from ekiden.sender_auth.dkim_errors import BadTagList

FWS = b" \t\r\n"

_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9_]*\Z")
# UTF-8 is allowed in values since RFC 8616.
_VALUE = re.compile(rb"[ \t\r\n!-:<-~\x80-\xff]*\Z")


def parse_tags(text: bytes) -> dict[str, bytes]:
    """Tag names, whose case counts, with their values; blanks around values are removed, inside they stay.

    Raises ``BadTagList`` for a part that is no ``name=value``, for a name that comes twice, and for an empty list.
    """
    parts = text.split(b";")
    if len(parts) > 1 and not parts[-1].strip(FWS):
        parts.pop()  # the last tag may have a semicolon too
    tags: dict[str, bytes] = {}
    for part in parts:
        name, equals, value = part.partition(b"=")
        name = name.strip(FWS)
        if not equals or not _NAME.match(name) or not _VALUE.match(value):
            raise BadTagList("{part!r} is not a tag with a value", part=_shown(part))
        key = name.decode("ascii")
        if key in tags:
            raise BadTagList("the tag {tag}= is there twice", tag=key)
        tags[key] = value.strip(FWS)
    return tags


def words(value: bytes) -> list[str]:
    """The parts of a list with colons, in lower case."""
    return [part.strip(FWS).lower().decode("utf-8", "replace") for part in value.split(b":")]


def decode_base64(value: bytes) -> bytes:
    """The octets of a base64 value, which may be folded anywhere. Raises ``BadTagList``."""
    try:
        return b64decode(value.translate(None, FWS), validate=True)
    except NotBase64:
        raise BadTagList("{part!r} is not base64", part=_shown(value)) from None


def without_value(text: bytes, tag: bytes) -> bytes:
    """The tag list with the value of ``tag`` removed, and the blanks around it (RFC 6376 §3.5, b=, §3.7)."""
    parts = text.split(b";")
    for number, part in enumerate(parts):
        name, equals, _ = part.partition(b"=")
        if equals and name.strip(FWS) == tag:
            parts[number] = name + equals
    return b";".join(parts)


def _shown(part: bytes) -> str:
    text = part.strip(FWS).decode("ascii", "backslashreplace")
    return text if len(text) <= 60 else text[:60] + "…"
