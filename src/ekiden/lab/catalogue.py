"""The ready-made behaviours: for every name here, NAME.lab.test exists in every lab. ``docs/lab.md`` has them
as a table."""

from __future__ import annotations

from ekiden.lab.behaviour import (
    EXTENSIONS,
    Answer,
    Behaviour,
    Format,
    MailHost,
    Mix,
    Report,
    Rule,
    Stage,
    Throttle,
    mailbox_full,
)

ZONE = "lab.test"
DEFAULT = "accept"
"""What names below ``lab.test`` do that are not named here."""

_CODES: tuple[Stage, ...] = ("connect", "ehlo", "mail", "rcpt", "data", "end")


def _reply(at: Stage, code: int, enhanced: str, text: str, *, first: int = 0) -> Rule:
    return Rule(at=at, reply=Answer(code, enhanced, text), first=first)


def _one(description: str, *rules: Rule) -> Behaviour:
    return Behaviour(description=description, rules=rules)


def _hostile(description: str, at: Stage, raw: str, *, endless: bool = False) -> Behaviour:
    return _one(description, Rule(at=at, raw=raw, endless=endless))


def _without(description: str, *names: str) -> Behaviour:
    return Behaviour(description=description, extensions=tuple(e for e in EXTENSIONS if e not in names))


_BOUNCES: tuple[tuple[Format, str], ...] = (
    ("postfix", "Postfix"),
    ("exim", "Exim"),
    ("exchange", "Exchange"),
    ("gmail", "Gmail"),
    ("qmail", "qmail"),
    ("docomo", "sendmail writes it for docomo"),
    ("au", "au (KDDI)"),
    ("softbank", "InterMail writes it for SoftBank"),
)
_NO_DSN = frozenset({"gmail", "qmail", "docomo", "au", "softbank"})
"""These take no parameters of RFC 3461, so that nobody can ask them for less than they write."""


def _reporting(description: str, report: Report) -> Behaviour:
    extensions = tuple(e for e in EXTENSIONS if e != "DSN") if report.format in _NO_DSN else EXTENSIONS
    return Behaviour(description=description, extensions=extensions, report=report)


