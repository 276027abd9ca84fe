"""Keys: made, kept, published, read back and compared with what the DNS has."""

from __future__ import annotations

import ast
import string
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from dkim import evaluate_pk
from dkim_shapes import ed25519_key, rsa_key
from hypothesis import given, settings
from hypothesis import strategies as st

from ekiden.sender_auth import dkim_errors
from ekiden.sender_auth.dkim_errors import BadKeyRecord, BadSigningKey
from ekiden.sender_auth.dkim_key import (
    Algorithm,
    KeyRecord,
    check_published,
    dump_private,
    generate,
    key_bits,
    load_private,
    parse_key_record,
    public_record,
)
from ekiden.sender_auth.dkim_translations import TEXTS

RSA = public_record(rsa_key().private).encode()
ED25519 = public_record(ed25519_key().private).encode()
OTHER_RSA = public_record(generate()).encode()


@pytest.mark.parametrize(
    ("algorithm", "kind", "bits"), [("rsa-sha256", RSAPrivateKey, 2048), ("ed25519-sha256", Ed25519PrivateKey, 256)]
)
def test_a_key_is_kept_and_published(algorithm: Algorithm, kind: type, bits: int) -> None:
    key = generate(algorithm)
    assert isinstance(key, kind)
    assert key_bits(key.public_key()) == bits
    again = load_private(dump_private(key))
    assert again.public_key() == key.public_key()
    text = public_record(key)
    assert text == public_record(key.public_key())
    record = parse_key_record(text.encode())
    assert record == KeyRecord(algorithm.removesuffix("-sha256"), key.public_key())  # type: ignore[arg-type]
    assert evaluate_pk("name", text)[1:3] == (bits, algorithm.removesuffix("-sha256").encode())


def test_only_keys_for_dkim_are_loaded() -> None:
    key = rsa_key().private
    pkcs1 = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert load_private(pkcs1).public_key() == key.public_key()
    ec = generate_ec(SECP256R1()).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for der in (b"", b"junk", ec, public, pkcs1[:-10]):
        with pytest.raises(BadSigningKey):
            load_private(der)


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_junk_is_no_private_key(der: bytes) -> None:
    with pytest.raises(BadSigningKey):
        load_private(der)


def test_both_ways_to_write_an_rsa_key() -> None:
    """RFC 6376 says RSAPublicKey, its own example and everybody else SubjectPublicKeyInfo."""
    from base64 import b64encode

    public = rsa_key().private.public_key()
    short = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert parse_key_record(b"p=" + b64encode(short)).public == public
    # An Ed25519 key in that structure is none: RFC 8463 §4.2 has the raw octets.
    wrapped = ed25519_key().private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for kind in (b"rsa", b"ed25519"):
        with pytest.raises(BadKeyRecord) as caught:
            parse_key_record(b"k=" + kind + b"; p=" + b64encode(wrapped))
        assert caught.value.fault == "bad_key"


