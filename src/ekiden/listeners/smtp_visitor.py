"""Who the client of a session is, and what it may do: answers to AUTH, MAIL and RCPT."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from ekiden.access.authenticate import LoginRefusal, Password, Principal, shown_login
from ekiden.access.credential_scopes import SEND
from ekiden.intake.sender_rights import Allowed, Refused
from ekiden.listeners.smtp_admission import NOT_ADMITTED
from ekiden.listeners.smtp_context import SessionContext
from ekiden.smtp.reply import Reply
from ekiden.store.api import StoreUnavailable
from ekiden.store.errors import told

if TYPE_CHECKING:
    from ekiden.smtp.events import Authenticate, MailFrom

AUTH_NEEDED = Reply.of(530, "5.7.0", "Authentication required")
REVOKED = Reply.of(421, "4.7.0", "Your credential is not valid any more")
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


class Pending(Enum):
    """Not known from memory: ask the coroutine."""

    ASK = 1


class Visitor:
    """One per session. Answers are the reply of a refusal, or ``None``: accepted."""

    __slots__ = ("_recipients_left", "_shared", "max_recipients", "peer", "principal")

    def __init__(self, shared: SessionContext, peer: str) -> None:
        self._shared = shared
        self.peer = peer
        """Its IP address."""
        self.principal: Principal | None = None
        self.max_recipients: int | None = None
        """Of each of its messages, as of its login; ``None``: as the listener says."""
        self._recipients_left: int | None = None

    def connect(self) -> Reply | None:
        """Whether any network rule could let it in, where that is asked."""
        shared = self._shared
        if shared.doorstep is None or shared.doorstep.admits(self.peer, shared.endpoint):
            return None
        return shared.refusals.note(
            "connect",
            "network_rule",
            NOT_ADMITTED,
            client=self.peer,
            facts={"listener": shared.listener, "endpoint": shared.endpoint},
        )

    async def authenticate(self, event: Authenticate) -> Reply | None:
        """Check user name and password, and the network rules of an SMTP user."""
        shared = self._shared

        async def admits(principal: Principal) -> bool:
            verdict = await shared.gate.enter(principal, self.peer, shared.endpoint)
            if isinstance(verdict, Allowed):
                self.max_recipients = verdict.max_recipients
                return True
            # What the client hears is what a wrong password gets: nobody learns more from a foreign network.
            facts = {"user": shown_login(event.username), **verdict.facts}
            reply = NOT_LOGGED_IN[LoginRefusal.NETWORK]
            self._note("auth", principal, verdict._replace(reply=reply, facts=facts))
            return False

        shown = Password(event.username, event.password)
        answer = await shared.authenticator.prove(shown, self.peer, SEND, admits=admits)
        if isinstance(answer, LoginRefusal):
            return NOT_LOGGED_IN[answer]
        self.principal = answer.principal
        return None

    def ended(self) -> bool:
        """Whether what the session was opened with would not open it any more, as of the last look."""
        principal = self.principal
        if principal is None:
            return False
        return not self._shared.authenticator.seemed_valid(principal, self.peer, SEND)

    def outdated(self) -> bool:
        """``ended``, but not by a revocation: of that the door tells, and keeps the refusal."""
        if self.principal is None or not self.ended():
            return False
        facts = self._shared.authenticator.directory.last_credential(self.principal.credential_id)
        return facts is None or not facts.revoked

    def known_mail(self, event: MailFrom) -> Reply | Pending | None:
        """The answer to MAIL from memory."""
        principal = self.principal
        if principal is None:
            # The machine asks for AUTH first; this is the lock behind that lock.
            return AUTH_NEEDED
        shared = self._shared
        valid = shared.authenticator.known_valid(principal, self.peer, SEND)
        if valid is None:
            return Pending.ASK
        if not valid:
            return REVOKED
        verdict = shared.gate.known_mail(principal, self.peer, shared.endpoint, _domain(event))
        return Pending.ASK if verdict is None else self._mail(principal, event, verdict)

    async def mail(self, event: MailFrom) -> Reply | None:
        """The answer to MAIL."""
        principal, shared = self.principal, self._shared
        if principal is None:
            return AUTH_NEEDED
        try:
            if not await shared.authenticator.still_valid(principal, self.peer, SEND):
                return REVOKED
            verdict = await shared.gate.mail(principal, self.peer, shared.endpoint, _domain(event))
        except StoreUnavailable as error:
            told(shared.authenticator.log, "a credential could not be checked", error)
            return CANNOT_CHECK
        return self._mail(principal, event, verdict)

    def rcpt(self) -> Reply | None:
        """The answer to RCPT, as far as an SMTP configuration limits recipients."""
        left = self._recipients_left
        if left is None:
            return None
        if not left:
            return TOO_MANY_RECIPIENTS
        self._recipients_left = left - 1
        return None

    def _mail(self, principal: Principal, event: MailFrom, verdict: Allowed | Refused) -> Reply | None:
        if isinstance(verdict, Refused):
            return self._note("mail", principal, verdict, event)
        self._recipients_left = verdict.max_recipients
        return None

    def _note(self, stage: str, principal: Principal, refused: Refused, event: MailFrom | None = None) -> Reply:
        """Keep the refusal; the reply with its id."""
        shared = self._shared
        return shared.refusals.note(
            stage,
            refused.reason,
            refused.reply,
            account_id=principal.account_id,
            credential_id=principal.credential_id,
            client=self.peer,
            sender="" if event is None or event.sender is None else event.sender.text,
            facts={"listener": shared.listener, "endpoint": shared.endpoint, **refused.facts},
        )


def _domain(event: MailFrom) -> str | None:
    return None if event.sender is None else event.sender.domain