def _catalogue() -> dict[str, Behaviour]:
    found: dict[str, Behaviour] = {
        # Ordinary answers.
        "accept": _one("accepts and keeps everything"),
        "greylist": _one(
            "451 4.7.1 at RCPT to the first try of each sender and recipient, then accepts",
            _reply("rcpt", 451, "4.7.1", "Greylisted, please try again later", first=1),
        ),
        "greylist-time": _one(
            "451 4.7.1 at RCPT until 2 seconds after the first try of each sender and recipient, then accepts",
            Rule(at="rcpt", reply=Answer(451, "4.7.1", "Greylisted, please try again later"), within=2),
        ),
        "retryhint": _one(
            "451 4.7.1 at RCPT to the first try, with the hint: try again in 120 seconds",
            _reply("rcpt", 451, "4.7.1", "Greylisted, please try again in 120 seconds", first=1),
        ),
        "tempfail": _one("451 4.3.0 at RCPT, always", _reply("rcpt", 451, "4.3.0", "Temporary failure, try later")),
        "reject": _one("550 5.1.1 at RCPT, always", _reply("rcpt", 550, "5.1.1", "No such user here")),
        "mailboxfull": _one("452 4.2.2 at RCPT, always", Rule(at="rcpt", reply=mailbox_full(452))),
        "mailboxfull-552": _one("552 5.2.2 at RCPT, always", Rule(at="rcpt", reply=mailbox_full(552))),
        "spam": _one(
            "554 5.7.1 at the end of data, in several lines",
            _reply("end", 554, "5.7.1", "Message refused as spam\nSee https://lab.test/policy\nReference 12345"),
        ),
        "service-unavailable": _one(
            "421 4.3.2 at connect, always", _reply("connect", 421, "4.3.2", "Service not available, closing")
        ),
        "blocked": _one(
            "554 5.7.1 at connect, always", _reply("connect", 554, "5.7.1", "Your address is on our block list")
        ),
        # Slow ones.
        "slow": _one(
            "greets and answers the end of data after 2 seconds", Rule("connect", delay=2), Rule("end", delay=2)
        ),
        "slow-banner": _one("greets after 10 seconds", Rule(at="connect", delay=10)),
        "silent": _one("takes the connection and never says a word", Rule(at="connect", delay=3600)),
        "silent-end": _one("never answers the end of data", Rule(at="end", delay=3600)),
        # TLS.
        "badtls": Behaviour(description="offers STARTTLS, answers 220, then sends garbage", tls="garbage"),
        "hangtls": Behaviour(description="offers STARTTLS, answers 220, then never shakes hands", tls="hang"),
        "droptls": Behaviour(description="offers STARTTLS, answers 220, then disconnects", tls="disconnect"),
        "refusetls": Behaviour(description="offers STARTTLS, answers 454 4.7.0 to it", tls="refused"),
        "notls": Behaviour(description="does not offer STARTTLS", tls="none"),
        "needtls": Behaviour(description="530 5.7.0 at MAIL without TLS", tls="required"),
        "expiredcert": Behaviour(description="STARTTLS with a certificate that has expired", tls="expired"),
        "wrongcert": Behaviour(description="STARTTLS with a certificate for another name", tls="wrong-name"),
        # DNS and hosts.
        "nullmx": Behaviour(description="null MX (RFC 7505): takes no mail", dns="null-mx"),
        "mxnowhere": Behaviour(description="the MX names a host that does not exist", dns="mx-nowhere"),
        "nomx": Behaviour(description="no MX, but an A record of its own; accepts", dns="address-only"),
        "nomail": Behaviour(description="exists (TXT), but has no MX, A or AAAA", dns="no-mail"),
        "nxdomain": Behaviour(description="DNS: NXDOMAIN", dns="nxdomain"),
        "servfail": Behaviour(description="DNS: SERVFAIL", dns="servfail"),
        "dnsrefused": Behaviour(description="DNS: REFUSED", dns="refused"),
        "dnstimeout": Behaviour(description="DNS: never answers", dns="timeout"),
        "dnsslow": Behaviour(description="DNS answers after 1 second; accepts", dns_delay=1),
        "truncated": Behaviour(
            description="DNS over UDP is always truncated, TCP has the answer; accepts", dns="truncated"
        ),
        "deadfirst": Behaviour(
            description="the first MX host refuses connections, the second accepts",
            hosts=(MailHost(10, "dead"), MailHost(20)),
        ),
        "hangfirst": Behaviour(
            description="connections to the first MX host time out, the second accepts",
            hosts=(MailHost(10, "hang"), MailHost(20)),
        ),
        "dead": Behaviour(
            description="all MX hosts refuse connections", hosts=(MailHost(10, "dead"), MailHost(20, "dead"))
        ),
        "hang": Behaviour(description="connections to the only MX host time out", hosts=(MailHost(10, "hang"),)),
        "twin": Behaviour(
            description="two MX hosts of the same preference; both accept", hosts=(MailHost(), MailHost())
        ),
        "ipv6": Behaviour(
            description="the MX host has an AAAA record only; accepts", hosts=(MailHost(family="ipv6"),)
        ),
        "dual": Behaviour(description="the MX host has A and AAAA; accepts", hosts=(MailHost(family="both"),)),
        # What is offered.
        "nopipelining": _without("does not offer PIPELINING", "PIPELINING"),
        "no8bitmime": _without("does not offer 8BITMIME (nor SMTPUTF8, which needs it)", "8BITMIME", "SMTPUTF8"),
        "nosmtputf8": _without("does not offer SMTPUTF8", "SMTPUTF8"),
        "nodsn": _without("does not offer DSN", "DSN"),
        "noenhanced": _without("does not offer enhanced status codes and sends none", "ENHANCEDSTATUSCODES"),
        "helo": Behaviour(description="502 to EHLO; HELO works", esmtp=False, tls="none", extensions=()),
        "small": Behaviour(description="takes messages of up to 10,000 octets (SIZE)", size=10_000),
        # Limits and mixes.
        "throttle": Behaviour(
            description="2 connections at once (else 421), 5 messages per connection (421), 10 per second (450)",
            throttle=Throttle(connections=2, messages_per_connection=5, messages_per_second=10),
        ),
        "oneconnection": Behaviour(
            description="1 connection at once, 421 4.7.0 to the others", throttle=Throttle(connections=1)
        ),
        "onemessage": Behaviour(
            description="1 message per connection, 421 to the next", throttle=Throttle(messages_per_connection=1)
        ),
        "fewrecipients": Behaviour(
            description="3 recipients per message, 452 4.5.3 to the others",
            throttle=Throttle(recipients_per_message=3),
        ),
        "mix": Behaviour(
            description="70 % of the tries are accepted, 20 % get 421 4.7.0, 10 % get 550 5.1.1 (at RCPT)",
            mix=(
                Mix(70),
                Mix(20, (_reply("rcpt", 421, "4.7.0", "Too busy, try again later"),)),
                Mix(10, (_reply("rcpt", 550, "5.1.1", "No such user here"),)),
            ),
        ),
        "mix-end": Behaviour(
            description="at the end of data 80 % are accepted, 10 % get 451, 5 % get 554, 5 % are cut off",
            mix=(
                Mix(80),
                Mix(10, (_reply("end", 451, "4.7.1", "Deferred, try again in 5 minutes"),)),
                Mix(5, (_reply("end", 554, "5.7.1", "Refused by policy"),)),
                Mix(5, (Rule(at="end", disconnect="reset"),)),
            ),
        ),
        # Lost replies.
        "lostreply": _one(
            "keeps the message, then disconnects in place of the reply, at the first try; then accepts",
            Rule(at="end", disconnect="close", keep=True, first=1),
        ),
        # Reports that come later, by mail.
        "complain": _reporting(
            "accepts; 1 second later a complaint (ARF, RFC 5965), as a feedback loop sends it", Report("arf")
        ),
        "auto-reply": _reporting(
            "accepts; 1 second later a vacation reply (RFC 3834), unless the mail is automatic itself",
            Report("auto-reply"),
        ),
        # Peers that violate the protocol.
        "hostile-garbage": _hostile(
            "bytes that are no reply, at connect", "connect", "\x00\xff\x16\x03garbage\r\n"
        ),
        "hostile-mail": _hostile("bytes that are no reply, at MAIL", "mail", "what?\r\n"),
        "hostile-end": _hostile("bytes that are no reply, at the end of data", "end", "\x80\x81\r\n\r\n"),
        "hostile-endless": _hostile(
            "a greeting that never ends its line", "connect", "220 " + "x" * 996, endless=True
        ),
        "hostile-multiline": _hostile("an EHLO reply of endless lines", "ehlo", "250-AGAIN\r\n" * 90, endless=True),
        "hostile-barelf": _hostile("greets with a bare LF as line end", "connect", "220 lab ESMTP\n"),
        "hostile-code": _hostile("a code outside 2 to 5, at RCPT", "rcpt", "999 2.1.5 Fine\r\n"),
        "hostile-354": _hostile("354 at RCPT", "rcpt", "354 Go ahead\r\n"),
        "hostile-250": _hostile("250 in place of 354 at DATA", "data", "250 2.0.0 Ok\r\n"),
        "hostile-codes": _hostile(
            "different codes in one reply, at RCPT", "rcpt", "250-2.1.5 Ok\r\n550 5.1.1 No\r\n"
        ),
        "hostile-early": _hostile(
            "greets and answers EHLO, MAIL and RCPT before they were sent",
            "connect",
            "220 lab\r\n250 lab\r\n250 Ok\r\n250 Ok\r\n",
        ),
        "hostile-extra": _hostile("two replies to one MAIL", "mail", "250 2.1.0 Ok\r\n250 2.1.0 Ok again\r\n"),
        "hostile-bytes": Behaviour(
            description="every reply comes one byte at a time; accepts",
            rules=tuple(Rule(at=stage, trickle=True) for stage in (*_CODES, "rset", "quit")),
        ),
    }
    for form, who in _BOUNCES:
        how = f"as {who} writes it" if "writes" not in who else f"as {who}"
        found[f"late-bounce-{form}"] = _reporting(
            f"accepts; 1 second later a bounce of an unknown user, {how}", Report(form)
        )
    texts: dict[Stage, str] = {"mail": "5.1.8", "data": "5.3.0", "end": "5.7.1", "ehlo": "5.0.0"}
    for stage, enhanced in texts.items():
        place = "the end of data" if stage == "end" else stage.upper()
        found[f"reject-{stage}"] = _one(
            f"554 {enhanced} at {place}, always", Rule(at=stage, reply=Answer(554, enhanced, f"Refused at {stage}"))
        )
        soft = "4" + enhanced[1:]
        found[f"tempfail-{stage}"] = _one(
            f"451 {soft} at {place}, always", Rule(at=stage, reply=Answer(451, soft, f"Try again later ({stage})"))
        )
    cut: tuple[Stage, ...] = (*_CODES, "body")
    for at in cut:
        place = {"end": "after the end of data, before the reply", "body": "in the middle of the content"}.get(
            at, f"at {at}" if at == "connect" else f"at {at.upper()}"
        )
        found[f"disconnect-{at}"] = _one(f"disconnects {place}", Rule(at=at, disconnect="close"))
    found["reset-end"] = _one(
        "resets the connection (TCP RST) after the end of data", Rule(at="end", disconnect="reset")
    )
    return found


CATALOGUE: dict[str, Behaviour] = _catalogue()
