"""May this principal come in from this address, and send as this sender?

Asked at AUTH, at MAIL and for every message, so answers come from memory: what an account has is remembered by
its revision (``access.remembered``), which the directory looks at every second. A synchronous answer ``None`` means
that something has to be read first: then the coroutine of the same question has the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import structlog

from ekiden.access.remembered import Remembered
from ekiden.networks.api_types import SMTP
from ekiden.networks.rule_evaluation import Decision, RuleBook, Why, load_rulebook, smtp_resource
from ekiden.senders.legacy_allowlist import (
    LEGACY_PERIOD,
    WHOLE_ACCOUNT,
    ConfigurationFacts,
    Grant,
    SenderFacts,
    load_grant,
    load_sender,
)
from ekiden.smtp.reply import Reply
from ekiden.store.api import StoreUnavailable

if TYPE_CHECKING:
    from ekiden.access.authenticate import Principal
    from ekiden.access.directory import AccountFacts, Directory
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

log = structlog.get_logger()

_MAX_ROUNDS = 1_000
_MAX_DECISIONS = 20_000
_MAX_ABOVE = 8
"""Domains above a host that are looked for."""
_AUTHOR = "the From field"
_ENVELOPE = "the envelope sender (MAIL FROM)"
_Answer = TypeVar("_Answer")


class Refused(NamedTuple):
    """Why not: what an SMTP client is told, a word for logs and traces, and the facts behind it."""

    reply: Reply
    reason: str
    facts: Mapping[str, str]


class Allowed(NamedTuple):
    """``configurations`` are the SMTP configurations whose limits hold; ``signing`` is the domain that signs."""

    configurations: tuple[ConfigurationFacts, ...] = ()
    signing: SenderFacts | None = None

    @property
    def max_recipients(self) -> int | None:
        """Of a message; ``None``: nothing but the listener bounds it."""
        return min((item.max_recipients for item in self.configurations), default=None)


_ALLOWED: Final = Allowed()
_LISTED: Final = Decision(True, "", Why.PASSED)
SUSPENDED: Final = Refused(Reply.of(550, "5.7.1", "This account is suspended"), "account_suspended", {})
_AUTHOR_UNKNOWN: Final = Refused(
    Reply.of(
        554, "5.6.0", "The message needs one From field with addresses that can be read: its author is checked"
    ),
    "author_unknown",
    {},
)


class _Unknown(Exception):
    """Something has to be read first."""

    def __init__(self, load: Callable[[], Awaitable[object]]) -> None:
        self.load = load


class Gate:
    """One per worker. Coroutines raise what the store raises."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        directory: Directory,
        *,
        groups: Mapping[str, Sequence[str]] | None = None,
        legacy_period: Millis = LEGACY_PERIOD,
    ) -> None:
        """``groups``: the networks that names in zones stand for. ``legacy_period``: of the deprecated lists."""
        named = groups or {}
        self._clock = clock
        self._directory = directory
        self._legacy_period = legacy_period
        self._senders: Remembered[str, SenderFacts] = Remembered(store, load_sender)
        self._grants: Remembered[int, Grant] = Remembered(store, load_grant)
        self._books: Remembered[str, RuleBook] = Remembered(
            store, lambda connection, account_id, _: load_rulebook(connection, account_id, named)
        )
        self._decisions: dict[tuple[str, str, str, int], Decision] = {}

    # --- the questions --------------------------------------------------------------------------------------

    async def enter(self, principal: Principal, client: str, endpoint: str) -> Allowed | Refused:
        """At AUTH: an SMTP user must come from where a rule allows it. Its configurations are the answer."""
        if not principal.credential_id:
            return _ALLOWED
        account = await self._directory.account(principal.account_id)
        if account is None:
            return SUSPENDED
        return await self._settle(lambda: self._enter(account, principal.credential_id, client, endpoint))

    def known_mail(
        self, principal: Principal, client: str, endpoint: str, sender: str | None
    ) -> Allowed | Refused | None:
        """At MAIL, for the sender's domain (``None``: the null sender): from memory, or ``None``."""
        account = self._directory.fresh_account(principal.account_id)
        if account is None:
            return None
        try:
            return self._mail(account, principal.credential_id, client, endpoint, sender)
        except _Unknown:
            return None

    async def mail(self, principal: Principal, client: str, endpoint: str, sender: str | None) -> Allowed | Refused:
        """``known_mail``, read if need be."""
        account = await self._directory.account(principal.account_id)
        if account is None:
            return SUSPENDED
        return await self._settle(lambda: self._mail(account, principal.credential_id, client, endpoint, sender))

    async def message(
        self,
        account: AccountFacts,
        credential_id: int,
        sender: str | None,
        authors: Sequence[str] | None,
        *,
        bounce: bool = False,
    ) -> Allowed | Refused:
        """For a message: domains of its envelope sender and of its From field. Waits for nothing that is known.

        ``authors`` is ``None`` when there is not exactly one From field, or nobody can tell what it says.
        ``bounce``: the author is a mail server, which may be any host below a domain.
        """
        return await self._settle(lambda: self._message(account, credential_id, sender, authors, bounce))

    async def decide(
        self,
        account_id: int,
        resource: Mapping[str, str],
        api_types: Collection[str],
        address: str,
        endpoint: str,
        *,
        default: bool,
    ) -> Decision:
        """For any API: whether the account's rules let a request pass; ``default``: when none applies."""
        account = await self._directory.account(account_id)
        if account is None:
            return Decision(False, "", Why.NO_RULE)
        book = await self._settle(lambda: self._book(account))
        decision = book.decide(resource, api_types, address, endpoint, default=default)
        _report(decision, account, address, endpoint)
        if not decision.allowed:
            rule, why = decision.rule or "none", decision.why.value
            log.info("a rule refuses", rule=rule, account=account.id, client=address, endpoint=endpoint, why=why)
        return decision

    async def _settle(self, question: Callable[[], _Answer]) -> _Answer:
        """Ask until everything that it takes has been read; each round reads one more thing."""
        for _ in range(_MAX_ROUNDS):
            try:
                return question()
            except _Unknown as unknown:
                await unknown.load()
        raise StoreUnavailable("more has to be read for an answer than anybody may ask for")

    # --- the answers ----------------------------------------------------------------------------------------

    def _enter(self, account: AccountFacts, credential_id: int, client: str, endpoint: str) -> Allowed | Refused:
        grant = self._grant(account, credential_id)
        refused = self._from_nowhere(account, grant, client, endpoint) if grant.restricted else None
        return Allowed(grant.configurations) if refused is None else refused

    def _mail(
        self, account: AccountFacts, credential_id: int, client: str, endpoint: str, sender: str | None
    ) -> Allowed | Refused:
        if account.suspended:
            return SUSPENDED
        grant = self._grant(account, credential_id)
        if not grant.restricted:
            return self._whole(account, sender)
        refused = self._from_nowhere(account, grant, client, endpoint)
        if refused is not None:
            return refused
        if sender is None:
            return Allowed(grant.configurations)
        configuration = grant.of(sender)
        if configuration is None:
            return _not_owned(sender, grant, _ENVELOPE)
        decision = self._admits(account, configuration, client, endpoint)
        if not decision.allowed:
            return _network(configuration, decision, client)
        facts = self._sender(account, sender)
        return Allowed((configuration,)) if facts.usable else _not_usable(facts, _ENVELOPE)

    def _message(
        self,
        account: AccountFacts,
        credential_id: int,
        sender: str | None,
        authors: Sequence[str] | None,
        bounce: bool,
    ) -> Allowed | Refused:
        grant = self._grant(account, credential_id)
        checked = grant.restricted or account.senders == "verified"
        if authors is None and checked:
            return _AUTHOR_UNKNOWN
        signing: SenderFacts | None = None
        configurations: list[ConfigurationFacts] = []
        roles = dict.fromkeys(authors or (), _AUTHOR)
        if sender is not None:
            roles.setdefault(sender, _ENVELOPE)
        for domain, role in roles.items():
            facts = self._above(account, domain) if bounce else self._sender(account, domain)
            if grant.restricted:
                configuration = grant.of(facts.name)
                if configuration is None:
                    return _not_owned(domain, grant, role)
                configurations.append(configuration)
            if facts.usable:
                # The author's domain comes first: DMARC asks for a signature of it (RFC 7489 §3.1).
                signing = signing or facts
                if not checked:
                    break
            elif checked:
                return _not_usable(facts, role) if facts.id else _not_owned(domain, grant, role)
        return Allowed(tuple(configurations), signing)

    def _whole(self, account: AccountFacts, sender: str | None) -> Allowed | Refused:
        if sender is None or account.senders == "any":
            return _ALLOWED
        facts = self._sender(account, sender)
        if facts.usable:
            return _ALLOWED
        return _not_usable(facts, _ENVELOPE) if facts.id else _not_owned(sender, WHOLE_ACCOUNT, _ENVELOPE)

    def _from_nowhere(self, account: AccountFacts, grant: Grant, client: str, endpoint: str) -> Refused | None:
        """The refusal when no configuration of the grant admits the client."""
        refused = Refused(_NETWORK_REPLY, "no_configuration", {"client": client})
        for configuration in grant.configurations:
            decision = self._admits(account, configuration, client, endpoint)
            if decision.allowed:
                return None
            refused = _network(configuration, decision, client)
        return refused

    def _admits(
        self, account: AccountFacts, configuration: ConfigurationFacts, client: str, endpoint: str
    ) -> Decision:
        """Whether the rules let the client use the configuration."""
        if configuration.subnets and configuration.lists(client, self._clock.now(), self._legacy_period):
            return _LISTED
        key = (configuration.id, client, endpoint, account.revision)
        decision = self._decisions.get(key)
        if decision is None:
            book = self._book(account)
            resource = smtp_resource(account.uid, configuration.project, configuration.region or account.region)
            decision = book.decide(resource, (SMTP,), client, endpoint, default=False)
            _report(decision, account, client, endpoint)
            if len(self._decisions) >= _MAX_DECISIONS:
                self._decisions.clear()
            self._decisions[key] = decision
        return decision

    # --- what is remembered ---------------------------------------------------------------------------------

    def _grant(self, account: AccountFacts, credential_id: int) -> Grant:
        if not credential_id:
            return WHOLE_ACCOUNT
        grant = self._grants.get(account, credential_id)
        if grant is None:
            raise _Unknown(lambda: self._grants.load(account, credential_id))
        return grant

    def _book(self, account: AccountFacts) -> RuleBook:
        book = self._books.get(account, "")
        if book is None:
            raise _Unknown(lambda: self._books.load(account, ""))
        return book

    def _above(self, account: AccountFacts, host: str) -> SenderFacts:
        """The account's domain that is, or is nearest above, a host that sends bounces."""
        name = host
        for _ in range(_MAX_ABOVE):
            facts = self._sender(account, name)
            name = name.partition(".")[2]
            if facts.id or "." not in name:
                return facts
        return SenderFacts(host)

    def _sender(self, account: AccountFacts, domain: str) -> SenderFacts:
        facts = self._senders.get(account, domain)
        if facts is None:
            raise _Unknown(lambda: self._senders.load(account, domain))
        return facts


