"""Header fields written from values that somebody else chose (RFC 5322 §2.2, RFC 2047).

No value can begin a field of its own: control characters are an error and never cleaned away, because a value that
has them was not meant for a header. Lines are folded at blanks to 76 characters and never exceed 998.
"""

from __future__ import annotations

import re
from itertools import groupby

from ekiden.mime.errors import BadHeaderName, BadHeaderValue
from ekiden.mime.header import encoded_words
from ekiden.mime.japanese import UTF_8, Charset

_NAME = re.compile(r"[!-9;-~]{1,76}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MAX_LINE = 76  # of a line with encoded words (RFC 2047 §2)
_LONGEST = 997  # characters of a word: 998 of the line (RFC 5322 §2.1.1) less the blank before it
_LONGEST_WORD = 60  # of a text; longer ones become encoded words


def check_name(name: str) -> None:
    """Raise ``BadHeaderName`` unless ``name`` is one (RFC 5322 §3.6.8)."""
    if _NAME.fullmatch(name) is None:
        raise BadHeaderName(name[:_MAX_LINE])


def text_field(name: str, value: str, charset: Charset = UTF_8) -> bytes:
    """A field of free text, like Subject. What is not ASCII, or looks like an encoded word, becomes encoded words.

    Blanks around ``value`` go away. Raises ``BadHeaderValue`` for control characters.
    """
    value = _checked(name, value)
    if value.isascii() and "=?" not in value:
        if len(name) + 2 + len(value) <= _MAX_LINE:
            return _written(name, value)
        words = value.split(" ")
        if "" not in words and "\t" not in value and max(map(len, words)) <= _LONGEST_WORD:
            return _folded(name, words)
    return _written(name, encoded_words(value, indent=len(name) + 2, charset=charset))


def extra_field(name: str, value: str, charset: Charset = UTF_8) -> bytes:
    """A field of unknown syntax, whose value somebody wrote as it is to stand there.

    Only words that are not ASCII become encoded words, so that ``名前 <a@example.com>`` stays a mailbox. Raises
    ``BadHeaderName``, and ``BadHeaderValue`` for control characters and for words longer than a line may be.
    """
    check_name(name)
    value = _checked(name, value)
    if value.isascii():
        if len(name) + 2 + len(value) <= _MAX_LINE:
            return _written(name, value)
        words = _words(value)
    else:
        words = []
        for ascii_only, run in groupby(_words(value), str.isascii):
            # The blanks between encoded words are not shown (RFC 2047 §6.2): those of a run are within.
            together = list(run)
            words += (
                together
                if ascii_only
                else [encoded_words(" ".join(together), indent=len(name) + 2, charset=charset)]
            )
    if any(len(line) > _LONGEST for word in words for line in word.split("\r\n")):
        raise BadHeaderValue("the header field {name} has a word that is longer than a line may be", name)
    return _folded(name, words)


def _checked(name: str, value: str) -> str:
    if _CONTROL.search(value) is not None:
        raise BadHeaderValue("the header field {name} must not have line breaks or control characters", name)
    return value.strip(" \t")


def _words(value: str) -> list[str]:
    return [word for word in value.replace("\t", " ").split(" ") if word]


def _folded(name: str, words: list[str]) -> bytes:
    text = words[0]
    column = len(name) + 2 + len(text)
    for word in words[1:]:
        first = word.find("\r\n")
        if column + 1 + (len(word) if first < 0 else first) > _MAX_LINE:
            text += "\r\n " + word
            column = 1
        else:
            text += " " + word
            column += 1
        column = len(word) - word.rfind("\n") - 1 if first >= 0 else column + len(word)
    return _written(name, text)


def _written(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("utf-8", "replace")