def test_every_tag_is_read() -> None:
    record = parse_key_record(
        b" v=DKIM1 ;h= sha1 : SHA256;\tk=rsa; n=note; s=email:other; t=y:s:new;" + RSA[16:] + b" ; "
    )
    assert record.hashes == {"sha1", "sha256"}
    assert record.services == {"email", "other"}
    assert record.flags == {"y", "s", "new"}
    assert (record.testing, record.strict, record.for_mail, record.for_sha256) == (True, True, True, True)
    record = parse_key_record(b"h=sha1; s=other; t=; p=")
    assert (record.testing, record.strict, record.for_mail, record.for_sha256) == (False, False, False, False)
    assert record.public is None
    folded = RSA.replace(b"p=MIIB", b"p = M\r\n II \t B")
    assert parse_key_record(folded).public == rsa_key().private.public_key()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", "syntax"),
        (b" ", "syntax"),
        (b"v=DKIM1; p=AAAA; p=AAAA", "syntax"),
        (b"v=DKIM1 p=AAAA; p", "syntax"),
        (b'"v=DKIM1; p=AAAA"', "syntax"),
        (b"v=DKIM1; p=\x07", "syntax"),
        (b"v=spf1 ip4:192.0.2.1 -all", "version"),
        (b"v=dkim1; p=AAAA", "version"),
        (b"v=DKIM10; p=AAAA", "version"),
        (b"p=AAAA; v=DKIM1", "version"),
        (b"v=DKIM1; k=rsa", "no_key"),
        (b"v=DKIM1; P=AAAA", "no_key"),
        (b"v=DKIM1; k=ec; p=AAAA", "key_type"),
        (b"v=DKIM1; p=AAA", "bad_key"),
        (b"v=DKIM1; p=A*AA", "bad_key"),
        (b"v=DKIM1; p=AAAA", "bad_key"),
        (b"v=DKIM1; k=ed25519; p=AAAA", "bad_key"),
    ],
)
def test_records_that_hold_no_key(text: bytes, fault: str) -> None:
    with pytest.raises(BadKeyRecord) as caught:
        parse_key_record(text)
    assert caught.value.fault == fault
    assert caught.value.text("ja") != caught.value.text("en")
    check = check_published([text], rsa_key().private.public_key())
    assert (check.verdict, check.ok) == (fault, False)
    assert check.text("ja") == caught.value.text("ja")


@pytest.mark.parametrize(
    ("records", "verdict", "said"),
    [
        ([RSA], "match", "our key"),
        ([b"k=rsa;" + RSA.partition(b"k=rsa;")[2]], "match", "our key"),
        ([], "missing", "no TXT record"),
        ([RSA, OTHER_RSA], "several", "2 TXT records"),
        ([RSA, RSA, b"v=spf1 -all"], "several", "3 TXT records"),
        ([b"v=DKIM1; p="], "revoked", "empty"),
        ([b"v=DKIM1; k=ed25519; p="], "revoked", "empty"),
        ([ED25519], "wrong_type", "ed25519"),
        ([OTHER_RSA], "differs", "another key"),
        ([RSA + b"; s=tlsrpt"], "not_for_mail", "s="),
        ([RSA + b"; h=sha1"], "wrong_hash", "h="),
    ],
)
def test_what_is_published_against_our_key(records: Sequence[bytes], verdict: str, said: str) -> None:
    check = check_published(records, rsa_key().private.public_key())
    assert check.verdict == verdict
    assert check.ok is (verdict == "match")
    assert said in check.text("en")
    assert check.text("ja") != check.text("en")


def test_a_key_under_test_is_told() -> None:
    assert check_published([RSA + b"; t=y"], rsa_key().private.public_key()).testing
    assert not check_published([RSA], rsa_key().private.public_key()).testing


@settings(max_examples=300)
@given(
    st.lists(st.one_of(st.binary(max_size=60), st.text(string.printable, max_size=60).map(str.encode)), max_size=3)
)
def test_the_comparison_never_raises(records: list[bytes]) -> None:
    check = check_published(records, ed25519_key().private.public_key())
    assert not check.ok
    assert check.text("en")


def test_every_sentence_has_its_japanese() -> None:
    """Sentences of DKIM are literals with blanks in calls and class bodies; none is left in English only."""
    sentences = set()
    room = Path(dkim_errors.__file__).parent
    for path in (*room.glob("dkim*.py"), room / "signatures.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(call, "func", None), "id", "")
            if name in {"SignatureFault", "DkimResult", "KeyCheck", "DkimError", "NoFromField"} or name.startswith(
                "Bad"
            ):
                sentences |= {
                    argument.value
                    for argument in getattr(call, "args", [])
                    if isinstance(argument, ast.Constant)
                    and isinstance(argument.value, str)
                    and " " in argument.value
                }
    assert sentences == set(TEXTS.japanese)
    for english, japanese in TEXTS.japanese.items():
        fields = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, japanese)
        ]
        assert fields[0] == fields[1]
