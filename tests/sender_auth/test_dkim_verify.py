"""We verify what dkimpy signs, and every result has its message."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from dkim_shapes import (
    FORMS,
    KEY_SETS,
    MESSAGES,
    NOW,
    OWN_SHAPES,
    SHAPES,
    dkimpy_signs,
    ed25519_key,
    keys_of,
    published,
    rsa_key,
    zone,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ekiden.sender_auth.canonical import Canonicalization, canonical_field
from ekiden.sender_auth.dkim_key import public_record
from ekiden.sender_auth.dkim_sign import sign
from ekiden.sender_auth.dkim_translations import TEXTS
from ekiden.sender_auth.dkim_verify import MAX_SIGNATURES, DkimResult, verify
from ekiden.sender_auth.signatures import MAX_NAMES

Forms = tuple[Canonicalization, Canonicalization]
Records = dict[str, Sequence[bytes] | None]

PLAIN = SHAPES["plain"]
NAME = "ed._domainkey.example.com"
RSA_NAME = "rsa._domainkey.example.com"


async def results_of(
    message: bytes, records: Mapping[str, Sequence[bytes] | None], at: int = NOW
) -> list[tuple[str, str]]:
    return [(result.result, result.reason) for result in await verify(message, zone(records), at)]


@pytest.mark.parametrize("keys", KEY_SETS)
@pytest.mark.parametrize("forms", FORMS, ids="/".join)
@pytest.mark.parametrize("shape", SHAPES)
async def test_what_dkimpy_signs(shape: str, forms: Forms, keys: str) -> None:
    message = SHAPES[shape]
    used = keys_of(keys)
    for key in used:
        message = dkimpy_signs(message, key, forms) + message
    results = await verify(message, zone(published(*used)), NOW)
    assert [(r.result, r.reason) for r in results][: len(used)] == [("pass", "ok")] * len(used)
    assert {(r.domain, r.identity, r.unsigned_octets) for r in results[: len(used)]} == {
        ("example.com", "@example.com", 0)
    }
    assert [(r.algorithm, r.selector) for r in results[: len(used)]] == [
        (key.algorithm, key.selector) for key in reversed(used)
    ]


@settings(max_examples=150)
@given(MESSAGES, st.sampled_from(FORMS))
async def test_what_dkimpy_signs_of_generated_messages(content: bytes, forms: Forms) -> None:
    key = ed25519_key()
    message = dkimpy_signs(content, key, forms) + content
    assert await results_of(message, published(key)) == [("pass", "ok")]


@settings(max_examples=150)
@given(MESSAGES, st.sampled_from(FORMS), st.data())
async def test_a_changed_message_never_passes(content: bytes, forms: Forms, data: st.DataObject) -> None:
    """Any insertion of a word into the body or into a signed field is seen."""
    key = ed25519_key()
    signature = sign(content, [key], NOW, header_canonicalization=forms[0], body_canonicalization=forms[1])
    body = content.index(b"\r\n\r\n") + 4
    at = data.draw(st.integers(body, len(content)))
    assert await results_of(signature + content[:at] + b"X" + content[at:], published(key)) == [("fail", "body")]
    value = content.lower().index(b"from:") + 5
    changed = content[:value] + b"X" + content[value:]
    assert await results_of(signature + changed, published(key)) == [("fail", "signature")]


async def test_a_body_with_more_than_was_signed() -> None:
    key = rsa_key()
    message = dkimpy_signs(PLAIN, key, ("relaxed", "relaxed"), length=True) + PLAIN
    (result,) = await verify(message, zone(published(key)), NOW)
    assert (result.result, result.unsigned_octets) == ("pass", 0)
    (result,) = await verify(message + b"An addition.\r\n", zone(published(key)), NOW)
    assert (result.result, result.unsigned_octets) == ("pass", len(b"An addition.\r\n"))
    assert await results_of(message[:-6], published(key)) == [("fail", "body_short")]
    assert await results_of(message.replace(b"Hello", b"Jello"), published(key)) == [("fail", "body")]


async def test_a_domain_in_its_own_letters() -> None:
    """RFC 8616: U-labels in the signature, A-labels in the DNS."""
    key = ed25519_key()
    signature = dkimpy_signs(PLAIN, key, ("relaxed", "relaxed"), domain="例え.jp".encode())
    records = {"ed._domainkey.xn--r8jz45g.jp": [public_record(key.private).encode()]}
    (result,) = await verify(signature + PLAIN, zone(records), NOW)
    assert (result.result, result.domain, result.identity) == ("pass", "xn--r8jz45g.jp", "@例え.jp")


async def test_a_from_that_nobody_signed() -> None:
    key = ed25519_key()
    message = dkimpy_signs(PLAIN, key, ("relaxed", "relaxed"), include_headers=[b"from", b"subject"]) + PLAIN
    assert await results_of(message, published(key)) == [("pass", "ok")]
    assert await results_of(b"From: evil@example.org\r\n" + message, published(key)) == [
        ("policy", "unsigned_from")
    ]
    assert await results_of(b"Subject: more\r\n" + message, published(key)) == [("pass", "ok")]


def by_hand(tags: bytes, body: bytes, *covered: bytes, form: Canonicalization = "relaxed") -> bytes:
    """A signature with other tags than ours over the canonical ``body`` and the fields ``covered``."""
    private = ed25519_key().private
    assert isinstance(private, Ed25519PrivateKey)
    field = b"DKIM-Signature: v=1; a=ed25519-sha256; d=example.com; s=ed; %b; bh=%b; b=" % (
        tags,
        b64encode(sha256(body).digest()),
    )
    parts = b"\r\n".join(canonical_field(part, form) for part in (*covered, field))
    return field + b64encode(private.sign(sha256(parts).digest())) + b"\r\n"


async def test_canonical_forms_that_are_not_named_are_simple() -> None:
    start, body = b"From:  a@example.com", b"one  \r\n\r\n"
    content = start + b"\r\n\r\n" + body
    records = published(ed25519_key())
    assert await results_of(by_hand(b"h=From", b"one  \r\n", start, form="simple") + content, records) == [
        ("pass", "ok")
    ]
    assert await results_of(by_hand(b"h=From; c=relaxed", b"one  \r\n", start) + content, records) == [
        ("pass", "ok")
    ]
    assert await results_of(by_hand(b"h=From; c=relaxed", b"one\r\n", start) + content, records) == [
        ("fail", "body")
    ]


async def test_a_signature_may_cover_others_but_not_itself() -> None:
    content = b"DKIM-Signature: v=1; a=old\r\nFrom: a@example.com\r\n\r\n"
    covered = (b"From: a@example.com", b"DKIM-Signature: v=1; a=old")
    message = by_hand(b"c=relaxed/relaxed; h=from:dkim-signature:dkim-signature", b"", *covered) + content
    records = published(ed25519_key())
    assert await results_of(message, records) == [("pass", "ok"), ("neutral", "missing_tag")]
    changed = message.replace(b"a=old", b"a=new")
    assert (await results_of(changed, records))[0] == ("fail", "signature")


def edited(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def edit(field: bytes) -> bytes:
        assert old in field
        return field.replace(old, new, 1)

    return edit


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (edited(b"v=1;", b"v=2;"), ("neutral", "version")),
        (edited(b"v=1;", b""), ("neutral", "missing_tag")),
        (edited(b"d=example.com;", b""), ("neutral", "missing_tag")),
        (edited(b"s=ed;", b""), ("neutral", "missing_tag")),
        (edited(b"bh=", b"bx="), ("neutral", "missing_tag")),
        (edited(b"\r\n b=", b"\r\n b=;bb="), ("neutral", "missing_tag")),
        (edited(b"v=1;", b"v=1; v=1;"), ("neutral", "syntax")),
        (edited(b"v=1;", b"v=1;;"), ("neutral", "syntax")),
        (edited(b"v=1;", b"v=1; nonsense;"), ("neutral", "syntax")),
        (edited(b"v=1;", b"v=1; 1=2;"), ("neutral", "syntax")),
        (edited(b"v=1;", b"v=1; z=\0;"), ("neutral", "syntax")),
        (edited(b"d=example.com", b"d=exam!ple.com"), ("neutral", "syntax")),
        (edited(b"d=example.com", b"d=[192.0.2.1]"), ("neutral", "syntax")),
        (edited(b"d=example.com", b"d=\xff\xff"), ("neutral", "syntax")),
        (edited(b"s=ed", b"s=e d"), ("neutral", "syntax")),
        (edited(b"bh=", b"bh=!"), ("neutral", "syntax")),
        (edited(b"\r\n b=", b"\r\n b=!"), ("neutral", "syntax")),
        (edited(b"h=from:", b"h=from::"), ("neutral", "syntax")),
        (edited(b"h=from:", b"h=fr om:"), ("neutral", "syntax")),
        (edited(b"t=1763", b"t=x1763"), ("neutral", "syntax")),
        (edited(b"t=1763", b"x=1; t=1763"), ("neutral", "syntax")),
        (edited(b"t=1763", b"x=1763000000; t=1763"), ("neutral", "syntax")),
        (edited(b"t=1763", b"l=-1; t=1763"), ("neutral", "syntax")),
        (edited(b"a=ed25519-sha256", b"a=rsa-sha512"), ("neutral", "algorithm")),
        (edited(b"a=ed25519-sha256", b"a=rsa-sha1"), ("policy", "algorithm")),
        (edited(b"a=ed25519-sha256", b"a=rsa-sha256"), ("permerror", "key_type")),
        (edited(b"c=relaxed/relaxed", b"c=relaxed/nofws"), ("neutral", "canonicalization")),
        (edited(b"c=relaxed/relaxed", b"c=simple"), ("fail", "signature")),
        (edited(b"c=relaxed/relaxed", b"c=Relaxed/RELAXED"), ("fail", "signature")),
        (edited(b"q=dns/txt", b"q=finger"), ("neutral", "query")),
        (edited(b"q=dns/txt", b"q=finger:dns/txt"), ("fail", "signature")),
        (edited(b"h=from:from:", b"h="), ("permerror", "from_not_signed")),
        (edited(b"h=from:from:", b"h=from:"), ("fail", "signature")),
        (edited(b"h=from:", b"h=from:" + b"x:" * MAX_NAMES), ("policy", "too_many")),
        (edited(b"t=1763", b"i=@example.org; t=1763"), ("permerror", "identity")),
        (edited(b"t=1763", b"i=example.com; t=1763"), ("permerror", "identity")),
        (edited(b"t=1763", b"i=a@badexample.com; t=1763"), ("permerror", "identity")),
        (edited(b"t=1763", b"l=99999; t=1763"), ("fail", "body_short")),
        (edited(b"t=1763", b"l=0; t=1763"), ("fail", "body")),
        (edited(b"t=1763", b"t=1764"), ("fail", "signature")),
        (edited(b"bh=", b"bh=AAAA"), ("fail", "body")),
        (edited(b"\r\n b=", b"\r\n b=AAAA"), ("fail", "signature")),
        (edited(b"s=ed", b"s=other"), ("permerror", "no_key")),
    ],
)
async def test_signatures_that_are_not_right(edit: Callable[[bytes], bytes], expected: tuple[str, str]) -> None:
    key = ed25519_key()
    field = edit(sign(PLAIN, [key], NOW))
    (result,) = await verify(field + PLAIN, zone(published(key)), NOW)
    assert (result.result, result.reason) == expected
    assert result.text("en")
    assert result.text("ja") != result.text("en")


@pytest.mark.parametrize(
    "edit",
    [
        edited(b"DKIM-Signature: ", b"dkim-SIGNATURE:\r\n\t  "),
        edited(b"v=1; a=", b"v=1;\ta="),
        edited(b"\r\n bh=", b" bh="),
        edited(b"==\r\n", b"=\r\n \t =\r\n"),
    ],
)
async def test_what_the_relaxed_form_forgives(edit: Callable[[bytes], bytes]) -> None:
    key = ed25519_key()
    assert await results_of(edit(sign(PLAIN, [key], NOW)) + PLAIN, published(key)) == [("pass", "ok")]


def record(extra: bytes = b"") -> bytes:
    return b"v=DKIM1; " + extra + public_record(ed25519_key().private).encode().removeprefix(b"v=DKIM1; ")


def rsa_record(bits: int) -> bytes:
    return public_record(RSAPublicNumbers(65537, (1 << bits) - 1).public_key()).encode()


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (None, ("temperror", "dns")),
        ([], ("permerror", "no_key")),
        ([record()], ("pass", "ok")),
        ([record().removeprefix(b"v=DKIM1; ")], ("pass", "ok")),
        ([record(b"h=sha1:sha256; s=email; n=note; x_new=1; ")], ("pass", "ok")),
        ([record(b"s=tlsrpt:*; ")], ("pass", "ok")),
        ([record() + b";"], ("pass", "ok")),
        ([record(b"h=sha1; ")], ("permerror", "key_use")),
        ([record(b"s=tlsrpt; ")], ("permerror", "key_use")),
        ([b"v=DKIM1; k=ed25519; p="], ("permerror", "revoked")),
        ([b"v=spf1 -all"], ("permerror", "bad_key")),
        ([b""], ("permerror", "bad_key")),
        ([b"v=DKIM2; p=AAAA"], ("permerror", "bad_key")),
        ([b"k=ed25519; v=DKIM1; p=AAAA"], ("permerror", "bad_key")),
        ([b"v=DKIM1; k=ed25519; p=AAAA"], ("permerror", "bad_key")),
        ([b"v=DKIM1; k=ed25519; p=!"], ("permerror", "bad_key")),
        ([b"v=DKIM1; k=ed25519"], ("permerror", "bad_key")),
        ([b"v=DKIM1; k=dsa; p=AAAA"], ("permerror", "bad_key")),
        ([b"v=DKIM1; p=AAAA"], ("permerror", "bad_key")),
        ([rsa_record(1024)], ("permerror", "key_type")),
        ([b"v=DKIM1; k=ed25519; p=" + b"A" * 43 + b"="], ("fail", "signature")),
        ([b"v=spf1 -all", record()], ("pass", "ok")),
        ([rsa_record(2048), record()], ("pass", "ok")),
        ([b"junk", b"v=DKIM1; p="], ("permerror", "bad_key")),
    ],
)
async def test_records(records: Sequence[bytes] | None, expected: tuple[str, str]) -> None:
    message = sign(PLAIN, [ed25519_key()], NOW) + PLAIN
    assert await results_of(message, {NAME: records}) == [expected]


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (512, ("policy", "key_length")),
        (1023, ("policy", "key_length")),
        (1024, ("fail", "signature")),
        (8192, ("fail", "signature")),
        (8200, ("policy", "key_length")),
    ],
)
async def test_the_length_of_rsa_keys(bits: int, expected: tuple[str, str]) -> None:
    message = sign(PLAIN, [rsa_key()], NOW) + PLAIN
    (result,) = await verify(message, zone({RSA_NAME: [rsa_record(bits)]}), NOW)
    assert (result.result, result.reason) == expected
    assert result.key_bits == bits


async def test_flags_of_the_key() -> None:
    key = ed25519_key()
    below = sign(PLAIN, [key], NOW, identity="hanako@news.example.com") + PLAIN
    same = sign(PLAIN, [key], NOW, identity="hanako@example.com") + PLAIN
    assert await results_of(below, {NAME: [record()]}) == [("pass", "ok")]
    assert await results_of(below, {NAME: [record(b"t=s; ")]}) == [("permerror", "identity")]
    assert await results_of(same, {NAME: [record(b"t=y:s; ")]}) == [("pass", "ok")]
    for flags, testing in ((b"", False), (b"t=s; ", False), (b"t=y:s; ", True)):
        (result,) = await verify(same, zone({NAME: [record(flags)]}), NOW)
        assert result.testing is testing


async def test_expiry() -> None:
    message = sign(PLAIN, [ed25519_key()], NOW, expires=NOW + 60_000) + PLAIN
    records = published(ed25519_key())
    assert await results_of(message, records, NOW + 60_999) == [("pass", "ok")]
    assert await results_of(message, records, NOW + 61_000) == [("permerror", "expired")]


async def test_each_signature_has_its_result() -> None:
    keys = keys_of("both")
    first = sign(PLAIN, keys, NOW) + PLAIN
    # One that stays right, one whose key is gone, one that is no tag list; they do not cover each other.
    message = b"DKIM-Signature: nonsense\r\n" + first
    assert await results_of(message, {NAME: published(*keys)[NAME]}) == [
        ("neutral", "syntax"),
        ("permerror", "no_key"),
        ("pass", "ok"),
    ]
    assert await results_of(PLAIN, {}) == []
    assert await results_of(b"", {}) == []


async def test_only_some_signatures_are_looked_at() -> None:
    key = ed25519_key()
    message = sign(PLAIN, [key] * (MAX_SIGNATURES + 2), NOW) + PLAIN
    assert (
        await results_of(message, published(key))
        == [("pass", "ok")] * MAX_SIGNATURES + [("policy", "too_many")] * 2
    )


# Parts of signatures and of key records; the body hash is that of an empty body.
PARTS = (
    "v=1 a=rsa-sha256 a=ed25519-sha256 c=relaxed d=example.com s=ed s=rsa h=from h=from:dkim-signature:to i=@ l=0 "
    "l=9 x=1 t=1 q= = b b=AAAA bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= v=DKIM1 k=ed25519 p=AAAA p= é"
)
TAGS = st.lists(st.sampled_from(PARTS.split(" ")), max_size=12).map(lambda parts: "; ".join(parts).encode())


@settings(max_examples=400)
@given(
    st.one_of(TAGS, st.binary(max_size=40)), st.one_of(TAGS, st.binary(max_size=40)), st.sampled_from([*OWN_SHAPES])
)
async def test_never_raises(tags: bytes, text: bytes, shape: str) -> None:
    message = b"DKIM-Signature: " + tags.replace(b"\r\n", b"\r\n ") + b"\r\n" + OWN_SHAPES[shape]
    for result in await verify(message, zone({NAME: [text], RSA_NAME: [text, text]}), NOW):
        assert isinstance(result, DkimResult)
        assert result.result != "pass"
        assert result.text("en")
        assert result.template in TEXTS.japanese
