"""What an application gets of a message: which parts are its text, its HTML and its files."""

from __future__ import annotations

import email.policy
import tracemalloc
from base64 import encodebytes
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ekiden.mime.message_view import MAX_TEXT, MessageView, read_message, view_message
from ekiden.mime.tree import TreeBounds, read_tree

ALL = 10**8
TEXT = "Content-Type: text/plain\n\ntext\n"
MORE = "Content-Type: text/plain\n\nmore\n"
HTML = "Content-Type: text/html\n\n<p>html\n"
IMAGE = "Content-Type: image/png\nContent-ID: <a@b>\n\npng\n"
PDF = "Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment\n\npdf\n"
INNER = "Content-Type: message/rfc822\n\nSubject: =?utf-8?q?a/b?=\n" + PDF


def multipart(kind: str, *parts: str, boundary: str = "b", more: str = "") -> str:
    return (
        f'Content-Type: multipart/{kind}; boundary="{boundary}"{more}\n\n'
        + "".join(f"--{boundary}\n{part}\n" for part in parts)
        + f"--{boundary}--\n"
    )


def alternative(*parts: str) -> str:
    return multipart("alternative", *parts, boundary="alt")


def related(*parts: str, more: str = "") -> str:
    return multipart("related", *parts, boundary="rel", more=more)


