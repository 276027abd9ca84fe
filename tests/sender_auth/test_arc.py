"""We verify chains that dkimpy sealed, and dkimpy those that we sealed; and each thing that can be wrong."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256

import dkim
import pytest
from arc_shapes import SEEN, chain_of, dkimpy_chain, dkimpy_seals, sealed
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dkim_shapes import MESSAGES, NOW, OWN_SHAPES, SHAPES, ed25519_key, published, rsa_key, zone
from hypothesis import given, settings
from hypothesis import strategies as st

from ekiden.sender_auth.arc import MAX_FIELD, MAX_SETS, ArcResult, seal, verify_chain
from ekiden.sender_auth.authentication_results import read
from ekiden.sender_auth.canonical import canonical_field
from ekiden.sender_auth.dkim_errors import NoFromField
from ekiden.sender_auth.dkim_sign import sign
from ekiden.sender_auth.dkim_tags import parse_tags

PLAIN = SHAPES["plain"]
ED = "ed._domainkey.example.com"
# Fields that dkimpy finds in another order than they stand, or that it cannot read.
TO_DKIMPY = [shape for shape in SHAPES if shape not in ("no empty line", "only From")]


def fields_of(block: bytes) -> list[bytes]:
    return re.findall(rb"ARC-[^:]+:.*?\r\n(?![ \t])", block, re.DOTALL)


@pytest.mark.parametrize("shape", TO_DKIMPY)
async def test_what_dkimpy_seals(shape: str) -> None:
    message = SHAPES[shape]
    for instance, status in enumerate(("none", "pass", "pass"), 1):
        message = dkimpy_seals(message, rsa_key(), status) + message
        chain = await chain_of(message, rsa_key())
        assert (chain.result, chain.reason, chain.highest) == ("pass", "ok", instance)
        assert [item.seal.domain for item in chain.sets] == ["example.com"] * instance
        assert read(chain.sets[0].results).authserv_id == "lists.example"


@pytest.mark.parametrize("shape", TO_DKIMPY)
async def test_dkimpy_verifies_what_we_seal(shape: str) -> None:
    message = SHAPES[shape]
    for _ in range(3):
        message = await sealed(message, rsa_key())
        assert dkimpy_chain(message, published(rsa_key())) == "pass"
    message = dkimpy_seals(message, rsa_key(), "pass") + message
    message = await sealed(message, rsa_key())
    assert dkimpy_chain(message, published(rsa_key())) == "pass"
    assert (await chain_of(message, rsa_key())).highest == 5


@pytest.mark.parametrize("shape", [*SHAPES, *OWN_SHAPES])
async def test_every_shape_is_sealed(shape: str) -> None:
    content = {**SHAPES, **OWN_SHAPES}[shape]
    assert (await chain_of(await sealed(content, ed25519_key(), 2), ed25519_key())).result == "pass"


@settings(max_examples=30)
@given(MESSAGES, st.data())
async def test_a_changed_message_never_passes(content: bytes, data: st.DataObject) -> None:
    message = await sealed(content, ed25519_key(), 2)
    assert (await chain_of(message, ed25519_key())).result == "pass"
    body = message.index(b"\r\n\r\n") + 4
    at = data.draw(st.integers(body, len(message)))
    changed = await chain_of(message[:at] + b"X" + message[at:], ed25519_key())
    assert (changed.result, changed.reason, changed.part) == ("fail", "body", "message")
    # Nor when any letter of the chain itself is another one.
    letters = [match.start() for match in re.finditer(rb"[a-z]", message[: message.index(b"\r\nFrom:")])]
    at = data.draw(st.sampled_from(letters))
    edit = message[:at] + b"~" + message[at + 1 :]
    assert (await chain_of(edit, ed25519_key())).result != "pass"


async def test_no_chain() -> None:
    for content in (PLAIN, b"", b"\r\n"):
        assert await chain_of(content, ed25519_key()) == ArcResult("none", "no_chain")


def edited(old: bytes, new: bytes, number: int = 0) -> Callable[[bytes], bytes]:
    """The occurrence ``number`` of ``old``; the newest set stands first."""

    def edit(message: bytes) -> bytes:
        parts = message.split(old)
        assert len(parts) > number + 1, old
        return old.join(parts[: number + 1]) + new + old.join(parts[number + 1 :])

    return edit


def without(name: bytes, instance: int) -> Callable[[bytes], bytes]:
    def edit(message: bytes) -> bytes:
        for found in fields_of(message):
            if found.startswith(name + b":") and b" i=%d;" % instance in found:
                return message.replace(found, b"", 1)
        raise AssertionError(name)

    return edit


def twice(name: bytes) -> Callable[[bytes], bytes]:
    def edit(message: bytes) -> bytes:
        return next(found for found in fields_of(message) if found.startswith(name)) + message

    return edit


def both(*edits: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def edit(message: bytes) -> bytes:
        for one in edits:
            message = one(message)
        return message

    return edit


AAR, AMS, AS = b"ARC-Authentication-Results", b"ARC-Message-Signature", b"ARC-Seal"


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        # structure, RFC 8617 §4.2.1 and §5.2 step 3
        (without(AAR, 2), ("incomplete", 2, "")),
        (without(AMS, 2), ("incomplete", 2, "")),
        (without(AS, 2), ("incomplete", 2, "")),
        (without(AAR, 1), ("incomplete", 1, "")),
        (without(AMS, 1), ("incomplete", 1, "")),
        (without(AS, 1), ("incomplete", 1, "")),
        (both(without(AAR, 1), without(AMS, 1), without(AS, 1)), ("incomplete", 1, "")),
        (twice(AAR), ("incomplete", 2, "")),
        (twice(AMS), ("incomplete", 2, "")),
        (twice(AS), ("incomplete", 2, "")),
        (edited(AAR + b": i=2", AAR + b": i=3"), ("incomplete", 2, "")),
        (edited(AS + b": i=2", AS + b": i=51"), ("instance", 0, "")),
        (edited(AS + b": i=2", AS + b": i=0"), ("instance", 0, "")),
        (edited(AS + b": i=2", AS + b": i=002"), ("instance", 0, "")),
        (edited(AS + b": i=2", AS + b": i=x"), ("instance", 0, "")),
        (edited(AS + b": i=2;", AS + b":"), ("instance", 0, "")),
        (edited(AMS + b": i=2;", AMS + b": i=2; i=2;"), ("instance", 0, "")),
        (edited(AAR + b": i=2;", AAR + b": I=2;"), ("instance", 0, "")),
        (edited(AAR + b": i=2;", AAR + b":"), ("instance", 0, "")),
        (edited(AS + b": i=2;", AS + b": nonsense;"), ("instance", 0, "")),
        # cv=, §4.1.3
        (edited(b"cv=pass", b"cv=none"), ("chain_status", 2, "")),
        (edited(b"cv=none", b"cv=pass"), ("chain_status", 1, "")),
        (edited(b"cv=none", b"cv=fail"), ("chain_status", 1, "")),
        (edited(b"cv=pass", b"cv=fail"), ("failed_before", 2, "")),
        (edited(b"cv=pass", b"cv=FAIL"), ("failed_before", 2, "")),
        (edited(b"cv=pass", b"cv=maybe"), ("chain_status", 2, "")),
        (edited(b"cv=pass;", b""), ("chain_status", 2, "")),
        (edited(b"cv=pass;", b"cv=pass; h=from;"), ("seal_covers", 2, "")),
        # the newest signature of the message, §4.1.2
        (edited(b"Hello", b"Jello"), ("body", 2, "message")),
        (edited(b"Subject: hello", b"Subject: Hello"), ("signature", 2, "message")),
        (edited(b"From: Hanako", b"From: x@example.org\r\nFrom: Hanako"), ("signature", 2, "message")),
        (edited(b"h=from:", b"h=arc-seal:from:"), ("covers_arc", 2, "")),
        (edited(b"h=from:", b"h=ARC-Message-Signature:from:"), ("covers_arc", 2, "")),
        (edited(b"h=from:from:", b"h="), ("from_not_signed", 2, "message")),
        (edited(b"bh=", b"bx="), ("missing_tag", 2, "message")),
        (edited(b"c=relaxed/relaxed", b"c=relaxed/nofws"), ("canonicalization", 2, "message")),
        (edited(b"c=relaxed/relaxed;", b"v=1; c=relaxed/relaxed;"), ("signature", 2, "message")),
        (edited(b"c=relaxed/relaxed;", b"l=1; c=relaxed/relaxed;"), ("body", 2, "message")),
        (edited(b"c=relaxed/relaxed;", b"x=1; c=relaxed/relaxed;"), ("syntax", 2, "message")),
        (
            edited(b"c=relaxed/relaxed; a=ed25519-sha256", b"c=relaxed/relaxed; a=rsa-sha1"),
            ("algorithm", 2, "message"),
        ),
        (edited(b"c=relaxed/relaxed; a=ed25519", b"c=relaxed/relaxed; a=rsa"), ("key_type", 2, "message")),
        # seals, §4.1.3
        (edited(b"cv=pass; a=ed25519-sha256", b"cv=pass; a=rsa-sha512"), ("algorithm", 2, "seal")),
        (edited(b"cv=pass; a=ed25519-sha256;", b"cv=pass;"), ("missing_tag", 2, "seal")),
        (edited(b"cv=pass; a=ed25519-sha256; d=", b"cv=pass; a=ed25519-sha256; d=!"), ("syntax", 2, "seal")),
        (edited(b"cv=pass; a=ed25519-sha256;", b"cv=pass; a=ed25519-sha256; n=1;"), ("signature", 2, "seal")),
        (edited(b"dmarc=pass", b"dmarc=fail"), ("signature", 2, "seal")),
        (edited(b"dmarc=pass", b"dmarc=fail", 1), ("signature", 2, "seal")),
        (edited(b"cv=none; a=ed25519-sha256;", b"cv=none; a=ed25519-sha256; n=1;"), ("signature", 2, "seal")),
        (edited(AMS + b": i=1;", AMS + b": i=1; n=1;"), ("signature", 2, "seal")),
        (edited(AS + b":", AS + b": " + b"\r\n " * (MAX_FIELD // 3)), ("too_long", 0, "")),
    ],
)
async def test_chains_that_are_not_right(edit: Callable[[bytes], bytes], expected: tuple[str, int, str]) -> None:
    message = await sealed(PLAIN, ed25519_key(), 2)
    chain = await chain_of(edit(message), ed25519_key())
    assert (chain.reason, chain.instance, chain.part) == expected
    assert chain.result == "fail"


async def test_the_first_seal_that_is_wrong_is_told() -> None:
    """Signed anew over a first set that was changed: only that one's own seal is wrong."""
    message = edited(b"dmarc=pass", b"dmarc=fail")(await sealed(PLAIN, ed25519_key()))
    assert (await chain_of(message, ed25519_key())).instance == 1
    blind = ArcResult("pass", "ok", sets=(await chain_of(await sealed(PLAIN, ed25519_key()), ed25519_key())).sets)
    changed = tuple(canonical_field(raw.removesuffix(b"\r\n"), "relaxed") for raw in reversed(fields_of(message)))
    blind = ArcResult("pass", "ok", sets=(type(blind.sets[0])(1, blind.sets[0].seal, b"", changed),), highest=1)
    message = seal(message, ed25519_key(), NOW, authserv_id="mx.example", results=SEEN, chain=blind) + message
    chain = await chain_of(message, ed25519_key())
    assert (chain.reason, chain.instance, chain.part) == ("signature", 1, "seal")


