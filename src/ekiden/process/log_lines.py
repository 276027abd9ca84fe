"""One line of the log: for people (``console``) or for programs (``json``), each a line whatever others wrote.

Values are bounded, so that a line stays shorter than what a pipe takes at once (a longer one could be mixed with a
line of another worker). Controls, escape sequences, marks that turn text around and ends of lines are escaped: in
JSON as JSON does, for people as ``core.visible`` does. For people a value stands in quotes unless it is one plain
word, so that no value can pretend to be another field.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from ekiden.core.visible import visible, visible_text

Write = Callable[[str, str, Mapping[str, Any]], str]
"""Makes a line, with its end, of level, event and fields."""

MAX_LINE: Final = 4_096
"""Octets of a line without a traceback: ``PIPE_BUF`` of Linux."""
_VALUES: Final = (1_000, 250, 60, 15)
"""Characters of a value, as many as there is room for; longer ones are somebody else's text."""
_HEAD, _TAIL = 8_000, 4_000
"""Characters of a traceback that are kept."""
_PLAIN: Final = re.compile(r"[!#-&(-<>-\[\]-~]+")
_COLORS: Final = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_SECRET_NAMES: Final = frozenset(
    {"password", "api_key", "secret", "secret_hash", "credentials", "authorization", "key", "token"}
)
_encode: Final = msgspec.json.Encoder().encode
_dumps: Final = json.JSONEncoder(separators=(",", ":"), default=repr).encode
"""The same in ASCII."""


def json_line(level: str, event: str, fields: Mapping[str, Any]) -> str:
    """An object: ``timestamp``, ``level``, ``event``, the fields in their order, ``pid``."""
    for most in _VALUES:
        text = _json(level, event, fields, most)
        if len(text) < MAX_LINE:
            break
    if "exc_info" in fields and (trace := traceback_text(fields["exc_info"])):
        text = f'{text[:-1]},"exception":{_escaped(_dumps(trace))}}}'
    return text + "\n"


def _json(level: str, event: str, fields: Mapping[str, Any], most: int) -> str:
    line: dict[str, Any] = {"timestamp": timestamp(), "level": level, "event": _cut(event, most)}
    for name, value in fields.items():
        kind = type(value)
        if name in _SECRET_NAMES:
            line[name] = "***"
        elif kind is str:
            line[name] = value if len(value) <= most else _cut(value, most)
        elif kind is int or kind is float or kind is bool or value is None:
            line[name] = value
        elif name != "exc_info":
            line[name] = _plain_value(value, most)
    line["pid"] = os.getpid()
    try:
        text = _encode(line).decode()
    except (UnicodeEncodeError, TypeError):  # lone surrogates, which JSON can say and UTF-8 cannot
        return _escaped(_dumps(line))
    return text if text.isascii() and text.isprintable() else _escaped(_dumps(line))


def _escaped(text: str) -> str:
    return text.replace("\x7f", "\\u007f")


def console_line(level: str, event: str, fields: Mapping[str, Any], *, colors: bool = False) -> str:
    """Time, level, event, ``name=value`` in their order, ``pid``; then a traceback if there is one."""
    for most in _VALUES:
        text = _console(level, event, fields, most, colors=colors)
        if len(text) < MAX_LINE // 4 or len(text.encode("utf-8", "backslashreplace")) < MAX_LINE:
            break
    if "exc_info" in fields and (trace := traceback_text(fields["exc_info"])):
        text += visible_text(trace) + "\n"
    return text


def _console(level: str, event: str, fields: Mapping[str, Any], most: int, *, colors: bool) -> str:
    shown = visible(_cut(event, most))
    mark = f"{_COLORS.get(level, '')}{level:<9}\x1b[0m" if colors else f"{level:<9}"
    parts = [f"{timestamp()} [{mark}] {shown:<32}"]
    for name, value in fields.items():
        kind = type(value)
        if name in _SECRET_NAMES:
            text = "***"
        elif kind is int or kind is float or kind is bool or value is None:
            text = str(value)
        elif name == "exc_info":
            continue
        else:
            text = _cut(value if kind is str else str(_plain_value(value, most)), most)
            if not _PLAIN.fullmatch(text):
                text = _quoted(text)
        parts.append(f"{name}={text}")
    parts.append(f"pid={os.getpid()}\n")
    return " ".join(parts)


def line_writer(format: str, *, colors: bool = False) -> Write:
    """For ``log.format``."""
    if format == "json":
        return json_line
    if colors:
        return lambda level, event, fields: console_line(level, event, fields, colors=True)
    return console_line


class _Second:
    """The text of the second that it is: a thousand lines share it."""

    number = 0
    text = ""


def timestamp() -> str:
    """Now, ISO 8601 in UTC with microseconds."""
    now = time.time()
    second = int(now)
    if second != _Second.number:
        _Second.text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        _Second.number = second
    return f"{_Second.text}.{int((now - second) * 1_000_000):06d}Z"


def traceback_text(exc_info: Any) -> str:
    """Its beginning and its end; empty when there is no exception."""
    if exc_info is True:
        exc_info = sys.exc_info()
    elif isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    if not isinstance(exc_info, tuple) or exc_info[0] is None:
        return ""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    whole = text.getvalue().rstrip("\n")
    return whole if len(whole) <= _HEAD + _TAIL else f"{whole[:_HEAD]}\n…\n{whole[-_TAIL:]}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _quoted(text: str) -> str:
    return '"' + visible(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _plain_value(value: Any, most: int) -> Any:
    """What JSON can say of it, if that is not too much."""
    if isinstance(value, str):
        return _cut(str(value), most)
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        try:
            encoded = _encode(value)
        except (TypeError, ValueError):
            return _cut(repr(value), most)
        return msgspec.json.decode(encoded) if len(encoded) <= most else _cut(encoded.decode(), most)
    return _cut(repr(value), most)