def read(text: str | bytes) -> MessageView:
    raw = text.encode() if isinstance(text, str) else text
    return read_message(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def shown(view: MessageView) -> tuple[str | None, str | None, list[tuple[str, str, bytes]]]:
    files = [(file.name, file.content_type, file.octets(ALL).replace(b"\r\n", b"\n")) for file in view.files]
    text, html = (None if body is None else body.replace("\r\n", "\n") for body in (view.text, view.html))
    return text, html, files


PNG = ("image.png", "image/png", b"png\n")
A_PDF = ("a.pdf", "application/pdf", b"pdf\n")
TXT = ("attachment.txt", "text/plain", b"text\n")
INNER_FILE = ("a_b.eml", "message/rfc822", INNER.partition("\n\n")[2].encode())


@pytest.mark.parametrize(
    ("raw", "text", "html", "files"),
    [
        ("", "", None, []),
        ("Subject: x\n\ntext\n", "text\n", None, []),
        (TEXT, "text\n", None, []),
        (HTML, None, "<p>html\n", []),
        (PDF, None, None, [A_PDF]),
        (INNER, None, None, [INNER_FILE]),
        (alternative(TEXT, HTML), "text\n", "<p>html\n", []),
        (alternative(HTML, TEXT), "text\n", "<p>html\n", []),
        (alternative(TEXT, MORE), "text\n", None, [("attachment.txt", "text/plain", b"more\n")]),
        (alternative(TEXT, related(HTML, IMAGE)), "text\n", "<p>html\n", [PNG]),
        (related(alternative(TEXT, HTML), IMAGE), "text\n", "<p>html\n", [PNG]),
        (related(IMAGE, HTML.replace("\n\n", "\nContent-ID: <r>\n\n"), more="; start=\"<r>\""),
         None, "<p>html\n", [PNG]),
        (related(HTML, TEXT), None, "<p>html\n", [TXT]),
        (multipart("mixed", alternative(TEXT, related(HTML, IMAGE)), PDF), "text\n", "<p>html\n", [PNG, A_PDF]),
        (multipart("mixed", TEXT, PDF, MORE), "text\nmore\n", None, [A_PDF]),
        (multipart("mixed", TEXT.rstrip("\n"), PDF, MORE), "text\nmore\n", None, [A_PDF]),
        (multipart("mixed", HTML, PDF, HTML), None, "<p>html\n<p>html\n", [A_PDF]),
        (multipart("mixed", alternative(TEXT, HTML), MORE), "text\nmore\n", "<p>html\n", []),
        # As Apple Mail writes a picture between two halves of the HTML.
        (alternative(TEXT, multipart("mixed", HTML, PDF, HTML)), "text\n", "<p>html\n<p>html\n", [A_PDF]),
        (multipart("unheard-of", TEXT, MORE), "text\nmore\n", None, []),
        (multipart("signed", multipart("mixed", TEXT, PDF, boundary="c"),
                   "Content-Type: application/pgp-signature\n\nsig\n"),
         "text\n", None, [A_PDF, ("signature.asc", "application/pgp-signature", b"sig\n")]),
        (multipart("mixed", TEXT, INNER), "text\n", None, [INNER_FILE]),
        (multipart("mixed", TEXT, "Content-Type: message/rfc822\n\nno header\n"),
         "text\n", None, [("message.eml", "message/rfc822", b"no header\n")]),
        (multipart("digest", "\nSubject: one\n\nx\n", "\n\nx\n"), None, None,
         [("one.eml", "message/rfc822", b"Subject: one\n\nx\n"), ("message.eml", "message/rfc822", b"\nx\n")]),
        (multipart("report", TEXT, "Content-Type: message/delivery-status\n\nStatus: 5.1.1\n"),
         "text\n", None, [("attachment.txt", "message/delivery-status", b"Status: 5.1.1\n")]),
        (multipart("mixed", TEXT, "Content-Type: application/ms-tnef\n\nx\n"),
         "text\n", None, [("winmail.dat", "application/ms-tnef", b"x\n")]),
        (TEXT.replace("\n\n", "\nContent-Disposition: attachment\n\n"), None, None, [TXT]),
        (TEXT.replace("plain", "plain; name=a.txt"), "text\n", None, []),
        (multipart("mixed", TEXT, MORE.replace("plain", "plain; name=a.txt")),
         "text\n", None, [("a.txt", "text/plain", b"more\n")]),
        (multipart("mixed", TEXT, MORE.replace("\n\n", "\nContent-Disposition: inline\n\n")),
         "text\nmore\n", None, []),
        (multipart("mixed", TEXT, MORE.replace("\n\n", "\nContent-Disposition: inline; filename=a.txt\n\n")),
         "text\n", None, [("a.txt", "text/plain", b"more\n")]),
        (multipart("mixed", TEXT, MORE.replace("\n\n", "\nContent-Disposition: nonsense\n\n")),
         "text\n", None, [("attachment.txt", "text/plain", b"more\n")]),
        (multipart("mixed", TEXT, "Content-Type: text/calendar\n\nBEGIN\n"),
         "text\n", None, [("attachment.ics", "text/calendar", b"BEGIN\n")]),
        (multipart("mixed", TEXT, "Content-Type: a b/c;x\n\nx\n"),
         "text\n", None, [("attachment", "application/octet-stream", b"x\n")]),
        # What is broken: nothing is lost.
        (multipart("mixed"), None, None, []),
        (multipart("mixed").replace("--b--\n", "text\n"), "text\n", None, []),
        (TEXT.replace("\n\n", "\nContent-Transfer-Encoding: x-gzip64\n\n"), None, None, [TXT]),
    ],
)  # fmt: skip
def test_what_is_what(raw: str, text: str | None, html: str | None, files: list[tuple[str, str, bytes]]) -> None:
    assert shown(read(raw)) == (text, html, files)


def test_uuencoded_blocks_and_flowed_text_stay_as_they_are() -> None:
    body = "a \r\nb\r\nbegin 644 a.txt\r\n#86)C\r\n`\r\nend\r\n"
    assert read("Content-Type: text/plain; format=flowed; delsp=yes\n\n" + body).text == body


def test_headers_in_order_with_those_that_come_twice() -> None:
    view = read("Received: a\nReceived: b;\n\tc\nsubject: =?utf-8?B?5pel?=\nX-IB: \nSubject: second\n\nx")
    assert view.headers == [
        ("Received", "a"), ("Received", "b;\tc"), ("subject", "日"), ("X-IB", ""), ("Subject", "second"),
    ]  # fmt: skip
    assert view.subject == "日"


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b"filename=a.txt", "a.txt"),
        (b'filename="../../etc/passwd"', "passwd"),
        (b'filename="C:\\Windows\\a.exe"', "a.exe"),
        (b'filename=".."', "attachment.bin"),
        (b'filename="a\tb\x01\xe2\x80\xaegpj.exe"', "a_b__gpj.exe"),
        (b"filename*=utf-8''%E8%AB%8B%E6%B1%82%E6%9B%B8.pdf", "請求書.pdf"),
        (b"filename*0*=iso-2022-jp''%1B$B%40A5a%3Dq%1B(B; filename*1=.pdf", "請求書.pdf"),
        (b'filename="=?iso-2022-jp?B?GyRCQEE1YT1xGyhCLnBkZg==?="', "請求書.pdf"),
        (b'filename="\x90\xbf\x8b\x81\x8f\x91.pdf"', "請求書.pdf"),
        (b'filename="\xc0\xc1\xb5\xe1\xbd\xf1.pdf"', "請求書.pdf"),
        (b'filename="\x1b$B@A5a=q\x1b(B.pdf"', "請求書.pdf"),
        ('filename="請求書.pdf"'.encode(), "請求書.pdf"),
        (b'filename="' + b"x" * 1_000 + b'.pdf"', "x" * 251 + ".pdf"),
        (b"filename=", "attachment.bin"),
    ],
)
def test_names_of_files(field: bytes, name: str) -> None:
    raw = b"Content-Type: application/x-thing\r\nContent-Disposition: attachment; " + field + b"\r\n\r\nx"
    assert [file.name for file in read_message(raw).files] == [name.removesuffix(".bin")]