@pytest.mark.parametrize(
    "edit",
    [
        edited(AS + b": i=2; ", AS + b":\r\n\t i = 02 ;\r\n "),
        edited(
            AAR + b": i=2; mx.example",
            b"arc-authentication-results:\r\n (a \\) comment) i (another) = 2 ; mx.example",
        ),
    ],
)
async def test_what_a_seal_does_not_cover_may_be_written_otherwise(edit: Callable[[bytes], bytes]) -> None:
    """The fields are read all the same; that they are not what was signed is for the signatures to tell."""
    chain = await chain_of(edit(await sealed(PLAIN, ed25519_key(), 2)), ed25519_key())
    assert (chain.reason, chain.instance, chain.part) == ("signature", 2, "seal")


async def test_the_order_of_fields_does_not_matter() -> None:
    """Sets are found by their instances: whoever puts fields elsewhere breaks nothing (§5.1.1)."""
    message = await sealed(PLAIN, ed25519_key(), 3)
    chain = fields_of(message)
    rest = message[sum(map(len, chain)) :]
    for order in (sorted(chain), chain[::-1], chain[4:] + chain[:4]):
        assert (await chain_of(b"".join(order) + rest, ed25519_key())).result == "pass"
    between = chain[0] + b"Received: by x\r\n" + b"".join(chain[1:]) + rest
    assert (await chain_of(between, ed25519_key())).result == "pass"


