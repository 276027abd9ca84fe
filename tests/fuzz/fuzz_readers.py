"""How each parser is read: what it may raise is in ``fuzz_targets``, where the table is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import dns.message
import msgspec
from jwt.api_jws import PyJWS

from ekiden.access import sessions
from ekiden.access.tokens import Tokens
from ekiden.access.vault import Vault
from ekiden.content.errors import ContentError
from ekiden.content.template_files import TreeReader
from ekiden.core.address import BadAddress, parse_address, to_ascii_domain
from ekiden.core.states import State
from ekiden.delivery.dsn_message import Action, Report, ReportedRecipient, build_report
from ekiden.delivery.explain import explain
from ekiden.delivery.verdict import classify
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.form_reader import _Multipart, field_name
from ekiden.dialects.infobip.http import decode_json
from ekiden.dialects.infobip.operations.send_form import FIELDS
from ekiden.dialects.infobip.proof import basic
from ekiden.dialects.infobip.smtp_headers import read_options
from ekiden.dialects.infobip.value_rules import BadField
from ekiden.dialects.naver.errors import ApiError as NaverError
from ekiden.dialects.naver.http import Query, decode_tolerant
from ekiden.dialects.naver.paging import Order, read_page
from ekiden.dialects.naver.proof import targets
from ekiden.dns import resolver
from ekiden.inbound.reports.read import read_report
from ekiden.mime.attachments import find_attachment
from ekiden.mime.author_domains import mailbox_domains
from ekiden.mime.charsets import decode_text
from ekiden.mime.errors import MimeError
from ekiden.mime.fields import extra_field, text_field
from ekiden.mime.header import decode_words
from ekiden.mime.mailbox import format_mailbox, parse_mailbox
from ekiden.mime.message_view import read_message
from ekiden.mime.parameters import media_type, read_parameters
from ekiden.mime.placeholders import Text
from ekiden.mime.reencode import reencode
from ekiden.mime.repair import author_meant, repair
from ekiden.mime.scan import HeaderBounds, measure, scan
from ekiden.mime.tracked_message import with_tracking
from ekiden.mime.transfer_decoding import decode_body
from ekiden.mime.tree import DEFAULT_BOUNDS, read_tree
from ekiden.net.proxy_protocol import parse_proxy_header
from ekiden.recipients.tracking_tokens import ClickToken, OpenToken, TrackingTokens
from ekiden.sender_auth import arc, authentication_results, dkim_verify
from ekiden.sender_auth.canonical import BodyHash, canonical_field, split_fields
from ekiden.sender_auth.canonical import field_name as dkim_field_name
from ekiden.sender_auth.dkim_key import parse_key_record
from ekiden.sender_auth.dmarc_record import parse_dmarc_record
from ekiden.sender_auth.spf_record import parse_spf_record
from ekiden.smtp.client import ClientConnection
from ekiden.smtp.events import Authenticate, DataStarting, MailFrom, MessageReceived, RcptTo, StartTls
from ekiden.smtp.reply import ReplyParser
from ekiden.smtp.server import ServerConnection
from ekiden.smtp.server_config import ServerConfig
from ekiden.smtp.transaction import Transaction, TransactionRecipient
from ekiden.web import multipart
from ekiden.web.json_gauge import JsonGauge
from ekiden.web.urlencoded import UrlencodedReader
from support.manual_clock import ManualClock

KIB = 1024


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """A coroutine that never has to wait."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for something")


def cut(case: bytes) -> list[bytes]:
    """As a socket would give it: the case's own first octet says in pieces of which size."""
    size = (0, 1, 7, 64, 1_000, 5_000)[case[0] % 6] if case else 0
    if size == 1 and len(case) > 4_096:
        size = 13
    return [case[at : at + size] for at in range(0, len(case), size)] if size else [case]


# --- SMTP ---------------------------------------------------------------------------------------------------------

_RELAY = ServerConfig("mx.example", max_size=20_000, require_tls=False, require_auth=False, max_recipients=50)
_SUBMISSION = ServerConfig("mx.example", max_size=20_000, tls_active=True)


