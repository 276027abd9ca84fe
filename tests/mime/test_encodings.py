"""Bodies: the encoding that fits, lines that fit, and octets that come back."""

from __future__ import annotations

import quopri
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.encodings import base64_lines, encode_text


def _decoded(encoding: bytes, body: bytes) -> bytes:
    if encoding == b"base64":
        return b64decode(body)
    return quopri.decodestring(body) if encoding == b"quoted-printable" else body


@pytest.mark.parametrize(
    ("text", "encoding", "body"),
    [
        ("", b"7bit", b"\r\n"),
        ("plain", b"7bit", b"plain\r\n"),
        ("a\nb\r\nc\rd\n", b"7bit", b"a\r\nb\r\nc\r\nd\r\n"),
        ("tab\there ", b"7bit", b"tab\there \r\n"),
        ("x" * 76, b"7bit", b"x" * 76 + b"\r\n"),
        ("x" * 77, b"quoted-printable", b"x" * 75 + b"=\r\nxx\r\n"),
        ("some text in which a word is naïve", b"quoted-printable", b"some text in which a word is na=C3=AFve\r\n"),
        ("日本", b"base64", b"5pel5pys\r\n"),
        ("--=_mixed_part", b"quoted-printable", b"--=3D_mixed_part\r\n"),
        ("=_" + "ü" * 9, b"base64", b"PV/DvMO8w7zDvMO8w7zDvMO8w7w=\r\n"),
        ("nothing but plain text and \0", b"quoted-printable", b"nothing but plain text and =00\r\n"),
        ("a surrogate \ud800 is none of Unicode", b"7bit", b"a surrogate ? is none of Unicode\r\n"),
    ],
)
def test_encode_text(text: str, encoding: bytes, body: bytes) -> None:
    assert encode_text(text) == (encoding, body)


_PIECES = st.sampled_from(
    ["a", " ", "\t", "=", "\n", "\r", "\r\n", ".", "日", "ü", "x" * 75, "--=_mixed_part", "From "]
)


@given(st.lists(_PIECES | st.text(max_size=5), max_size=60).map("".join))
def test_texts_come_back(text: str) -> None:
    encoding, body = encode_text(text)
    wanted = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode("utf-8", "replace")
    assert body.endswith(b"\r\n")
    assert body.isascii()
    assert b"=_" not in body
    lines = body.split(b"\r\n")
    assert all(len(line) <= 76 and b"\r" not in line and b"\n" not in line for line in lines)
    if encoding == b"quoted-printable":
        assert not any(line.endswith((b" ", b"\t")) for line in lines)
    decoded = _decoded(encoding, body)
    assert decoded in (wanted, wanted + b"\r\n")


@given(st.binary(max_size=500))
def test_base64(octets: bytes) -> None:
    encoded = base64_lines(octets)
    assert b64decode(encoded) == octets
    lines = encoded.split(b"\r\n")
    assert lines.pop() == b""
    assert all(len(line) == 76 for line in lines[:-1])
