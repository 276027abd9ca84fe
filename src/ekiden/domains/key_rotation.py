"""Rotation of the DKIM keys of domains: making them, which of them sign after a check, and which go."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ekiden.core.clock import Millis
from ekiden.domains.model import Check, Key
from ekiden.domains.signing_keys import PURPOSE
from ekiden.sender_auth.dkim_key import Algorithm, dump_private, generate, public_record

if TYPE_CHECKING:
    from ekiden.access.vault import Vault


def make_keys(vault: Vault, *, ed25519: bool) -> list[dict[str, Any]]:
    """New keys as columns of the table ``dkim_key``, each with a selector of its own.

    To be called in a thread: an RSA key takes about 100 ms of a core.
    """
    algorithms: list[Algorithm] = ["rsa-sha256"]
    if ed25519:
        algorithms.append("ed25519-sha256")
    made = []
    for algorithm in algorithms:
        private = generate(algorithm)
        made.append(
            {
                "selector": str(uuid.uuid4()),
                "algorithm": algorithm,
                "sealed": vault.seal(dump_private(private), PURPOSE),
                "record": public_record(private),
            }
        )
    return made


def after_checks(keys: Sequence[Key], checks: Mapping[int, Check], now: Millis, *, vouched: bool) -> list[Key]:
    """``keys`` as they are after ``checks`` (by the id of the key).

    A pending key whose record was seen signs from now on, in place of an older one of its algorithm. An Ed25519 key
    whose record is gone stops: it is a second signature, and one that nobody can verify is of no use.
    """
    result: list[Key] = []
    risen = {
        key.algorithm
        for key in keys
        if key.status == "pending" and key.id in checks and checks[key.id].result == "pass"
    }
    for key in keys:
        check = checks.get(key.id)
        if key.status == "pending" and check is not None and check.result == "pass":
            result.append(replace(key, status="active", active_at=now))
        elif key.status == "active" and key.algorithm in risen:
            result.append(replace(key, status="retired", retired_at=now))
        elif (
            key.status == "active"
            and key.algorithm == "ed25519-sha256"
            and check is not None
            and check.result == "fail"
            and not vouched
        ):
            result.append(replace(key, status="pending"))
        else:
            result.append(key)
    return result


def decisive(keys: Sequence[Key], checks: Mapping[int, Check]) -> Check | None:
    """The check that says whether DKIM works: of the RSA key that signs, or is about to."""
    looked = [(key, checks[key.id]) for key in keys if key.kind == "dkim" and key.id in checks]
    passed = [check for key, check in looked if key.status == "pending" and check.result == "pass"]
    active = [check for key, check in looked if key.status == "active"]
    pending = [check for key, check in looked if key.status == "pending"]
    return next(iter([*passed, *active, *pending]), None)


def outlived(keys: Sequence[Key], now: Millis, overlap: Millis) -> list[Key]:
    """Retired keys of which nothing that they signed can be on its way any more."""
    return [key for key in keys if key.retired_at is not None and key.retired_at <= now - overlap]
