"""Attachments as content that messages share: pieces, canonical form, and what readers make of them."""

from __future__ import annotations

import tracemalloc
from base64 import b64decode
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.attachment_parts import (
    MAX_PIECE,
    SharedBuilder,
    SharedParts,
    content_id,
    refer_inline,
)
from ekiden.mime.boundaries import MIXED, RELATED
from ekiden.sender_auth.canonical import canonical_body


def _built(*files: tuple[str, str, bytes], inline: bool = False) -> SharedParts:
    builder = SharedBuilder(1)
    for filename, content_type, octets in files:
        builder.add(filename, content_type, [octets], inline=inline)
    shared = builder.build()
    assert shared is not None
    return shared


def _octets(shared: SharedParts) -> bytes:
    return b"".join(shared.content.pieces)


def _parts(shared: SharedParts) -> list[EmailMessage]:
    """The parts as the standard library reads them."""
    head = b""
    if shared.attached:
        head += b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\n' % MIXED
    if shared.attached and shared.inline:
        head += b"--%b\r\n" % MIXED
    if shared.inline:
        head += b'Content-Type: multipart/related; boundary="%b"\r\n\r\n' % RELATED
    message = message_from_bytes(head + _octets(shared), policy=policy.default)
    found = [part for part in message.walk() if not part.is_multipart()]
    assert not any(part.defects for part in message.walk())
    return found  # type: ignore[return-value]


def _assert_canonical(shared: SharedParts) -> None:
    octets = _octets(shared)
    assert canonical_body(octets, "relaxed") == octets
    assert canonical_body(octets, "simple") == octets
    assert octets.startswith(b"--")
    assert octets.endswith(b"\r\n")
    assert octets.isascii()
    assert all(len(line) <= 78 for line in octets.split(b"\r\n"))


def test_nothing() -> None:
    assert SharedBuilder(1).build() is None


def test_inline_images_come_first_and_the_content_has_its_id() -> None:
    builder = SharedBuilder(42)
    builder.add("a.txt", "text/plain", [b"he", b"", b"llo"])
    builder.add("logo.png", "image/png", [b"\x89PNG"], inline=True)
    shared = builder.build()
    assert shared is not None
    assert (shared.content.id, shared.inline, shared.attached) == (42, True, True)
    image, text = _parts(shared)
    assert image["Content-ID"] == "<logo.png>"
    assert image.get_content_disposition() == "inline"
    assert image.get_filename() == "logo.png"
    assert image.get_payload(decode=True) == b"\x89PNG"
    assert text["Content-ID"] is None
    assert text.get_content_disposition() == "attachment"
    assert text.get_content_type() == "text/plain"
    assert text.get_payload(decode=True) == b"hello"
    _assert_canonical(shared)


def test_files_bit_by_bit_and_one_at_a_time() -> None:
    builder = SharedBuilder(1)
    writer = builder.begin("a", "text/plain")
    with pytest.raises(ValueError, match="has not been ended"):
        builder.begin("b", "text/plain")
    with pytest.raises(ValueError, match="has not been ended"):
        builder.build()
    other = builder.begin("c", "image/png", inline=True)
    writer.write(b"1")
    other.write(b"2")
    other.end()
    writer.write(b"3")
    writer.end()
    shared = builder.build()
    assert shared is not None
    assert [part.get_payload(decode=True) for part in _parts(shared)] == [b"2", b"13"]


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_octets_come_back_however_they_are_cut(chunks: list[bytes]) -> None:
    builder = SharedBuilder(1)
    builder.add("a.bin", "application/x-thing", chunks)
    shared = builder.build()
    assert shared is not None
    _assert_canonical(shared)
    (part,) = _parts(shared)
    assert part.get_payload(decode=True) == b"".join(chunks)


_NAMES = st.text(st.characters(exclude_characters="/\\"), max_size=80) | st.text(
    " \"\\_.a=?%'日é\r\n\t", max_size=300
)


