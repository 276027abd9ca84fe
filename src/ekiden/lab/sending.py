"""Mail that the lab sends: to the servers that its own DNS names, as a foreign server would bring it.

``send`` is one try and never raises because of what comes of it: a refusal, a name without servers, a connection
that is cut are results, with the reply or the reason of each recipient and the dialogues that led to them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from collections.abc import Callable
from typing import Annotated, Final, Literal

import dns.message
import dns.rcode
import dns.rdata
import dns.rdatatype
import msgspec

from ekiden.lab.addresses import loopback
from ekiden.lab.behaviour import LabError
from ekiden.lab.client import Client, NoReply, Reply
from ekiden.lab.records import Records, parse_name
from ekiden.lab.signing import Signer
from ekiden.net.tls import client_context

MAX_CONTENT: Final = 48 << 20  # octets of one message
MAX_RECIPIENTS: Final = 1_000
MAX_DOMAINS: Final = 20
MAX_HOSTS: Final = 5  # that are tried for a domain
MAX_AT_ONCE: Final = 64  # connections of a lab
_ADDRESS: Final = re.compile(r"[^\x00-\x1f\x7f<>]{1,1000}")
_HELO: Final = r"^[^\x00-\x20\x7f]*$"
_SERVER: Final = re.compile(r"(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d{1,5})")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class Letter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be sent. ``sender`` ("from" in JSON) empty: the null sender.

    ``raw`` is text (UTF-8, any line ends), ``raw_base64`` the octets as they shall go. ``source``: the loopback
    address to come from, ``helo``: the name to give; without them those of the lab's own sending host, and with a
    ``source`` only the name that its PTR record has, or the address in brackets. ``server``: "ADDRESS:PORT" for
    all recipients, in place of what the DNS says. ``dkim``: a domain that signs it. ``timeout`` in seconds, for
    all of it.
    """

    to: str | tuple[str, ...]
    sender: Annotated[str, msgspec.Meta(max_length=1000, pattern=r"^[^\x00-\x1f\x7f<>]*$")] = msgspec.field(
        name="from", default=""
    )
    raw: str | None = None
    raw_base64: bytes | None = None
    helo: Annotated[str, msgspec.Meta(max_length=400, pattern=_HELO)] = ""
    source: str = ""
    server: str = ""
    tls: Literal["offered", "none", "required"] = "offered"
    smtputf8: bool = False
    dkim: str = ""
    timeout: Annotated[float, msgspec.Meta(ge=0.1, le=300)] = 60

    @property
    def recipients(self) -> tuple[str, ...]:
        return (self.to,) if isinstance(self.to, str) else self.to

    def content(self) -> bytes:
        """The octets, without the final dot. ``LabError`` when there are none or too many."""
        if (self.raw is None) == (self.raw_base64 is None):
            raise LabError("the message is given as raw (text) or as raw_base64, and not as both")
        found = self.raw_base64
        if self.raw is not None:
            found = _LINE_END.sub("\r\n", self.raw).encode("utf-8", "replace")
        assert found is not None
        if len(found) > MAX_CONTENT:
            raise LabError(f"a message has {MAX_CONTENT} octets at most, and this one {len(found)}")
        return found


class Outcome(msgspec.Struct, frozen=True):
    """What became of one recipient. ``stage`` as in behaviours, or "dns"; ``code`` 0: no reply, and ``text`` says
    why. ``dialogue`` is the place of its connection in ``Sent.dialogues``, None when there was none."""

    to: str
    accepted: bool
    stage: str
    code: int
    text: str
    dialogue: int | None = None


class Conversation(msgspec.Struct):
    """One connection to one host. ``source`` is the address and port that it came from."""

    domain: str
    host: str
    address: str
    port: int
    source: str = ""
    helo: str = ""
    tls: str | None = None
    lines: list[str] = []


class Sent(msgspec.Struct):
    """``accepted``: by all recipients. ``replies`` in the order of the recipients."""

    accepted: bool
    replies: list[Outcome]
    dialogues: list[Conversation]


class _Nowhere(Exception):
    """The DNS leads to no server; the text says why."""


