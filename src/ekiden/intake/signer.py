"""DKIM signatures for accepted messages, computed in a thread beside the event loop.

Which domain signs is chosen in ``sender_rights``, where it is known whose the author's and the sender's are.
A message is signed once, before it is stored: what is stored is what goes on the wire, so no retry signs again. The
same content submitted again within an hour gets the signature it had (a sender who submits one message for each
recipient). RSA is computed without the interpreter lock; contents that wait at the same time go to the thread
together.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import structlog

from ekiden.access.vault import VaultError
from ekiden.core.clock import HOUR
from ekiden.limits.lru import Lru
from ekiden.mime.scan import scan
from ekiden.sender_auth.dkim_errors import DkimError
from ekiden.sender_auth.dkim_sign import SigningKey, hash_body, prepare, sign
from ekiden.store.api import StoreUnavailable
from ekiden.store.errors import told

if TYPE_CHECKING:
    from ekiden.core.clock import Millis
    from ekiden.core.submission import SharedContent
    from ekiden.domains.signing_keys import OwnKeys

_log = structlog.get_logger("ekiden.intake")
_BATCH = 16
_REMEMBERED = 512
_REUSED_FOR: Millis = HOUR


class _Job(NamedTuple):
    content: bytes
    submitted: bytes | None
    keys: Sequence[SigningKey]
    at: Millis
    shared: SharedContent | None
    done: asyncio.Future[bytes]


class Signer:
    """One per worker; close it at the end."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="dkim")
        self._waiting: list[_Job] = []
        self._running = False
        self._known: Lru[tuple[bytes, tuple[tuple[str, str], ...]], tuple[Millis, bytes]] = Lru(_REMEMBERED)
        """Only the thread looks at it, and at the next."""
        self._hashed: tuple[tuple[int, bytes], bytes] | None = None
        """The last body with a shared end, by the id of that end and the digest of its begin, and its hash."""

    async def sign(
        self,
        content: bytes,
        keys: Sequence[SigningKey],
        at: Millis,
        *,
        submitted: bytes | None = None,
        shared: SharedContent | None = None,
    ) -> bytes:
        """The ``DKIM-Signature`` fields to put before ``content``. Raises ``DkimError``.

        ``submitted`` is what the client sent, when nothing that is signed was added to it: the same may come again.
        ``shared`` follows ``content``; its messages often have the same body, which then is hashed once.
        """
        loop = asyncio.get_running_loop()
        job = _Job(content, submitted, keys, at, shared, loop.create_future())
        self._waiting.append(job)
        if not self._running:
            self._running = True
            # Whoever comes within this turn of the loop goes along.
            loop.call_soon(self._next)
        return await job.done

    def close(self) -> None:
        """What waits is not signed any more: it is cancelled."""
        waiting, self._waiting = self._waiting, []
        for job in waiting:
            job.done.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _next(self) -> None:
        batch = self._waiting[:_BATCH]
        del self._waiting[:_BATCH]
        if not batch:
            self._running = False
            return
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._sign_all, batch)
        work.add_done_callback(lambda done: self._finished(batch, done))

    def _finished(self, batch: list[_Job], done: asyncio.Future[list[bytes | Exception]]) -> None:
        self._next()
        if done.cancelled():
            for job in batch:
                job.done.cancel()
            return
        for job, result in zip(batch, done.result(), strict=True):
            if job.done.done():
                continue  # whoever wanted it has gone
            if isinstance(result, Exception):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)

    # --- in the thread --------------------------------------------------------------------------------------

    def _sign_all(self, batch: list[_Job]) -> list[bytes | Exception]:
        results: list[bytes | Exception] = []
        for job in batch:
            try:
                results.append(self._sign(job))
            except Exception as error:  # one content must not cost the others theirs
                results.append(error)
        return results

    def _sign(self, job: _Job) -> bytes:
        if job.shared is not None:
            body_hash = self._hash(job.content, job.shared)
            return prepare(job.content, job.keys, job.at, body_hash=body_hash).finish()
        if job.submitted is None:
            return sign(job.content, job.keys, job.at)
        digest = hashlib.blake2b(job.submitted, digest_size=32).digest()
        key = (digest, tuple((item.domain, item.selector) for item in job.keys))
        known = self._known.get(key)
        if known is not None and job.at - known[0] < _REUSED_FOR:
            return known[1]
        fields = sign(job.content, job.keys, job.at)
        self._known.put(key, (job.at, fields))
        return fields

    def _hash(self, content: bytes, shared: SharedContent) -> bytes:
        begin = content[scan(content).body :]
        key = (shared.id, hashlib.blake2b(begin, digest_size=32).digest())
        if self._hashed is None or self._hashed[0] != key:
            self._hashed = (key, hash_body(begin, shared.pieces))
        return self._hashed[1]


class ReportSigner:
    """``delivery.dsn.SignReport``: signatures of the installation's own domain for what it writes itself."""

    def __init__(self, keys: OwnKeys, signer: Signer) -> None:
        self._keys = keys
        self._signer = signer

    async def __call__(self, report: bytes, at: Millis) -> bytes:
        """None, when it has no key that signs, or something is wrong: an unsigned report is better than none."""
        try:
            keys = await self._keys.keys()
            return await self._signer.sign(report, keys, at) if keys else b""
        except (StoreUnavailable, VaultError, DkimError) as error:
            told(_log, "a report could not be signed", error)
            return b""
