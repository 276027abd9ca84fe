"""Bodies that are encoded, and those that only say so."""

from __future__ import annotations

import quopri
from base64 import b64encode, encodebytes
from binascii import b2a_uu

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.transfer_decoding import decode_body

LARGE = bytes(range(256)) * 4_000


def decode(body: bytes, encoding: str, limit: int = 10**8) -> bytes:
    """With something around it that is not the body."""
    return decode_body(b"=41\n" + body + b"QUJD", 4, 4 + len(body), encoding, limit)


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (b"a=\r\n", "7bit", b"a=\r\n"),
        (b"a=\r\n", "", b"a=\r\n"),
        (b"a=\r\n", "x-unheard-of", b"a=\r\n"),
        (b"YWJj\r\nZGVm\r\n", "base64", b"abcdef"),
        (b"YW\r\nJj\nZGVm", "base64", b"abcdef"),
        (b"YWJjZA==", "base64", b"abcd"),
        (b"YWJjZA=", "base64", b"abcd"),
        (b"YWJjZA", "base64", b"abcd"),
        (b"YWJjZ", "base64", b"abc"),
        (b"Y", "base64", b""),
        (b"", "base64", b""),
        (b"====", "base64", b""),
        (b"Y!W*J\0j\xff\r\nZGVm\r\nZGVm", "base64", b"abcdefdef"),
        # Each line with a padding of its own, and a footer that a mailing list has added.
        (b"YWJjZGVmZw==\r\nYWJjZGVmZw==\r\n", "base64", b"abcdefgabcdefg"),
        (b"YWJjZGVmZw==\r\n_____________\r\nlist mailing list\r\n", "base64", b"abcdefg"),
        (b"Hello, this is text.\r\nIt says that it is base64.\r\n", "base64",
         b"Hello, this is text.\r\nIt says that it is base64.\r\n"),
        (b"a=3Db=\r\nc=C3=A9\r\n", "quoted-printable", b"a=bc\xc3\xa9\r\n"),
        (b"a \t\r\nb= \r\nc", "quoted-printable", b"a\r\nbc"),
        (b"a=ZZ=4=", "quoted-printable", b"a=ZZ=4"),
        (b"a=3D\rb=\rc\r", "quoted-printable", b"a=\r\nbc\r\n"),
        (b"caf\xe9", "quoted-printable", b"caf\xe9"),
        (b"begin 644 a.txt\r\n#86)C\r\n`\r\nend\r\nrest", "x-uuencode", b"abc"),
        (b"text\nbegin 644 a.txt\n#86)C\n!!\x7f\xff\n#86)C~~~~\nend\n", "uuencode", b"abcabc"),
        (b"no begin", "x-uue", b"no begin"),
    ],
)  # fmt: skip
def test_a_table(body: bytes, encoding: str, expected: bytes) -> None:
    assert decode(body, encoding) == expected
    assert decode(body, encoding, 2) == expected[:2]
    assert decode(body, encoding, 0) == b""


def test_large_bodies_are_decoded_in_pieces() -> None:
    assert decode(encodebytes(LARGE).replace(b"\n", b"\r\n"), "base64") == LARGE
    assert decode(b64encode(LARGE), "base64") == LARGE
    assert decode(quopri.encodestring(LARGE).replace(b"\n", b"\r\n"), "quoted-printable") == LARGE.replace(
        b"\n", b"\r\n"
    )
    assert decode(b"=41" * 300_000, "quoted-printable") == b"A" * 300_000
    lines = b"".join(b2a_uu(LARGE[at : at + 45]) for at in range(0, len(LARGE), 45))
    assert decode(b"begin 644 x\n" + lines + b"end\n", "x-uuencode") == LARGE


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-uuencode"])
@given(st.lists(st.sampled_from([
    b"=", b"==", b"YWJj", b"\r\n", b"\n", b"\r", b" ", b"=41", b"begin 644 x\n", b"#86)C\n", b"\xff", b"end",
])).map(b"".join), st.integers(0, 20))  # fmt: skip
def test_any_octets_are_decoded(encoding: str, body: bytes, limit: int) -> None:
    whole = decode(body, encoding)
    assert decode(body, encoding, limit) == whole[:limit]


@given(st.binary(max_size=2_000), st.integers(1, 100))
def test_whatever_is_encoded_comes_back(octets: bytes, width: int) -> None:
    encoded = b64encode(octets)
    lines = b"\r\n".join(encoded[at : at + width] for at in range(0, len(encoded), width))
    assert decode(lines, "base64") == octets
