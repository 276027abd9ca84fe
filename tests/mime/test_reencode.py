"""Long lines and 8-bit text, made fit for any way; what needs nothing of it or is signed keeps its octets."""

from __future__ import annotations

import email
import email.policy
import time
from email.message import Message
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.reencode import MAX_LINE, has_long_line, reencode

HEADER = b"From: a@d.example\r\nTo: b@e.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
LONG = b"word " * 400 + b"\r\n"
JAPANESE = "予約を受け付けました。\r\n".encode()


def fit(content: bytes, *, lines: bool = True, eight_bit: bool = True) -> bytes:
    return reencode(content, lines=lines, eight_bit=eight_bit).content


def parsed(content: bytes) -> Message:
    return email.message_from_bytes(content)


def leaves(message: Message) -> list[tuple[str, str | None, bytes]]:
    """Type, file name and decoded octets of each part that has some, nested messages' among them."""
    found = []
    for part in message.walk():
        if not part.is_multipart():
            octets = part.get_payload(decode=True)
            assert isinstance(octets, bytes)
            found.append((part.get_content_type(), part.get_filename(), octets))
    return found


def is_fit(content: bytes) -> bool:
    return content.isascii() and max(map(len, content.split(b"\r\n"))) <= MAX_LINE


@pytest.mark.parametrize("size", [0, 1, 900, 997, 998, 999, 1000, 1001, 1998, 1999, 5000])
def test_a_line_is_long_from_its_999th_octet_on(size: int) -> None:
    for before in (b"", b"x\r\n", b"x" * 998 + b"\r\n", b"x\r\n" * 700):
        for after in (b"", b"\r\n", b"\r\ny\r\n", b"\r\n" + b"y\r\n" * 700):
            content = before + b"x" * size + after
            assert has_long_line(content) == (size > 998), (len(before), after[:5])
            assert has_long_line(b"z" * 2000 + content, 2000, 2000 + len(content)) == (size > 998)


@pytest.mark.parametrize(
    "content",
    [
        HEADER + TEXT + b"\r\nHello\r\n",
        HEADER + b"\r\n" + b"x" * 998 + b"\r\n",
        HEADER + b"X-Long: " + b"x" * 990 + b"\r\n\r\nHello\r\n",
        b"\r\n\r\n",
        b"",
        b"just text\r\n",
    ],
)
def test_what_is_fit_stays_the_same_object(content: bytes) -> None:
    assert reencode(content, lines=True, eight_bit=True).content is content


def test_each_wish_alone() -> None:
    long, eight = HEADER + TEXT + b"\r\n" + LONG, HEADER + TEXT + b"\r\n" + JAPANESE
    assert fit(long, lines=False) == long
    assert fit(eight, eight_bit=False) == eight
    assert reencode(long, lines=True, eight_bit=True)[1:] == (True, False)
    assert reencode(eight, lines=True, eight_bit=True)[1:] == (False, True)
    assert fit(LONG + JAPANESE, eight_bit=False).isascii()  # who encodes a part for its lines encodes all of it


