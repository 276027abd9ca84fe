"""The examples of RFC 6376 and RFC 8463."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dkim_rfc import (
    RFC_6376_MESSAGE,
    RFC_6376_RECORDS,
    RFC_8463_ED25519_PRIVATE,
    RFC_8463_MESSAGE,
    RFC_8463_RECORDS,
    RFC_8463_RSA_PRIVATE,
    RFC_8463_TIME,
)
from dkim_shapes import zone

from ekiden.sender_auth.dkim_key import check_published, dump_private, load_private, public_record
from ekiden.sender_auth.dkim_verify import verify


@pytest.mark.parametrize(
    ("message", "records", "expected"),
    [
        (RFC_6376_MESSAGE, RFC_6376_RECORDS, [("rsa-sha256", "example.com", "joe@football.example.com", 1024)]),
        (
            RFC_8463_MESSAGE,
            RFC_8463_RECORDS,
            [
                ("ed25519-sha256", "football.example.com", "@football.example.com", 256),
                ("rsa-sha256", "football.example.com", "@football.example.com", 1024),
            ],
        ),
    ],
    ids=["RFC 6376", "RFC 8463"],
)
async def test_the_messages_verify(
    message: bytes, records: Mapping[str, Sequence[bytes]], expected: list[tuple[str, str, str, int]]
) -> None:
    results = await verify(message, zone(records), RFC_8463_TIME)
    assert [(result.result, result.reason) for result in results] == [("pass", "ok")] * len(expected)
    assert [(r.algorithm, r.domain, r.identity, r.key_bits) for r in results] == expected

    changed = await verify(message.replace(b"hungry", b"thirsty"), zone(records), RFC_8463_TIME)
    assert [(result.result, result.reason) for result in changed] == [("fail", "body")] * len(expected)


def test_the_keys_have_these_records() -> None:
    ed25519 = Ed25519PrivateKey.from_private_bytes(b64decode(RFC_8463_ED25519_PRIVATE))
    rsa = load_private(b64decode(RFC_8463_RSA_PRIVATE))
    assert public_record(ed25519).encode() == RFC_8463_RECORDS["brisbane._domainkey.football.example.com"][0]
    assert public_record(rsa).encode() == RFC_8463_RECORDS["test._domainkey.football.example.com"][0]
    for key, name in ((ed25519, "brisbane"), (rsa, "test")):
        again = load_private(dump_private(key))
        assert check_published(RFC_8463_RECORDS[f"{name}._domainkey.football.example.com"], again.public_key()).ok