def _report(decision: Decision, account: AccountFacts, address: str, endpoint: str) -> None:
    """Log what rules in report mode would have refused."""
    for rule, why in decision.reports:
        log.info(
            "a rule would refuse", rule=rule, account=account.id, client=address, endpoint=endpoint, why=why.value
        )


_NETWORK_REPLY = Reply.of(554, "5.7.1", "Access from your network is not allowed by any rule")


def _network(configuration: ConfigurationFacts, decision: Decision, client: str) -> Refused:
    facts = {
        "client": client,
        "rule": decision.rule,
        "why": decision.why.value,
        "configuration": configuration.id,
    }
    return Refused(_NETWORK_REPLY, "network_rule", facts)


def _not_owned(domain: str, grant: Grant, role: str) -> Refused:
    if grant.restricted:
        own = ", ".join(sorted({item.domain for item in grant.configurations})[:3])
        text = f"Sender address rejected: {domain} is not the domain of your SMTP configuration ({own})"
    else:
        text = f"Sender address rejected: {domain} is not a verified domain of your account"
    return Refused(Reply.of(553, "5.7.1", f"{text}; it stands in {role}"), "sender_not_owned", {"domain": domain})


def _not_usable(facts: SenderFacts, role: str) -> Refused:
    state = {
        "pending": "is not verified yet",
        "failed": "is not verified: its records failed the checks",
        "suspended": "is suspended: its records fail the periodic checks",
    }.get(facts.status, "is not verified")
    why = f" ({facts.reason})" if facts.reason else ""
    return Refused(
        Reply.of(554, "5.7.1", f"The domain {facts.name} {state}{why}; it stands in {role}"),
        "domain_suspended" if facts.status == "suspended" else "domain_not_verified",
        {"domain": facts.name, "status": facts.status, "why": facts.reason},
    )
