"""What a client must not do, as far as one command or one content shows it: plain functions over octets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

MAX_TEXT_LINE = 1_000  # octets with CRLF, RFC 5321 §4.5.3.1.6

MAIL_PARAMETERS = {"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "DSN", "ENVID": "DSN"}
RCPT_PARAMETERS = {"NOTIFY": "DSN", "ORCPT": "DSN"}
"""The parameters that may be used, and the extension that must have been offered for each."""


def parameter_violations(
    verb: str, words: list[str], known: dict[str, str], offered: Callable[[str], bool]
) -> Iterator[str]:
    """Parameters of MAIL or RCPT that the server did not offer (RFC 5321 §4.1.1.11). ``words`` in upper case."""
    for word in words:
        needed = known.get(word.partition("=")[0])
        if needed is None:
            yield f"{verb} with a parameter nobody offered: {word}"
        elif not offered(needed):
            yield f"{verb} with {word}, but {needed} was not offered"


def content_violations(raw: bytes, *, eight_bit: bool) -> Iterator[str]:
    """What RFC 5321 §4.5.2, §4.5.3.1.6 and RFC 6152 do not allow in content as sent, dots still stuffed."""
    newlines = raw.count(b"\r\n")
    if raw.count(b"\n") != newlines or raw.count(b"\r") != newlines:
        yield "content with a bare CR or LF"
    if not eight_bit and not raw.isascii():
        yield "8-bit content without BODY=8BITMIME"
    if b"\0" in raw:
        yield "content with a NUL"
    if max(map(len, raw.split(b"\r\n"))) > MAX_TEXT_LINE - 2:
        yield f"a text line of more than {MAX_TEXT_LINE} octets"
    stuffed = b"\r\n" + raw
    if stuffed.count(b"\r\n.") != stuffed.count(b"\r\n.."):
        yield "a line that begins with a single dot"


def unstuffed(raw: bytes) -> bytes:
    """Content without the dots that the client has added (RFC 5321 §4.5.2)."""
    if raw.startswith(b"."):
        raw = raw[1:]
    return raw.replace(b"\r\n.", b"\r\n")
