"""What a message must satisfy before it is taken: its sender, its author, its parts, the account's quota.

Everything is asked of what this worker remembers; the store is read only for what is new or has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import structlog

from ekiden.access.quotas import OverQuota, Quotas
from ekiden.access.refusals import Refusals
from ekiden.access.remembered import Remembered
from ekiden.access.vault import VaultError
from ekiden.intake.errors import (
    AttachmentRefused,
    CredentialRevoked,
    IntakeError,
    QuotaReached,
    SenderRefused,
    TemporarilyUnavailable,
    TooManyRecipients,
)
from ekiden.intake.sender_rights import Allowed, Gate, Refused
from ekiden.limits.workshop import Workshop
from ekiden.mime.attachments import find_attachment
from ekiden.mime.author_domains import is_mail_system, mailbox_domains
from ekiden.recipients.suppressions import KINDS, Suppression, SuppressionKind, Suppressions
from ekiden.store.api import StoreUnavailable

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, Directory
    from ekiden.core.clock import Millis
    from ekiden.core.submission import Recipient, Submission
    from ekiden.mime.scan import Header
    from ekiden.sender_auth.dkim_sign import SigningKey


log = structlog.get_logger()

_BUT_UNSUBSCRIBED = tuple(kind for kind in KINDS if kind != "unsubscribe")
_AT_ONCE = 32_768
"""Octets of a content that is looked through for attachments at once; a larger one in a thread."""


class Clearance(NamedTuple):
    """``keys`` sign the message; ``due_at``: not to be sent before (a quota); the message's ``now``: at once."""

    keys: tuple[SigningKey, ...]
    due_at: Millis
    suppressed: Mapping[str, Suppression]
    """Recipients that must not be mailed, by their address as a text."""


def _authors(header: Header, sender: str | None) -> tuple[str, ...] | None:
    """Domains of the From field; without one the door makes it of the envelope sender."""
    value = header.get(b"from")
    if value is None:
        return None if sender is None else (sender,)
    return None if header.repeats(b"from") else mailbox_domains(value)


