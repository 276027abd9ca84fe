"""Parameters of MAIL and RCPT, and the encodings they use.

RFC 1870 (SIZE), 6152 (BODY), 6531 (SMTPUTF8), 4954 §5 (AUTH=), 3461 §4 (RET, ENVID, NOTIFY, ORCPT, xtext),
6533 §3 (utf-8-addr-xtext, utf-8-addr-unitext).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ekiden.core.address import Address
from ekiden.core.submission import Notify, Recipient, Ret
from ekiden.smtp.errors import CommandRefused
from ekiden.smtp.reply import Reply

MAX_ENVID = 100  # characters as they stand in the command, RFC 3461 §4.4
MAX_ORCPT = 500  # RFC 3461 §4.2

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*\Z")
_OF_HEX = {f"{code:02X}": chr(code) for code in range(256)}
_UNSAFE_IN_XTEXT = re.compile(r"[^!-*,-<>-~]")
_UNICODE_ESCAPE = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9-]+\Z")
_PRINTABLE = re.compile(r"[ -~]*\Z")


@dataclass(slots=True)
class MailParameters:
    """What MAIL said beside the address. ``size`` is the octets announced; ``auth`` the decoded AUTH= mailbox."""

    size: int | None = None
    eight_bit: bool = False
    smtputf8: bool = False
    auth: str | None = None
    ret: Ret | None = None
    envid: str | None = None


def encode_xtext(text: str) -> str:
    """RFC 3461 §4. ``text`` is ASCII."""
    return _UNSAFE_IN_XTEXT.sub(lambda m: f"+{ord(m.group()):02X}", text)


def decode_xtext(text: str) -> str:
    """The reverse. ``ValueError`` unless the result is printable ASCII, so that no line break gets in."""
    if not _XTEXT.match(text):
        raise ValueError("not xtext")
    # Each plus begins an escape now. A call for each would be dear for a thousand recipients.
    first, *escapes = text.split("+")
    decoded = first + "".join([_OF_HEX[part[:2]] + part[2:] for part in escapes])
    if not _PRINTABLE.match(decoded):
        raise ValueError("xtext of characters that are not printable")
    return decoded


def encode_orcpt(orcpt: str, *, smtputf8: bool) -> str:
    """The ORCPT value of ``rfc822;a@b`` or ``utf-8;ü@b``. ``smtputf8``: the command may carry UTF-8 as it is."""
    kind, _, address = orcpt.partition(";")
    if kind.lower() != "utf-8" and address.isascii():
        return f"{kind};{encode_xtext(address)}"
    escaped = "".join(
        c if ("!" <= c <= "~" and c not in "+=\\") or (smtputf8 and c > "\x7f") else f"\\x{{{ord(c):02X}}}"
        for c in address
    )
    return f"utf-8;{escaped}"


def decode_orcpt(value: str) -> str:
    """``rfc822;a+2Bb@c`` becomes ``rfc822;a+b@c``. ``ValueError`` says what is wrong."""
    kind, semicolon, address = value.partition(";")
    if not semicolon or not address or not _ADDRESS_TYPE.match(kind):
        raise ValueError("not an address type and an address")
    kind = kind.lower()
    if kind != "utf-8":
        return f"{kind};{decode_xtext(address)}"
    try:
        decoded = _UNICODE_ESCAPE.sub(lambda m: chr(int(m.group(1), 16)), address)
    except (ValueError, OverflowError):
        raise ValueError("an escape beyond Unicode") from None
    if not decoded.isprintable():  # surrogates are not either
        raise ValueError("characters that are not printable")
    return f"utf-8;{decoded}"


def _split(text: str) -> list[tuple[str, str | None]]:
    """``" SIZE=1 SMTPUTF8"`` as upper-case keywords with their values; each keyword once."""
    found: list[tuple[str, str | None]] = []
    seen: set[str] = set()
    for word in text.replace("\t", " ").split(" "):
        if not word:
            continue
        keyword, equals, value = word.partition("=")
        keyword = keyword.upper()
        if keyword in seen:
            raise CommandRefused(Reply.of(501, "5.5.4", f"The parameter {keyword} is given twice"))
        seen.add(keyword)
        found.append((keyword, value if equals else None))
    return found


def _bad(keyword: str, why: str) -> CommandRefused:
    return CommandRefused(Reply.of(501, "5.5.4", f"Bad value of {keyword}: {why}"))


def _unknown(keyword: str) -> CommandRefused:
    return CommandRefused(Reply.of(555, "5.5.4", f"Unsupported parameter: {keyword[:80]}"))


def parse_mail_parameters(text: str) -> MailParameters:
    """The parameters behind the reverse-path. Raises ``CommandRefused`` 501 or 555 (RFC 5321 §4.1.1.11)."""
    parameters = MailParameters()
    if not text:
        return parameters
    for keyword, value in _split(text):
        match keyword:
            case "SIZE":
                if value is None or not (value.isascii() and value.isdigit() and len(value) <= 20):
                    raise _bad(keyword, "it is a number of octets")
                parameters.size = int(value)
            case "BODY":
                body = (value or "").upper()
                if body not in ("7BIT", "8BITMIME"):
                    raise _unknown(f"BODY={value or ''}")
                parameters.eight_bit = body == "8BITMIME"
            case "SMTPUTF8":
                if value is not None:
                    raise _bad(keyword, "it takes none")
                parameters.smtputf8 = True
            case "AUTH":
                try:
                    parameters.auth = decode_xtext(value or "")
                except ValueError as error:
                    raise _bad(keyword, str(error)) from None
                if not parameters.auth:
                    raise _bad(keyword, "it is <> or an address")
            case "RET":
                try:
                    parameters.ret = Ret((value or "").upper())
                except ValueError:
                    raise _bad(keyword, "it is FULL or HDRS") from None
            case "ENVID":
                try:
                    parameters.envid = decode_xtext(value or "")
                except ValueError as error:
                    raise _bad(keyword, str(error)) from None
                if not value or len(value) > MAX_ENVID:
                    raise _bad(keyword, f"it has 1 to {MAX_ENVID} characters")
            case _:
                raise _unknown(keyword)
    return parameters


_NOTIFY = {"SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}


def parse_notify(value: str) -> Notify:
    """``SUCCESS,DELAY`` or ``NEVER``. ``ValueError`` otherwise (NEVER stands alone)."""
    if value.upper() == "NEVER":
        return Notify.NEVER
    notify = Notify.NONE_GIVEN
    for word in value.upper().split(","):
        flag = _NOTIFY.get(word)
        if flag is None:
            raise ValueError("it is NEVER, or any of SUCCESS,FAILURE,DELAY")
        notify |= flag
    return notify


def format_notify(notify: Notify) -> str:
    """The value of NOTIFY; empty when none was given."""
    if notify & Notify.NEVER:
        return "NEVER"
    return ",".join(name for name, flag in _NOTIFY.items() if notify & flag)


def parse_recipient(address: Address, text: str) -> Recipient:
    """A recipient from its address and the parameters behind the forward-path; or ``CommandRefused`` 501 or 555."""
    if not text:
        return Recipient(address)
    notify, orcpt = Notify.NONE_GIVEN, None
    for keyword, value in _split(text):
        if keyword == "NOTIFY":
            try:
                notify = parse_notify(value or "")
            except ValueError as error:
                raise _bad(keyword, str(error)) from None
        elif keyword == "ORCPT":
            if not value or len(value) > MAX_ORCPT:
                raise _bad(keyword, f"it has 1 to {MAX_ORCPT} characters")
            try:
                orcpt = decode_orcpt(value)
            except ValueError as error:
                raise _bad(keyword, str(error)) from None
        else:
            raise _unknown(keyword)
    return Recipient(address, notify, orcpt)
