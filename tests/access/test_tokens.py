"""Bearer tokens: what they say, how long they are good, what is no token."""

from __future__ import annotations

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.access.directory import AccountFacts, CredentialFacts
from ekiden.access.proof import granted
from ekiden.access.tokens import BadToken, TokenClaims, Tokens
from ekiden.access.vault import Vault
from ekiden.core.clock import SECOND
from ekiden.core.states import Priority
from support.manual_clock import ManualClock

KEY = CredentialFacts(7, 3, False, "hash", "api_key")
ACCOUNT = AccountFacts(3, "acme", Priority.STANDARD, False)
VAULT = Vault(bytes(range(32)))


def test_what_was_given_out_is_read_until_its_time_is_over() -> None:
    clock = ManualClock()
    tokens = Tokens(VAULT, clock)
    token = tokens.issue(KEY, ACCOUNT, ["read"], 3600.0)
    assert tokens.read(token.text) == TokenClaims(3, 7, frozenset({"read"}), token.expires_at)
    assert Tokens(VAULT, clock).read(token.text).account_id == 3
    clock.advance(3599 * SECOND)
    assert tokens.read(token.text)
    clock.advance(SECOND)
    with pytest.raises(BadToken):
        tokens.read(token.text)
    assert token.text not in repr(token)


def test_claims_are_those_that_clients_look_at() -> None:
    token = Tokens(VAULT, ManualClock()).issue(KEY, ACCOUNT, granted([]), 60.0)
    claims = jwt.decode(token.text, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 60
    assert claims["account"]["bss"] == f"{3:032x}"
    assert claims["scopes"] == ["download", "manage", "read", "send"]


def test_nobody_else_makes_tokens() -> None:
    clock = ManualClock()
    tokens = Tokens(VAULT, clock)
    good = tokens.issue(KEY, ACCOUNT, ["read"], 60.0).text
    other = Tokens(Vault(bytes(32)), clock).issue(KEY, ACCOUNT, ["read"], 60.0).text
    claims = jwt.decode(good, options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, "none")
    head, body, signature = good.split(".")
    forged = jwt.encode({**claims, "account": {"bss": "0" * 31 + "4"}}, bytes(32), "HS256").split(".")[1]
    less = jwt.encode({"exp": claims["exp"], "iat": 1, "iss": "ekiden"}, VAULT.derive("token"), "HS256")
    for text in (other, unsigned, f"{head}.{forged}.{signature}", f"{head}.{body}.", less, "", "a.b.c"):
        with pytest.raises(BadToken):
            tokens.read(text)


@given(st.text() | st.text(alphabet="abcABC-_=.{}0", max_size=60))
def test_any_text(text: str) -> None:
    with pytest.raises(BadToken):
        Tokens(VAULT, ManualClock()).read(text)
