"""From what a peer answered (or did not) to a ``Verdict``: final or not, and whose matter it is.

The rule for the first axis is the code's first digit (RFC 5321 §4.2.1): 2 delivered, 4 deferred, 5 bounced. What
came before any command about the message does not speak about the message: a 5xx greeting or a refused EHLO makes
us try the next MX host and, when all refuse, wait (as Postfix does); only a 5xx to MAIL, RCPT, DATA or the content
is final.

The second axis, the cause, comes from the enhanced code (RFC 3463, RFC 7372, RFC 7505) where that is specific, from
well-known wordings where it is not (many peers say 5.7.1 to everything), and from the basic code at last.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ekiden.core.states import Cause, State, Verdict, Wait
from ekiden.smtp.reply import Reply

MAX_TEXT = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")

_REPUTATION = Cause.REPUTATION
_CONTENT = Cause.CONTENT
_RATE = Cause.RATE
_POLICY = Cause.POLICY
_RECIPIENT = Cause.RECIPIENT
_NETWORK = Cause.NETWORK
_OURS = Cause.OURS

# Subject.detail of an enhanced code -> cause, where the code alone says enough. A lone subject is its default.
# None: the texts decide first, then the default of the basic code.
_ENHANCED: dict[str, Cause | None] = {
    "0": None,
    "0.0": None,
    "1": _RECIPIENT,
    "1.0": None,
    "1.7": _OURS,  # bad sender's mailbox address syntax
    "1.8": _OURS,  # bad sender's system address
    "2": _RECIPIENT,
    "2.0": None,
    "2.3": _CONTENT,  # longer than the mailbox takes
    "3": _NETWORK,
    "3.0": None,
    "3.4": _CONTENT,  # too big for the system
    "4": _NETWORK,
    "4.0": None,
    "4.5": _RATE,  # congestion
    "5": _OURS,
    "5.0": None,
    "5.3": _RATE,  # too many recipients
    "6": _CONTENT,
    "6.7": _OURS,  # SMTPUTF8 would be needed
    "7": None,
    "7.20": _POLICY,  # RFC 7372: DKIM, SPF, reverse DNS
    "7.21": _POLICY,
    "7.22": _POLICY,
    "7.23": _POLICY,
    "7.24": _POLICY,
    "7.25": _POLICY,
    "7.26": _POLICY,
    "7.27": _OURS,  # the sender's domain has a null MX
    "7.28": _RATE,  # mail flood
}

# In this order; the first that is found decides.
_TEXTS: tuple[tuple[re.Pattern[str], Cause], ...] = tuple(
    (re.compile("|".join(phrases), re.IGNORECASE), cause)
    for cause, phrases in (
        (_POLICY, (r"gr[ea]y-?\s?list",)),
        (
            _RECIPIENT,
            (
                r"over ?quota",
                r"quota (?:is |has been )?exceeded",
                r"exceeded (?:its |the |their )?(?:storage )?quota",
                r"mailbox .{0,40}(?:full|exceed)",
                r"insufficient (?:disk|storage|mailbox)",
                r"not enough (?:disk )?space",
            ),
        ),
        (
            _REPUTATION,
            (
                r"spamhaus|spamcop|barracuda ?central|sorbs|uceprotect|abuseat|surbl|invaluement|mailspike",
                r"sender ?score",
                r"(?:black|block|deny)-?\s?list",
                r"\b(?:dns|r)bls?\b",
                r"\breputation\b",
                r"\bS31[45]0\b|\bTSS\d\d\b",  # Outlook's and Yahoo's marks
                r"\bbanned\b",
                r"\blisted (?:at|by|in|on)\b",
            ),
        ),
        (
            _RATE,
            (
                r"rate.?limit",
                r"too many (?:messages|connections|recipients|concurrent|e?mails|errors|sessions)",
                r"throttl",
                r"too (?:fast|quickly|frequent)",
                r"exceeded .{0,40}(?:limit|rate)",
                r"unusual rate|mail flood|slow down",
                r"(?:connection|message|sending|hourly|daily) (?:rate |count )?limit",
                r"\btemporarily deferred\b",
            ),
        ),
        (
            _CONTENT,
            (
                r"virus|malware|phish|trojan",
                r"\bspam\b|unsolicited|\bbulk mail",
                r"(?:message|content) (?:content|body|rejected|denied|policy)",
                r"attachment|malformed|bare (?:cr|lf)|header",
                r"message.{0,30}(?:too (?:big|large)|exceeds.{0,20}size)",
                r"size limit",
            ),
        ),
        (
            _POLICY,
            (
                r"\b(?:SPF|DKIM|DMARC|rDNS|PTR)\b|reverse dns",
                r"authentication (?:required|fail)|not authorized|starttls",
                r"relay(?:ing)? (?:access )?(?:denied|not permitted|prohibited)|unable to relay",
                r"policy|access denied|client host rejected|not allowed",
                r"administrative(?:ly)? prohibit",
            ),
        ),
        (
            _RECIPIENT,
            (
                r"(?:user|recipient|mailbox|account|address) .{0,50}?(?:unknown|not found|doesn'?t exist"
                r"|does not exist|unavailable|disabled|inactive|invalid|rejected|suspended)",
                r"(?:unknown|no such|invalid|unrouteable|nonexistent) (?:user|recipient|mailbox|account|address)",
                r"no mailbox|not a valid (?:user|mailbox|recipient)",
            ),
        ),
        (
            _NETWORK,
            (
                r"(?:server|service|system|resources?|host)\b.{0,30}\b(?:busy|(?:un|not )available|down|overload)",
                r"try (?:again )?later|timed? ?out",
                r"connection (?:reset|refused|closed)",
                r"lookup fail|temporary (?:dns|system)",
            ),
        ),
    )
)

_TOO_MANY = re.compile(
    r"too many (?:\w+ )?(?:recipients|rcpts?\b|addresses)"
    r"|recipients?(?:'s)? (?:count |number )?(?:limit|maximum)"
    r"|(?:maximum|max|limit on|exceed\w*)\b[^.;]{0,30}\b(?:recipients|rcpts?)\b"
    r"|\b(?:recipients|rcpts?) (?:per|in one|in a|for this) (?:message|mail|e-?mail|transaction|session|envelope)",
    re.IGNORECASE,
)

_CODES: dict[int, Cause] = {
    421: _NETWORK,
    450: _RECIPIENT,
    451: _NETWORK,
    452: _NETWORK,
    454: _NETWORK,
    455: _OURS,
    500: _OURS,
    501: _OURS,
    502: _OURS,
    503: _OURS,
    504: _OURS,
    521: _RECIPIENT,
    530: _POLICY,
    534: _POLICY,
    535: _POLICY,
    538: _POLICY,
    550: _RECIPIENT,
    551: _RECIPIENT,
    552: _RECIPIENT,
    553: _RECIPIENT,
    554: _POLICY,
    555: _OURS,
    556: _RECIPIENT,
}


def classify(code: int, enhanced: str, text: str) -> Verdict:
    """The verdict of a peer's reply about one recipient. ``text`` is the reply without its codes."""
    if 200 <= code < 300:
        return Verdict(State.DELIVERED, Cause.NONE, code, enhanced, clean(text))
    text = clean(text)
    if too_many_recipients(code, enhanced, text):
        return Verdict(State.DEFERRED, Cause.RATE, code, enhanced, text)
    state = State.BOUNCED if code >= 500 else State.DEFERRED
    return Verdict(state, cause_of(code, enhanced, text), code, enhanced, text)


