"""Tracking put into MIME from elsewhere: what is rewritten, and all that stays as it is."""

from __future__ import annotations

import quopri
import time
from base64 import b64encode, encodebytes
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ekiden.mime.compose import Composer
from ekiden.mime.mailbox import Mailbox
from ekiden.mime.tracked_message import with_tracking

_HEAD = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
_LINK = '<a href="https://x.example/">x</a>'
_TRACKED = '<a href="https://t.example/c">x</a>'
_PIXEL = '<img src="https://t.example/o" width="1" height="1" alt="">'


def _instrument(content: bytes) -> bytes:
    return with_tracking(
        content, link=lambda _: "https://t.example/c", pixel="https://t.example/o", position="BOTTOM"
    )


def _html(body: bytes, *fields: bytes, kind: bytes = b"text/html; charset=utf-8") -> bytes:
    return b"".join((b"Content-Type: " + kind + b"\r\n", *(field + b"\r\n" for field in fields), b"\r\n", body))


def _multipart(kind: bytes, *parts: bytes, boundary: bytes = b"B") -> bytes:
    delimiter = b"\r\n--" + boundary
    return b"".join(
        (
            b"Content-Type: multipart/" + kind + b'; boundary="' + boundary + b'"\r\n\r\n',
            *(delimiter + b"\r\n" + part for part in parts),
            delimiter + b"--\r\n",
        )
    )


_TEXT = b"Content-Type: text/plain\r\n\r\nhttps://x.example/ <a href='https://x.example/'>"
_PLAIN_HTML = _html(_LINK.encode())
_DONE_HTML = _html((_TRACKED + _PIXEL).encode())


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "iso-2022-jp", "shift_jis", "euc-jp", "Windows-31J"])
@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("base64", encodebytes),
        ("quoted-printable", quopri.encodestring),
        ("Quoted-Printable", quopri.encodestring),
        ("8bit", bytes),
        ("binary", bytes),
    ],
)
def test_encodings_and_charsets(charset: str, encoding: str, encode: Callable[[bytes], bytes]) -> None:
    codec = "cp932" if charset == "Windows-31J" else charset
    html = f"<html>\r\n<body>日本語 {{}}\r\n{_LINK} 〒{{}}</body>\r\n</html>\r\n"
    body = encode(html.encode(codec)).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    content = _HEAD + _html(
        body, f"Content-Transfer-Encoding: {encoding}".encode(), kind=f"text/html;charset={charset}".encode()
    )
    done = message_from_bytes(_instrument(content))
    assert done.items() == message_from_bytes(content).items()
    payload = done.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode(codec) == html.replace(_LINK, _TRACKED).replace("</body>", _PIXEL + "</body>")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (_PLAIN_HTML, _DONE_HTML),
        (_html(_LINK.encode(), kind=b"TEXT/HTML"), _html((_TRACKED + _PIXEL).encode(), kind=b"TEXT/HTML")),
        (_html(_LINK.encode(), b"Content-Disposition: inline"),
         _html((_TRACKED + _PIXEL).encode(), b"Content-Disposition: inline")),
        (_multipart(b"alternative", _TEXT, _PLAIN_HTML), _multipart(b"alternative", _TEXT, _DONE_HTML)),
        (_multipart(b"mixed", _PLAIN_HTML, _PLAIN_HTML), _multipart(b"mixed", _DONE_HTML, _PLAIN_HTML)),
        (_multipart(b"mixed", _html(_LINK.encode(), b"Content-Disposition: attachment"), _PLAIN_HTML),
         _multipart(b"mixed", _html(_LINK.encode(), b"Content-Disposition: attachment"), _DONE_HTML)),
        (_multipart(b"mixed", b"Content-Type: message/rfc822\r\n\r\n" + _HEAD + _PLAIN_HTML, _PLAIN_HTML),
         _multipart(b"mixed", b"Content-Type: message/rfc822\r\n\r\n" + _HEAD + _PLAIN_HTML, _DONE_HTML)),
        (_multipart(b"mixed", _multipart(b"related", _multipart(b"alternative", _TEXT, _PLAIN_HTML, boundary=b"x"),
                                         b"Content-Type: image/png\r\n\r\n\x89", boundary=b"y"), b"\r\nplain"),
         _multipart(b"mixed", _multipart(b"related", _multipart(b"alternative", _TEXT, _DONE_HTML, boundary=b"x"),
                                         b"Content-Type: image/png\r\n\r\n\x89", boundary=b"y"), b"\r\nplain")),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b  \r\n" + _PLAIN_HTML + b"\r\n--b-- \r\nmore",
         b"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b  \r\n" + _DONE_HTML + b"\r\n--b-- \r\nmore"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + _PLAIN_HTML + b"\r\n--b--",
         b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + _DONE_HTML + b"\r\n--b--"),
    ],
)  # fmt: skip
def test_which_part(before: bytes, after: bytes) -> None:
    assert _instrument(_HEAD + before) == _HEAD + after