@given(_NAMES, st.booleans())
def test_every_file_name(name: str, inline: bool) -> None:
    shared = _built((name, "application/pdf", b"x"), inline=inline)
    _assert_canonical(shared)
    (part,) = _parts(shared)
    shown = part.get_filename()
    assert shown
    cleaned = name.replace("\\", "/").rpartition("/")[2]
    if cleaned.strip() == cleaned and cleaned.isprintable() and 0 < len(cleaned) <= 255:
        assert shown == cleaned


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("a.txt", [b'filename="a.txt"']),
        ("two words.txt", [b'filename="two words.txt"']),
        ("/etc/passwd", [b'filename="passwd"']),
        (r"C:\x\a.txt", [b'filename="a.txt"']),
        ("résumé.pdf", [b"filename*=utf-8''r%C3%A9sum%C3%A9.pdf", b'filename="resume.pdf"']),
        ("見積書.xlsx", [b"filename*=utf-8''%E8%A6%8B%E7%A9%8D%E6%9B%B8.xlsx", b'filename="attachment.xlsx"']),
        ('a"b.txt', [b"filename*=utf-8''a%22b.txt", b'filename="a_b.txt"']),
        ("a  b.txt", [b"filename*=utf-8''a%20%20b.txt", b'filename="a_b.txt"']),
        (
            "=?utf-8?B?YQ==?=",
            [b"filename*=utf-8''%3D%3Futf-8%3FB%3FYQ%3D%3D%3F%3D", b'filename="=?utf-8?B?YQ==?="'],
        ),
        ("a\r\nBcc: x@y.example", [b'filename="a__Bcc: x@y.example"']),
        ("", [b'filename="attachment"']),
        ("..", [b'filename=".."']),
    ],
)
def test_file_name_parameters(name: str, parameters: list[bytes]) -> None:
    field = _octets(_built((name, "text/plain", b""))).split(b"\r\nContent-Disposition: ")[1]
    field = field.split(b"\r\nContent-Transfer-Encoding")[0]
    assert field.split(b";\r\n ")[1:] == parameters


def test_long_names_are_cut_before_their_extension() -> None:
    (part,) = _parts(_built(("長" * 300 + ".pdf", "application/pdf", b"")))
    assert part.get_filename() == "長" * 251 + ".pdf"


@pytest.mark.parametrize(
    ("given_type", "sent"),
    [
        ("image/PNG", b"image/png"),
        ("text/plain; charset=utf-8", b'text/plain;\r\n charset="utf-8"'),
        (
            'text/calendar;method="REQUEST" ; charset=UTF-8',
            b'text/calendar;\r\n method="REQUEST";\r\n charset="UTF-8"',
        ),
        ("text/plain; name=x.exe; charset=a b", b"text/plain"),
        ("message/rfc822", b"application/octet-stream"),
        ("multipart/mixed; boundary=x", b"application/octet-stream"),
        ("", b"application/octet-stream"),
        ("nonsense", b"application/octet-stream"),
        ("a/b/c", b"application/octet-stream"),
        ("text/plain\r\nBcc: x@y.example", b"application/octet-stream"),
        ("text/plain; charset=x\r\nBcc: x@y.example", b"text/plain"),
        ("x/" + "y" * 300, b"application/octet-stream"),
        ("日本/語", b"application/octet-stream"),
    ],
)
def test_content_types(given_type: str, sent: bytes) -> None:
    octets = _octets(_built(("a", given_type, b"")))
    assert octets.split(b"Content-Type: ")[1].split(b"\r\nContent-Disposition")[0] == sent


def test_pieces_of_a_large_file() -> None:
    """20 MB that come in chunks: 27 MB of pieces, and little more memory than those need."""
    size = 20 << 20
    chunk = bytes(range(256)) * 256

    def chunks() -> Iterator[bytes]:
        for _ in range(size // len(chunk)):
            yield chunk

    tracemalloc.start()
    builder = SharedBuilder(1)
    builder.add("big.bin", "application/octet-stream", chunks())
    shared = builder.build()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert shared is not None
    assert max(map(len, shared.content.pieces)) == MAX_PIECE
    assert all(len(piece) == MAX_PIECE for piece in shared.content.pieces[:-1])
    assert size * 4 / 3 < shared.content.size < size * 4 / 3 * 78 / 76 + 1000
    assert peak < shared.content.size + 4 * MAX_PIECE
    body = _octets(shared).partition(b"\r\n\r\n")[2].partition(b"--")[0]
    assert b64decode(body) == chunk * (size // len(chunk))


@pytest.mark.parametrize("name", ["logo.png", "a-b_c.d@e", "LOGO.PNG"])
def test_names_that_are_content_ids(name: str) -> None:
    assert content_id(name) == name
    assert refer_inline(f'<img src="cid:{name}">', [name]) == f'<img src="cid:{name}">'


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("写真.png", "写真.png"),
        ("写真.png", "%E5%86%99%E7%9C%9F.png"),
        ("写真.png", "%e5%86%99%e7%9c%9f.png"),
        ("my logo.png", "my logo.png"),
        ("my logo.png", "my%20logo.png"),
        ("a<b>.png", "a&lt;b&gt;.png"),
    ],
)
def test_odd_names_are_referred_to_by_an_id(name: str, spelt: str) -> None:
    chosen = content_id(name)
    assert chosen.startswith("image-")
    assert refer_inline(f'<img src="cid:{spelt}">', ["logo.png", name]) == f'<img src="cid:{chosen}">'
    (part,) = _parts(_built((name, "image/png", b"x"), inline=True))
    assert part["Content-ID"] == f"<{chosen}>"


def test_one_odd_name_begins_like_another() -> None:
    html = refer_inline("cid:写真 cid:写真.png", ["写真", "写真.png"])
    assert html == f"cid:{content_id('写真')} cid:{content_id('写真.png')}"