def smtp_server(case: bytes) -> None:
    connection = ServerConnection(_SUBMISSION if case[-1:] == b"!" else _RELAY)
    for piece in cut(case):
        connection.receive_data(piece)
        while (event := connection.next_event()) is not None:
            match event:
                case MailFrom() | RcptTo() | DataStarting():
                    connection.accept()
                case MessageReceived(content=content):
                    assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")
                    connection.accept_message("0123456789ABC")
                case Authenticate():
                    connection.accept_auth()
                case StartTls():
                    connection.tls_established("TLSv1.3")
        connection.data_to_send()
        assert connection.held < 2 * _RELAY.max_size + 140_000


_TRANSACTION = Transaction(
    "a@b.example",
    [TransactionRecipient(f"r{number}@b.example") for number in range(5)],
    b"From: a@b.example\r\n\r\n.x\r\n",
    eight_bit=True,
)


def smtp_client(case: bytes) -> None:
    connection = ClientConnection("mx.example")
    said = started = False
    for piece in cut(case):
        connection.receive_data(piece)
        while connection.next_event() is not None:
            if not connection.closed and not connection.awaiting:
                if not said:
                    said = True
                    connection.ehlo()
                elif not started:
                    started = True
                    connection.send(_TRANSACTION)
        connection.data_to_send()
    connection.eof()
    while connection.next_event() is not None:
        pass


def smtp_reply(case: bytes) -> None:
    parser = ReplyParser()
    for piece in cut(case):
        parser.feed(piece)
        while (reply := parser.next()) is not None:
            reply.encode()
            verdict = classify(reply.code, reply.enhanced, reply.text)
            explain(State.BOUNCED, verdict.diagnosis, "ja")


def dsn(case: bytes) -> None:
    text = case[:2_000].decode("utf-8", "replace")
    recipients = [
        ReportedRecipient(
            "r@b.example",
            Action.FAILED,
            status=text[:20],
            orcpt=f"rfc822;{text[:200]}",
            remote_mta=text[:80],
            diagnostic=text,
        ),
        ReportedRecipient("山@b.example", Action.DELAYED, diagnostic=text, local=True),
    ]
    built = build_report(
        Report("mx.example", "a@b.example", "<m@mx.example>", 0, recipients, case, envid=text[:100])
    )
    assert built.count(b"\n") == built.count(b"\r\n")


def report(case: bytes) -> None:
    reading = read_report(case)
    for item in reading.reports:
        assert len(item.recipient) <= 320
        assert len(item.text) <= 500
        # What commands and webhooks print.
        msgspec.json.encode([item.recipient, item.text, item.remote_mta, item.action, reading.origin.ids])


# --- headers ------------------------------------------------------------------------------------------------------

_BOUNDS = HeaderBounds()


def header_scan(case: bytes) -> None:
    if measure(case, _BOUNDS) is not None:
        return
    header = scan(case)
    for found in header.fields():
        assert found.start < found.value <= found.end
    names = {found.name for found in header.fields()}
    for name in (b"from", b"received", b"message-id", b"bcc", b"date", b"subject"):
        header.get(name)
        header.count(name)
    header.without(names)
    header.without((b"bcc", b"return-path"))
    assert header.is_ascii or not case.isascii()


def mailboxes(case: bytes) -> None:
    header = scan(b"From: " + case + b"\r\n\r\n")
    mailbox_domains(header.get(b"from") or b"")


def repaired(case: bytes) -> None:
    if measure(case, _BOUNDS) is not None:
        return
    found = repair(scan(case), "s@b.example")
    if found is not None:
        again = repair(scan(found.content), "s@b.example")
        assert again is None, (case, found, again)


def author(case: bytes) -> None:
    author_meant(case, "shift_jis", "s@b.example")


def reencoded(case: bytes) -> None:
    if measure(case, _BOUNDS) is None:
        reencode(case.replace(b"\r", b"").replace(b"\n", b"\r\n"), lines=True, eight_bit=True)


def mailbox(case: bytes) -> None:
    format_mailbox(parse_mailbox(case.decode("utf-8", "replace")))


def words(case: bytes) -> None:
    decode_words(case)


def made_fields(case: bytes) -> None:
    text = case.decode("utf-8", "replace")
    for make in (text_field, extra_field):
        try:
            made = make("Subject", text)
        except MimeError:
            continue
        assert made.count(b"\r\n") - made.count(b"\r\n ") - made.count(b"\r\n\t") == 1


