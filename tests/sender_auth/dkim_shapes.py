"""Messages of every shape, keys, a zone for them, and dkimpy as the other side of each signature."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import strategies as st

from ekiden.sender_auth.canonical import Canonicalization
from ekiden.sender_auth.dkim_key import generate, public_record
from ekiden.sender_auth.dkim_sign import SigningKey
from ekiden.sender_auth.dns import Lookup, RecordType, TemporaryDnsError

NOW = 1_763_000_000_000
"""Some time in 2025; dkimpy compares with the real clock and wants it in the past."""
FORMS: list[tuple[Canonicalization, Canonicalization]] = [
    ("relaxed", "relaxed"),
    ("simple", "simple"),
    ("relaxed", "simple"),
    ("simple", "relaxed"),
]

_TOP = b"From: Hanako <hanako@example.com>\r\nTo: Taro <taro@example.net>\r\nSubject: hello\r\nDate: today\r\n"

SHAPES: dict[str, bytes] = {
    "plain": _TOP + b"Message-ID: <1@example.com>\r\n\r\nHello.\r\n\r\nBye.\r\n",
    "empty body": _TOP + b"\r\n",
    "no empty line": _TOP,
    "one empty line as body": _TOP + b"\r\n\r\n",
    "only CRLFs": _TOP + b"\r\n" + b"\r\n" * 7,
    "blanks in lines without text": _TOP + b"\r\n \r\n\t\r\n \t \r\n",
    "empty lines at the end": _TOP + b"\r\ntext\r\n\r\n\r\n",
    "blanks, then empty lines at the end": _TOP + b"\r\ntext\r\n \r\n\r\n \t\r\n\r\n",
    "empty lines at the beginning": _TOP + b"\r\n\r\n\r\ntext\r\n",
    "trailing blanks": _TOP + b"\r\none \r\ntwo  \t\r\nthree\t\r\n",
    "tabs and runs": _TOP + b"\r\n\tone\t two   three \t four\r\n  five\r\n",
    "a very long line": _TOP + b"\r\n" + b"long " * 4000 + b"\r\n" + b"x" * 20_000 + b"\r\n",
    "lines of dots": _TOP + b"\r\n.\r\n..\r\n.hidden\r\n...\r\n",
    "8-bit body": _TOP + b"\r\n\xe3\x81\x93\xe3\x82\x93 \xa0 \xff\xfe\x85 end\r\n",
    "NUL octets": _TOP + b"\r\na\0b\0\r\n\0\0\r\n",
    "a bare CR inside a line": _TOP + b"\r\nab\rcd\r\n",
    "folded fields": (
        b"From: =?utf-8?B?6Iqx5a2Q?=\r\n <hanako@example.com>\r\n"
        b"To: a@example.net,\r\n\tb@example.net,\r\n   c@example.net\r\n"
        b"Subject: one\r\n \r\n  two\r\n\tthree\r\n\r\nbody\r\n"
    ),
    "blanks in fields": b"From:hanako@example.com\r\nTo: \t a@example.net \t \r\nSubject:\r\nDate:   \r\n\r\nx\r\n",
    "value on the next line": b"From:\r\n hanako@example.com\r\nSubject:\r\n  late\r\n\r\nbody\r\n",
    "repeated fields": (
        b"Received: 3\r\nReceived: 2\r\nFrom: hanako@example.com\r\nTo: a@example.net\r\nTo: b@example.net\r\n"
        b"Subject: one\r\nCc: c@example.net\r\nTo: d@example.net\r\nSubject: two\r\n\r\nbody\r\n"
    ),
    "two From": b"From: hanako@example.com\r\nSubject: x\r\nFrom: other@example.com\r\n\r\nbody\r\n",
    "8-bit header": b"From: hanako@example.com\r\nSubject: caf\xe9 \xa0 \x85\r\n\r\nbody\r\n",
    "UTF-8 header": "From: 花子 <花子@例え.example.com>\r\nSubject: こんにちは 　世界\r\n\r\n本文\r\n".encode(),
    "no Subject": b"From: hanako@example.com\r\n\r\nbody\r\n",
    "only From": b"From: hanako@example.com\r\n",
    "names in odd case": b"FROM: a@b.example\r\nsUBJECT: x\r\nmime-version: 1.0\r\nMESSAGE-id: <1@x>\r\n\r\nx\r\n",
    "unsubscribe": (
        _TOP + b"List-Unsubscribe: <https://example.com/u?a=b;c=d>\r\n"
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nList-Id: <news.example.com>\r\n"
        b"Feedback-ID: 1:2:3:example\r\nAuto-Submitted: auto-generated\r\n\r\nnews\r\n"
    ),
    "sent on": b"Resent-From: x@example.com\r\nResent-To: y@example.com\r\nResent-From: z@example.com\r\n"
    + _TOP
    + b"\r\nx\r\n",
    "signed before": b"DKIM-Signature: v=1; a=rsa-sha256; b=AAAA; d=example.org\r\n" + _TOP + b"\r\nx\r\n",
    "nested MIME": (
        _TOP + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary="a"\r\n\r\npreamble\r\n--a\r\n'
        b'Content-Type: multipart/alternative; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n'
        b"text\r\n--b\r\nContent-Type: text/html\r\n\r\n  <p>text</p>  \r\n--b--\r\n\r\n--a\r\n"
        b"Content-Type: message/rfc822\r\n\r\nFrom: x@example.org\r\nSubject: inner\r\n\r\ninner\r\n\r\n--a--\r\n"
    ),
}

# What no message can have on the road, or what dkimpy does not read: signed and verified by us alone.
OWN_SHAPES: dict[str, bytes] = {
    "no CRLF at the end": _TOP + b"\r\nlast",
    "a blank and no CRLF at the end": _TOP + b"\r\nlast \t",
    "only blanks": _TOP + b"\r\n  \t ",
    "bare CR and LF": _TOP + b"\r\na\nb\rc\r\r\n\n\r\n\r\n",
    "bare LF in a field": b"From: a@example.com\r\nSubject: a\nb\r\n\r\nx\r\n",
    "blanks before the colon": b"From : hanako@example.com\r\nSubject\t : x\r\n\r\nbody\r\n",
    "a line that is not a field": b"From: a@example.com\r\nnonsense\r\n more: nonsense\r\nTo: b@c\r\n\r\nx\r\n",
    "a mailbox line": b"From hanako Mon Jan  1 2024\r\nFrom: a@example.com\r\n\r\nx\r\n",
}

_NAMES = st.sampled_from(
    [
        "From",
        "To",
        "TO",
        "Cc",
        "Subject",
        "subject",
        "Date",
        "Message-ID",
        "Content-Type",
        "List-Id",
        "X-Other",
        "Received",
    ]
)
_VALUES = st.lists(
    st.sampled_from(
        [b"a", b"b", b"word", b" ", b"  ", b"\t", b"\r\n ", b"\r\n\t", b":", b";", b"b=", b"\xe9", b"\0"]
    ),
    max_size=8,
).map(b"".join)
_BODY = st.lists(
    st.sampled_from([b"a", b"text", b" ", b"   ", b"\t", b"\r\n", b"\r\n\r\n", b".", b"\xe3\x81\x82", b"\0"]),
    max_size=14,
).map(b"".join)


def _message(fields: list[tuple[str, bytes]], at: int, body: bytes) -> bytes:
    fields.insert(at % (len(fields) + 1), ("From", b" hanako@example.com"))
    header = b"".join(name.encode() + b":" + value + b"\r\n" for name, value in fields)
    # The road ends every last line.
    return header + b"\r\n" + (body if not body or body.endswith(b"\r\n") else body + b"\r\n")


MESSAGES = st.builds(_message, st.lists(st.tuples(_NAMES, _VALUES), max_size=6), st.integers(0, 6), _BODY)


@cache
def rsa_key() -> SigningKey:
    return SigningKey("example.com", "rsa", "rsa-sha256", generate("rsa-sha256"))


@cache
def ed25519_key() -> SigningKey:
    return SigningKey("example.com", "ed", "ed25519-sha256", generate("ed25519-sha256"))


KEY_SETS = {"rsa": (rsa_key,), "ed25519": (ed25519_key,), "both": (rsa_key, ed25519_key)}


def keys_of(name: str) -> list[SigningKey]:
    return [make() for make in KEY_SETS[name]]


def published(*keys: SigningKey) -> dict[str, list[bytes]]:
    """The zone with the records of ``keys``."""
    return {f"{key.selector}._domainkey.{key.domain}": [public_record(key.private).encode()] for key in keys}


def zone(records: Mapping[str, Sequence[bytes] | None]) -> Lookup:
    """A DNS with these TXT records; ``None`` is a server that does not answer."""

    async def lookup(name: str, rdtype: RecordType, /) -> Sequence[bytes]:
        assert rdtype == "TXT"
        found = records.get(name.rstrip("."), [])
        if found is None:
            raise TemporaryDnsError(name)
        return found

    return lookup


def dkimpy_accepts(message: bytes, records: Mapping[str, Sequence[bytes]], signatures: int) -> bool:
    """Whether dkimpy finds each of the first ``signatures`` signatures right."""

    def txt(name: bytes, timeout: int = 5) -> bytes:
        return records[name.decode().rstrip(".")][0]

    return all(dkim.DKIM(message).verify(number, dnsfunc=txt) for number in range(signatures))


def dkimpy_signs(
    message: bytes,
    key: SigningKey,
    forms: tuple[Canonicalization, Canonicalization],
    *,
    domain: bytes | None = None,
    **options: object,
) -> bytes:
    """The signature field that dkimpy makes."""
    private = key.private
    if isinstance(private, Ed25519PrivateKey):
        secret = b64encode(private.private_bytes_raw())
    else:
        assert isinstance(private, RSAPrivateKey)
        secret = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return dkim.DKIM(message, signature_algorithm=key.algorithm.encode()).sign(
        key.selector.encode(),
        domain or key.domain.encode(),
        secret,
        canonicalize=(forms[0].encode(), forms[1].encode()),
        **options,
    )