class Sender:
    """Sends for one lab. ``port_of`` gives the port of an MX host, ``origin`` address and name of the lab's own
    sending host."""

    def __init__(
        self, records: Records, port_of: Callable[[str], int], origin: Callable[[], tuple[str, str]]
    ) -> None:
        self._records = records
        self._port_of = port_of
        self._origin = origin
        self._signer = Signer(records)
        self._places = asyncio.Semaphore(MAX_AT_ONCE)
        self._context = client_context()  # any certificate will do

    async def send(self, letter: Letter) -> Sent:
        """Try once. ``LabError`` when the letter itself is wrong."""
        content, groups = letter.content(), _by_domain(letter)
        server = _parse_server(letter.server)
        if letter.source:
            loopback(letter.source)
        if letter.dkim:
            content = await self.signed(content, letter.dkim)
        sent = Sent(False, [], [])
        found: dict[str, Outcome] = {}
        deadline = asyncio.get_running_loop().time() + letter.timeout
        for domain, recipients in groups.items():
            async with self._places:
                transaction = _Transaction(letter, content, domain, recipients, sent.dialogues, self._context)
                found |= await self._group(transaction, server, deadline)
        sent.replies = [found[recipient] for recipient in letter.recipients]
        sent.accepted = all(reply.accepted for reply in sent.replies)
        return sent

    async def signed(self, content: bytes, domain: str) -> bytes:
        """With a DKIM signature of the domain, whose record is published."""
        return await self._signer.sign(content, domain)

    async def _group(
        self, transaction: _Transaction, server: tuple[str, int] | None, deadline: float
    ) -> dict[str, Outcome]:
        letter = transaction.letter
        try:
            if server is not None:
                hosts = [(server[0], server[0])]
            else:
                hosts = exchangers(self._records, transaction.domain, letter.source)
        except _Nowhere as error:
            return transaction.all("dns", 0, str(error))
        outcome: dict[str, Outcome] = {}
        for host, address in hosts[:MAX_HOSTS]:
            port = server[1] if server is not None else self._port_of(host)
            source, helo = self._identity(letter, address)
            outcome = await transaction.run(host, address, port, source, helo, deadline)
            if transaction.begun:
                break
        return outcome

    def _identity(self, letter: Letter, address: str) -> tuple[str | None, str]:
        """The address to come from (None: the system's choice) and the name to give."""
        own_address, own_name = self._origin()
        source: str | None = letter.source or own_address
        if not letter.source and (":" in address) != (":" in own_address):
            source = None
        if letter.helo:
            return source, letter.helo
        if not letter.source:
            return source, own_name
        pointer = ipaddress.ip_address(letter.source).reverse_pointer
        names = _values(self._records, pointer, "PTR")[1]
        if names:
            return source, names[0].rstrip(".")
        return source, f"[IPv6:{source}]" if ":" in letter.source else f"[{source}]"


class _Transaction:
    """One message for the recipients of one domain, at one host after the other until one takes the first
    command."""

    def __init__(
        self,
        letter: Letter,
        content: bytes,
        domain: str,
        recipients: list[str],
        dialogues: list[Conversation],
        context: ssl.SSLContext,
    ) -> None:
        self.letter = letter
        self.domain = domain
        self.begun = False  # a host has been asked to take the message: no other one is
        self._content = content
        self._recipients = recipients
        self._dialogues = dialogues
        self._context = context
        self._stage = "connect"

    def all(self, stage: str, code: int, text: str, dialogue: int | None = None) -> dict[str, Outcome]:
        """The same for every recipient."""
        return {to: Outcome(to, False, stage, code, text, dialogue) for to in self._recipients}

    async def run(
        self, host: str, address: str, port: int, source: str | None, helo: str, deadline: float
    ) -> dict[str, Outcome]:
        """At one host."""
        number = len(self._dialogues)
        record = Conversation(self.domain, host, address, port, helo=helo)
        self._dialogues.append(record)
        client = Client(deadline)
        record.lines = client.dialogue
        self._stage = "connect"
        known: dict[str, Outcome] = {}
        try:
            loopback(address)  # edits of the DNS shall lead nowhere else
            greeting = await client.connect(address, port, source)
            record.source = client.source
            refused = greeting if not greeting.good else await self._prepare(client, host, helo)
            if refused is not None:
                known = self.all(self._stage, *refused, number)
            else:
                self.begun = True
                await self._transact(client, number, known)
            await client.quit()
        except (NoReply, LabError) as error:
            client.note(f"# {error}")
            known = self.all(self._stage, 0, str(error), number) | known
        finally:
            client.close()
            record.source, record.tls = client.source, client.tls
        return known

    async def _prepare(self, client: Client, host: str, helo: str) -> Reply | None:
        """EHLO, STARTTLS, EHLO; the reply that ends it."""
        self._stage = "ehlo"
        reply = await client.hello(helo)
        if not reply.good or self.letter.tls == "none":
            return None if reply.good else reply
        if "STARTTLS" not in client.extensions:
            if self.letter.tls == "required":
                self._stage = "starttls"
                return Reply(0, "STARTTLS is not offered")
            return None
        self._stage = "starttls"
        reply = await client.start_tls(host, self._context)
        if client.tls is None:
            return reply if self.letter.tls == "required" else None
        self._stage = "ehlo"
        reply = await client.hello(helo)
        return None if reply.good else reply

    async def _transact(self, client: Client, number: int, known: dict[str, Outcome]) -> None:
        self._stage = "mail"
        parameters = self._parameters(client)
        if isinstance(parameters, Reply):
            known.update(self.all(self._stage, *parameters, number))
            return
        reply = await client.command(f"MAIL FROM:<{self.letter.sender}>{parameters}")
        if not reply.good:
            known.update(self.all(self._stage, *reply, number))
            return
        taken = []
        for to in self._recipients:
            self._stage = "rcpt"
            reply = await client.command(f"RCPT TO:<{to}>")
            if reply.good:
                taken.append(to)
            else:
                known[to] = Outcome(to, False, "rcpt", reply.code, reply.text, number)
        if not taken:
            return
        self._stage = "data"
        reply = await client.command("DATA")
        if reply.code == 354:
            self._stage = "end"
            reply = await client.content(self._content)
            accepted = reply.good
        else:
            accepted = False
        for to in taken:
            known[to] = Outcome(to, accepted, self._stage, reply.code, reply.text, number)

    def _parameters(self, client: Client) -> str | Reply:
        """Of MAIL, each with a blank before it; or why the message cannot go this way."""
        found = ""
        if "SIZE" in client.extensions:
            found += f" SIZE={len(self._content)}"
        international = self.letter.smtputf8 or not f"{self.letter.sender}{''.join(self._recipients)}".isascii()
        if not self._content.isascii() or international:
            if "8BITMIME" not in client.extensions:
                return Reply(0, "8-bit content, and 8BITMIME is not offered")
            found += " BODY=8BITMIME"
        if international:
            if "SMTPUTF8" not in client.extensions:
                return Reply(0, "an international message, and SMTPUTF8 is not offered")
            found += " SMTPUTF8"
        return found