def attachments(case: bytes) -> None:
    if measure(case, _BOUNDS) is None:
        find_attachment(scan(case))


_LABELS = ("", "utf-8", "us-ascii", "iso-2022-jp", "shift_jis", "euc-jp", "gb2312", "big5", "utf-16", "hz-gb-2312")


def charset(case: bytes) -> None:
    """Its first octet says which label."""
    text = decode_text(case[1:], _LABELS[case[0] % len(_LABELS)] if case else "")
    assert b"\0" not in text.encode()  # and no lone surrogates


def parameters(case: bytes) -> None:
    read_parameters(case).texts()
    media_type(case)


def transfer_encoding(case: bytes) -> None:
    for encoding in ("base64", "quoted-printable", "x-uuencode"):
        # A line of uuencode says how many octets it has, and may end before them.
        assert len(decode_body(case, 0, len(case), encoding, 1_000_000)) <= len(case) * 32
        assert len(decode_body(case, 0, len(case), encoding, 10)) <= 10


def message_tree(case: bytes) -> None:
    pending = [read_tree(case)]
    count = 0
    while pending:
        part = pending.pop()
        count += 1
        assert part.start <= part.body <= part.end <= len(case)
        part.fields_of("subject")
        part.text(10_000)
        pending += part.children
    assert count <= DEFAULT_BOUNDS.parts


def message_view(case: bytes) -> None:
    view = read_message(case)
    for file in view.files:
        assert 0 < len(file.name) <= 255
        assert len(file.octets(100)) <= 100


def tracked(case: bytes) -> None:
    if measure(case, _BOUNDS) is None:
        with_tracking(case, link=lambda url: "https://t.example/x", pixel="https://t.example/p")


def placeholders(case: bytes) -> None:
    compiled = Text.compile(case.decode("utf-8", "replace"))
    compiled.render({"name": "value"})
    compiled.length({"name": "value"})


def x_ib(case: bytes) -> None:
    if measure(case, _BOUNDS) is None:
        header = scan(case)
        header.without(read_options(header).names)


def dkim_canonical(case: bytes) -> None:
    if measure(case, _BOUNDS) is not None:
        return
    header = scan(case)
    for raw in split_fields(header.raw):
        dkim_field_name(raw)
        canonical_field(raw, "relaxed")
    for how in ("simple", "relaxed"):
        sliced = BodyHash(how)
        sliced.update(case[header.body :])
        sliced.digest()


# --- records and signatures of others -----------------------------------------------------------------------------


async def _nothing(name: str, kind: str, /) -> Sequence[Any]:
    return ()


def dkim_signature(case: bytes) -> None:
    if measure(case, _BOUNDS) is None:
        run(dkim_verify.verify(case, _nothing, 1_700_000_000_000))


def arc_chain(case: bytes) -> None:
    if measure(case, _BOUNDS) is None:
        chain = run(arc.verify_chain(case, _nothing, 1_700_000_000_000))
        assert chain.result in ("none", "fail")


def results_of_others(case: bytes) -> None:
    authentication_results.without_claims(b"Authentication-Results:" + case, {"b.example"})
    with suppress(authentication_results.BadAuthenticationResults):
        _, case = authentication_results.read_instance(case)
    found = authentication_results.read(case)
    written = authentication_results.field("b.example", found.results)
    assert authentication_results.without_claims(written, {"b.example"}) == b""


def dns_answer(case: bytes) -> None:
    message = dns.message.from_wire(case, ignore_trailing=True)
    readers = {15: resolver._mx_of, 1: resolver._address_of, 28: resolver._address_of, 16: resolver._octets_of}
    for records in (*message.answer, *message.authority):
        reader = readers.get(records.rdtype)
        for record in records:
            if reader is not None and records.rdclass == 1:
                reader(record)
            resolver._text_of(record)


def spf_record(case: bytes) -> None:
    parse_spf_record(case)


def dmarc_record(case: bytes) -> None:
    parse_dmarc_record(case)


def dkim_record(case: bytes) -> None:
    parse_key_record(case)


