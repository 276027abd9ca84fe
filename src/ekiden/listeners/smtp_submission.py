"""Submission: who the client is, what it may send as whom, and the door that takes its messages."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ekiden.access.authenticate import LoginRefusal, Password, Principal, shown_login
from ekiden.access.credential_scopes import SEND
from ekiden.access.failures import throttle_key
from ekiden.core.submission import Origin, Submission
from ekiden.intake.sender_rights import Allowed, Refused
from ekiden.listeners.smtp_admission import NOT_ADMITTED
from ekiden.listeners.smtp_visitor import REVOKED, Pending
from ekiden.smtp.reply import Reply
from ekiden.store.api import StoreUnavailable
from ekiden.store.errors import told

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.directory import Directory
    from ekiden.access.refusals import Refusals
    from ekiden.intake.door import Door
    from ekiden.intake.doorstep import Doorstep
    from ekiden.listeners.smtp_listener import ListenerSpec
    from ekiden.smtp.events import Authenticate, MailFrom, MessageReceived, RcptTo
    from ekiden.smtp.server_config import ServerConfig

AUTH_NEEDED = Reply.of(530, "5.7.0", "Authentication required")
CANNOT_CHECK = Reply.of(451, "4.3.0", "Temporary failure, try again later")
TOO_MANY_RECIPIENTS = Reply.of(452, "4.5.3", "Error: too many recipients")

# RFC 4954 §6, RFC 5248.
NOT_LOGGED_IN: Final = {
    LoginRefusal.BAD_CREDENTIALS: Reply.of(535, "5.7.8", "Error: authentication failed"),
    LoginRefusal.TOO_MANY: Reply.of(454, "4.7.0", "Too many failed attempts, try again later"),
    LoginRefusal.BUSY: Reply.of(454, "4.7.0", "Too many logins wait to be checked, try again later"),
    # Word for word as for a wrong password: whoever tries from elsewhere must not learn that it is right.
    LoginRefusal.NETWORK: Reply.of(535, "5.7.8", "Error: authentication failed"),
    LoginRefusal.SCOPE: Reply.of(535, "5.7.8", "Error: this credential is not for submitting mail"),
    LoginRefusal.SUSPENDED: Reply.of(535, "5.7.13", "This account is suspended"),
    LoginRefusal.UNAVAILABLE: Reply.of(454, "4.7.0", "Temporary authentication failure"),
}


class Submissions:
    """``smtp_visitor.SmtpService`` of listeners that clients submit mail to. ``doorstep``: for listeners that only
    serve SMTP users of configurations with network rules."""

    def __init__(self, door: Door, authenticator: Authenticator, doorstep: Doorstep | None = None) -> None:
        self.door = door
        self.authenticator = authenticator
        self.doorstep = doorstep
        self.gate = door.policy.gate

    @property
    def refusals(self) -> Refusals:
        return self.door.policy.refusals

    @property
    def directory(self) -> Directory:
        return self.authenticator.directory

    def offers(self, config: ServerConfig, *, trusted: bool) -> ServerConfig:
        return replace(config, require_tls=False, require_auth=False) if trusted else config

    def visit(self, listener: ListenerSpec, peer: str) -> Submitter:
        return Submitter(self, listener, peer)


class Submitter:
    """``smtp_visitor.Visitor`` of one session."""

    __slots__ = ("_listener", "_recipients_left", "_service", "max_recipients", "peer", "principal")

    def __init__(self, service: Submissions, listener: ListenerSpec, peer: str) -> None:
        self._service = service
        self._listener = listener
        self.peer = peer
        """Its IP address."""
        self.principal: Principal | None = None
        self.max_recipients: int | None = None
        self._recipients_left: int | None = None

    @property
    def unproven(self) -> bool:
        return self.principal is None

    @property
    def account_id(self) -> int:
        return 0 if self.principal is None else self.principal.account_id

    @property
    def credential_id(self) -> int:
        return 0 if self.principal is None else self.principal.credential_id

    @property
    def payer(self) -> Hashable:
        return self.account_id or f"smtp:{throttle_key(self.peer)}"

    def begin(self, *, trusted: bool) -> None:
        self.principal = self._listener.trusted if trusted else None

    def connect(self) -> Reply | None:
        """Whether any network rule could let it in, where that is asked."""
        service, listener = self._service, self._listener
        doorstep = service.doorstep if listener.restricted else None
        if doorstep is None or doorstep.admits(self.peer, listener.endpoint):
            return None
        return service.refusals.note(
            "connect",
            "network_rule",
            NOT_ADMITTED,
            client=self.peer,
            facts={"listener": listener.name, "endpoint": listener.endpoint},
        )

    async def authenticate(self, event: Authenticate) -> Reply | None:
        """Check user name and password, and the network rules of an SMTP user."""
        service, endpoint = self._service, self._listener.endpoint

        async def admits(principal: Principal) -> bool:
            verdict = await service.gate.enter(principal, self.peer, endpoint)
            if isinstance(verdict, Allowed):
                self.max_recipients = verdict.max_recipients
                return True
            # What the client hears is what a wrong password gets: nobody learns more from a foreign network.
            facts = {"user": shown_login(event.username), **verdict.facts}
            reply = NOT_LOGGED_IN[LoginRefusal.NETWORK]
            self._note("auth", principal, verdict._replace(reply=reply, facts=facts))
            return False

        shown = Password(event.username, event.password)
        answer = await service.authenticator.prove(shown, self.peer, SEND, admits=admits)
        if isinstance(answer, LoginRefusal):
            return NOT_LOGGED_IN[answer]
        self.principal = answer.principal
        return None

    def ended(self) -> bool:
        principal = self.principal
        if principal is None:
            return False
        return not self._service.authenticator.seemed_valid(principal, self.peer, SEND)

    def content(self) -> Reply | None:
        """Outdated, but not by a revocation: of that the door tells, and keeps the refusal."""
        if self.principal is None or not self.ended():
            return None
        facts = self._service.directory.last_credential(self.principal.credential_id)
        return REVOKED if facts is None or not facts.revoked else None

    def known_mail(self, event: MailFrom) -> Reply | Pending | None:
        principal = self.principal
        if principal is None:
            # The machine asks for AUTH first; this is the lock behind that lock.
            return AUTH_NEEDED
        service = self._service
        valid = service.authenticator.known_valid(principal, self.peer, SEND)
        if valid is None:
            return Pending.ASK
        if not valid:
            return REVOKED
        verdict = service.gate.known_mail(principal, self.peer, self._listener.endpoint, _domain(event))
        return Pending.ASK if verdict is None else self._mail(principal, event, verdict)

    async def mail(self, event: MailFrom) -> Reply | None:
        principal, service = self.principal, self._service
        if principal is None:
            return AUTH_NEEDED
        try:
            if not await service.authenticator.still_valid(principal, self.peer, SEND):
                return REVOKED
            verdict = await service.gate.mail(principal, self.peer, self._listener.endpoint, _domain(event))
        except StoreUnavailable as error:
            told(service.authenticator.log, "a credential could not be checked", error)
            return CANNOT_CHECK
        return self._mail(principal, event, verdict)

    def rcpt(self, event: RcptTo) -> Reply | None:
        """As far as an SMTP configuration limits recipients."""
        left = self._recipients_left
        if left is None:
            return None
        if not left:
            return TOO_MANY_RECIPIENTS
        self._recipients_left = left - 1
        return None

    async def take(self, event: MessageReceived, origin: Origin) -> str:
        principal, params = self.principal, event.params
        assert principal is not None, "MAIL was accepted from nobody"
        receipt = await self._service.door.submit(
            Submission(
                account_id=principal.account_id,
                credential_id=principal.credential_id,
                sender=event.sender,
                recipients=event.recipients,
                content=event.content,
                origin=origin,
                priority=principal.priority,
                ret=params.ret,
                envid=params.envid,
                smtputf8=params.smtputf8,
                eight_bit=params.eight_bit,
            )
        )
        return receipt.queue_id

    def _mail(self, principal: Principal, event: MailFrom, verdict: Allowed | Refused) -> Reply | None:
        if isinstance(verdict, Refused):
            return self._note("mail", principal, verdict, event)
        self._recipients_left = verdict.max_recipients
        return None

    def _note(self, stage: str, principal: Principal, refused: Refused, event: MailFrom | None = None) -> Reply:
        """Keep the refusal; the reply with its id."""
        listener = self._listener
        return self._service.refusals.note(
            stage,
            refused.reason,
            refused.reply,
            account_id=principal.account_id,
            credential_id=principal.credential_id,
            client=self.peer,
            sender="" if event is None or event.sender is None else event.sender.text,
            facts={"listener": listener.name, "endpoint": listener.endpoint, **refused.facts},
        )


def _domain(event: MailFrom) -> str | None:
    return None if event.sender is None else event.sender.domain
