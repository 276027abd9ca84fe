"""dkimpy verifies what we sign; what is signed, and how the field looks."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from dkim_shapes import (
    FORMS,
    KEY_SETS,
    MESSAGES,
    NOW,
    OWN_SHAPES,
    SHAPES,
    dkimpy_accepts,
    ed25519_key,
    keys_of,
    published,
    rsa_key,
    zone,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ekiden.sender_auth.canonical import Canonicalization
from ekiden.sender_auth.dkim_errors import BadSigningKey, DkimError, NoFromField
from ekiden.sender_auth.dkim_key import generate
from ekiden.sender_auth.dkim_sign import OVERSIGNED, SIGNED, SigningKey, prepare, sign
from ekiden.sender_auth.dkim_tags import parse_tags
from ekiden.sender_auth.dkim_verify import verify

Forms = tuple[Canonicalization, Canonicalization]


def signed(content: bytes, keys: list[SigningKey], forms: Forms = ("relaxed", "relaxed")) -> bytes:
    return sign(content, keys, NOW, header_canonicalization=forms[0], body_canonicalization=forms[1]) + content


def tags_of(fields: bytes) -> dict[str, bytes]:
    return parse_tags(fields.partition(b":")[2])


@pytest.mark.parametrize("keys", KEY_SETS)
@pytest.mark.parametrize("forms", FORMS, ids="/".join)
@pytest.mark.parametrize("shape", SHAPES)
async def test_dkimpy_verifies(shape: str, forms: Forms, keys: str) -> None:
    used = keys_of(keys)
    message = signed(SHAPES[shape], used, forms)
    assert dkimpy_accepts(message, published(*used), len(used))
    assert [r.result for r in await verify(message, zone(published(*used)), NOW)][: len(used)] == ["pass"] * len(
        used
    )


@settings(max_examples=150)
@given(MESSAGES, st.sampled_from(FORMS))
def test_dkimpy_verifies_generated_messages(content: bytes, forms: Forms) -> None:
    used = keys_of("both")
    assert dkimpy_accepts(signed(content, used, forms), published(*used), 2)


@pytest.mark.parametrize("forms", FORMS, ids="/".join)
@pytest.mark.parametrize("shape", OWN_SHAPES)
async def test_odd_messages_are_signed_too(shape: str, forms: Forms) -> None:
    content = OWN_SHAPES[shape]
    used = keys_of("both")
    message = signed(content, used, forms)
    assert [r.result for r in await verify(message, zone(published(*used)), NOW)] == ["pass", "pass"]


@pytest.mark.parametrize("forms", FORMS, ids="/".join)
def test_a_last_line_without_its_end_is_signed_as_it_will_arrive(forms: Forms) -> None:
    content = b"From: a@example.com\r\n\r\none  \r\nlast"
    used = keys_of("rsa")
    assert dkimpy_accepts(signed(content, used, forms) + b"\r\n", published(*used), 1)
    # An unfinished header as well.
    assert dkimpy_accepts(signed(b"From: a@example.com", used, forms) + b"\r\n", published(*used), 1)


def test_the_field() -> None:
    fields = sign(SHAPES["plain"], keys_of("both"), NOW + 999, expires=NOW + 86_400_000, identity="@example.com")
    rsa, ed25519 = re.findall(rb"DKIM-Signature:.*?(?=DKIM-Signature:|\Z)", fields, re.DOTALL)
    for field, key in ((rsa, rsa_key()), (ed25519, ed25519_key())):
        assert field.endswith(b"\r\n")
        tags = tags_of(field)
        assert list(tags) == ["v", "a", "c", "d", "s", "q", "t", "x", "i", "h", "bh", "b"]
        assert tags["v"] == b"1"
        assert tags["a"] == key.algorithm.encode()
        assert tags["c"] == b"relaxed/relaxed"
        assert tags["d"] == b"example.com"
        assert tags["s"] == key.selector.encode()
        assert tags["q"] == b"dns/txt"
        assert tags["t"] == b"1763000000"
        assert tags["x"] == b"1763086400"
        assert tags["i"] == b"@example.com"
    assert tags_of(rsa)["bh"] == tags_of(ed25519)["bh"]
    assert sign(SHAPES["plain"], [], NOW) == b""


@settings(max_examples=80)
@given(
    MESSAGES,
    st.from_regex(r"(?:[a-z][a-z0-9]{0,61}\.){1,4}[a-z]{2,20}", fullmatch=True).filter(
        lambda name: len(name) < 150
    ),
    st.from_regex(r"[a-z0-9]{1,60}", fullmatch=True),
)
def test_lines_are_short_and_end_cleanly(content: bytes, domain: str, selector: str) -> None:
    key = SigningKey(domain, selector, "ed25519-sha256", ed25519_key().private)
    fields = sign(content, [key], NOW)
    lines = fields.split(b"\r\n")
    assert lines.pop() == b""
    assert lines[0].startswith(b"DKIM-Signature: ")
    for line in lines[1:]:
        assert line.startswith(b" ")
        assert line.strip(b" \t")
    for line in lines:
        # One name that is too long for a line has a line of its own.
        assert len(line) <= 78 or line.count(b";") == 1
        assert not line.endswith((b" ", b"\t"))
        assert b"\r" not in line
        assert b"\n" not in line
    assert dkimpy_accepts(fields + content, published(key), 1)


def test_what_is_signed() -> None:
    content = (
        b"Return-Path: <x@example.com>\r\nReceived: 1\r\nAuthentication-Results: x\r\nBcc: x\r\nX-Other: x\r\n"
        b"DKIM-Signature: x\r\nARC-Seal: x\r\nComments: x\r\nKeywords: x\r\n"
        + b"".join(name + b": x\r\n" for name in OVERSIGNED + SIGNED)
        + b"To: again\r\nResent-To: again\r\n\r\n"
    )
    names = tags_of(sign(content, keys_of("ed25519"), NOW))["h"].replace(b"\r\n ", b"").split(b":")
    assert {name: names.count(name) for name in names} == {
        **dict.fromkeys(OVERSIGNED, 2),
        **dict.fromkeys(SIGNED, 1),
        b"to": 3,
        b"resent-to": 2,
    }
    # Fields that are not there: From and its kind are still listed, once.
    names = tags_of(sign(b"From: x\r\n\r\n", keys_of("ed25519"), NOW))["h"].replace(b"\r\n ", b"").split(b":")
    assert sorted(names) == sorted((b"from", *OVERSIGNED))


@pytest.mark.parametrize("name", OVERSIGNED)
@pytest.mark.parametrize("shape", ["plain", "unsubscribe", "nested MIME"])
async def test_nobody_can_add_what_readers_look_at(shape: str, name: bytes) -> None:
    used = keys_of("both")
    message = signed(SHAPES[shape], used)
    added = name.title() + b": added\r\n"
    signature = message[: message.index(b"From: ")]
    below = message.replace(b"\r\n\r\n", b"\r\n" + added + b"\r\n", 1)
    for changed in (added + message, signature + added + message[len(signature) :], below):
        results = await verify(changed, zone(published(*used)), NOW)
        assert [(r.result, r.reason) for r in results] == [("fail", "signature")] * 2
    # What the road adds does no harm.
    for name_of_the_road in (b"Received", b"Return-Path", b"Authentication-Results", b"DKIM-Signature", b"X-Spam"):
        results = await verify(name_of_the_road + b": added\r\n" + message, zone(published(*used)), NOW)
        assert [r.result for r in results][-2:] == ["pass", "pass"]


@pytest.mark.parametrize("forms", FORMS, ids="/".join)
@pytest.mark.parametrize("shape", ["plain", "repeated fields", "unsubscribe", "8-bit body"])
async def test_no_octet_can_be_changed(shape: str, forms: Forms) -> None:
    used = keys_of("ed25519")
    content = SHAPES[shape]
    fields = sign(content, used, NOW, header_canonicalization=forms[0], body_canonicalization=forms[1])
    header, _, body = content.partition(b"\r\n\r\n")
    ignored = sum(len(line) + 2 for line in header.split(b"\r\n") if line.startswith(b"Received"))
    for at in range(ignored, len(content)):
        if content[at : at + 1] in (b" ", b"\t", b"\r", b"\n"):
            continue  # of these the relaxed form forgives some changes
        changed = content[:at] + (b"%" if content[at : at + 1] != b"%" else b"#") + content[at + 1 :]
        (result,) = await verify(fields + changed, zone(published(*used)), NOW)
        assert result.result == "fail", (at, changed)
    for at in range(len(header) + 4, len(content)):
        (result,) = await verify(fields + content[:at], zone(published(*used)), NOW)
        assert result.result == "fail" or not content[at:].strip()
    assert body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"To: a@example.com\r\n\r\nFrom: b@example.com\r\n",
        b"text\r\n\r\nFrom: a@example.com",
        b"From\r\n : x\r\n\r\n",
    ],
)
def test_without_from_nothing_is_signed(content: bytes) -> None:
    with pytest.raises(NoFromField) as caught:
        sign(content, keys_of("ed25519"), NOW)
    assert "From" in caught.value.text("ja")
    assert caught.value.text("ja") != caught.value.text("en")


@pytest.mark.parametrize(
    ("identity", "written"),
    [
        ("@example.com", b"@example.com"),
        ("hanako@news.example.com", b"hanako@news.example.com"),
        ("花子@EXAMPLE.com", b"=E8=8A=B1=E5=AD=90@example.com"),
        ("a;b=c d@example.com", b"a=3Bb=3Dc=20d@example.com"),
    ],
)
def test_identity(identity: str, written: bytes) -> None:
    used = keys_of("both")
    fields = sign(SHAPES["plain"], used, NOW, identity=identity)
    assert tags_of(fields[: fields.index(b"DKIM-Signature", 1)])["i"] == written
    assert dkimpy_accepts(fields + SHAPES["plain"], published(*used), 2)


@pytest.mark.parametrize(
    "identity", ["", "example.com", "@example.org", "@badexample.com", "a@", "@a b.example.com"]
)
def test_an_identity_of_others_is_refused(identity: str) -> None:
    with pytest.raises(DkimError):
        sign(SHAPES["plain"], keys_of("rsa"), NOW, identity=identity)


def test_a_signature_lives_for_some_time() -> None:
    with pytest.raises(DkimError):
        sign(SHAPES["plain"], keys_of("rsa"), NOW, expires=NOW + 999)


@pytest.mark.parametrize(
    ("domain", "selector", "algorithm"),
    [
        ("", "s", "ed25519-sha256"),
        ("EXAMPLE.com", "s", "ed25519-sha256"),
        ("例え.jp", "s", "ed25519-sha256"),
        ("example.com\r\nX: y", "s", "ed25519-sha256"),
        ("[192.0.2.1]", "s", "ed25519-sha256"),
        ("example.com", "", "ed25519-sha256"),
        ("example.com", "a b", "ed25519-sha256"),
        ("example.com", "a\n", "ed25519-sha256"),
        ("example.com", "a..b", "ed25519-sha256"),
        ("example.com", "s" * 64, "ed25519-sha256"),
        ("example.com", ".".join(["s" * 63] * 4), "ed25519-sha256"),
        ("example.com", "s", "rsa-sha256"),
    ],
)
def test_keys_that_cannot_sign(domain: str, selector: str, algorithm: str) -> None:
    with pytest.raises(BadSigningKey):
        SigningKey(domain, selector, algorithm, ed25519_key().private)  # type: ignore[arg-type]


def test_a_key_does_not_show_its_secret() -> None:
    assert "private" not in repr(rsa_key())
    assert "private" not in repr(prepare(SHAPES["plain"], keys_of("both"), NOW))


def test_threads_give_the_same_signatures() -> None:
    key = SigningKey("example.com", "rsa", "rsa-sha256", generate())
    prepared = [prepare(content, [key, ed25519_key()], NOW) for content in SHAPES.values()]
    alone = [one.finish() for one in prepared]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: one.finish(), prepared * 4))
    assert together == alone * 4


def test_a_header_of_thousands_of_fields_is_signed() -> None:
    used = keys_of("ed25519")
    content = b"From: a@example.com\r\n" + b"To: b@example.com\r\n" * 3000 + b"\r\nx\r\n"
    assert dkimpy_accepts(signed(content, used), published(*used), 1)