@pytest.mark.parametrize("charset", ["iso-2022-jp", "shift_jis", "euc-jp", "utf-8", "gb18030"])
@pytest.mark.parametrize("label", ["", "us-ascii", "right"])
def test_charsets_of_bodies(charset: str, label: str) -> None:
    text = "本日は晴天なり。\r\n" if charset != "gb18030" else "您好，请查收附件。\r\n"
    said = {"": "", "right": f"; charset={charset}"}.get(label, f"; charset={label}")
    head = f"Subject: x\r\nContent-Type: text/plain{said}\r\n".encode()
    assert read_message(head + b"\r\n" + text.encode(charset)).text == text
    coded = encodebytes(text.encode(charset)).replace(b"\n", b"\r\n")
    assert read_message(head + b"Content-Transfer-Encoding: base64\r\n\r\n" + coded).text == text


def test_html_may_say_its_charset_itself() -> None:
    html = '<html><head><meta http-equiv="Content-Type" content="text/html; charset=koi8-r"></head>Привет'
    assert read_message(b"Content-Type: text/html\r\n\r\n" + html.encode("koi8-r")).html == html


def test_what_is_beyond_a_bound_is_a_file() -> None:
    view = read(TEXT.replace("text\n", "x" * (MAX_TEXT + 1)))
    assert view.text is None
    assert [(file.name, len(file.octets(ALL))) for file in view.files] == [("attachment.txt", MAX_TEXT + 1)]

    raw = multipart("mixed", TEXT, *[PDF] * 5).replace("\n", "\r\n").encode()
    view = view_message(read_tree(raw, TreeBounds(parts=4)))
    assert [(file.name, file.content_type) for file in view.files] == [
        ("a.pdf", "application/pdf"),
        ("unread.bin", "application/octet-stream"),
    ]
    assert raw.endswith(view.files[1].octets(ALL))
    assert view.files[1].octets(ALL).count(b"\r\n\r\npdf\r\n") == 4

    deep = multipart("mixed", TEXT, multipart("mixed", MORE, boundary="c")).replace("\n", "\r\n").encode()
    view = view_message(read_tree(deep, TreeBounds(depth=1)))
    assert view.text == "text\r\n"
    assert [(file.name, file.content_type) for file in view.files] == [("unread.eml", "message/rfc822")]
    assert read_message(view.files[0].octets(ALL)).text == "more\r\n"
    assert view.files[0].octets(7) == b"Content"


