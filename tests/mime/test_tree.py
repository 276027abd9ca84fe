"""The tree of a message from outside: tables of what is broken, the standard library judges what is not."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage, Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ekiden.mime.tree import Part, TreeBounds, read_tree

TEXT = b"Content-Type: text/plain\r\n\r\nHello\r\n"


def multipart(*parts: bytes, kind: bytes = b"mixed", boundary: bytes = b"b", close: bool = True) -> bytes:
    return (
        b'Content-Type: multipart/%b; boundary="%b"\r\n\r\n' % (kind, boundary)
        + b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts)
        + (b"--%b--\r\n" % boundary if close else b"")
    )


def shape(part: Part) -> object:
    """``[type, child, ...]``; a leaf is its type and its body."""
    if part.unread:
        return (part.content_type, "unread")
    if part.children:
        return [part.content_type, *map(shape, part.children)]
    return (part.content_type, part.decoded(1_000))


def walk(part: Part) -> Iterator[Part]:
    pending = [part]
    while pending:
        part = pending.pop()
        yield part
        pending += reversed(part.children)


HELLO = ("text/plain", b"Hello\r\n")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ("text/plain", b"")),
        (b"\r\n", ("text/plain", b"")),
        (b"Hello", ("text/plain", b"Hello")),
        (b"\r\nHello", ("text/plain", b"Hello")),
        (b"Subject: x", ("text/plain", b"")),
        (b"Subject: x\r\n\r\n", ("text/plain", b"")),
        (b"From x\r\nSubject: x\r\n\r\nHello", ("text/plain", b"Hello")),
        (b"Subject: x\r\nHello\r\nWorld", ("text/plain", b"Hello\r\nWorld")),
        (b"Subject: x\r\nHello,\r\n\r\nWorld", ("text/plain", b"Hello,\r\n\r\nWorld")),
        (b"Subject: x\r\nno field\r\nContent-Type: text/html\r\n\r\nHello", ("text/html", b"Hello")),
        (b"Content-Type: TEXT/Html; charset=x\r\n\r\nHello", ("text/html", b"Hello")),
        (b"Content-Type: text\r\n\r\nHello", ("text/plain", b"Hello")),
        (b"Content-Type: nonsense\r\n\r\nHello", ("nonsense", b"Hello")),
        (b"Content-Type : text/html\r\n\r\nHello", ("text/html", b"Hello")),
        (b"Content-Type:\r\n text/html;\r\n\tcharset=x\r\n\r\nHello", ("text/html", b"Hello")),
        (multipart(TEXT), ["multipart/mixed", HELLO]),
        (multipart(TEXT, TEXT), ["multipart/mixed", HELLO, HELLO]),
        (multipart(TEXT, close=False), ["multipart/mixed", ("text/plain", b"Hello\r\n\r\n")]),
        (multipart(b"\r\nHello\r\n"), ["multipart/mixed", HELLO]),
        (multipart(b"Hello\r\n"), ["multipart/mixed", HELLO]),
        (multipart(b"Content-Type: text/html\r\n"), ["multipart/mixed", ("text/html", b"")]),
        (multipart(b""), ["multipart/mixed", ("text/plain", b"")]),
        (multipart(), ("multipart/mixed", b"--b--\r\n")),
        (multipart(TEXT) + b"epilogue", ["multipart/mixed", HELLO]),
        (multipart(TEXT) + b"--b\r\n" + TEXT + b"\r\n--b--", ["multipart/mixed", HELLO, HELLO]),
        (multipart(TEXT).replace(b"\r\n\r\n", b"\r\n\r\npreamble\r\n", 1), ["multipart/mixed", HELLO]),
        (multipart(TEXT).replace(b"--b\r\n", b"--b \t\r\n"), ["multipart/mixed", HELLO]),
        (multipart(TEXT).replace(b"Hello", b"--bx\r\n--b--x\r\nx--b"),
         ["multipart/mixed", ("text/plain", b"--bx\r\n--b--x\r\nx--b\r\n")]),
        (multipart(multipart(TEXT, boundary=b"bc"), TEXT), ["multipart/mixed", ["multipart/mixed", HELLO], HELLO]),
        (multipart(multipart(TEXT, boundary=b"bc", close=False), TEXT),
         ["multipart/mixed", ["multipart/mixed", ("text/plain", b"Hello\r\n\r\n")], HELLO]),
        # The boundary of both: what is in it is there, one level higher.
        (multipart(multipart(TEXT, TEXT), TEXT),
         ["multipart/mixed", ("multipart/mixed", b""), HELLO, HELLO, HELLO]),
        (multipart(b"\r\nSubject: x\r\n\r\nHello\r\n", kind=b"digest"),
         ["multipart/digest", ["message/rfc822", HELLO]]),
        (multipart(b"Content-Type: message/rfc822\r\n\r\n" + multipart(TEXT, boundary=b"c")),
         ["multipart/mixed", ["message/rfc822", ["multipart/mixed", HELLO]]]),
        (b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8=",
         ("message/rfc822", b"Hello")),
        (b"Content-Type: message/rfc822\r\n\r\n", ("message/rfc822", b"")),
        (b"Content-Type: multipart/mixed\r\n\r\nHello", ("multipart/mixed", b"Hello")),
        (b"Content-Type: multipart/mixed\r\n\r\n--odd\r\nContent-Type: text/plain\r\n\r\nHello\r\n\r\n--odd--",
         ["multipart/mixed", HELLO]),
        (multipart(TEXT, boundary=b"(a)+*?[x] '=/:,."), ["multipart/mixed", HELLO]),
        (multipart(TEXT, boundary=b"\\\\").replace(b"--\\\\", b"--\\"), ["multipart/mixed", HELLO]),
        (multipart(TEXT, boundary="境".encode()), ["multipart/mixed", HELLO]),
        (b"Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n\r\n--ab\r\n" + TEXT + b"\r\n--ab--",
         ["multipart/mixed", HELLO]),
        (b"Content-Type: multipart/mixed;\r\nboundary=b\r\n\r\n--b\r\n" + TEXT + b"\r\n--b--",
         ["multipart/mixed", HELLO]),
        (b"Content-Type: multipart/mixed; boundary=b charset=x\r\n\r\n--b\r\n" + TEXT + b"\r\n--b--",
         ["multipart/mixed", HELLO]),
    ],
)  # fmt: skip
def test_the_shape(raw: bytes, expected: object) -> None:
    assert shape(read_tree(raw)) == expected


@pytest.mark.parametrize("line_end", [b"\n", b"\r"])
def test_other_line_ends(line_end: bytes) -> None:
    raw = multipart(multipart(TEXT, TEXT, boundary=b"c"), TEXT + b"\r\n")
    root = read_tree(raw.replace(b"\r\n", line_end))
    hello = ("text/plain", b"Hello" + line_end)
    assert shape(root) == [
        "multipart/mixed",
        ["multipart/mixed", hello, hello],
        ("text/plain", b"Hello" + line_end * 2),
    ]


def test_fields_are_kept_as_they_came() -> None:
    raw = (
        b"Received: a;\r\n\tb \r\nreceived: c\r\nSubject: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?=\r\n"
        b"X-Raw: \xe6\x97\xa5\xe6\x9c\xac\r\nX-Latin: caf\xe9\r\nX-Sjis: \x93\xfa\x96\x7b\x8c\xea\x82\xcc\r\n"
        b"X-Jis: \x1b$BF|K\\\x1b(B\r\nX-Nul: a\0b =?utf-8?q?=0D=0AX:?=\r\n\r\nHello"
    )
    root = read_tree(raw)
    assert [field.name for field in root.fields][:3] == ["Received", "received", "Subject"]
    assert root.fields[0].raw == b" a;\r\n\tb "
    assert root.fields[0].value == b"a;\tb"
    assert root.fields_of("RECEIVED") == ["a;\tb", "c"]
    assert root.field("subject") == root.field("x-raw") == root.field("X-Jis") == "日本"
    assert root.field("x-latin") == "café"
    assert root.field("x-sjis") == "日本語の"
    assert root.field("x-nul") == "a\ufffdb   X:"
    assert root.field("absent") == ""
    assert root.fields_of("absent") == []


def test_what_octets_above_127_are_is_told_by_the_charset() -> None:
    raw = b"Content-Type: text/plain; charset=koi8-r\r\nSubject: \xf0\xd2\xc9\xd7\xc5\xd4\r\n\r\n\xf0\xd2"
    root = read_tree(raw)
    assert root.field("Subject") == "Привет"
    assert root.charset == "koi8-r"
    assert root.text(100) == "Пр"


def test_bounds() -> None:
    many = multipart(*[TEXT] * 20)
    root = read_tree(many, TreeBounds(parts=5))
    assert [part.unread for part in root.children] == [False, False, False, True]
    rest = root.children[-1]
    assert (rest.content_type, rest.fields, rest.encoding) == ("application/octet-stream", [], "binary")
    assert rest.decoded(10**6) == many[rest.start :]
    assert many[: rest.start].count(b"Hello") == 3

    deep = TEXT
    for level in range(20):
        deep = multipart(deep, boundary=b"b%d" % level)
    parts = list(walk(read_tree(deep, TreeBounds(depth=5))))
    assert len(parts) == 6
    assert [part.unread for part in parts] == [False] * 5 + [True]
    assert parts[-1].content_type == "multipart/mixed"

    root = read_tree(b"A: x\r\n" * 100 + b"\r\nHello", TreeBounds(fields=10))
    assert (len(root.fields), root.decoded(100)) == (10, b"Hello")
    root = read_tree(b"A: " + b"x" * 5_000 + b"\r\nB: x\r\n\r\nHello", TreeBounds(header=1_000))
    assert (len(root.fields), len(root.fields[0].value), root.decoded(100)) == (1, 997, b"Hello")
    # Fields are counted for all parts together.
    root = read_tree(multipart(*[b"A: x\r\n" * 5 + b"\r\nHello\r\n"] * 10), TreeBounds(fields=12))
    assert [len(part.fields) for part in root.children] == [5, 5, 1, 0]
    assert root.children[-1].unread

    root = read_tree(multipart(b"\r\n" + b"--bx\r\n" * 50, TEXT), TreeBounds(delimiters=10))
    assert shape(root) == ["multipart/mixed", ("application/octet-stream", "unread")]
    root = read_tree(multipart(TEXT).replace(b"--b\r\n", b"--bx\r\n" * 50), TreeBounds(delimiters=10))
    assert shape(root) == ("multipart/mixed", "unread")


HEAD = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        pytest.param(b"".join((HEAD % b"<%d>" % n) + b"--<%d>\r\n" % n for n in range(100_000)), 21, id="nested"),
        pytest.param(
            b"".join((HEAD % b"<%d>" % n) + b"--<%d>\r\n" % n for n in range(9_000)), 51, id="small-nested"
        ),
        pytest.param((HEAD % b"b" + b"--b\r\n") * 100_000, 1_000, id="nested-in-one-boundary"),
        pytest.param(b"Content-Type: message/rfc822\r\n\r\n" * 100_000, 51, id="messages"),
        pytest.param(HEAD % b"b" + b"--b\r\n\r\nx\r\n" * 100_000, 1_000, id="siblings"),
        pytest.param(HEAD % b"b" + b"--bx\r\n" * 500_000, 1, id="nearly-delimiters"),
        pytest.param(HEAD % b"b" + b"--b" + b" " * 1_000_000, 2, id="blanks"),
        pytest.param(b"Subject: " + b"x" * 25_000_000, 1, id="long-field"),
        pytest.param(b"A: x\r\n" * 4_000_000, 1, id="many-fields"),
        pytest.param(b"A: x;\r\n" + b"y;\r\n" * 4_000_000, 1, id="lines-of-a-field"),
        pytest.param(b"Subject: x\r\n" + b"y\r\n" * 4_000_000, 1, id="no-fields"),
        pytest.param(b"\r" * 10_000_000, 1, id="returns"),
        pytest.param(HEAD % (b"-" * 70) + b"-" * 10_000_000, 1, id="hyphens"),
        pytest.param(HEAD % b"b" + (b"--b\r\n" + b"a:\r\n" * 6_000 + b"\r\n") * 100, 4, id="fields-of-parts"),
    ],
)
def test_bombs_are_read_in_few_steps(raw: bytes, parts: int) -> None:
    """Their parts are as many as the bounds allow, and so are the fields; nothing is lost of what is left."""
    found = list(walk(read_tree(raw)))
    assert len(found) == parts
    assert sum(len(part.fields) for part in found) <= 10_000
    assert all(part.end <= len(raw) for part in found)
    if parts > 1:
        assert max(part.end for part in found) == len(raw)


@given(st.lists(st.sampled_from([
    b"\r\n", b"\n", b"\r", b"--b", b"--b--", b"--c", b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: multipart/digest; boundary=c\r\n", b"Content-Type: message/rfc822\r\n", b"Subject: x\r\n", b" ",
    b"x", b";", b":", b'"', b"\\", b"=?utf-8?q?=FF?=", b"\x1b$B", b"\x93\xfa", b"\0",
    b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n", b"YQ==", b"=41",
    b"Content-Transfer-Encoding: x-uuencode\r\n", b"begin 644 x\r\n#86)C\r\n", b"boundary=", b"Content-Type: ",
])).map(b"".join), st.integers(0, 40))  # fmt: skip
def test_any_octets_are_a_tree(raw: bytes, limit: int) -> None:
    bounds = TreeBounds(parts=9, depth=4, header=300, fields=20, delimiters=30)
    parts = list(walk(read_tree(raw, bounds)))
    assert len(parts) <= 9
    for part in parts:
        assert 0 <= part.start <= part.body <= part.end <= len(raw)
        before = part.body
        for child in part.children:
            assert before <= child.start <= child.end <= part.end
            before = child.end
        assert len(part.decoded(limit)) <= limit
        shown = [part.text(limit), *part.params.values(), *(field.text() for field in part.fields)]
        assert b"\0" not in "".join(shown).encode()  # which has no lone surrogates
    assert sum(len(part.fields) for part in parts) <= 20


def _built(structure: object) -> EmailMessage:
    """A message of the library's making: a text, a file, or a list of parts."""
    message = EmailMessage(policy=email.policy.SMTP)
    if isinstance(structure, str):
        message.set_content(structure)
    elif isinstance(structure, bytes):
        message.set_content(structure, maintype="application", subtype="octet-stream")
    else:
        assert isinstance(structure, list)
        message.make_mixed()
        for each in structure:
            message.attach(_built(each))
    return message


structures = st.recursive(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=200) | st.binary(max_size=200),
    lambda parts: st.lists(parts, min_size=1, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50)
@given(structures, st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=40))
def test_what_the_standard_library_builds_is_read_as_it_reads_it(structure: object, subject: str) -> None:
    built = _built(structure)
    built["Subject"] = subject
    raw = built.as_bytes()
    root = read_tree(raw)
    judge = email.message_from_bytes(raw, policy=email.policy.default)
    assert root.field("subject").split() == str(judge["subject"]).split()
    for part, other in zip(walk(root), judge.walk(), strict=True):
        assert isinstance(other, Message)
        assert part.content_type == other.get_content_type()
        assert part.charset == (other.get_content_charset() or "")
        assert [field.name for field in part.fields] == other.keys()
        if not part.children:
            assert part.decoded(10**6) == other.get_payload(decode=True)
            if part.content_type == "text/plain":
                assert part.text(10**6).splitlines() == other.get_content().splitlines()
