"""The signer: a content is signed once an hour, and nobody's trouble is another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cache

import dkim
import pytest

from ekiden.core.clock import HOUR, SECOND
from ekiden.intake.signer import Signer
from ekiden.sender_auth.dkim_errors import NoFromField
from ekiden.sender_auth.dkim_key import generate, public_record
from ekiden.sender_auth.dkim_sign import SigningKey

NOW = 1_763_000_000_000
"""Some time in 2025: dkimpy compares with the real clock and wants it in the past."""
RECEIVED = b"Received: by mail.example.com with ESMTPSA id %d;\r\n\tThu, 13 Nov 2025 02:13:20 +0000\r\n"
NO_AUTHOR = b"Subject: nobody wrote this\r\n\r\nx\r\n"


@cache
def key(selector: str) -> SigningKey:
    algorithm = "ed25519-sha256" if selector.startswith("ed") else "rsa-sha256"
    private = generate(algorithm)
    return SigningKey("example.com", selector, algorithm, private)


def keys() -> tuple[SigningKey, ...]:
    return (key("rsa"), key("ed"))


def mail(number: int = 0) -> bytes:
    return b"From: a@example.com\r\nTo: b@example.net\r\nSubject: number %d\r\n\r\nbody\r\n" % number


def verifies(content: bytes, *used: SigningKey) -> bool:
    """Whether dkimpy accepts every signature; they come first, in the order of the keys."""
    records = {
        f"{item.selector}._domainkey.{item.domain}.".encode(): public_record(item.private).encode() for item in used
    }
    verifier = dkim.DKIM(content)
    return content.count(b"DKIM-Signature:") == len(used) and all(
        verifier.verify(idx=index, dnsfunc=lambda name, timeout=5: records.get(name)) for index in range(len(used))
    )


@pytest.fixture
async def signer() -> AsyncIterator[Signer]:
    made = Signer()
    yield made
    made.close()


async def test_the_same_content_again_gets_the_signature_it_had(signer: Signer) -> None:
    submitted = mail()
    first = await signer.sign(RECEIVED % 1 + submitted, keys(), NOW, submitted=submitted)
    # A second later, with another trace field on top, it is still good: that field is not signed.
    second = await signer.sign(RECEIVED % 2 + submitted, keys(), NOW + SECOND, submitted=submitted)
    assert second == first
    assert verifies(second + RECEIVED % 2 + submitted, *keys())
    last = await signer.sign(submitted, keys(), NOW + HOUR - 1, submitted=submitted)
    assert last == first


async def test_after_an_hour_it_is_signed_again(signer: Signer) -> None:
    submitted = mail()
    first = await signer.sign(submitted, keys(), NOW, submitted=submitted)
    again = await signer.sign(submitted, keys(), NOW + HOUR, submitted=submitted)
    assert b"t=1763000000;" in first
    assert b"t=1763003600;" in again
    # The hour begins anew.
    assert await signer.sign(submitted, keys(), NOW + 2 * HOUR - 1, submitted=submitted) == again
    assert verifies(again + submitted, *keys())


async def test_anything_else_is_signed_for_itself(signer: Signer) -> None:
    submitted = mail()
    first = await signer.sign(submitted, keys(), NOW, submitted=submitted)
    later = NOW + SECOND
    other = await signer.sign(mail(1), keys(), later, submitted=mail(1))
    assert verifies(other + mail(1), *keys())
    # With other keys, as after a rotation.
    turned = await signer.sign(submitted, (key("rsa2"),), later, submitted=submitted)
    assert verifies(turned + submitted, key("rsa2"))
    # Something that is signed was added to what the client sent: only the content itself counts.
    dated = b"Date: Thu, 13 Nov 2025 02:13:20 +0000\r\n" + submitted
    added = await signer.sign(dated, keys(), later)
    assert verifies(added + dated, *keys())
    assert len({first, other, turned, added}) == 4
    assert all(b"t=1763000001;" in fields for fields in (other, turned, added))


async def test_what_cannot_be_signed_harms_no_other(signer: Signer) -> None:
    """All in one batch; and the next one works, too."""
    contents = [mail(number) if number % 3 else NO_AUTHOR for number in range(12)]
    for _ in range(2):
        answers = await asyncio.gather(
            *(signer.sign(content, keys(), NOW, submitted=content) for content in contents),
            return_exceptions=True,
        )
        for content, answer in zip(contents, answers, strict=True):
            if content is NO_AUTHOR:
                assert isinstance(answer, NoFromField)
            else:
                assert isinstance(answer, bytes), answer
                assert verifies(answer + content, *keys())


async def test_many_at_the_same_time_all_verify(signer: Signer) -> None:
    """Several batches, half of the contents twice; some clients do not wait for the end."""
    contents = [mail(number) for number in range(60)] + [mail(number) for number in range(30)]
    work = [asyncio.create_task(signer.sign(content, keys(), NOW, submitted=content)) for content in contents]
    await asyncio.sleep(0)
    for task in work[::10]:
        task.cancel()
    answers = await asyncio.gather(*work, return_exceptions=True)
    for number, (content, answer) in enumerate(zip(contents, answers, strict=True)):
        if number % 10 == 0:
            assert isinstance(answer, asyncio.CancelledError)
        else:
            assert isinstance(answer, bytes), answer
            assert verifies(answer + content, *keys())
            assert number < 60 or (number - 60) % 10 == 0 or answer == answers[number - 60]


async def test_memory_is_bounded(signer: Signer) -> None:
    edward = (key("ed"),)
    first = await signer.sign(mail(0), edward, NOW, submitted=mail(0))
    others = (signer.sign(mail(number), edward, NOW, submitted=mail(number)) for number in range(1, 601))
    await asyncio.gather(*others)
    again = await signer.sign(mail(0), edward, NOW + SECOND, submitted=mail(0))
    assert again != first
    assert verifies(again + mail(0), *edward)


async def test_nobody_waits_for_a_signer_that_is_closed() -> None:
    signer = Signer()
    work = [asyncio.create_task(signer.sign(mail(number), keys(), NOW)) for number in range(100)]
    await asyncio.sleep(0.005)
    signer.close()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*work, return_exceptions=True)
    # What the thread had begun is finished.
    for number, answer in enumerate(answers):
        assert isinstance(answer, asyncio.CancelledError) or (
            isinstance(answer, bytes) and verifies(answer + mail(number), *keys())
        )
    assert isinstance(answers[-1], asyncio.CancelledError)