BODIES: dict[str, tuple[bytes, bytes]] = {
    "long text": (TEXT, LONG),
    "long text without blanks": (TEXT, b"x" * 3000 + b"\r\n"),
    "long text with dots": (TEXT, b"." * 3000 + b"\r\n.\r\n..\r\n"),
    "blanks at the ends of lines": (TEXT, LONG.replace(b"\r\n", b" \t \r\n") + b" \r\n\t\r\n"),
    "no line end": (TEXT, LONG[:-2]),
    "empty lines at the end": (TEXT, LONG + b"\r\n\r\n\r\n"),
    "Japanese": (TEXT, JAPANESE * 50),
    "mostly ASCII": (TEXT, b"Hello\r\n" * 50 + JAPANESE),
    "Shift_JIS": (b"Content-Type: text/plain; charset=Shift_JIS\r\n", "表示能力\r\n".encode("cp932") * 9),
    "EUC": (b"Content-Type: text/html; charset=EUC-JP\r\n", "<p>予約</p>\r\n".encode("euc_jp")),
    "Latin": (
        b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n",
        b"caf\xe9\r\n",
    ),
    "long ISO-2022-JP": (b"Content-Type: text/plain; charset=iso-2022-jp\r\n", "予約".encode("iso2022_jp") * 900),
    "UTF-16": (b"Content-Type: text/plain; charset=utf-16\r\n", "予約".encode("utf-16") * 20 + b"\r\n"),
    "octets": (
        b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\n",
        bytes(range(1, 10)) * 300,
    ),
    "image": (b"Content-Type: image/png\r\nContent-Transfer-Encoding: 8bit\r\n", b"\x89PNG\xff\xfe" * 300),
    "long base64": (
        b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n",
        b"JVBERi0xLjQ=\r\n" + b"QUJD" * 900 + b"\r\n",
    ),
    "base64 with other octets": (
        b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: BASE64\r\n",
        b"QUJD" * 300 + b" \xff QUJD\r\n",
    ),
    "long quoted-printable": (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: Quoted-Printable\r\n",
        b"=E4=BA=88 word" * 200 + b" \r\nshort =\r\nline\r\n",
    ),
    "quoted-printable with other octets": (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        JAPANESE + b"=3D\r\n",
    ),
    "quoted-printable with few other octets": (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        b"=E4=BA=88 word =\r\n" * 20 + JAPANESE,
    ),
    "what is called quoted-printable, and large": (
        b"Content-Type: application/x-any\r\nContent-Transfer-Encoding: quoted-printable\r\n",
        (JAPANESE + b"=E4=BA=88=\r\n") * 10_000 + b"=\r\n",
    ),
    "no type": (b"", LONG),
    "no type, 8-bit": (b"", JAPANESE),
    "no charset": (b"Content-Type: text/plain\r\n", JAPANESE),
    "no charset, semicolon": (b"Content-Type: text/html;\r\n", JAPANESE),
    "8bit, short lines": (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8BIT\r\n",
        JAPANESE,
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_alone_and_in_parts(name: str) -> None:
    fields, body = BODIES[name]
    alone = HEADER + fields + b"\r\n" + body
    between = (
        HEADER
        + b"Content-Type: multipart/mixed; boundary=b1\r\n\r\npreamble\r\n"
        + b"--b1\r\nContent-Type: text/plain\r\nX-Odd :  spacing\r\n\r\n untouched  \t\r\n--b1\r\n"
        + (fields + b"\r\n" + body + b"\r\n--b1--\r\n")
    )
    for content in (alone, between):
        changed = fit(content)
        assert is_fit(changed)
        before, after = leaves(parsed(content)), leaves(parsed(changed))
        if content is alone and not body.endswith(b"\r\n"):
            after = [(*item[:2], item[2].removesuffix(b"\r\n")) for item in after]
        assert after == before
        assert len(changed) < 1.4 * len(content) + 100
        for name_ in ("From", "To", "Subject", "MIME-Version"):
            assert parsed(changed).get_all(name_) == parsed(content).get_all(name_)
        assert fit(changed) is changed
    assert b"X-Odd :  spacing\r\n\r\n untouched  \t\r\n--b1\r\n" in fit(between)


def test_the_charset_is_said_where_it_was_left_open() -> None:
    for fields, body, charset in (
        (b"", JAPANESE, "utf-8"),
        (b"Content-Type: text/html\r\n", JAPANESE, "utf-8"),
        (b"Content-Type: text/plain; format=flowed;\r\n", JAPANESE, "utf-8"),
        ('Content-Type: text/plain; name="予定.txt"\r\n'.encode(), JAPANESE, "utf-8"),
        (b"Content-Type: text/plain" + b"; a=b" * 300 + b"\r\n", JAPANESE, "utf-8"),
        (b"Content-Transfer-Encoding: 8bit" + b" " * 1000 + b"\r\n", JAPANESE, "utf-8"),
        (b"Content-Type: text/plain\r\n", "予約\r\n".encode("cp932"), None),  # nobody knows
        (b"Content-Type: text/plain; charset=Shift_JIS\r\n", "予約\r\n".encode("cp932"), "shift_jis"),
        (b"Content-Type: text/plain\r\n", LONG, None),
    ):
        message = parsed(fit(b"From: a@d.example\r\n" + fields + b"\r\n" + body))
        assert message.get_content_charset() == charset
        assert message.get_filename() == ("予定.txt" if b"name" in fields else None)
        assert (
            len(message.get_all("Content-Type") or [""]) == len(message.get_all("Content-Transfer-Encoding")) == 1
        )
        assert message.get_payload(decode=True) == body
        assert message["MIME-Version"] == "1.0"


def test_a_message_that_is_all_body() -> None:
    changed = fit(LONG)
    assert changed.startswith(b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
    assert parsed(changed).get_payload(decode=True) == LONG


def multipart(kind: bytes, *parts: bytes, boundary: bytes = b"inner", more: bytes = b"") -> bytes:
    joined = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return (
        b"Content-Type: multipart/" + kind + b'; boundary="' + boundary + b'"' + more + b"\r\n\r\n"
    ) + joined + b"--" + boundary + b"--\r\n"  # fmt: skip


SIGNED = multipart(
    b"signed",
    TEXT + b"\r\n" + LONG + JAPANESE,
    b"Content-Type: application/pgp-signature\r\n\r\nsig\r\n",
    boundary=b"sig",
    more=b"; protocol=application/pgp-signature",
)


def test_signed_parts_are_not_touched_and_their_neighbours_are() -> None:
    assert fit(HEADER + SIGNED) == HEADER + SIGNED
    content = HEADER + multipart(b"mixed", TEXT + b"\r\n" + LONG, SIGNED, TEXT + b"\r\n" + JAPANESE)
    changed = fit(content)
    assert SIGNED in changed
    assert leaves(parsed(changed)) == leaves(parsed(content))
    assert is_fit(changed.replace(SIGNED, b""))


@pytest.mark.parametrize(
    "part",
    [
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a\r\n\r\n" + LONG,
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n" + LONG,
        b"Content-Type: message/partial; id=1\r\n\r\n" + LONG,
        b"Content-Type: multipart/mixed\r\n\r\n" + LONG,
        b"Content-Type: multipart/encrypted; boundary=z\r\n\r\n--z\r\n\r\n" + LONG + b"\r\n--z--",
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * 300,
        b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n" + LONG,
        b"no header " + LONG,
    ],
)
def test_what_is_not_ours_to_encode_stays(part: bytes) -> None:
    content = HEADER + multipart(b"mixed", part, TEXT + b"\r\n" + LONG)
    changed = fit(content)
    assert part in changed
    assert changed != content


def test_messages_within_messages() -> None:
    nested = b"From: x@y.example\r\nSubject: n\r\n" + multipart(
        b"alternative", TEXT + b"\r\n" + LONG, b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>" + JAPANESE
    )
    outer = b"Content-Type: message/rfc822\r\n\r\n" + nested
    digest = multipart(b"digest", b"\r\n" + nested.replace(b"inner", b"other"), boundary=b"dig")
    content = HEADER + multipart(b"mixed", outer, digest, TEXT + b"\r\nshort\r\n", boundary=b"outer")
    changed = fit(content)
    assert is_fit(changed)
    assert leaves(parsed(changed)) == leaves(parsed(content))
    kinds = [part.get_content_type() for part in parsed(changed).walk()]
    assert kinds == [part.get_content_type() for part in parsed(content).walk()]
    assert kinds.count("message/rfc822") == 2


def test_who_signed_before_keeps_8_bit_text_and_loses_long_lines() -> None:
    for name in (b"DKIM-Signature", b"ARC-Seal"):
        signed = HEADER + name + b": v=1\r\n" + TEXT + b"\r\n"
        assert fit(signed + JAPANESE) == signed + JAPANESE
        assert not has_long_line(fit(signed + JAPANESE + LONG))
        nested = HEADER + multipart(b"mixed", b"Content-Type: message/rfc822\r\n\r\n" + signed + JAPANESE)
        assert fit(nested) == nested


def test_a_line_that_becomes_a_boundary_by_being_cut() -> None:
    body = b"x" * 75 + b"--inner" + b"y" * 68 + b"--inner--" + b"z" * 2000
    for shift in range(-3, 4):
        part = TEXT + b"\r\n" + (b"w" * shift + body if shift > 0 else body[-shift:])
        content = HEADER + multipart(b"mixed", part)
        changed = fit(content)
        assert is_fit(changed)
        assert leaves(parsed(changed)) == leaves(parsed(content))


def test_preambles_epilogues_and_multiparts_that_are_not_closed() -> None:
    part = b"--b\r\n" + TEXT + b"\r\n" + LONG
    content = (
        HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + LONG + JAPANESE + part + b"\r\n--b--\r\n"
    )
    assert is_fit(fit(content + LONG + JAPANESE))
    assert leaves(parsed(fit(content + LONG))) == leaves(parsed(content))
    unclosed = HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part
    assert leaves(parsed(fit(unclosed))) == leaves(parsed(unclosed))
    assert fit(unclosed).endswith(b"\r\n")


LONG_LIST = ", ".join(f"Person Number {n} <p{n}@e.example>" for n in range(200))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("To", LONG_LIST),
        ("References", " ".join(f"<{n}@a.example>" for n in range(300))),
        ("Subject", "word " * 400 + "end"),
        ("X-Note", "a=b; " * 400 + "end"),
        ("Content-Type", "text/plain; charset=utf-8;" + " x-param=y;" * 200 + " z=1"),
        ("DKIM-Signature", "v=1; b=" + "abcd " * 300),
    ],
)
def test_fields_are_folded_at_blanks(name: str, value: str) -> None:
    field = f"{name}: {value}\r\n".encode()
    changed = fit(b"From: a@d.example\r\n" + field + b"\r\nHello\r\n")
    assert is_fit(changed)
    block = changed.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert block.replace(b"\r\n ", b" ") == b"From: a@d.example\r\n" + field
    assert all(line.strip() for line in block.removesuffix(b"\r\n").split(b"\r\n"))
    assert max(map(len, block.split(b"\r\n"))) <= 78


def test_fields_without_blanks() -> None:
    policy: Any = email.policy.default
    addresses = ",".join(f"p{n}@e.example" for n in range(200))
    content = (
        b"From: a@d.example\r\nSubject: " + b"x" * 1500 + b"\r\nTo: " + addresses.encode() + b"\r\nX-Token: "
        + b"t" * 2500 + b"\r\nReferences: " + b"".join(b"<%d@a>" % n for n in range(300)) + b"\r\n\r\nHi\r\n"
    )  # fmt: skip
    changed = fit(content)
    assert is_fit(changed)
    message = email.message_from_bytes(changed, policy=policy)
    assert message["Subject"] == "x" * 1500
    assert [item.addr_spec for item in message["To"].addresses] == addresses.split(",")
    assert message["X-Token"].replace(" ", "") == "t" * 2500
    assert "".join(message["References"].split()) == "".join(f"<{n}@a>" for n in range(300))


@pytest.mark.parametrize("codec", ["utf-8", "cp932", "euc_jp"])
def test_8_bit_fields_get_encoded_words(codec: str) -> None:
    policy: Any = email.policy.default
    charset = {"utf-8": "utf-8", "cp932": "shift_jis", "euc_jp": "euc-jp"}[codec]
    content = (
        'From: "予約 係" <a@d.example>\r\nTo: 田中 <b@e.example>, "山田, 様" <c@e.example>\r\n'
        f"Subject: 予約 の 件 3\r\nX-Note: 備考 x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;"
        f' charset={charset}; name="予定 1.txt"\r\n'
        "Content-Disposition: attachment; filename=予定.txt\r\n\r\n本文\r\n"
    ).encode(codec)
    changed = fit(content)
    assert is_fit(changed)
    message = email.message_from_bytes(changed, policy=policy)
    assert str(message["From"]) == "予約 係 <a@d.example>"
    assert [(item.display_name, item.addr_spec) for item in message["To"].addresses] == [
        ("田中", "b@e.example"),
        ("山田, 様", "c@e.example"),
    ]
    assert message["Subject"] == "予約 の 件 3"
    assert message["X-Note"] == "備考 x"
    assert message.get_filename() == "予定.txt"
    assert message["Content-Type"].params["name"] == "予定 1.txt"
    assert message.get_content() == "本文\r\n"


def test_8_bit_addresses_and_octets_of_no_charset_stay() -> None:
    for field in ("To: 予約@例え.example\r\n".encode(), b"Subject: \xff\xfe\x80\r\n", b"Message-ID: <\xe4@b>\r\n"):
        content = b"From: a@d.example\r\n" + field + b"\r\nHello\r\n"
        assert fit(content) == content


LINES = st.lists(st.text(st.sampled_from("ab =.-\tx予\u00e9"), max_size=40).map(lambda line: line * 40), max_size=4)


@given(st.recursive(LINES, lambda inner: st.tuples(inner, inner), max_leaves=5))
def test_any_structure_keeps_what_is_in_it(tree: Any) -> None:
    def written(node: Any, depth: int = 0) -> bytes:
        if isinstance(node, tuple):
            boundary = b"=_%d_b" % depth
            return multipart(b"mixed", *(written(item, depth + 1) for item in node), boundary=boundary)
        return TEXT + b"\r\n" + "\r\n".join(node).encode()

    content = HEADER + written(tree) + b"\r\n"
    changed = fit(content)
    assert is_fit(changed)
    assert leaves(parsed(changed)) == leaves(parsed(content))


@given(st.binary(max_size=3000), st.booleans(), st.booleans())
def test_any_octets(content: bytes, lines: bool, eight_bit: bool) -> None:
    content = content.replace(b"\r", b"").replace(b"\n", b"\r\n")
    changed = fit(content, lines=lines, eight_bit=eight_bit)
    assert fit(changed, lines=lines, eight_bit=eight_bit) == changed


MIXED = HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


@pytest.mark.parametrize(
    "content",
    [
        HEADER + b'To: "' + b'\\"' * 30_000 + JAPANESE + b"\r\nx\r\n",
        MIXED + JAPANESE[:-2] * 100_000 + b"\r\n--b--\r\n",
        MIXED + b"x" * 3_000_000 + b"\r\n--b--\r\n",
    ],
    ids=["quotes", "8-bit preamble", "preamble of one line"],
)
def test_made_to_take_long(content: bytes) -> None:
    begun = time.process_time()
    assert is_fit(fit(content)) or b'To: "' in content
    assert time.process_time() - begun < 0.5


def test_a_part_with_a_very_long_header_stays() -> None:
    part = b"X-Long:" + b"\r\n x" * 70_000 + b"\r\n\r\n" + JAPANESE
    content = HEADER + multipart(b"mixed", part)
    assert fit(content) == content


def test_large_parts_are_as_small_ones() -> None:
    """Looked at in pieces, which end with a line."""
    encoded = (b"=E4=BA=88 word\r\n" * 40_000) + b"=E4=BA=88" * 200 + b"\r\n" + b"tail=\r\n" * 40_000 + b"\r\n"
    part = (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded
    )
    changed = fit(HEADER + part)
    assert is_fit(changed)
    assert leaves(parsed(changed)) == leaves(parsed(HEADER + part))
    gaps = b"gap\r\n" * 100_000 + LONG
    changed = fit(MIXED + gaps + b"--b\r\n" + part + b"\r\n--b--\r\n" + gaps)
    assert is_fit(changed)
    assert changed.count(b"gap\r\n") == 200_000


def test_what_is_too_deep_or_has_too_many_parts_stays() -> None:
    part = TEXT + b"\r\n" + LONG
    for depth in range(200):
        part = multipart(b"mixed", part, boundary=b"b%d" % depth)
    deep = HEADER + part
    many = HEADER + multipart(b"mixed", *[TEXT + b"\r\n" + LONG] * 2000)
    hostile = HEADER + b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n" * 100_000 + LONG
    for content in (deep, many, hostile):
        assert fit(content) == content
