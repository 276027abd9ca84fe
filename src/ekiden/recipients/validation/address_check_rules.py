"""What an address tells by itself: whose it is not, and what was perhaps meant. Pure rules, no DNS and no store."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from disposable_email_domains import blocklist


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# RFC 2142 §3 to §5
_RFC_2142: Final = _words(
    """
    info marketing sales support abuse noc security postmaster hostmaster usenet news webmaster www uucp ftp
    """
)
# Others that several people of an organisation share, or that nobody reads.
_SHARED: Final = _words(
    """
    admin administrator billing contact enquiries feedback hello help helpdesk hr inquiry jobs mail mailer-daemon
    no-reply noreply donotreply do-not-reply office orders press privacy root service team
    """
)
ROLES: Final = frozenset(_RFC_2142 + _SHARED)

_BRANDS: Final = frozenset({"yahoo", "hotmail", "outlook", "live", "msn", "gmx", "orange"})
"""Providers that have domains under many top-level domains."""
_SUGGESTED: Final = _words(
    """
    gmail.com googlemail.com yahoo.com yahoo.co.jp yahoo.co.uk yahoo.fr yahoo.de ymail.com
    hotmail.com hotmail.co.jp hotmail.co.uk hotmail.fr outlook.com outlook.jp icloud.com
    docomo.ne.jp ezweb.ne.jp softbank.ne.jp i.softbank.jp ymobile.ne.jp rakuten.jp nifty.com biglobe.ne.jp
    plala.or.jp so-net.ne.jp naver.com hanmail.net protonmail.com proton.me fastmail.com comcast.net verizon.net
    sbcglobal.net bellsouth.net btinternet.com virginmedia.com t-online.de freenet.de orange.fr wanadoo.fr
    libero.it uol.com.br terra.com.br yandex.ru rambler.ru
    """
)
_NEAR: Final = _words(
    """
    mail.com email.com ymail.com rocketmail.com mail.ru gmx.com gmx.net me.com mac.com aol.com att.net
    live.com live.jp msn.com au.com web.de free.fr qq.com 163.com 126.com sina.com zoho.com ocn.ne.jp dion.ne.jp
    pm.me hey.com sky.com bol.com.br laposte.net sfr.fr neuf.fr cox.net charter.net earthlink.net juno.com
    """
)
_REAL: Final = frozenset(_SUGGESTED + _NEAR)
"""Providers that are near to others: whoever writes one of them means it."""
_MISTYPED: Final = frozenset({"co", "cm", "om", "con", "cmo", "vom", "xom", "comm", "ne", "nt"})
"""Endings that are hardly ever meant, although some of them are countries."""


def is_role(local: str) -> bool:
    """Whether the part before the @ names a function rather than a person; what follows a ``+`` does not count."""
    name = local.lower().partition("+")[0]
    return name in ROLES or name.endswith("-request")


def is_disposable(domain: str) -> bool:
    """Whether the domain, or one that it is below, gives addresses away for minutes (disposable-email-domains).

    ``domain`` is in lower-case A-labels. New ones appear every day, so "no" means that none is known.
    """
    labels = domain.split(".")
    return any(".".join(labels[start:]) in blocklist for start in range(len(labels) - 1))


@lru_cache(maxsize=4096)
def suggestion(domain: str, *, takes_mail: bool) -> str:
    """The provider's domain that was perhaps meant; empty: none.

    One letter may be wrong, missing, too many or exchanged with its neighbour; two where nobody takes mail.
    """
    if domain in _REAL or _is_brand(domain):
        return ""
    allowed = 1 if takes_mail else 2
    best = ""
    for known in _SUGGESTED:
        if abs(len(known) - len(domain)) <= allowed:
            distance = edit_distance(domain, known)
            # The first letter is hardly ever the wrong one, and of two mistakes none may be there.
            if distance <= allowed and (distance < 2 or known[0] == domain[0]):
                allowed, best = distance - 1, known
                if distance == 1:
                    break
    return best


def _is_brand(domain: str) -> bool:
    brand, _, rest = domain.partition(".")
    if brand not in _BRANDS or rest in _MISTYPED:
        return False
    labels = rest.split(".")
    return len(labels[-1]) == 2 and (len(labels) == 1 or (len(labels) == 2 and labels[0] in ("co", "com")))


def edit_distance(first: str, second: str) -> int:
    """The least number of letters to insert, remove, replace or exchange with their neighbours (optimal string
    alignment)."""
    before: list[int] = []
    previous = list(range(len(second) + 1))
    for row, char in enumerate(first, 1):
        current = [row]
        for column, other in enumerate(second, 1):
            best = min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (char != other))
            if row > 1 and column > 1 and char == second[column - 2] and first[row - 2] == other:
                best = min(best, before[column - 2] + 1)
            current.append(best)
        before, previous = previous, current
    return previous[-1]