def _with(extra: bytes) -> bytes:
    return extra + b"\r\n" + _HEAD + _PLAIN_HTML


_MIXED = b"Content-Type: multipart/mixed; boundary=B"
_SIGNATURE = b"Content-Type: application/pkcs7-signature\r\n\r\nx"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n" + _LINK.encode(),
        b"no header <a href='https://x.example/'>",
        _HEAD,
        _HEAD + b"\r\n" + _LINK.encode(),
        _HEAD + _TEXT,
        _HEAD + _html(b"<p>nothing to track", kind=b"text/html; charset=nobody-knows"),
        _with(b"DKIM-Signature: v=1; a=rsa-sha256"),
        _with(b"dkim-signature : v=1"),
        _with(b"DomainKey-Signature: a=rsa-sha1"),
        _with(b"ARC-Seal: i=1"),
        _with(b"Content-Type: text/plain"),
        _with(b"Content-MD5: x"),
        _HEAD + _multipart(b"signed", _PLAIN_HTML, _SIGNATURE),
        _HEAD + _multipart(b"mixed", _multipart(b"signed", _PLAIN_HTML, _SIGNATURE, boundary=b"I"), _PLAIN_HTML),
        _HEAD + _multipart(b"mixed", _PLAIN_HTML, _SIGNATURE),
        _HEAD + _multipart(b"mixed", _PLAIN_HTML, b"Content-Type: application/pgp-signature\r\n\r\nx"),
        _HEAD + _multipart(b"encrypted", b"Content-Type: application/pgp-encrypted\r\n\r\nx", _PLAIN_HTML),
        _HEAD + _multipart(b"report", _PLAIN_HTML),
        _HEAD + _multipart(b"unheard-of", _PLAIN_HTML),
        _HEAD + _html(_LINK.encode() + b"-----BEGIN PGP SIGNED MESSAGE-----"),
        # Structure
        _HEAD + b"Content-Type: multipart/mixed\r\n\r\n--B\r\n" + _PLAIN_HTML + b"\r\n--B--\r\n",
        _HEAD + b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n' + _PLAIN_HTML + b"\r\n----\r\n",
        _HEAD + _MIXED + b"\r\n\r\n--B\r\n" + _PLAIN_HTML,
        _HEAD + _MIXED + b"\r\n\r\n--B\n" + _PLAIN_HTML + b"\r\n--B--\r\n",
        _HEAD + _MIXED + b"\r\n\r\n--B\r\n" + _PLAIN_HTML + b"\n--B\r\n\r\n--B--\r\n",
        _HEAD + _MIXED + b"; boundary=C\r\n\r\n--B\r\n" + _PLAIN_HTML + b"\r\n--B--\r\n",
        _HEAD + b"Content-Type: multipart/mixed; boundary*=B\r\n\r\n--B\r\n" + _PLAIN_HTML + b"\r\n--B--\r\n",
        _HEAD + _multipart(b"mixed", _PLAIN_HTML) + b"\r\n--B\r\n\r\nx",
        _HEAD + _multipart(b"mixed", _PLAIN_HTML, b"\r\n--Bad\r\n"),
        _HEAD + _multipart(b"mixed", b"Content-Type: text/html"),
        _HEAD + b"Content-Transfer-Encoding: base64\r\n" + _multipart(b"mixed", _PLAIN_HTML),
        _HEAD + _html(_LINK.encode(), b"Content-Type: text/plain"),
        _HEAD + _html(_LINK.encode(), b"Content-Transfer-Encoding: 7bit", b"Content-Transfer-Encoding: base64"),
        _HEAD + _html(_LINK.encode(), b"X: y\nZ: z"),
        _HEAD + _html(_LINK.encode(), kind=b"text"),
        # Text
        _HEAD + _html(_LINK.encode(), b"Content-Transfer-Encoding: x-uuencode"),
        _HEAD + _html(_LINK.encode(), kind=b"text/html; charset=utf-7"),
        _HEAD + _html(_LINK.encode(), kind=b"text/html; charset=unicode_escape"),
        _HEAD + _html(_LINK.encode(), kind=b"text/html; charset*=utf-8''utf-8"),
        _HEAD + _html(_LINK.encode() + b"\xe9"),
        _HEAD + _html(_LINK.encode() + b"\xe9", kind=b"text/html"),
        _HEAD + _html(_LINK.encode() + b"\x1b$B", kind=b"text/html; charset=iso-2022-jp"),
        _HEAD + _html(b64encode(_LINK.encode()) + b"\r\nfooter of a list", b"Content-Transfer-Encoding: base64"),
        _HEAD + _html(b"abc", b"Content-Transfer-Encoding: base64"),
    ],
)  # fmt: skip
def test_left_as_it_is(content: bytes) -> None:
    assert _instrument(content) is content


