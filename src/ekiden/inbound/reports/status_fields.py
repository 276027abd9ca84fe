"""Fields of delivery status (RFC 3464, RFC 6522, RFC 6533), read as tolerantly as they are written.

Empty lines between the groups are missing or too many, groups have no Final-Recipient, fields are indented or stand
in a part for people, types are ``rfc/822`` or missing, and what a peer said is in any field. So a group begins with
an empty line before a field of recipients, or with a field of recipients that the group before has already.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ekiden.inbound.reports.patterns import ADDRESS, MAX_ADDRESS, compiled, one_line, readable

MAX_GROUPS: Final = 100
_MAX_LINES: Final = 4_000
_MAX_VALUE: Final = 4_000

_FIELD: Final = re.compile(r"[ \t]{0,4}([A-Za-z][A-Za-z0-9_-]{1,60})[ \t]*:[ \t]*(.*)")
_OF_RECIPIENTS: Final = frozenset(
    {
        "final-recipient",
        "original-recipient",
        "x-actual-recipient",
        "action",
        "status",
        "diagnostic-code",
        "remote-mta",
        "last-attempt-date",
        "will-retry-until",
    }
)
_BEGINS: Final = frozenset({"final-recipient", "original-recipient", "action", "status", "diagnostic-code"})
_ADDRESS: Final = compiled(f"({ADDRESS})")
_TYPE: Final = re.compile(r"[ \t]*([A-Za-z0-9][A-Za-z0-9/._-]{0,30})[ \t]*;[ \t]*")
_HEXPOINT: Final = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")  # RFC 6533 §3
_XTEXT: Final = re.compile(r"\+([0-9A-F]{2})")  # RFC 3461 §4


class Group(NamedTuple):
    """Of one recipient."""

    recipient: str
    asked: str
    action: str
    """In lower case; empty: it is not there."""
    status: str
    """``5.1.1``; empty: it is not there."""
    diagnostic: str
    """What the peer said, without the type."""
    typed: str
    """The type of ``diagnostic`` in lower case, such as ``smtp``."""
    remote_mta: str
    date: str
    """Last-Attempt-Date."""
    waits: bool
    """It has a Will-Retry-Until."""


class Status(NamedTuple):
    """``of_message`` has the fields before the first group."""

    of_message: dict[str, str]
    groups: list[Group]
    shortened: bool


def read_status(text: str) -> Status:
    """The fields of ``text``, whose lines end with line feeds. Never fails."""
    of_message: dict[str, str] = {}
    groups: list[dict[str, str]] = []
    current: dict[str, str] = of_message
    name = ""
    broken = False  # an empty line since the last field
    lines = text.split("\n", _MAX_LINES)
    shortened = len(lines) > _MAX_LINES
    for line in lines[:_MAX_LINES]:
        if not line.strip():
            broken, name = True, ""
            continue
        if line.startswith("--") and len(line) > 4:
            name = ""
            continue
        match = None if line[0] in " \t" and name and not _begins(line) else _FIELD.match(line)
        if match is None:
            if name and line[0] in " \t":
                current[name] = f"{current[name]} {line.strip()}"[:_MAX_VALUE]
            continue
        name = match[1].lower()
        if name in _OF_RECIPIENTS and (
            current is of_message or (name in _BEGINS and (name in current or (broken and _has_recipient(current))))
        ):
            if len(groups) == MAX_GROUPS:
                shortened = True
                break
            current = {}
            groups.append(current)
        broken = False
        current.setdefault(name, match[2].strip()[:_MAX_VALUE])
    return Status(of_message, [_group(fields) for fields in groups], shortened)


def _begins(line: str) -> bool:
    match = _FIELD.match(line)
    return match is not None and match[1].lower() in _BEGINS


def _has_recipient(fields: dict[str, str]) -> bool:
    return "final-recipient" in fields or "original-recipient" in fields


def _group(fields: dict[str, str]) -> Group:
    final, asked = mailbox(fields.get("final-recipient", "")), mailbox(fields.get("original-recipient", ""))
    actual = mailbox(fields.get("x-actual-recipient", ""))
    typed, diagnostic = split_type(fields.get("diagnostic-code", ""))
    status = _STATUS.search(fields.get("status", ""))
    return Group(
        recipient=final or asked or actual,
        asked=asked,
        action=_WORD.match(fields.get("action", ""))[0].lower(),  # type: ignore[index]
        status="" if status is None else status[0],
        diagnostic=one_line(diagnostic, 2_000),
        typed=typed.lower(),
        remote_mta=one_line(split_type(fields.get("remote-mta", ""))[1], 255).partition(" ")[0],
        date=fields.get("last-attempt-date", ""),
        waits="will-retry-until" in fields,
    )


_STATUS: Final = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_WORD: Final = re.compile(r"[A-Za-z-]{0,20}")


def split_type(value: str) -> tuple[str, str]:
    """``dns; mx.example`` as ``("dns", "mx.example")``; nothing before it: it has no type."""
    match = _TYPE.match(value)
    return ("", value.strip()) if match is None else (match[1], value[match.end() :].strip())


def mailbox(value: str) -> str:
    """The address of a field such as ``rfc822; <a@x.example>``; empty: it has none."""
    typed, text = split_type(value)
    if typed.lower() == "utf-8":
        text = readable(_HEXPOINT.sub(lambda found: chr(min(int(found[1], 16), 0x10FFFF)), text))
    match = _ADDRESS.search(text[:1_000])
    if match is None:
        return ""
    found = str(match[1])
    if typed and "+" in found and "=" not in found:
        decoded = _XTEXT.sub(lambda pair: chr(int(pair[1], 16)), found)
        if decoded.isprintable() and decoded.isascii() and _HEX_ONLY.search(found):
            found = decoded
    return tidy(found)


_HEX_ONLY: Final = re.compile(r"\+(?:2B|3D)")
"""What xtext must encode; other pairs of digits after a plus belong to the address."""


def tidy(address: str) -> str:
    """Without what words around an address leave behind; empty: too long for one."""
    address = address.strip().strip("'`*").rstrip(".;!?-")
    if address[:7].lower() == "mailto:":
        address = address[7:]
    local, _, domain = address.rpartition("@")
    return address if local and domain and len(address) <= MAX_ADDRESS else ""