def too_many_recipients(code: int, enhanced: str, text: str) -> bool:
    """A refusal that says no word about its recipient: there were too many before it, in this message or hour.

    As temporary as 452, whatever its code: RFC 821 said 552 by mistake (RFC 5321 §4.5.3.1.10), and some say 550.
    """
    if not (450 <= code <= 454 or 550 <= code <= 554):
        return False
    return enhanced.endswith(".5.3") or _TOO_MANY.search(text[:MAX_TEXT]) is not None


@lru_cache(maxsize=1024)
def cause_of(code: int, enhanced: str, text: str) -> Cause:
    """Whose matter a refusal is."""
    _, _, rest = enhanced.partition(".")
    subject = rest.partition(".")[0]
    cause = _ENHANCED[rest] if rest in _ENHANCED else _ENHANCED.get(subject)
    if cause is not None:
        return cause
    for pattern, found in _TEXTS:
        if pattern.search(text):
            return found
    if subject == "7":
        return Cause.POLICY
    return _CODES.get(code, Cause.NETWORK if code < 500 else Cause.POLICY)


def clean(text: str) -> str:
    """One line without control characters, of bounded length."""
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    return _CONTROL.sub(" ", text) if _CONTROL.search(text) else text


def asks_to_slow_down(verdict: Verdict) -> bool:
    """Whether the site should see fewer connections of ours after this reply."""
    return verdict.code == 421 or (verdict.state is State.DEFERRED and verdict.cause is Cause.RATE)


