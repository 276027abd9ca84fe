"""The commands of one transaction for one peer: which parameters it may be given, and who cannot be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ekiden.core.address import BadAddress, parse_address
from ekiden.core.said import say
from ekiden.smtp.extensions import Offer
from ekiden.smtp.params import (
    MAX_ENVID,
    MAX_ORCPT,
    decode_orcpt,
    encode_orcpt,
    encode_xtext,
    format_notify,
)
from ekiden.smtp.reply import Reply
from ekiden.smtp.transaction import Transaction, TransactionRecipient

_NEEDS_UTF8 = Reply.own(553, "5.6.7", say("needs_smtputf8"))
_NEEDS_8BIT = Reply.own(554, "5.6.3", say("needs_8bitmime"))
_UNSAFE = Reply.own(553, "5.1.3", say("address_unsafe"))


@dataclass(slots=True)
class Plan:
    """``rcpts[i]`` asks for recipient ``asked[i]``; the others have their reply, one of ours, in ``decided``."""

    decided: list[Reply | None]
    mail: str = ""
    rcpts: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)


def make_plan(transaction: Transaction, offer: Offer) -> Plan:
    """Parameters are used only where the peer offers their keyword (RFC 5321 §2.2.1)."""
    extensions, max_size, max_recipients = offer.extensions, offer.max_size, offer.max_recipients
    utf8, dsn = "SMTPUTF8" in extensions, "DSN" in extensions
    count = len(transaction.recipients)
    size = transaction.size or len(transaction.content)
    if max_size and size > max_size:  # RFC 1870 §6
        return Plan([Reply.own(552, "5.3.4", say("too_large", size=size, most=max_size))] * count)
    if transaction.eight_bit and "8BITMIME" not in extensions:  # RFC 6152 §3: it must not be sent
        return Plan([_NEEDS_8BIT] * count)
    if transaction.smtputf8 and not utf8 and not _header_is_ascii(transaction.content):
        return Plan([_NEEDS_UTF8] * count)
    sender = wire_address(transaction.sender)
    if (refusal := _unfit(sender, utf8)) is not None:
        return Plan([refusal] * count)

    plan = Plan([None] * count)
    use_utf8 = utf8 and (transaction.smtputf8 or not sender.isascii())
    for number, recipient in enumerate(transaction.recipients):
        address = wire_address(recipient.address)
        if (refusal := _unfit(address, utf8)) is not None:
            plan.decided[number] = refusal
            continue
        if max_recipients and len(plan.asked) >= max_recipients:  # RFC 9422 §4.2
            plan.decided[number] = Reply.own(452, "4.5.3", say("too_many_recipients", most=max_recipients))
            continue
        command = f"RCPT TO:<{address}>"
        if dsn and (recipient.notify or recipient.orcpt):
            command += _dsn_parameters(recipient, utf8)
        use_utf8 = use_utf8 or not command.isascii()
        plan.rcpts.append(command)
        plan.asked.append(number)
    plan.mail = _mail(transaction, extensions, sender, size, use_utf8)
    return plan


def _unfit(address: str, utf8: bool) -> Reply | None:
    """Why the address cannot be named to this peer."""
    if not is_safe(address):
        return _UNSAFE
    return None if utf8 or address.isascii() else _NEEDS_UTF8


def _mail(transaction: Transaction, extensions: Mapping[str, str], sender: str, size: int, use_utf8: bool) -> str:
    mail = f"MAIL FROM:<{sender}>"
    if "SIZE" in extensions:
        mail += f" SIZE={size}"
    if transaction.eight_bit or (use_utf8 and "8BITMIME" in extensions):
        mail += " BODY=8BITMIME"
    if use_utf8:
        mail += " SMTPUTF8"
    if "DSN" in extensions:
        if transaction.ret is not None:
            mail += f" RET={transaction.ret.value}"
        if transaction.envid and transaction.envid.isascii() and is_safe(transaction.envid):
            envid = encode_xtext(transaction.envid)
            if len(envid) <= MAX_ENVID:
                mail += f" ENVID={envid}"
    return mail


def _dsn_parameters(recipient: TransactionRecipient, utf8: bool) -> str:
    parameters = ""
    notify = format_notify(recipient.notify)
    if notify:
        parameters += f" NOTIFY={notify}"
    if recipient.orcpt:
        orcpt = encode_orcpt(recipient.orcpt, smtputf8=utf8)
        try:
            decode_orcpt(orcpt)
        except ValueError:
            return parameters
        if len(orcpt) <= MAX_ORCPT:
            parameters += f" ORCPT={orcpt}"
    return parameters


def is_safe(text: str) -> bool:
    """Nothing in ``text`` can end or break a command line."""
    return text.isprintable() or not any(
        c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" or c in "\u2028\u2029" for c in text
    )


def _header_is_ascii(content: bytes) -> bool:
    end = content.find(b"\r\n\r\n")
    return (content[:end] if end >= 0 else content).isascii()


def wire_address(address: str) -> str:
    """The address as MAIL and RCPT name it. Those from the store have that form, unless an earlier version took
    them: then it is made here, so that SMTPUTF8 is needed for local parts only, and no final dot goes out.
    """
    if address.isascii() and not address.endswith("."):
        return address
    try:
        return parse_address(address).text
    except BadAddress:
        return address
