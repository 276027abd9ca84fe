"""Domains prove themselves to a running platform: the lab's DNS is all that anybody touches."""

from __future__ import annotations

import smtplib
import uuid
from typing import Any

import dkim
import pytest
from lab_dns import LabDns


def own_domain(demo: Any) -> tuple[str, list[dict[str, Any]]]:
    """A new domain of the demo's account, and the records to publish."""
    name = f"{uuid.uuid4().hex[:12]}.lab.test"
    made = demo.run("domain", "add", name, "--account", demo.account["name"])
    return name, made["records"]


def publish(demo: Any, name: str, records: list[dict[str, Any]]) -> None:
    demo.publish(name, "A", "127.0.0.1")
    for record in records:
        if record["type"] == "TXT" and record["kind"] != "dmarc":
            demo.publish(record["name"], "TXT", record["value"])


def send(demo: Any, sender: str, content: bytes, recipient: str = "") -> tuple[int, bytes]:
    """The reply that decides."""
    with demo.login(demo.connect()) as client:
        code, reply = client.mail(sender)
        if code != 250:
            return code, reply
        client.rcpt(recipient or f"{uuid.uuid4().hex}@accept.lab.test")
        return client.data(content)


def status(demo: Any, name: str) -> str:
    return str(demo.run("domain", "show", name)["status"])


def test_verification_suspension_and_resumption_follow_the_dns(demo: Any, eventually: Any) -> None:
    name, records = own_domain(demo)
    sender, content = f"me@{name}", f"From: me@{name}\r\n\r\nhello\r\n".encode()
    code, reply = send(demo, sender, content)
    assert (code, b"is not verified" in reply) == (554, True)
    publish(demo, name, records)
    eventually(lambda: status(demo, name) == "verified", "the periodic check")
    eventually(lambda: send(demo, sender, content)[0] == 250, "the workers to know")

    (key,) = [record for record in records if record["kind"] == "dkim"]
    demo.publish(key["name"], "TXT", "v=DKIM1; k=rsa; p=" + "A" * 40)
    eventually(lambda: status(demo, name) == "suspended", "the grace to end")
    reply = eventually(
        lambda: (answer := send(demo, sender, content))[0] == 554 and answer[1], "the workers to know"
    ).decode()
    assert f"The domain {name} is suspended" in reply
    refused = eventually(
        lambda: (
            (found := demo.run("trace", reply.rpartition("[")[2].rstrip("]"), check=False))
            and isinstance(found, dict)
            and found
        ),
        "the refusal to be written",
    )
    assert refused["reason"] == "domain_suspended"
    assert refused["facts"]["domain"] == name
    assert refused["why"].startswith("the domain is suspended")
    shown = demo.run("domain", "show", name)
    assert shown["reason"]
    assert any(check["kind"] == "dkim" and check["result"] == "fail" for check in shown["checks"])

    demo.publish(key["name"], "TXT", key["value"])
    eventually(lambda: status(demo, name) == "verified", "the record to be seen again")
    eventually(lambda: send(demo, sender, content)[0] == 250, "the workers to know")


SHAPES = {
    "plain": b"From: me@demo.lab.test\r\nSubject: x\r\n\r\nbody\r\n",
    "empty body": b"From: me@demo.lab.test\r\nSubject: x\r\n\r\n",
    "no body": b"From: me@demo.lab.test\r\nSubject: x\r\n",
    "only empty lines": b"From: me@demo.lab.test\r\n\r\n\r\n\r\n\r\n",
    "trailing blanks": b"From: me@demo.lab.test\r\n\r\none  \r\n\ttwo \t \r\n \r\n\r\n",
    "no last line end": b"From: me@demo.lab.test\r\n\r\nbody",
    "dots": b"From: me@demo.lab.test\r\n\r\n.\r\n..\r\n.one\r\n",
    "folded": b"From: Me\r\n <me@demo.lab.test>\r\nSubject: a\r\n\tb\r\n  c\r\n\r\nbody\r\n",
    "repeated": b"From: me@demo.lab.test\r\nComments: a\r\nComments: b\r\nTo: a@b.example\r\nTo: c@d.example\r\n"
    b"\r\nx\r\n",
    "8-bit": b"From: me@demo.lab.test\r\nSubject: x\r\n\r\n\xe9\xa7\x85\xe4\xbc\x9d\r\n",
    "8-bit header": "From: 駅伝 <me@demo.lab.test>\r\nSubject: たすき\r\n\r\nx\r\n".encode(),
    "long lines": b"From: me@demo.lab.test\r\n\r\n" + b"x" * 990 + b"\r\n" + b"y " * 490 + b"\r\n",
    "bare line ends": b"From: me@demo.lab.test\r\n\r\none\ntwo\rthree\r\n",
    "has date and id": b"From: me@demo.lab.test\r\nDate: Sat, 21 Nov 2026 12:00:00 +0900\r\n"
    b"Message-ID: <one@demo.lab.test>\r\n\r\nx\r\n",
    "multipart": b"From: me@demo.lab.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--b\r\nContent-Type: image/png\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n",
    "unsubscribe": b"From: me@demo.lab.test\r\nList-Unsubscribe: <https://u.example/x>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nReply-To: r@demo.lab.test\r\n\r\nx\r\n",
    "bcc": b"From: me@demo.lab.test\r\nBcc: hidden@b.example\r\nSubject: x\r\n\r\nx\r\n",
    "large": b"From: me@demo.lab.test\r\nSubject: x\r\n\r\n" + (b"z" * 76 + b"\r\n") * 20_000,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_the_receiver_got_verifies(demo: Any, shape: str) -> None:
    recipient = f"{uuid.uuid4().hex}@accept.lab.test"
    with demo.login(demo.connect()) as client:
        # smtplib doubles dots and completes the last line by itself.
        demo.send(client, [recipient], SHAPES[shape])
    (mail,) = demo.mail(recipient)
    found = LabDns(demo)
    verifier = dkim.DKIM(mail["data"])
    for index, algorithm in ((0, b"rsa-sha256"), (1, b"ed25519-sha256")):
        assert verifier.verify(idx=index, dnsfunc=found.txt)
        assert verifier.signature_fields[b"a"] == algorithm
        assert verifier.domain == b"demo.lab.test"
    assert mail["data"].count(b"DKIM-Signature:") == 2


def test_a_retry_sends_the_same_signature(demo: Any, eventually: Any) -> None:
    """Signed once, when it was accepted: a greylisted message arrives with a signature of that time."""
    recipient = f"{uuid.uuid4().hex}@greylist.lab.test"
    with demo.login(demo.connect()) as client:
        demo.send(client, [recipient], SHAPES["plain"])
    (mail,) = demo.mail(recipient)
    verifier = dkim.DKIM(mail["data"])
    assert verifier.verify(dnsfunc=LabDns(demo).txt)
    trace = demo.trace_of(recipient)
    assert trace["recipients"][0]["attempts"] >= 2
    signed = int(verifier.signature_fields[b"t"])
    assert abs(signed - _epoch(trace["accepted_at"])) <= 2


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_smtplib_hears_why(demo: Any) -> None:
    with demo.login(demo.connect()) as client, pytest.raises(smtplib.SMTPSenderRefused) as refused:
        client.sendmail("me@bank.example", ["a@accept.lab.test"], "From: me@bank.example\r\n\r\nx\r\n")
    assert refused.value.smtp_code == 553
    assert b"bank.example is not a verified domain of your account" in refused.value.smtp_error