def test_a_large_message_is_in_memory_once() -> None:
    body = encodebytes(bytes(range(256)) * 64_000).replace(b"\n", b"\r\n")
    head = multipart("mixed", TEXT, PDF.replace("pdf\n", "")).replace("\n", "\r\n").encode()
    raw = head.replace(b"attachment\r\n", b"attachment\r\nContent-Transfer-Encoding: base64\r\n")
    raw = raw.replace(b"\r\n--b--", body + b"\r\n--b--")
    assert 22_000_000 < len(raw) < 25_000_000
    tracemalloc.start()
    try:
        view = read_message(raw)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        assert len(view.files[0].octets(ALL)) == 256 * 64_000
        assert tracemalloc.get_traced_memory()[1] < 25_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["x", "日", "\U0001f338\0"])
def test_large_texts_are_in_memory_once_or_twice(text: str) -> None:
    body = ("a" * 70 + text + "\r\n") * (MAX_TEXT // 82)
    raw = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body.encode()
    tracemalloc.start()
    try:
        assert read_message(raw).text == body.replace("\0", "\ufffd")
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=60)
names = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp"), exclude_characters="/\\"), max_size=60
)


@settings(max_examples=50)
@given(
    texts, texts | st.none(), st.lists(st.tuples(names, st.binary(max_size=100)), max_size=3), texts, st.booleans()
)
def test_what_the_standard_library_builds(
    text: str, html: str | None, files: list[tuple[str, bytes]], subject: str, japanese: bool
) -> None:
    message = EmailMessage(policy=email.policy.SMTP)
    message["Subject"] = subject.replace("\u2028", "").replace("\u2029", "")
    if japanese:
        text = "".join(char for char in text if char.encode("iso2022_jp", "ignore") and char not in "\\~\x1b")
    message.set_content(text, charset="iso-2022-jp" if japanese else "utf-8")
    if html is not None:
        message.add_alternative(html, subtype="html")
    for name, octets in files:
        message.add_attachment(octets, maintype="application", subtype="x-thing", filename=name.strip() or "x")
    view = read_message(message.as_bytes())
    assert view.subject.split() == subject.replace("\u2028", "").replace("\u2029", "").split()
    assert (view.text or "").splitlines() == f"{text}\n".splitlines()
    assert (view.html or "").splitlines() == ([] if html is None else f"{html}\n".splitlines())
    assert [file.octets(ALL) for file in view.files] == [octets for _, octets in files]
    for file, (name, _) in zip(view.files, files, strict=True):
        assert file.name == (name.strip() or "x") or not name.strip(". ")


@given(st.lists(st.sampled_from([
    "\n", "--b", "--b--", "--c", TEXT, HTML, IMAGE, PDF, INNER, "Content-Type: multipart/mixed; boundary=b\n",
    "Content-Type: multipart/alternative; boundary=c\n", "Content-Type: multipart/related; boundary=b; start=x\n",
    "Content-Type: multipart/signed; boundary=c\n", "Content-Transfer-Encoding: base64\n", "YQ==", "\x1b$B", "\0",
    "Content-Disposition: attachment; filename=", "x", "Content-Type: message/rfc822\n", "Content-Type: ",
]), max_size=30).map("".join))  # fmt: skip
def test_any_octets_are_viewed_and_no_part_is_lost(text: str) -> None:
    raw = text.encode()
    root = read_tree(raw, TreeBounds(parts=9, depth=4, header=300, fields=20, delimiters=30))
    view = view_message(root)
    pending, leaves = [root], 0
    while pending:
        part = pending.pop()
        if part.children and part.content_type.startswith("multipart/"):
            pending += part.children
        elif not part.content_type.startswith("multipart/") or part.unread:
            leaves += 1
    assert len(view.files) <= leaves
    for file in view.files:
        assert 0 < len(file.name) <= 255
        assert len(file.octets(5)) <= 5
        assert file.content_type.count("/") == 1
    "".join([view.subject, view.text or "", view.html or "", *(value for _, value in view.headers)]).encode()
