"""What counts as an attachment: a table, broken MIME, and random messages of the standard library's making."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.attachments import find_attachment
from ekiden.mime.scan import scan

PDF = "Content-Type: application/pdf\n\n%PDF\n"
TEXT = "Content-Type: text/plain\n\nHello\n"
IMAGE = "Content-Type: image/png\nContent-ID: <a@b>\n\nx\n"


def find(text: str | bytes) -> str | None:
    content = text.encode() if isinstance(text, str) else text
    return find_attachment(scan(content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")))


def multipart(*parts: str, kind: str = "mixed", boundary: str = "b", close: bool = True) -> str:
    return (
        f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n'
        + "".join(f"--{boundary}\n{part}\n" for part in parts)
        + (f"--{boundary}--\n" if close else "")
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "no header at all",
        "Subject: x\n\nHello",
        "Subject: x",
        "Content-Type: text/plain\n\n--b\n" + PDF,
        "Content-Type: text/html; charset=utf-8\n\n<p>",
        "Content-Type:\n\nx",
        "Content-Type: text\n\nx",
        "Content-Type: text/plain\nContent-Disposition: inline; filename=a.txt\n\nx",
        "Content-Type: application/pdf\nContent-Disposition: INLINE; filename=a.pdf\n\nx",
        multipart(),
        multipart(TEXT, TEXT),
        multipart("\nno header", "\n"),
        multipart(multipart(TEXT, TEXT, kind="alternative", boundary="bc"), TEXT),
        multipart(TEXT, IMAGE, kind="related"),
        multipart(multipart(TEXT, IMAGE, kind="related", boundary="bc"), TEXT),
        multipart(multipart(TEXT, IMAGE, kind="related", boundary="b"), boundary="bc"),
        multipart(TEXT, "Content-Type: image/png\nContent-Disposition: inline\n\nx"),
        multipart(
            TEXT,
            "Content-Type: message/delivery-status\n\nx",
            "Content-Type: text/rfc822-headers\n\nContent-Type: multipart/mixed; boundary=x",
            kind="report",
        ),
        multipart(TEXT, "Content-Type: message/disposition-notification\n\nx", kind="report"),
        multipart(
            TEXT,
            "Content-Type: application/pkcs7-signature\nContent-Disposition: attachment; filename=smime.p7s\n\nx",
            kind="signed",
        ),
        multipart(TEXT, "Content-Type: application/pgp-signature\n\nx", kind="signed"),
        multipart(
            "Content-Type: application/pgp-encrypted\n\nVersion: 1",
            "Content-Type: application/octet-stream\n\nx",
            kind="encrypted",
        ),
        multipart(TEXT) + "epilogue\nContent-Type: application/pdf\n\nx",
        multipart(TEXT).replace("\n\n--b", "\n\npreamble\nContent-Disposition: attachment\n\nx\n--b"),
        "Content-Type: multipart/mixed\n\nHello\n-- \nMy name\n",
        "Content-Type: multipart/mixed; boundary=b\n\nNothing like a part",
    ],
)
def test_no_attachment(text: str) -> None:
    assert find(text) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (PDF, "application/pdf"),
        ("content-type : Application/PDF; name=a.pdf\n\nx", "a.pdf"),
        ("Content-Type: (c) application/pdf (c)\n\nx", "application/pdf"),
        ("Content-Type: text/plain\nContent-Type: application/pdf\n\nx", "application/pdf"),
        ("Content-Type: pdf\n\nx", "pdf"),
        ("Content-Disposition: attachment\n\nx", "text/plain"),
        ("Content-Type: text/plain\nContent-disposition: ATTACHMENT; filename=a.txt\n\nx", "a.txt"),
        (
            "Content-Type: text/plain\nContent-Disposition: inline\nContent-Disposition: attachment\n\nx",
            "text/plain",
        ),
        ("Content-Type: text/plain\nContent-Disposition: filename=a.txt\n\nx", "a.txt"),
        ('Content-Type: text/plain\nContent-Disposition: "attachment"\n\nx', "text/plain"),
        ("Content-Type: text/plain\nContent-Disposition: (c)attachment\n\nx", "text/plain"),
        ("Content-Type: text/plain\nContent-Disposition:\n attachment;\n\tfilename=\n a\n\nx", "a"),
        ("Content-Type: message/rfc822\nContent-Disposition: inline\n\nSubject: x", "message/rfc822"),
        ("Content-Type: message/delivery-status\n\nx", "message/delivery-status"),
        ("Content-Type: application/pkcs7-mime; name=smime.p7m\n\nx", "smime.p7m"),
        (multipart(TEXT, PDF), "application/pdf"),
        (multipart(TEXT, PDF, close=False), "application/pdf"),
        (multipart(TEXT, IMAGE), "image/png"),
        (multipart(TEXT, PDF.replace("\n\n", "\nContent-ID: <a@b>\n\n"), kind="related"), "application/pdf"),
        (multipart(TEXT, "\nSubject: forwarded\n", "\n", kind="digest"), "message/rfc822"),
        (multipart(TEXT, "Content-Type: message/rfc822\n\nSubject: x", kind="report"), "message/rfc822"),
        (multipart(TEXT, PDF, kind="signed"), "application/pdf"),
        (multipart("Content-Type: application/pgp-signature\n\nx"), "application/pgp-signature"),
        (multipart(PDF, kind="encrypted"), "application/pdf"),
        (multipart(multipart(TEXT, PDF, boundary="bc"), TEXT), "application/pdf"),
        (multipart(multipart(TEXT, boundary="bc"), PDF), "application/pdf"),
        (multipart(multipart(TEXT, PDF, boundary="b"), boundary="bc"), "application/pdf"),
        (multipart(multipart(TEXT, PDF, boundary="b"), TEXT), "application/pdf"),
        (multipart(multipart(TEXT, PDF, boundary="c", close=False), TEXT), "application/pdf"),
        (multipart(TEXT, "Content-Disposition: attachment; filename=a\n" + multipart(TEXT, boundary="c")), "a"),
        (multipart(TEXT).replace("\n\n", "\nContent-Transfer-Encoding: base64\n\n", 1), "multipart/mixed"),
        # A preamble and an epilogue that are none for a simple reader.
        (multipart(TEXT) + "--b\n" + PDF, "application/pdf"),
        (multipart(TEXT).replace("--b\n", "--bc\n" + PDF + "\n--b\n", 1), "application/pdf"),
        (multipart(TEXT, PDF).replace("--b\n", "--b \t\n"), "application/pdf"),
        (multipart(TEXT) + "--b--c\n" + PDF, "application/pdf"),
        # Boundaries, written in all ways.
        *(
            (
                f"Content-Type: multipart/mixed; {parameter}\n\n--{boundary}\n{PDF}--{boundary}--\n",
                "application/pdf",
            )
            for parameter, boundary in [
                ("boundary=b", "b"),
                ("BOUNDARY = b", "b"),
                ('boundary="b c"', "b c"),
                ("boundary=b c", "b c"),
                ("boundary=b c", "b"),
                ('boundary="b\\c"', "bc"),
                ('boundary="b\\c"', "b\\c"),
                ('boundary="b;c"', "b;c"),
                ('boundary="b', "b"),
                ('boundary="b', '"b'),
                ('boundary="b;c', "b"),
                ('boundary="b;c', "b;c"),
                ("boundary=<b>", "b"),
                ("boundary='b'", "b"),
                ("boundary='b'", "'b'"),
                ("boundary=b(comment)", "b"),
                ('boundary="(b)"', "(b)"),
                ("boundary=b;boundary=c", "c"),
                ("boundary=c;boundary=b", "c"),
                ('name="; boundary=b"; boundary=c', "c"),
                ('name="; boundary=b"; boundary=c', "b"),
                ('name="; boundary=b', "b"),
                ('charset=x boundary="b"', "b"),
                ("boundary*=us-ascii'en'b%20c", "b c"),
                ("boundary*0=b; boundary*1=c", "bc"),
                ("boundary*1=c; boundary*0=b", "bc"),
                ("boundary*0*=''b%20; boundary*1=\"c\"", "b c"),
                ("\n boundary=b", "b"),
                ("x=y", "anything"),
                ("boundary=", "anything"),
                ('boundary=""', "anything"),
            ]
        ),
        ("Content-Type: multipart/mixed boundary=b\n\n--b\n" + PDF, "application/pdf"),
        ("Content-Type: multipart/mixed(;)boundary=b\n\n--b\n" + PDF, "application/pdf"),
        ("Content-Type: multipart\n\n--b\n" + PDF, "application/pdf"),
        # Header and body that are not parted.
        ("Content-Type: multipart/mixed; boundary=b\ngarbage\n--b\n" + PDF, "application/pdf"),
        (multipart("Content-Type: multipart/mixed; boundary=c\ngarbage\n--c\n" + PDF), "application/pdf"),
        (multipart(" Content-Disposition: attachment\n\nx"), "text/plain"),
        (multipart("garbage\nContent-Disposition: attachment\n\nx"), "text/plain"),
        (multipart("Content-Disposition: attachment"), "text/plain"),
        (multipart("Content-Disposition: inline filename=a"), "a"),
        ("Content-Type: multipart/mixed; boundary=b\nContent-Type: multipart/digest\n\n--b\n\n", "message/rfc822"),
        ("Content-Type: multipart/digest; boundary=b\n--b", "message/rfc822"),
        (multipart("Content-Type: a/b\ngarbage\nContent-Disposition: inline\n\nx"), "a/b"),
        (multipart("Content-Type: a/b\n \nContent-Disposition: inline\n\nx"), "a/b"),
        (multipart(" Content-Disposition: inline\nContent-Type: a/b\n\nx"), "a/b"),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\nContent-Type: a/b", "a/b"),
    ],
)
def test_attachment(text: str, shown: str) -> None:
    assert find(text) == shown


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        ('filename="a b.pdf"', "a b.pdf"),
        ('filename="a\\"b.pdf"', 'a"b.pdf'),
        ("filename*=utf-8'ja'%E8%AB%8B.pdf", "?.pdf"),
        ("filename*=iso-8859-1''%66.pdf; filename=other", "f.pdf"),
        ("filename*=unknown''%66.pdf", "f.pdf"),
        ("filename*0=long; filename*1*=%2Dname; filename*2=.pdf", "long-name.pdf"),
        ('filename="=?utf-8?B?YS5wZGY=?="', "a.pdf"),
        ('filename="=?utf-8?Q?a=0D=0Ab?="', "a??b"),
        ('filename=""', "n.pdf"),
        ("filename=" + "a" * 100, "a" * 57 + "..."),
        ("size=1", "n.pdf"),
    ],
)
def test_file_names(parameters: str, shown: str) -> None:
    text = f"Content-Type: application/pdf; name=n.pdf\nContent-Disposition: attachment; {parameters}\n\nx"
    assert find(text) == shown


def nested(levels: int) -> str:
    text = TEXT
    for level in range(levels):
        text = multipart(text, boundary=f"b{level}")
    return text


def test_bounds() -> None:
    assert find(nested(20)) is None
    assert find(nested(21)) == "too many parts"
    assert find(multipart(*[TEXT] * 1_000)) is None
    assert find(multipart(*[TEXT] * 1_001)) == "too many parts"
    assert find(multipart(TEXT, "X: " + "a" * 70_000 + "\n" + PDF)) == "too many parts"
    assert find("Content-Type: multipart/mixed\n\n" + "--\n" * 20_000) == "too many parts"
    assert find(multipart(TEXT) + "--b--\n" * 20_000) == "too many parts"


def test_costly_messages_end() -> None:
    # No assertion on time: a quadratic walk would not come back before the suite's own limit.
    filling = "x" * 70 + "\n"
    inner = "Content-Type: multipart/mixed; boundary=c{}; boundary=d{}; boundary=e{}\n\n"
    find(multipart(*[inner.replace("{}", str(at)) for at in range(900)], filling * 100_000))
    text = ""
    for level in range(20):
        text += inner.replace("{}", str(level)) + f"--c{level}\n"
    find(text + filling * 50_000)
    find(multipart(TEXT) + "\n" * 3_000_000)
    find(multipart(TEXT, "Content-Type: " + "(" * 60_000))
    find(multipart(TEXT, "Content-Type: multipart/mixed; " + 'boundary="' * 6_000))
    find(multipart(TEXT, "Content-Type: multipart/mixed; " + "boundary*=" * 6_000))
    find("Content-Type: multipart/mixed; " + "boundary=x " * 200_000)
    find("Content-Type: multipart/mixed; " + "boundary=x;" * 200_000)
    find("Content-Type: multipart/mixed; boundary=" + "(" * 2_000_000)


# What the standard library makes of messages, as the witness.


def is_attachment(part: Message, parent: str) -> bool:
    kind = part.get_content_type()
    structure = {
        "multipart/report": ("message/delivery-status", "message/disposition-notification", "text/rfc822-headers"),
        "multipart/signed": ("application/pkcs7-signature", "application/pgp-signature"),
        "multipart/encrypted": ("application/pgp-encrypted", "application/octet-stream"),
    }
    if kind in structure.get(parent, ()):
        return False
    disposition = part.get_content_disposition()
    if disposition == "attachment":
        return True
    if kind.startswith("message/"):
        return True
    if kind.startswith(("text/", "multipart/")) or disposition == "inline":
        return False
    embedded = kind.startswith(("image/", "audio/", "video/", "font/")) and "Content-ID" in part
    return not (embedded and parent == "multipart/related")


def first(part: Message, parent: str = "") -> Message | None:
    if is_attachment(part, parent):
        return part
    if part.get_content_maintype() == "multipart" and part.is_multipart():
        for child in part.get_payload():
            assert isinstance(child, Message)
            found = first(child, part.get_content_type())
            if found is not None:
                return found
    return None


TYPES = [
    "text/plain",
    "text/html",
    "image/png",
    "font/woff",
    "application/pdf",
    "application/octet-stream",
    "application/pgp-signature",
    "application/pkcs7-signature",
    "application/pgp-encrypted",
    "message/delivery-status",
    "text/rfc822-headers",
]
LEAVES = st.tuples(
    st.sampled_from(TYPES),
    st.sampled_from([None, None, "inline", "attachment", "INLINE"]),
    st.booleans(),
    st.sampled_from([None, "a.pdf", 'quo"ted', "日本.pdf", "x" * 90]),
)
KINDS = st.sampled_from(["mixed", "related", "alternative", "signed", "encrypted", "report"])
TREES = st.recursive(
    LEAVES, lambda children: st.tuples(KINDS, st.lists(children, min_size=1, max_size=4)), max_leaves=12
)
BOUNDARIES = st.lists(
    st.text(st.sampled_from("ab="), min_size=1, max_size=8), min_size=30, max_size=30, unique=True
)


def build(tree: tuple, boundaries: list[str]) -> EmailMessage:
    message = EmailMessage(policy=email.policy.SMTP)
    if isinstance(tree[1], list):
        kind, children = tree
        message["Content-Type"] = f"multipart/{kind}"
        message.set_boundary(boundaries.pop())
        message.preamble = "preamble"
        message.epilogue = "epilogue\n"
        message.set_payload([build(child, boundaries) for child in children])
        return message
    kind, disposition, has_id, name = tree
    message["Content-Type"] = kind
    message["Content-Transfer-Encoding"] = "7bit"
    if disposition is not None:
        message["Content-Disposition"] = disposition
        if name is not None:
            message.set_param("filename", name, "Content-Disposition")
    if has_id:
        message["Content-ID"] = "<a@b.example>"
    message.set_payload([EmailMessage()] if kind.startswith("message/") else "some text\n--not\nmore\n")
    return message


@given(TREES, BOUNDARIES)
def test_random_structures(tree: tuple, boundaries: list[str]) -> None:
    message = build(tree, boundaries)
    content = message.as_bytes()
    expected = first(message)
    shown = find(content)
    if expected is None:
        assert shown is None
        return
    name = expected.get_filename() or expected.get_content_type()
    clean = "".join(char if char.isascii() else "?" for char in name)
    assert shown == (clean if len(clean) <= 60 else clean[:57] + "...")


LINES = st.sampled_from(
    [
        "Content-Type: multipart/mixed; boundary=a",
        'Content-Type: multipart/mixed; boundary="ab"',
        "Content-Type: multipart/mixed; boundary*0=a; boundary*1=b",
        "Content-Type: multipart/mixed",
        "Content-Type: multipart/digest; boundary=a",
        "Content-Type: multipart/related;",
        " boundary=b",
        "Content-Type: text/plain",
        "Content-Type: application/pdf",
        "Content-Type: image/png",
        "Content-ID: <a@b>",
        "Content-Disposition: attachment",
        "Content-Disposition: inline",
        "garbage",
        " \t",
        "",
        "",
        "--",
        "--a",
        "--a ",
        "--ab",
        "--b",
        "--abc",
        "--a--",
        "--ab--",
    ]
)


@given(st.lists(LINES, max_size=24))
def test_whatever_the_standard_parser_finds_is_found(lines: list[str]) -> None:
    content = ("MIME-Version: 1.0\n" + "\n".join(lines)).encode()
    parsed = email.message_from_bytes(content.replace(b"\n", b"\r\n"), policy=email.policy.compat32)
    if first(parsed) is not None:
        assert find(content) is not None


@given(st.binary(max_size=300))
def test_octets_never_raise(octets: bytes) -> None:
    find(b"Content-Type: multipart/mixed; boundary=" + octets)
    find(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + octets)
    find(b"Content-Disposition: attachment; filename" + octets)