def exchangers(records: Records, domain: str, source: str) -> list[tuple[str, str]]:
    """Name and address of the hosts that take mail for ``domain``, best first (RFC 5321 §5.1); of several
    addresses of a host the first, IPv4 before IPv6. ``_Nowhere`` when there are none."""
    literal = re.fullmatch(r"\[(?:IPv6:)?([0-9a-fA-F:.]+)\]", domain)
    if literal is not None:
        return [(domain, literal[1])]
    code, found = _values(records, domain, "MX")
    if code != "NOERROR":
        raise _Nowhere(f"DNS: {code} for the MX records of {domain}")
    hosts = [host for _, host in sorted((int(value.split()[0]), value.split()[1]) for value in found)]
    if hosts == ["."]:
        raise _Nowhere(f"{domain} has a null MX (RFC 7505): it takes no mail")
    chosen = []
    for host in hosts or [domain]:
        name = host.rstrip(".").lower()
        addresses = _values(records, name, "A")[1] + _values(records, name, "AAAA")[1]
        fit = [address for address in addresses if not source or (":" in source) == (":" in address)]
        if fit:
            chosen.append((name, fit[0]))
    if not chosen:
        raise _Nowhere(f"DNS: no mail server of {domain} has an address{' of this family' if source else ''}")
    return chosen


def _values(records: Records, name: str, rdtype: str) -> tuple[str, list[str]]:
    """What the lab's DNS answers: the mnemonic of the code (or "timeout"), and values in presentation format."""
    try:
        query = dns.message.make_query(parse_name(name), rdtype)
    except LabError as error:
        return str(error), []
    response, trouble = records.answer(query)
    if trouble is not None and trouble.fault == "timeout":
        return "timeout", []
    wanted = dns.rdatatype.from_text(rdtype)
    found = [value.to_text() for rrset in response.answer if rrset.rdtype == wanted for value in rrset]
    return dns.rcode.to_text(response.rcode()), found


def _by_domain(letter: Letter) -> dict[str, list[str]]:
    recipients = letter.recipients
    if not recipients or len(recipients) > MAX_RECIPIENTS:
        raise LabError(f"a message has 1 to {MAX_RECIPIENTS} recipients")
    groups: dict[str, list[str]] = {}
    for recipient in dict.fromkeys(recipients):
        if not _ADDRESS.fullmatch(recipient):
            raise LabError(f"to: {recipient[:100]!r} cannot stand in RCPT TO")
        domain = "" if letter.server else recipient.rpartition("@")[2].lower()
        if not letter.server and "@" not in recipient:
            raise LabError(f"to: {recipient[:100]!r} has no domain; give a server, or an address")
        groups.setdefault(domain, []).append(recipient)
    if len(groups) > MAX_DOMAINS:
        raise LabError(f"the recipients of a message are at {MAX_DOMAINS} domains at most")
    return groups


def _parse_server(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    found = _SERVER.fullmatch(text)
    if found is None or not 0 < int(found[3]) < 65536:
        raise LabError("server: ADDRESS:PORT is expected, such as 127.0.0.1:2526 or [::1]:2526")
    return loopback(found[1] or found[2]), int(found[3])