def address(case: bytes) -> None:
    text = case.decode("utf-8", "replace")
    for read in (parse_address, to_ascii_domain):
        with suppress(BadAddress):
            read(text)


# --- HTTP ---------------------------------------------------------------------------------------------------------


def form_urlencoded(case: bytes) -> None:
    found: list[tuple[str, str]] = []
    reader = UrlencodedReader(lambda name, value: found.append((field_name(name), value)), 64, 100_000)
    for piece in cut(case):
        reader.feed(piece)
    reader.close()


async def _chunks(case: bytes) -> AsyncIterator[bytes]:
    for piece in cut(case):
        yield piece


def form_multipart(case: bytes) -> None:
    events = multipart.events(_chunks(case), "multipart/form-data; boundary=b", 64)
    run(_Multipart(FIELDS).read(events)).close()


def json_of(kind: type[Any]) -> Callable[[bytes], None]:
    def read(case: bytes) -> None:
        gauge = JsonGauge(2_000, 16)
        for piece in cut(case):
            gauge.feed(piece)
        decode_json(case, kind)

    return read


class Lenient(msgspec.Struct):
    """What a body of NAVER's API may have of types."""

    name: str
    sid: int | None = None
    loud: bool = False
    parts: list[Lenient] = []
    parameters: dict[str, Any] = {}


def naver_json(case: bytes) -> None:
    gauge = JsonGauge(2_000, 16)
    gauge.feed(case)
    decode_tolerant(case, Lenient)


def template_tree(case: bytes) -> None:
    """In pieces it has in it what it has as a whole."""
    found: list[list[Any]] = []
    for pieces in ([case], list(cut(case))):
        reader = TreeReader()
        items: list[Any] = []
        try:
            for piece in pieces:
                items += reader.feed(piece)
            while more := reader.close():
                items += more
        except ContentError as error:
            items.append(str(error))
        found.append(items)
    assert found[0] == found[1]


def naver_target(case: bytes) -> None:
    """What may have been signed, and what the query says."""
    path, _, query = case.partition(b"?")
    for target in targets(path, query):
        # Whichever form was signed, it has the same parts.
        head, _, tail = target.partition(b"?")
        assert (head.count(b"/"), tail.count(b"&"), b"#" in target) == (
            path.count(b"/"),
            query.count(b"&"),
            b"#" in case,
        )
    found = Query(query)
    for read in (
        lambda: read_page(found, ("createUtc", "sid"), Order("createUtc")),
        lambda: found.period(needed=False),
        lambda: found.flag("isUse"),
        lambda: found.number_or_none("templateSid"),
    ):
        with suppress(NaverError):
            read()


def infobip_values(case: bytes) -> None:
    text = case.decode("utf-8", "replace")
    for read in (
        fields.mailbox,
        fields.recipient,
        fields.form_recipient,
        fields.placeholders,
        fields.headers,
        fields.url,
        fields.boolean,
        fields.priority,
        lambda value: fields.send_at(value, 0, 30),
        field_name,
    ):
        with suppress(BadField):
            read(text)


_VAULT = Vault(b"\x0f" * 32)
_TRACKING = TrackingTokens(_VAULT)
_TOKENS = Tokens(_VAULT, ManualClock())
_JWS = PyJWS()
SEALED = [
    _TRACKING.seal(token).encode()
    for token in (OpenToken(1, 2, 3), ClickToken(1, 2, 3, "https://shop.example/" + "a" * 200))
]


def tracking_token(case: bytes) -> None:
    text = case.decode("utf-8", "replace")
    _TRACKING.read_open(text)
    _TRACKING.read_click(text)
    _TRACKING.read_unsubscribe(text)


def bearer_token(case: bytes) -> None:
    _TOKENS.read(case.decode("utf-8", "replace"))


def token_claims(case: bytes) -> None:
    """What stands in a token whose signature is right."""
    _TOKENS.read(_JWS.encode(case, _VAULT.derive("token"), "HS256"))


def login_values(case: bytes) -> None:
    """What clients show instead of a token, up to where somebody is asked about it."""
    text = case.decode("latin-1")
    sessions._lookup(text)
    sessions._TOKEN.fullmatch(text)
    basic(text)


def proxy_header(case: bytes) -> None:
    parse_proxy_header(case)