# Verdicts without a peer's reply: the codes are those we would have given (RFC 3463 §3).


def no_connection(text: str, reply: Reply | None = None) -> Verdict:
    """Every address of the site refused, or did not answer, or broke off before the message.

    ``reply``: what the last one said, 5xx perhaps. It keeps its codes and tells the cause, but it does not speak
    about the message, so the mail waits.
    """
    text = clean(text)
    cause, code, enhanced = Cause.NETWORK, 451, "4.4.1"
    if reply is not None and reply.code < 400:
        enhanced = "4.5.0"  # 354 to EHLO: no refusal, but nonsense
    elif reply is not None:
        cause, code, enhanced = cause_of(reply.code, reply.enhanced, reply.text), reply.code, reply.enhanced
    return Verdict(State.DEFERRED, cause, code, enhanced, text, wait=Wait.SITE_DOWN)


def connection_lost(text: str) -> Verdict:
    """The conversation about the message broke off; whether the peer has it is not known if all of it was sent."""
    return Verdict(State.DEFERRED, Cause.NETWORK, 451, "4.4.2", clean(text))


def dns_trouble(text: str) -> Verdict:
    return Verdict(State.DEFERRED, Cause.NETWORK, 451, "4.4.3", clean(text))


def no_such_domain(text: str) -> Verdict:
    return Verdict(State.BOUNCED, Cause.RECIPIENT, 550, "5.1.2", clean(text))


def null_mx(text: str) -> Verdict:
    """RFC 7505 §4.2."""
    return Verdict(State.BOUNCED, Cause.RECIPIENT, 556, "5.1.10", clean(text))


def no_route(text: str) -> Verdict:
    """The domain exists, but nothing there can take mail."""
    return Verdict(State.BOUNCED, Cause.RECIPIENT, 550, "5.4.4", clean(text))


def forbidden(text: str) -> Verdict:
    """Every address that the domain names is one that mail must not go to. As final as no address at all: domains
    that take no mail often say so with 127.0.0.1, and their senders should hear of it at once.
    """
    return Verdict(State.BOUNCED, Cause.RECIPIENT, 550, "5.4.4", clean(text))


def mail_loop(text: str) -> Verdict:
    return Verdict(State.BOUNCED, Cause.POLICY, 554, "5.4.6", clean(text))


def our_fault(text: str) -> Verdict:
    """An error of our own; the next attempt may do better."""
    return Verdict(State.DEFERRED, Cause.OURS, 451, "4.3.0", clean(text))


def content_lost(text: str) -> Verdict:
    return Verdict(State.BOUNCED, Cause.OURS, 554, "5.3.0", clean(text))


def expired(last: Verdict, after: str) -> Verdict:
    """Time has run out; ``last`` is the last thing that was seen, ``after`` how long it was tried."""
    return Verdict(
        State.EXPIRED, last.cause, last.code, last.enhanced, clean(f"given up after {after}; last: {last.text}")
    )