async def test_an_older_signature_of_the_message_need_not_hold() -> None:
    """A list changes the body and seals: the one before it saw another message (§5.2 step 4)."""
    message = await sealed(PLAIN, ed25519_key())
    changed = message.replace(b"Bye.", b"Bye. A footer.")
    assert (await chain_of(changed, ed25519_key())).reason == "body"
    whole = await chain_of(message, ed25519_key())
    message = seal(changed, ed25519_key(), NOW, authserv_id="mx.example", results=SEEN, chain=whole) + changed
    assert (await chain_of(message, ed25519_key())).result == "pass"


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({ED: None}, ("dns", 2, "message")),  # all failures are permanent, §5.2
        ({}, ("no_key", 2, "message")),
        ({ED: [b"v=DKIM1; k=ed25519; p="]}, ("revoked", 2, "message")),
        ({ED: [b"junk"]}, ("bad_key", 2, "message")),
    ],
)
async def test_keys_that_are_not_there(
    records: dict[str, list[bytes] | None], expected: tuple[str, int, str]
) -> None:
    chain = await verify_chain(await sealed(PLAIN, ed25519_key(), 2), zone(records), NOW)
    assert (chain.result, chain.reason, chain.instance, chain.part) == ("fail", *expected)


async def test_the_fields() -> None:
    content = sign(PLAIN, [ed25519_key()], NOW) + PLAIN
    chain = await chain_of(content, rsa_key())
    fields = seal(content, rsa_key(), NOW + 999, authserv_id="mx.example", results=SEEN, chain=chain)
    sealing, message, seen = fields_of(fields)
    assert fields == sealing + message + seen
    assert seen == (
        b"ARC-Authentication-Results: i=1; mx.example;\r\n"
        b" spf=fail reason=mechanism smtp.mailfrom=hanako@example.com;\r\n"
        b" dmarc=pass header.from=example.com\r\n"
    )
    tags = parse_tags(sealing.partition(b":")[2])
    assert list(tags) == ["i", "cv", "a", "d", "s", "t", "b"]
    assert [tags[tag] for tag in ("i", "cv", "a", "d", "s", "t")] == [
        b"1",
        b"none",
        b"rsa-sha256",
        b"example.com",
        b"rsa",
        b"1763000000",
    ]
    tags = parse_tags(message.partition(b":")[2])
    assert list(tags) == ["i", "c", "a", "d", "s", "t", "h", "bh", "b"]
    covered = tags["h"].translate(None, b" \r\n").split(b":")
    assert covered.count(b"from") == 2
    assert covered.count(b"dkim-signature") == 1
    assert not [name for name in covered if name.startswith((b"arc-", b"authentication-results"))]
    for line in fields.split(b"\r\n"):
        assert len(line) <= 78


