"""Who wants no more mail, by mail (RFC 2369 §3.2).

Surely known is only what comes to an address that was given for nothing else: whoever takes mail for one says
``to_unsubscribe_address``, and every mail counts. Elsewhere a mail has to consist of the wish and nothing more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ekiden.core.report import Kind, Reading, Report
from ekiden.inbound.reports.material import Material
from ekiden.inbound.reports.patterns import compiled
from ekiden.inbound.reports.status_fields import mailbox

_MOST_WORDS: Final = 400
"""Characters of a mail that says nothing else."""
_WISH: Final = compiled(
    r"^\W{0,6}(?:please )?(?:(?:re|fw): ?)?(?:unsubscribe(?: me)?|un-subscribe|opt[- ]?out|remove(?: me)?(?: from (?:the|this|your) list)?"
    r"|signoff|sign off|d.{1,2}sinscription|d.{1,2}sabonnement|d.{1,2}sabonner|abmelden|abmeldung|abbestellen|austragen"
    r"|darse de baja|baja|cancelar (?:la )?suscripci.{1,2}n|annulla iscrizione|cancellami|cancelar inscri.{1,4}o"
    r"|uitschrijven|afmelden|avregistrera|avanm.{1,2}l|afmeld|meld av|wypisz|rezygnuj.|отписаться|отписка"
    r"|配信(?:停止|解除)(?:希望|依頼)?|購読(?:停止|解除)|メルマガ解除|退订|退訂|取消订阅|取消訂閱|수신 ?거부|구독 ?취소)\W{0,6}$"
)
_BY_PROGRAM: Final = compiled(
    r"sent this (?:e?-?mail|message) to unsubscribe|this (?:message|e?-?mail) was (?:generated|sent)[^\n]{0,60}(?:unsubscribe|list-unsubscribe)"
)


def asks_to_unsubscribe(material: Material) -> bool:
    """Whether that is all that a mail says."""
    text = material.text.strip()
    subject = material.header("subject")
    if _WISH.search(subject) is None:
        return not subject.strip() and _WISH.fullmatch(text[:_MOST_WORDS]) is not None
    if len(text) > _MOST_WORDS:
        return False
    return not text or _WISH.search(text) is not None or _BY_PROGRAM.search(text) is not None or len(text) <= 80


def to_unsubscribe_address(reading: Reading, sender: str) -> Reading:
    """A mail that came to an address which we gave for unsubscribing; ``sender``: From, for the record."""
    if reading.kind is Kind.UNSUBSCRIBE:
        return reading
    return replace(
        reading, kind=Kind.UNSUBSCRIBE, reports=(Report(Kind.UNSUBSCRIBE, mailbox(sender), how="address"),)
    )
