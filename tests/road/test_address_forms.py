"""However an address is written, servers see it in one form, lists know it, and its sender sees what was written.

The octets are those of RCPT, MAIL and header fields as the lab's servers, none of which offers SMTPUTF8, got them.
"""

from __future__ import annotations

import base64
import urllib.parse
import uuid
from functools import partial
from typing import Any

import pytest
from infobip_road import InfobipRoad, unique

from support.demo_process import wait_for

CARRIERS = ("docomo.ne.jp", "ezweb.ne.jp", "t.vodafone.ne.jp")
PLAIN = ["PIPELINING", "SIZE", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES"]


class Wire:
    """Submits, and reads what servers were told."""

    def __init__(self, road: InfobipRoad) -> None:
        self.road = road
        self.demo = road.demo

    def strict(self, name: str) -> str:
        """A domain whose server does not offer SMTPUTF8."""
        self.demo.put(f"/behaviour/{name}", {"extensions": PLAIN})
        return name

    def submit(self, recipient: str, sender: str, content: bytes = b"", *, utf8: bool = False) -> str:
        """By SMTP, the commands as given; returns the queue id."""
        mark = b"From: <jane@%b>\r\nSubject: x\r\n\r\nHello\r\n" % self.road.domain.encode()
        with self.demo.login(self.demo.connect()) as client:
            client.command_encoding = "utf-8"
            _ok(client.docmd(f"MAIL FROM:<{sender}>{' SMTPUTF8' if utf8 else ''}"))
            _ok(client.docmd(f"RCPT TO:<{recipient}>"))
            code, reply = client.data(content or mark)
            assert code == 250, reply
        return reply.rsplit(maxsplit=1)[-1].decode()

    def refusal(self, recipient: str) -> tuple[int, bytes]:
        with self.demo.login(self.demo.connect()) as client:
            _ok(client.docmd(f"MAIL FROM:<jane@{self.road.domain}>"))
            return client.docmd(f"RCPT TO:<{recipient}>")

    def commands(self, recipient: str) -> tuple[str, str]:
        """MAIL and RCPT of the message that ``recipient`` (as the wire names it) got last."""
        session = self.demo.mail(recipient)[-1]["session"]
        [found] = [item for item in self.demo.get(f"{self.demo.facts['lab']}/sessions") if item["id"] == session]
        [mail] = [line for line in found["dialogue"] if line.startswith("C: MAIL")][-1:]
        [rcpt] = [line for line in found["dialogue"] if line.startswith("C: RCPT") and recipient in line]
        return mail.removeprefix("C: "), rcpt.removeprefix("C: ")

    def outcome(self, queue_id: str) -> tuple[str, str]:
        """State, and recipient as it is shown, once it is final."""

        def final() -> Any:
            [found] = self.demo.trace(queue_id)["recipients"]
            return found if found["final"] else None

        found = wait_for(final, f"the end of {queue_id}")
        return found["state"], found["recipient"]

    def suppressed(self, *options: str) -> list[str]:
        rows = self.demo.run(
            "suppression", "list", "-a", "demo", "-d", self.road.domain, "--limit", "10000", *options
        )
        return [row["address"] for row in rows]


def _ok(answer: tuple[int, bytes]) -> None:
    assert answer[0] == 250, answer


@pytest.fixture
def wire(road: InfobipRoad) -> Wire:
    for name in CARRIERS:
        road.demo.put(f"/behaviour/{name}", {"extensions": PLAIN})
    return Wire(road)


def test_smtp_names_one_form(wire: Wire) -> None:
    tag, domain = unique(), wire.road.domain
    name = wire.strict(f"xn--r8jz45g.{tag}.lab.test")
    fullwidth = domain.replace(".", "．")
    for number, (sender, form) in enumerate(
        [
            (f"jane@{domain}.", f"{{}}@{name}."),
            (f"jane@{domain.upper()}", f"{{}}@{name.upper()}"),
            (f'"jane"@{domain}', f'"{{}}"@{name}'),
            (f"jane@{fullwidth}", f"{{}}@例え.{tag}.lab.test"),
            (f"jane@{fullwidth}。", f"{{}}@例え．{tag}。lab｡test．"),
        ]
    ):
        local = f"{tag}{number}"
        given = form.format(local)
        queue_id = wire.submit(given, sender, utf8=not f"{sender}{given}".isascii())
        mail, rcpt = wire.commands(f"{local}@{name}")
        assert wire.demo.trace(queue_id)["sender"] == f"jane@{domain}"
        assert "SMTPUTF8" not in mail
        assert rcpt.startswith(f"RCPT TO:<{local}@{name}>")
        assert wire.outcome(queue_id) == ("delivered", given)


def test_carriers_old_addresses_by_smtp(wire: Wire) -> None:
    for local, domain in zip(("a..b", "a.", ".a", "a-.-b..c."), (*CARRIERS, CARRIERS[0]), strict=True):
        mine = f"{local[0]}{unique()}{local[1:]}"
        queue_id = wire.submit(f"{mine}@{domain}", f"jane@{wire.road.domain}")
        assert wire.commands(f'"{mine}"@{domain}')[1].startswith(f'RCPT TO:<"{mine}"@{domain}>')
    trace = wire.demo.trace(queue_id)
    [recipient] = trace["recipients"]
    assert (recipient["state"], recipient["recipient"]) == ("delivered", f"{mine}@{domain}")
    assert f'RCPT TO:<"{mine}"@{domain}>' in str(recipient["history"][-1]["dialogue"])


def test_others_dots_are_still_mistakes(wire: Wire) -> None:
    for bad in ("a..b@example.com", "a.@xn--r8jz45g.lab.test", "a..b@notdocomo.ne.jp", "a..b@docomo.ne.jp.example"):
        code, text = wire.refusal(bad)
        assert (code, text[:5]) == (501, b"5.1.3"), bad


def test_a_long_local_part_is_taken(wire: Wire) -> None:
    local = f"{unique()}+{'bounce-' * 20}=ann"
    assert len(local) > 140
    queue_id = wire.submit(f"{local}@accept.lab.test", f"{local}@{wire.road.domain}")
    _, rcpt = wire.commands(f"{local}@accept.lab.test")
    assert wire.demo.trace(queue_id)["sender"] == f"{local}@{wire.road.domain}"
    assert rcpt.startswith(f"RCPT TO:<{local}@accept.lab.test>")
    code, _ = wire.refusal("l" * 250 + "@accept.lab.test")
    assert code == 501


def test_a_long_local_part_by_http(wire: Wire) -> None:
    local = f"{unique()}+{'bounce-' * 20}=ann"
    found = _sent(wire, f"{local}@accept.lab.test")
    assert found["destination"] == f"{local}@accept.lab.test"
    assert wire.commands(f"{local}@accept.lab.test")[1].startswith(f"RCPT TO:<{local}@accept.lab.test>")


def _sent(wire: Wire, to: str, way: str = "json", **more: Any) -> Any:
    """By one of the ways in of the API; the message as it answers."""
    sender = more.get("sender", wire.road.sender)
    if way == "json":
        group = {"to": [{"destination": to}]}
        if "cc" in more:
            group |= {"cc": [{"destination": more["cc"]}], "preserveRecipients": True}
        if "reply_to" in more:
            group["replyTo"] = more["reply_to"]
        body = {"messages": [{"sender": sender, "destinations": [group], "content": {"subject": "s", "text": "t"}}]}
        reply = wire.road.json("POST", "/email/4/messages", body)
    elif way == "mime":
        mime = f"From: {sender}\r\nTo: {to}\r\nSubject: s\r\n\r\nt\r\n".encode()
        body = {"mimeMessage": base64.b64encode(mime).decode()}
        reply = wire.road.json("POST", "/email/4/mime", body)
    else:
        fields = {"from": sender, "to": to, "subject": "s", "text": "t"}
        mark = uuid.uuid4().hex
        parts = "".join(
            f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}"}
        reply = wire.road.request("POST", "/email/3/send", f"{parts}--{mark}--\r\n".encode(), headers)
    assert reply.status == 200, reply.body
    return {**reply.json["messages"][0], "bulk": reply.json["bulkId"]}


@pytest.mark.parametrize("way", ["json", "form", "mime"])
@pytest.mark.parametrize("form", ["{tag}@例え.{tag}.lab.test", "{tag}@XN--r8jz45g．{tag}.lab.test."])
def test_http_needs_no_smtputf8_for_a_domain(wire: Wire, way: str, form: str) -> None:
    tag = unique()
    wire.strict(f"xn--r8jz45g.{tag}.lab.test")
    given = form.format(tag=tag)
    found = _sent(wire, given, way)
    wanted = f"{tag}@xn--r8jz45g.{tag}.lab.test"
    mail, rcpt = wire.commands(wanted)
    assert "SMTPUTF8" not in mail
    assert rcpt.startswith(f"RCPT TO:<{wanted}>")
    if way != "mime":  # whose header its sender wrote
        assert wire.road.letter(wanted).header("To") == wanted
    told = found.get("destination") or found["to"]
    assert told == given
    [report] = wire.road.reports(found["bulk"], 1)
    assert (report["to"], report["status"]["groupName"]) == (given, "DELIVERED")
    for spelled in (given, wanted, f"{tag}@例え.{tag}.LAB.test"):
        query = urllib.parse.urlencode({"to": spelled})
        [entry] = wire.road.request("GET", f"/email/1/logs?{query}").json["results"]
        assert entry["to"] == given


def test_http_header_fields_have_a_labels(wire: Wire) -> None:
    """All recipients of a message in one transaction, in which nobody needs SMTPUTF8."""
    tag = unique()
    domain = wire.road.own_domain(f"例え{tag}.lab.test")
    assert domain.startswith("xn--")
    wire.strict(f"xn--wgv71a.{tag}.lab.test")
    _sent(
        wire,
        f"太郎 <{tag}@日本.{tag}.lab.test>",
        sender=f"花子 <hanako@例え{tag}.lab.test>",
        cc=f"cc@日本.{tag}.lab.test",
        reply_to=f"answers@日本.{tag}.lab.test.",
    )
    name = f"xn--wgv71a.{tag}.lab.test"
    letter = wire.road.letter(f"{tag}@{name}")
    assert letter.data.partition(b"\r\n\r\n")[0].isascii()
    assert str(letter.header("To")).endswith(f"<{tag}@{name}>")
    assert letter.header("Cc") == f"cc@{name}"
    assert letter.header("Reply-To") == f"answers@{name}"
    assert str(letter.header("From")).endswith(f"<hanako@{domain}>")
    mail, _ = wire.commands(f"{tag}@{name}")
    assert wire.demo.trace(str(letter.header("Message-ID")))["sender"] == f"hanako@{domain}"
    assert "SMTPUTF8" not in mail


def test_smtputf8_where_a_local_part_needs_it(wire: Wire) -> None:
    tag = unique()
    found = _sent(wire, f"太郎{tag}@例え.lab.test")
    mail, rcpt = wire.commands(f"太郎{tag}@xn--r8jz45g.lab.test")
    assert "SMTPUTF8" in mail
    assert rcpt.startswith(f"RCPT TO:<太郎{tag}@xn--r8jz45g.lab.test>")
    assert found["destination"] == f"太郎{tag}@例え.lab.test"


@pytest.mark.parametrize("way", ["json", "form", "mime"])
def test_carriers_old_addresses_by_http(wire: Wire, way: str) -> None:
    given = f"{unique()}..b.@docomo.ne.jp"
    local = given.partition("@")[0]
    found = _sent(wire, given, way)
    assert (found.get("destination") or found["to"]) == given
    wanted = f'"{local}"@docomo.ne.jp'
    assert wire.commands(wanted)[1].startswith(f"RCPT TO:<{wanted}>")
    if way != "mime":
        assert f"\r\nTo: {wanted}\r\n".encode() in wire.road.letter(wanted).data
    [report] = wire.road.reports(found["bulk"], 1)
    assert (report["to"], report["status"]["groupName"]) == (given, "DELIVERED")
    if way != "json":
        return
    checked = wire.road.json("POST", "/email/2/validation", {"to": given}).json
    assert (checked["to"], checked["validSyntax"], checked["validMailbox"]) == (given, True, "true")
    listed = wire.demo.run("queue", "list", "--state", "delivered", "--recipient", given)
    assert [row["recipient"] for row in listed] == [given]


@pytest.mark.parametrize(
    ("first", "shown", "others"),
    [
        ("{tag}@Dst.lab.test.", "{tag}@dst.lab.test", ['"{tag}"@dst.lab.test', "{TAG}@DST。lab.test"]),
        ("{tag}@例え.lab.test", "{tag}@xn--r8jz45g.lab.test", ["{TAG}@xn--r8jz45g.lab.test."]),
        ("{tag}..x@docomo.ne.jp", "{tag}..x@docomo.ne.jp", ['"{TAG}..x"@docomo.ne.jp.']),
    ],
)
def test_a_suppression_has_one_key(wire: Wire, first: str, shown: str, others: list[str], eventually: Any) -> None:
    tag, domain = unique(), wire.road.domain
    first, shown, *others = (form.format(tag=tag, TAG=tag.upper()) for form in (first, shown, *others))
    added = wire.demo.run("suppression", "add", "-a", "demo", "-d", domain, first)
    assert added["added"] == 1
    again = wire.demo.run("suppression", "add", "-a", "demo", "-d", f"{domain}.", shown, *others)
    assert again["added"] == 0

    def is_dropped(other: str) -> bool:
        outcome = wire.outcome(wire.submit(other, f"jane@{domain}", utf8=not other.isascii()))
        return outcome == ("dropped", other)

    for other in others:
        eventually(partial(is_dropped, other), "every worker to know of it")
    body = {"suppressions": [{"domainName": domain, "emailAddress": [others[-1]], "type": "BOUNCE"}]}
    assert wire.road.json("POST", "/email/1/suppressions", body).status == 204
    query = urllib.parse.urlencode({"domainName": domain, "type": "BOUNCE", "emailAddress": first})
    [row] = wire.road.request("GET", f"/email/1/suppressions?{query}").json["results"]
    assert row["emailAddress"] == shown
    assert wire.suppressed("--address", others[-1]) == [shown, shown]
    removed = wire.demo.run("suppression", "remove", "-a", "demo", "-d", domain, row["emailAddress"])
    assert removed["removed"] == 2
    assert wire.suppressed("--address", first) == []


def test_a_disliked_spelling_suppresses_nobody(wire: Wire) -> None:
    name = f"{unique()}.lab.test"
    text = "Domain name required for recipient address"
    rule = {"at": "rcpt", "reply": {"code": 553, "enhanced": "5.1.3", "text": text}}
    wire.demo.put(f"/behaviour/{name}", {"rules": [rule]})
    queue_id = wire.submit(f"ann@{name}", f"jane@{wire.road.domain}")
    assert wire.outcome(queue_id)[0] == "bounced"
    assert wire.suppressed("--address", f"ann@{name}") == []