async def test_a_chain_that_is_wrong_is_sealed_once() -> None:
    """§5.1.2: the seal covers its own set only, and after it nobody seals."""
    broken = (await sealed(PLAIN, rsa_key(), 2)).replace(b"Hello", b"Jello")
    chain = await chain_of(broken, rsa_key())
    assert chain.result == "fail"
    fields = seal(broken, rsa_key(), NOW, authserv_id="mx.example", results=SEEN, chain=chain)
    assert b" i=3; cv=fail;" in fields

    # Alone on a message it is right, for a judge that does not ask for the sets before.
    judge = dkim.ARC(fields + broken[broken.index(b"From:") :])
    _, found = judge.sorted_arc_headers()
    records = published(rsa_key())
    output = judge.verify_instance(found, 3, dnsfunc=lambda name, timeout=5: records[name.decode()[:-1]][0])
    assert output["ams-valid"]
    assert output["as-valid"]

    chain = await chain_of(fields + broken, rsa_key())
    assert (chain.result, chain.reason, chain.instance) == ("fail", "failed_before", 3)
    assert seal(fields + broken, rsa_key(), NOW, authserv_id="mx.example", results=SEEN, chain=chain) == b""


async def test_a_chain_has_at_most_fifty_sets() -> None:
    message = await sealed(PLAIN, ed25519_key(), MAX_SETS)
    chain = await chain_of(message, ed25519_key())
    assert (chain.result, len(chain.sets)) == ("pass", MAX_SETS)
    assert seal(message, ed25519_key(), NOW, authserv_id="mx.example", results=SEEN, chain=chain) == b""
    chain = await chain_of(b"ARC-Seal: i=50\r\n" + message, ed25519_key())
    assert (chain.result, chain.reason) == ("fail", "too_many")
    assert seal(message, ed25519_key(), NOW, authserv_id="mx.example", results=SEEN, chain=chain) == b""


