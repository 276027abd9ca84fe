"""What SPF, DKIM, DMARC and ARC say of a message: as it is kept (``inbound_mail.authentication``), and as others
read it (Authentication-Results). Words and reasons are those of ``sender_auth``; sentences are for whoever shows
them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ekiden.sender_auth.authentication_results import MethodResult, Property
from ekiden.sender_auth.dmarc_record import Policy


class SpfFound(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """``identity``: whose domain was asked, that of MAIL FROM, or HELO when the sender is null. ``mechanism``: the
    term that matched, as it stands in the DNS."""

    result: str
    reason: str
    identity: Literal["mailfrom", "helo"]
    domain: str
    mechanism: str = ""


class DkimFound(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One signature (``sender_auth.dkim_verify.DkimResult``); empty and 0: its text or key did not say."""

    result: str
    reason: str
    domain: str = ""
    selector: str = ""
    algorithm: str = ""
    identity: str = ""
    beginning: str = ""
    key_bits: int = 0
    testing: bool = False
    unsigned_octets: int = 0


class DmarcFound(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """``domain``: the author's; ``policy``: what it asks for when a message fails; ``disposition``: what it asks
    for with this message; ``aligned``: by what it passed. ``reason`` may also be ``no_author`` (there is no From
    that all readers understand alike) or ``several_authors`` (of more domains than are asked about)."""

    result: str
    reason: str
    domain: str = ""
    policy_domain: str = ""
    policy: Policy = "none"
    disposition: Policy = "none"
    softened: str = ""
    aligned: tuple[str, ...] = ()


class ArcFound(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """``instance`` and ``part``: where the chain is wrong; ``sealers``: the domains that sealed, from the first on;
    ``trusted``: the one among them that we believe, and that saw DMARC pass for the author."""

    result: str
    reason: str
    instance: int = 0
    part: str = ""
    sealers: tuple[str, ...] = ()
    trusted: str = ""


class Authentication(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What was found of one message."""

    spf: SpfFound
    dkim: tuple[DkimFound, ...]
    dmarc: DmarcFound
    arc: ArcFound

    @property
    def asked_for(self) -> Policy:
        """What the author's domain asks us to do: ``reject`` or ``quarantine`` when DMARC failed, else ``none``."""
        return self.dmarc.disposition

    @property
    def vouched_for(self) -> bool:
        """Whether somebody whom we believe saw DMARC pass, and nothing was changed since by anybody else (ARC)."""
        return bool(self.arc.trusted)

    def encode(self) -> str:
        """As JSON."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def decode(text: str) -> Authentication:
        """What ``encode`` made. Raises ``msgspec.DecodeError``."""
        return msgspec.json.decode(text, type=Authentication)

    def results(self, address: str, sender: str) -> list[MethodResult]:
        """The same for Authentication-Results. ``address`` is the peer's, ``sender`` the envelope's."""
        spf = Property("smtp", self.spf.identity, _mailbox(sender, self.spf.domain) if sender else self.spf.domain)
        results = [MethodResult("spf", self.spf.result, _reason(self.spf.reason, "mechanism"), (spf,))]
        if not self.dkim:
            results.append(MethodResult("dkim", "none"))
        for item in self.dkim:
            properties = (
                Property("header", "d", item.domain),
                Property("header", "i", item.identity if item.identity.isascii() else ""),
                Property("header", "s", item.selector),
                Property("header", "a", item.algorithm),
                Property("header", "b", item.beginning),
            )
            reason = "testing" if item.testing else _reason(item.reason, "ok")
            results.append(MethodResult("dkim", item.result, reason, properties))
        dmarc = [Property("header", "from", self.dmarc.domain)]
        if self.dmarc.policy_domain:
            dmarc.append(Property("policy", "dmarc", self.dmarc.disposition))
        results.append(
            MethodResult("dmarc", self.dmarc.result, _reason(self.dmarc.reason, "aligned"), tuple(dmarc))
        )
        ip = (Property("smtp", "remote-ip", address),) if self.arc.result != "none" else ()
        results.append(MethodResult("arc", self.arc.result, _reason(self.arc.reason, "ok", "no_chain"), ip))
        return results


def _reason(reason: str, *usual: str) -> str:
    return "" if reason in usual else reason


def _mailbox(sender: str, domain: str) -> str:
    """The envelope sender; only its domain when the rest is not for a header of ASCII."""
    return sender if sender.isascii() else domain
