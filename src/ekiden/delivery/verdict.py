"""From what a peer answered (or did not) to a ``Verdict``: final or not, and what is wrong.

The rule for the first axis is the code's first digit (RFC 5321 §4.2.1): 2 delivered, 4 deferred, 5 bounced. What
came before any command about the message does not speak about the message: a 5xx greeting or a refused EHLO makes
us try the next MX host and, when all refuse, wait (as Postfix does); only a 5xx to MAIL, RCPT, DATA or the content
is final. Too many recipients are temporary whatever the code: RFC 821 said 552 by mistake (RFC 5321 §4.5.3.1.10),
and some say 550.

The second axis is the diagnosis that ``smtp.diagnose`` makes of the reply.
"""

from __future__ import annotations

import re

from ekiden.core.diagnosis import Diagnosis, Scope, Stage, Verdict
from ekiden.core.said import Said, say
from ekiden.core.states import Cause, State, Wait
from ekiden.smtp.diagnose import MAX_TEXT, diagnose, diagnose_own
from ekiden.smtp.reply import Reply

_BRAKES = frozenset({Scope.SITE, Scope.CONNECTION})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def classify(
    code: int,
    enhanced: str,
    text: str,
    stage: Stage = Stage.RCPT,
    *,
    local: bool = False,
    said: Said | None = None,
) -> Verdict:
    """The verdict of a reply to ``stage`` about one recipient. ``text`` is the reply without its codes.

    ``local``: it is ours, since the peer gave none; then ``said`` is the same as code and facts.
    """
    text = clean(text)
    if 200 <= code < 300:
        return Verdict(State.DELIVERED, Diagnosis.NONE, code, enhanced, text)
    found = diagnose_own(code, enhanced) if local else diagnose(stage, code, enhanced, text)
    final = code >= 500 and found is not Diagnosis.RECIPIENTS
    state = State.BOUNCED if final else State.DEFERRED
    return Verdict(state, found, code, enhanced, text, said, stage=None if local else stage)


def clean(text: str) -> str:
    """One line without control characters, of bounded length."""
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT - 1] + "…"
    return _CONTROL.sub(" ", text) if _CONTROL.search(text) else text


def asks_to_slow_down(verdict: Verdict) -> bool:
    """Whether the site should see fewer connections of ours after this reply: for all accounts, so that what is
    said about one sender's domain, one recipient or one message does not count."""
    if verdict.state is not State.DEFERRED or verdict.diagnosis.scope not in _BRAKES:
        return False
    return verdict.code == 421 or verdict.cause is Cause.RATE


# Verdicts without a peer's reply: the codes are those we would have given (RFC 3463 §3).


def no_connection(said: Said, reply: Reply | None = None, stage: Stage = Stage.CONNECT) -> Verdict:
    """Every address of the site refused, or did not answer, or broke off before the message.

    ``reply``: what the last one said to ``stage``, 5xx perhaps. It keeps its codes and tells what is wrong, but it
    does not speak about the message, so the mail waits.
    """
    found, code, enhanced = Diagnosis.NO_ANSWER, 451, "4.4.1"
    if reply is not None and reply.code < 400:
        found, enhanced = Diagnosis.NOT_SMTP, "4.5.0"  # 354 to EHLO: no refusal, but nonsense
    elif reply is not None:
        found, code, enhanced = diagnose(stage, reply.code, reply.enhanced, reply.text), reply.code, reply.enhanced
    of = None if reply is None else stage
    return Verdict(State.DEFERRED, found, code, enhanced, clean(said.text()), said, Wait.SITE_DOWN, of)


def no_source(said: Said) -> Verdict:
    """The site has addresses of a family alone in which we have none."""
    return Verdict(State.DEFERRED, Diagnosis.NO_ANSWER, 451, "4.4.1", clean(said.text()), said, Wait.NO_SOURCE)


def gave_way(said: Said) -> Verdict:
    """Others needed the connection while it was being opened."""
    return Verdict(State.DEFERRED, Diagnosis.NO_ANSWER, 451, "4.4.1", clean(said.text()), said)


def connection_lost(said: Said) -> Verdict:
    """The conversation about the message broke off; whether the peer has it is not known if all of it was sent."""
    return Verdict(State.DEFERRED, Diagnosis.LOST, 451, "4.4.2", clean(said.text()), said)


def dns_trouble(said: Said) -> Verdict:
    return Verdict(State.DEFERRED, Diagnosis.DNS, 451, "4.4.3", clean(said.text()), said)


def no_such_domain(said: Said) -> Verdict:
    return Verdict(State.BOUNCED, Diagnosis.NO_DOMAIN, 550, "5.1.2", clean(said.text()), said)


def null_mx(said: Said) -> Verdict:
    """RFC 7505 §4.2."""
    return Verdict(State.BOUNCED, Diagnosis.NULL_MX, 556, "5.1.10", clean(said.text()), said)


def no_route(said: Said) -> Verdict:
    """The domain exists, but nothing there can take mail."""
    return Verdict(State.BOUNCED, Diagnosis.NO_ROUTE, 550, "5.4.4", clean(said.text()), said)


def forbidden(said: Said) -> Verdict:
    """Every address that the domain names is one that mail must not go to. As final as no address at all: domains
    that take no mail often say so with 127.0.0.1, and their senders should hear of it at once.
    """
    return Verdict(State.BOUNCED, Diagnosis.NO_ROUTE, 550, "5.4.4", clean(said.text()), said)


def mail_loop(said: Said) -> Verdict:
    return Verdict(State.BOUNCED, Diagnosis.LOOP, 554, "5.4.6", clean(said.text()), said)


def our_fault(said: Said) -> Verdict:
    """An error of our own; the next attempt may do better."""
    return Verdict(State.DEFERRED, Diagnosis.OURS, 451, "4.3.0", clean(said.text()), said)


def content_lost(said: Said) -> Verdict:
    return Verdict(State.BOUNCED, Diagnosis.OURS, 554, "5.3.0", clean(said.text()), said)


def expired(last: Verdict, after: str) -> Verdict:
    """Time has run out; ``last`` is the last thing that was seen, ``after`` how long it was tried."""
    said = say("given_up", after=after, last=last.said or last.text)
    text = clean(said.text())
    return Verdict(State.EXPIRED, last.diagnosis, last.code, last.enhanced, text, said, stage=last.stage)