async def test_a_message_without_author_is_not_sealed() -> None:
    content = b"Subject: x\r\n\r\nx\r\n"
    chain = await chain_of(content, ed25519_key())
    with pytest.raises(NoFromField):
        seal(content, ed25519_key(), NOW, authserv_id="mx.example", results=SEEN, chain=chain)


async def test_what_the_newest_signature_leaves_out_is_told() -> None:
    """``l=``: allowed, as in DKIM, but whoever trusts the chain must know. A From that it leaves out is not."""
    content = PLAIN[: PLAIN.index(b"\r\n\r\n")] + b"\r\n\r\nHello.\r\n"
    private = ed25519_key().private
    assert isinstance(private, Ed25519PrivateKey)

    def signed(start: bytes, *covered: bytes) -> bytes:
        parts = b"\r\n".join(canonical_field(part, "relaxed") for part in (*covered, start))
        return start + b64encode(private.sign(sha256(parts).digest()))

    author = re.search(rb"From:.*", content)
    assert author is not None
    seen = b"ARC-Authentication-Results: i=1; mx.example; none"
    bh = b64encode(sha256(b"Hello.\r\n").digest())
    message = signed(
        b"ARC-Message-Signature: i=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=ed; l=8; h=from; bh="
        + bh
        + b"; b=",
        author[0].strip(),
    )
    top = signed(b"ARC-Seal: i=1; cv=none; a=ed25519-sha256; d=example.com; s=ed; b=", seen, message)
    whole = b"\r\n".join((top, message, seen, content))
    chain = await chain_of(whole, ed25519_key())
    assert (chain.result, chain.unsigned_octets) == ("pass", 0)
    chain = await chain_of(whole + b"More.\r\n", ed25519_key())
    assert (chain.result, chain.unsigned_octets) == ("pass", len(b"More.\r\n"))
    chain = await chain_of(b"From: x@example.org\r\n" + whole, ed25519_key())
    assert (chain.result, chain.reason, chain.part) == ("fail", "unsigned_from", "message")


_TAGS = rb"""i=1; i=2; cv=none; cv=pass; a=ed25519-sha256; d=example.com; s=ed; h=from; bh=AAAA; b=AAAA; b=
= ; ( " \ mx.example; l=0;"""
TAGS = st.lists(st.sampled_from([*_TAGS.split(), b"\r\n ", b"\xff"]), max_size=10).map(b"".join)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from([AAR, AMS, AS, b"From"]), TAGS), max_size=8))
async def test_nothing_in_a_message_raises_or_passes(fields: list[tuple[bytes, bytes]]) -> None:
    message = b"".join(name + b":" + value + b"\r\n" for name, value in fields) + b"\r\nx\r\n"
    chain = await chain_of(message, ed25519_key())
    assert chain.result != "pass"
    assert (chain.result == "none") == (not any(name.startswith(b"ARC") for name, _ in fields))
    assert 0 <= chain.highest <= MAX_SETS