def test_too_deep() -> None:
    content = _PLAIN_HTML
    for depth in range(12):
        content = _multipart(b"mixed", content, boundary=b"<%d>" % depth)
    assert _instrument(_HEAD + content) == _HEAD + content


def test_only_what_is_asked_for() -> None:
    content = _HEAD + _PLAIN_HTML
    assert with_tracking(content, link=None) is content
    assert with_tracking(content, link=lambda url: url) is content
    assert with_tracking(content, link=lambda _: "https://t.example/c") == _HEAD + _html(_TRACKED.encode())
    assert with_tracking(content, link=None, pixel="https://t.example/o") == _HEAD + _html(
        (_PIXEL + _LINK).encode()
    )
    assert with_tracking(content, link=lambda _: "x", untouched={"https://x.example/"}) is content


def test_placeholders_mean_nothing_here() -> None:
    content = _HEAD + _html(b"{{name}} <a href='https://x.example/{{id}}'>")
    assert with_tracking(content, link=lambda url: url + "!") == _HEAD + _html(
        b"{{name}} <a href='https://x.example/{{id}}!'>"
    )


@pytest.mark.parametrize("declared", [b"7bit", b"8bit", None])
def test_lines_that_become_too_long(declared: bytes | None) -> None:
    fields = () if declared is None else (b"Content-Transfer-Encoding: " + declared, b"X-Last: 1")
    content = _HEAD + _multipart(b"mixed", _html(_LINK.encode() + b" " + b"y" * 900, *fields), _TEXT)
    done = with_tracking(content, link=lambda _: "https://t.example/" + "c" * 200)
    message = message_from_bytes(done, policy=policy.SMTP)
    assert isinstance(message, EmailMessage)
    html, text = message.iter_parts()
    assert html["Content-Transfer-Encoding"] == "quoted-printable"
    assert html.get_content() == f'<a href="https://t.example/{"c" * 200}">x</a> {"y" * 900}'
    assert text.as_bytes() == _TEXT
    assert max(map(len, done.split(b"\r\n"))) < 999


def test_odd_line_ends_in_quoted_printable() -> None:
    content = _HEAD + _html(
        b"a=0Ab=0D " + _LINK.replace("=", "=3D").encode(), b"Content-Transfer-Encoding: quoted-printable"
    )
    message = message_from_bytes(_instrument(content))
    assert message["Content-Transfer-Encoding"] == "base64"
    assert message.get_payload(decode=True) == f"a\nb\r {_TRACKED}{_PIXEL}".encode()


def test_what_we_compose_ourselves() -> None:
    html = f"<p>日本</p>{_LINK}" + "long " * 40
    content = Composer(Mailbox("", "a@b.example"), "S", text="T", html=html).compose(
        [Mailbox("", "c@d.example")], {}
    )
    done = message_from_bytes(_instrument(content), policy=policy.default)
    assert isinstance(done, EmailMessage)
    text, part = done.iter_parts()
    assert text.get_content() == "T"
    assert part.get_content() == html.replace(_LINK, _TRACKED) + _PIXEL


_LINES = st.sampled_from([
    b"Content-Type: text/html\r\n", _MIXED + b"\r\n", b"\r\n", b"--B\r\n", b"--B--\r\n", b"--C\r\n", b"--C--\r\n",
    b"Content-Type: multipart/alternative;\r\n boundary=\"C\"\r\n", _LINK.encode() + b"\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"\n", b"x", _HEAD, b"Content-Disposition: attachment\r\n",
])  # fmt: skip


@settings(max_examples=300)
@given(st.lists(_LINES, max_size=25).map(b"".join))
def test_any_structure(content: bytes) -> None:
    """Nothing is lost, and with links that stay and no pixel nothing changes."""
    assert with_tracking(content, link=lambda url: url) is content
    done = with_tracking(content, link=lambda _: "https://t.example/c")
    assert done.replace(_TRACKED.encode(), _LINK.encode()) == content


@given(st.binary(max_size=200))
def test_any_octets(content: bytes) -> None:
    _instrument(content)
    _instrument(_HEAD + _html(content, b"Content-Transfer-Encoding: quoted-printable"))
    _instrument(_HEAD + _html(content, b"Content-Transfer-Encoding: base64"))


@pytest.mark.parametrize("part", [b"--B\r\n\r\n", b"--B\r\nX: y\r\n", b"--", b"\r\n\r\n"])
def test_hostile_structures_take_no_longer(part: bytes) -> None:
    content = _HEAD + _MIXED + b"\r\n\r\n" + part * 200_000 + b"--B--\r\n"
    assert _instrument(content) is content


def test_boundaries_within_a_line_do_not_cost_the_square_of_them() -> None:
    head = b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
    content = head + b"--b" * 300_000 + b"x--b" * 300_000 + b"\r\n--b--\r\n"
    began = time.process_time()
    with_tracking(content, link=lambda url: url, pixel="https://t.example/p")
    assert time.process_time() - began < 5  # it was hours