class Policy:
    """One per worker. ``keys`` are those that sign for a domain, by its id."""

    def __init__(
        self,
        directory: Directory,
        gate: Gate,
        quotas: Quotas,
        refusals: Refusals,
        suppressions: Suppressions,
        keys: Remembered[int, tuple[SigningKey, ...]],
        workshop: Workshop | None = None,
    ) -> None:
        """``workshop`` is the worker's own."""
        self._directory = directory
        self.gate = gate
        self.refusals = refusals
        self._quotas = quotas
        self._suppressions = suppressions
        self._keys = keys
        self._workshop = workshop or Workshop()

    async def clear(
        self,
        account: AccountFacts,
        submission: Submission,
        header: Header,
        recipients: Sequence[Recipient],
        now: Millis,
        *,
        named: Sequence[str] = (),
    ) -> Clearance:
        """Raises ``IntakeError``; each refusal is kept (``access.refusals``). ``now``: when the message came.

        ``named``: domains that its author's name has, which must be the account's as well (``mime.repair``).
        """
        try:
            return await self._clear(account, submission, header, recipients, now, named)
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error
        except VaultError as error:
            # Unsigned it must not go; with the right key the sender's next try will do.
            log.error("messages cannot be signed", account=account.id, why=str(error))
            raise TemporarilyUnavailable from error

    def give_back(self, account: AccountFacts, recipients: int, at: Millis) -> None:
        """What ``clear`` counted in the quota as of ``at`` (``Clearance.due_at``) is not sent after all."""
        if account.quota.limited:
            self._quotas.give_back(account, recipients, at)

    async def _clear(
        self,
        account: AccountFacts,
        submission: Submission,
        header: Header,
        recipients: Sequence[Recipient],
        now: Millis,
        named: Sequence[str],
    ) -> Clearance:
        credential_id = submission.credential_id
        if credential_id:
            credential = self._directory.fresh_credential(credential_id)
            if credential is None:
                credential = await self._directory.credential(credential_id)
            if credential is not None and credential.revoked:
                # Since MAIL: that one message has a long way from there to its end, at the client's pace.
                raise self._refused(submission, CredentialRevoked(), "credential_revoked")
        sender = None if submission.sender is None else submission.sender.domain
        authors = _authors(header, sender)
        if named and authors is not None:
            authors = (*authors, *(domain for domain in named if domain not in authors))
        bounce = sender is None and authors is not None and is_mail_system(header.get(b"from") or b"")
        allowed = await self.gate.message(account, credential_id, sender, authors, bounce=bounce)
        if isinstance(allowed, Refused):
            error = SenderRefused(allowed.reply, allowed.facts.get("domain", ""))
            raise self._refused(submission, error, allowed.reason, allowed.facts)
        if allowed.configurations:
            await self._check_configurations(submission, header, len(recipients), allowed, bounce)
        keys: tuple[SigningKey, ...] = ()
        if allowed.signing is not None and authors:
            known = self._keys.get(account, allowed.signing.id)
            keys = await self._keys.load(account, allowed.signing.id) if known is None else known
        kinds = _BUT_UNSUBSCRIBED if submission.to_unsubscribed else KINDS
        suppressed = await self._suppressed(account, recipients, sender, authors, kinds)
        due_at = now
        if account.quota.limited and len(recipients) > len(suppressed):
            due_at = await self._take(account, submission, len(recipients) - len(suppressed), now)
        return Clearance(keys, due_at, suppressed)

    async def _suppressed(
        self,
        account: AccountFacts,
        recipients: Sequence[Recipient],
        sender: str | None,
        authors: tuple[str, ...] | None,
        kinds: Sequence[SuppressionKind],
    ) -> Mapping[str, Suppression]:
        """By the author's domain, which recipients know, and that of the envelope, where bounces go."""
        addresses = [recipient.address.text for recipient in recipients]
        found: dict[str, Suppression] = {}
        author = authors[0] if authors else sender
        if sender is not None and sender != author:
            found = await self._suppressions.check(account.id, sender, addresses, kinds)
        if author is not None:
            found |= await self._suppressions.check(account.id, author, addresses, kinds)
        return found

    async def _check_configurations(
        self, submission: Submission, header: Header, recipients: int, allowed: Allowed, bounce: bool
    ) -> None:
        for configuration in allowed.configurations:
            if recipients > configuration.max_recipients:
                raise TooManyRecipients
            if configuration.attachments:
                continue
            found = (
                "multipart" if submission.shared is not None else await self._attachment(submission, header, bounce)
            )
            if found is not None:
                facts = {"attachment": found, "configuration": configuration.id}
                raise self._refused(submission, AttachmentRefused(found), "attachment", facts)

    async def _attachment(self, submission: Submission, header: Header, bounce: bool) -> str | None:
        if len(header.content) <= _AT_ONCE:
            return find_attachment(header, bounce=bounce)
        return await self._workshop.run(submission.account_id, lambda: find_attachment(header, bounce=bounce))

    async def _take(self, account: AccountFacts, submission: Submission, recipients: int, now: Millis) -> Millis:
        due_at = self._quotas.take(account, recipients, now)
        if due_at is not None:
            return due_at
        try:
            return await self._quotas.reserve(account, recipients, now)
        except OverQuota as error:
            raise self._refused(submission, QuotaReached(error.until), "quota", {}) from None

    def _refused(
        self, submission: Submission, error: IntakeError, reason: str, facts: Mapping[str, str] | None = None
    ) -> IntakeError:
        """The same error, its reply with the id under which the refusal is kept."""
        origin = submission.origin
        error.reply = self.refusals.note(
            "data",
            reason,
            error.reply,
            account_id=submission.account_id,
            credential_id=submission.credential_id,
            client=origin.client,
            sender="" if submission.sender is None else submission.sender.text,
            facts={"listener": origin.listener, **(facts or {})},
            recipients=[recipient.address for recipient in submission.recipients[:100]],
        )
        return error
