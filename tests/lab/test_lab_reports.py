"""Reports that servers of the lab send later: how they are written, when they are sent, what becomes of them."""

from __future__ import annotations

import base64
import email
import email.policy
import re
from email.message import Message
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_clients import Running

from ekiden.lab import Answer, Lab, LabError, Report, Route
from ekiden.lab.behaviour import DELAYS, Format, parse_behaviour
from ekiden.lab.breaches import content_violations
from ekiden.lab.catalogue import CATALOGUE
from ekiden.lab.mailbox import Mail
from ekiden.lab.report_formats import SINGLE, write
from ekiden.lab.report_parts import MAX_RETURNED, Case

FORMATS: tuple[Format, ...] = get_args(Format)
BOUNCES = tuple(form for form in FORMATS if form not in ("arf", "auto-reply"))
REPORTS = tuple(form for form in BOUNCES if form != "qmail")
"""Bounces with a part for machines."""
TOKEN = "b-0123token"
SENDER = f"{TOKEN}@rp.shop.test"
TO = "bob@customers.test"
DATA = (
    b"Return-Path-Like: <b-0123TOKEN@rp.shop.test>\r\n"
    b"From: Shop <news@shop.test>\r\nTo: Bob <bob@customers.test>\r\n"
    b"Subject: An offer\r\n for you\r\nMessage-ID: <1@shop.test>\r\n\r\nHello\r\n"
)


def case(report: Report, *, data: bytes = DATA, to: tuple[str, ...] = (TO,), **more: Any) -> Case:
    values = {"id": 7, "sender": SENDER, "to": to, "data": data, "tls": None, "at": 1_764_547_200_000}
    mail = Mail(**{**values, "helo": "mail.shop.test", "peer": "127.0.0.9:4711", **more})  # type: ignore[arg-type]
    return Case(mail, to, "mx.customers.test", "127.98.7.9", report, 1_764_547_201_000, 3)


def parsed(data: bytes) -> Message:
    return email.message_from_bytes(data, policy=email.policy.compat32)


def parts(message: Message, kind: str) -> list[Message]:
    return [part for part in message.walk() if part.get_content_type() == kind]


def groups(data: bytes) -> list[Message]:
    """Of the part for machines: the message's group and one for each recipient."""
    (part,) = parts(parsed(data), "message/delivery-status")
    return [group for group in part.get_payload() if group.keys()]  # type: ignore[union-attr]


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_is_a_message(form: Format) -> None:
    data = write(case(Report(form)))
    assert list(content_violations(data, eight_bit=not data.isascii())) == []
    message = parsed(data)
    assert message["From"]
    assert message["Date"]
    assert SENDER in message["To"]
    assert message.defects == [] or form == "qmail"
    assert data.endswith(b"\r\n")
    assert b"{encoding}" not in data
    if message.is_multipart():
        boundary = str(message.get_boundary()).encode()
        assert data.rstrip().endswith(b"--" + boundary + b"--")


@pytest.mark.parametrize("form", REPORTS)
def test_bounces_have_a_group_for_each_recipient(form: Format) -> None:
    to = (TO,) if form in SINGLE else (TO, "carol@customers.test")
    data = write(case(Report(form), to=to))
    message = parsed(data)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    about, *each = groups(data)
    assert about["Reporting-MTA"]
    assert [re.sub(r"(?i)rfc822; *|[<>]", "", group["Final-Recipient"]) for group in each] == list(to)
    assert [group["Action"] for group in each] == ["failed"] * len(to)
    assert all(re.fullmatch(r"5\.\d\.\d+", group["Status"]) for group in each)
    if form != "au":
        assert all("550 " in group["Diagnostic-Code"] for group in each)


@pytest.mark.parametrize("form", FORMATS)
def test_the_mail_is_returned_with_its_header(form: Format) -> None:
    data = write(case(Report(form)))
    assert b"<1@shop.test>" in data
    if form == "auto-reply":
        return
    assert DATA in data
    assert TOKEN.encode() in data
    if form not in ("au", "exchange"):
        assert f"return-path: <{SENDER}>".encode() in data.lower()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("stage", ["rcpt", "end"])
def test_without_its_token_nothing_names_it(form: Format, stage: Any) -> None:
    data = write(case(Report(form, local_part="postmaster", stage=stage)))
    assert TOKEN.encode() not in data.lower()
    assert "postmaster@rp.shop.test" in str(parsed(data)["To"])
    if form != "auto-reply":
        assert b"Return-Path-Like: <postmaster@rp.shop.test>" in data


def test_local_parts_are_replaced_only_where_they_are_one() -> None:
    data = b"From: a@shop.test\r\nX: aa@x.test b-a@x.test A@x.test a<a@x.test>\r\n\r\na\r\n"
    written = write(case(Report("postfix", local_part="z"), data=data, sender="a@shop.test"))
    assert b"X: aa@x.test b-a@x.test z@x.test a<z@x.test>\r\n\r\na\r\n" in written


@pytest.mark.parametrize("form", sorted(DELAYS))
def test_mail_that_is_late(form: Format) -> None:
    reply = Answer(451, "4.2.1", "The mailbox of <{recipient}>\nis locked")
    data = write(case(Report(form, action="delayed", reply=reply)))
    group = groups(data)[-1]
    assert (group["Action"], group["Status"][0]) == ("delayed", "4")
    assert "451-4.2.1 The mailbox of <bob@customers.test>" in re.sub(r"\r\n +", " ", group["Diagnostic-Code"])
    assert "ailure" not in parsed(data)["Subject"]


def test_only_some_know_mail_that_is_late() -> None:
    for form in set(FORMATS) - DELAYS:
        with pytest.raises(LabError, match="postfix"):
            parse_behaviour({"report": {"format": form, "action": "delayed"}}, CATALOGUE)


@pytest.mark.parametrize(
    ("form", "stage", "reply", "found"),
    [
        ("postfix", "rcpt", None, "said: 550 5.1.1"),
        ("postfix", "end", None, "(in reply to end of DATA command)"),
        ("exim", "rcpt", None, "SMTP error from remote mail server after RCPT TO:<bob@customers.test>:"),
        ("exim", "end", None, "SMTP error from remote mail server after end of data:"),
        ("exchange", "rcpt", None, "Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound"),
        ("gmail", "rcpt", None, "** Address not found **"),
        ("gmail", "end", Answer(552, "5.2.2", "over quota"), "552 5.2.2 over quota"),
        ("qmail", "rcpt", None, "Hi. This is the qmail-send program at mx.customers.test."),
        (
            "qmail",
            "rcpt",
            None,
            "<bob@customers.test>:\n127.98.7.9 does not like recipient.\nRemote host said: 550 ",
        ),
        ("qmail", "end", None, "--- Below this line is a copy of the message."),
        ("docomo", "rcpt", None, ">>> RCPT To:<bob@customers.test>\n<<< 550 Unknown user bob@customers.test"),
        ("docomo", "rcpt", None, "Status: 5.1.1"),
        ("docomo", "end", None, ">>> DATA\n<<< 550 Unknown user bob@customers.test\n554 5.0.0 Service unavailable"),
        ("docomo", "end", None, "Status: 5.2.0"),
        (
            "au",
            "rcpt",
            None,
            "    >>> RCPT TO:<bob@customers.test>\n    <<< 550 <bob@customers.test>: User unknown",
        ),
        ("au", "rcpt", Answer(552, "5.2.2", "full"), "The user(s) account is temporarily over quota."),
        ("au", "rcpt", Answer(550, "5.2.1", "disabled"), "The user(s) account is disabled."),
        ("au", "end", None, "X-SPASIGN: NG"),
        ("softbank", "rcpt", None, "    Reason:    Invalid recipient: <bob@customers.test>"),
        ("softbank", "rcpt", Answer(552, "5.2.2", "full"), "The user(s) account is temporarily over quota."),
        ("arf", "rcpt", None, "Feedback-Type: abuse"),
        ("arf", "rcpt", None, "Original-Rcpt-To: <bob@customers.test>"),
        ("arf", "rcpt", None, "Source-IP: 127.0.0.9"),
        ("arf", "rcpt", None, "Reported-Domain: shop.test"),
        ("auto-reply", "rcpt", None, "Auto-Submitted: auto-replied"),
        ("auto-reply", "rcpt", None, "Subject: Auto: An offer for you"),
    ],
)
def test_markers_and_codes_are_those_of_the_systems(
    form: Any, stage: Any, reply: Answer | None, found: str
) -> None:
    text = write(case(Report(form, stage=stage, reply=reply))).decode().replace("\r\n", "\n")
    text = re.sub(r"=\n", "", text)
    assert found in text or found in re.sub(r"\n +", " ", text)  # Postfix folds


def test_au_speaks_japanese() -> None:
    (text, *_) = parts(parsed(write(case(Report("au")))), "text/plain")
    assert "届きませんでした" in text.get_payload(decode=True).decode("iso-2022-jp")  # type: ignore[union-attr]


def test_a_complaint_has_the_parts_of_its_standard() -> None:
    message = parsed(write(case(Report("arf", redact=True, to="fbl@shop.test"))))
    assert (message.get_content_type(), message.get_param("report-type")) == ("multipart/report", "feedback-report")
    assert message["To"] == "fbl@shop.test"
    text, machine, original = message.get_payload()  # type: ignore[misc]
    assert text.get_content_type() == "text/plain"  # type: ignore[union-attr]
    assert machine.get_content_type() == "message/feedback-report"  # type: ignore[union-attr]
    assert original.get_content_type() == "message/rfc822"  # type: ignore[union-attr]
    whole = message.as_bytes()
    assert b"bob@" not in whole
    assert whole.count(b"redacted@customers.test") == 3


@pytest.mark.parametrize("form", [f for f in FORMATS if f != "auto-reply"])
def test_of_large_mail_the_header_comes_back(form: Format) -> None:
    data = write(case(Report(form), data=DATA + b"x" * 78 * MAX_RETURNED))
    assert len(data) < 10_000
    assert b"Message-ID: <1@shop.test>" in data
    asked = write(case(Report(form), mail_parameters="SIZE=9 RET=HDRS ENVID=order-7"))
    assert b"Hello\r\n" not in asked
    if form in ("postfix", "exim", "exchange", "docomo"):
        assert b"Original-Envelope-Id: order-7\r\n" in asked


@pytest.mark.parametrize("form", FORMATS)
def test_international_mail(form: Format) -> None:
    data = write(case(Report(form), data="Subject: 件名\r\n\r\n本文\r\n".encode(), to=("ボブ@customers.test",)))
    assert list(content_violations(data, eight_bit=True)) == []
    if form == "postfix":
        assert "Final-Recipient: utf-8; ボブ@customers.test".encode() in data
        assert parts(parsed(data), "message/global-delivery-status")


@settings(max_examples=60)
@given(
    st.sampled_from(FORMATS),
    st.binary(max_size=400).map(lambda data: data.replace(b"<", b"\r\n")),
    st.text(max_size=30).filter(lambda text: not re.search(r"[\x00-\x1f\x7f<>]", text)),
    st.sampled_from(["", "postmaster"]),
    st.booleans(),
)
def test_any_mail_can_be_reported(form: Format, data: bytes, address: str, local_part: str, redact: bool) -> None:
    subject = case(Report(form, local_part=local_part, redact=redact), data=data, sender=address)
    written = write(subject)
    assert b"\r\n\r\n" in written


# When they are sent.


def send(running: Running, to: Any, sender: str, **letter: Any) -> None:
    body = {"from": sender, "to": to, "raw": DATA.decode(), **letter}
    assert running.api("POST", "/send", body)[1]["accepted"]


def reports(running: Running, to: str, count: int = 1) -> list[dict[str, Any]]:
    found = running.api("GET", f"/reports?to={to}&wait=10&count={count}")[1]
    assert len(found) == count
    return found  # type: ignore[no-any-return]


def test_a_bounce_comes_back_to_the_sender(running: Running, someone: str) -> None:
    domain = running.put_behaviour({"like": "late-bounce-postfix", "report": {"delay": 0}})
    sender = f"{someone}@accept.lab.test"
    send(running, [f"a@{domain}", f"b@{domain}"], sender)
    (record,) = reports(running, sender)
    (mail,) = running.api("GET", f"/mail?to={sender}")[1]
    assert record["state"] == "accepted"
    assert record["recipients"] == [f"a@{domain}", f"b@{domain}"]
    assert (record["format"], record["tries"], record["reply"]["code"]) == ("postfix", 1, 250)
    assert (mail["from"], mail["helo"]) == ("", f"mx.{domain}")
    assert mail["peer"].startswith(running.addresses(domain)[0] + ":")
    data = base64.b64decode(mail["data"])
    assert running.http(running.lab.api_url, "GET", f"/reports/{record['id']}")[2] == data
    assert [group["Status"] for group in groups(data)[1:]] == ["5.1.1", "5.1.1"]
    session = next(s for s in running.api("GET", "/sessions")[1] if s["id"] == mail["session"])
    assert session["violations"] == []


def test_some_write_to_each_recipient_alone(running: Running, someone: str) -> None:
    domain = running.put_behaviour({"like": "late-bounce-gmail", "report": {"delay": 0}})
    sender = f"{someone}@accept.lab.test"
    send(running, [f"a@{domain}", f"b@{domain}"], sender)
    assert sorted(r["recipients"] for r in reports(running, sender, 2)) == [[f"a@{domain}"], [f"b@{domain}"]]


@pytest.mark.parametrize("name", sorted(name for name, b in CATALOGUE.items() if b.report is not None))
def test_the_ready_made_ones(running: Running, someone: str, name: str) -> None:
    domain = running.put_behaviour({"like": name, "report": {"delay": 0}})
    sender = f"{someone}@accept.lab.test"
    send(running, f"a@{domain}", sender)
    (record,) = reports(running, sender)
    assert record["state"] == "accepted"
    assert name in (f"late-bounce-{record['format']}", record["format"], "complain")


@pytest.mark.parametrize(
    ("local", "format", "found"),
    [
        ("late-552-after-0+{}", "postfix", "552 5.2.2 Mailbox full"),
        ("late-550-after-0+{}", "postfix", "550 5.1.1"),
        ("late-451-after-0+{}", "postfix", "451 4.3.0"),
        ("late-554-after-0+{}", "postfix", "554 5.7.1 Message refused by policy"),
    ],
)
def test_local_parts_ask_for_reports_anywhere(
    running: Running, someone: str, local: str, format: str, found: str
) -> None:
    sender = f"{someone}@accept.lab.test"
    send(running, f"{local.format(someone)}@reject.lab.test", sender)
    (record,) = reports(running, sender)
    assert record["format"] == format
    content = running.http(running.lab.api_url, "GET", f"/reports/{record['id']}")[2].decode()
    assert found in re.sub(r"\r\n +", " ", content)


def test_local_parts_of_a_domain_that_reports(running: Running, someone: str) -> None:
    domain = running.put_behaviour({"like": "late-bounce-qmail", "report": {"delay": 0}})
    sender = f"{someone}@accept.lab.test"
    locals_ = ("accept", "late-452", "complain-after-0+x", "auto-reply-after-0", "else")
    send(running, [f"{local}@{domain}" for local in locals_], sender)
    by_recipient = {to: r["format"] for r in reports(running, sender, 4) for to in r["recipients"]}
    formats = dict(zip(locals_[1:], ("qmail", "arf", "auto-reply", "qmail"), strict=True))
    assert by_recipient == {f"{local}@{domain}": form for local, form in formats.items()}


def test_reports_can_go_elsewhere_and_without_a_token(running: Running, someone: str) -> None:
    domain = running.put_behaviour(
        {"like": "late-bounce-exim", "report": {"delay": 0, "local_part": f"{someone}-none"}}
    )
    send(running, f"a@{domain}", f"{someone}@accept.lab.test")
    (record,) = reports(running, f"{someone}-none@accept.lab.test")
    assert record["state"] == "accepted"
    running.api(
        "PUT", f"/behaviour/{domain}", {"report": {"format": "arf", "delay": 0, "to": f"{someone}-fbl@x.lab.test"}}
    )
    send(running, f"a@{domain}", f"{someone}@accept.lab.test")
    send(running, f"a@{domain}", "")
    assert len(reports(running, f"{someone}-fbl@x.lab.test", 2)) == 2


def test_what_nobody_wants_to_know_is_not_reported(running: Running, someone: str) -> None:
    """Each of these would come before the last ones, which do come."""
    bounce = running.put_behaviour({"like": "late-bounce-postfix", "report": {"delay": 0}})
    reply = running.put_behaviour(
        {"like": "auto-reply", "report": {"delay": 0, "to": f"{someone}@accept.lab.test"}}
    )
    sender = f"{someone}@accept.lab.test"
    before = len(running.lab.reports.find())
    send(running, f"a@{bounce}", "")
    send(running, f"a@{reply}", "")
    send(running, f"a@{reply}", sender, raw="Auto-Submitted: auto-generated\n\nx\n")
    client = running.smtp(bounce)
    client.sendmail(sender, [f"a@{bounce}"], DATA, [], ["NOTIFY=NEVER"])
    client.sendmail(sender, [f"b@{bounce}"], DATA, [], ["NOTIFY=SUCCESS,DELAY"])
    client.sendmail(sender, [f"c@{bounce}"], DATA, [], ["NOTIFY=FAILURE"])
    send(running, f"a@{reply}", sender, raw="Auto-Submitted: no\n\nx\n")
    angry = running.put_behaviour({"like": "complain", "report": {"delay": 0, "to": f"{someone}@angry.lab.test"}})
    running.api("PUT", "/behaviour/angry.lab.test", {"like": "complain", "report": {"delay": 0, "to": sender}})
    send(running, f"a@{angry}", sender)  # a complaint, and none about it
    assert reports(running, f"{someone}@angry.lab.test")[0]["state"] == "accepted"
    assert [r["recipients"] for r in reports(running, sender, 2)] == [[f"c@{bounce}"], [f"a@{reply}"]]
    assert len(running.lab.reports.find()) == before + 3


def test_a_refused_message_is_not_reported(running: Running, someone: str) -> None:
    domain = running.put_behaviour(
        {"report": {"format": "postfix", "delay": 0}, "rules": [{"at": "end", "reply": {"code": 554}, "first": 1}]}
    )
    sender = f"{someone}@accept.lab.test"
    body = {"from": sender, "to": f"a@{domain}", "raw": "x"}
    assert [running.api("POST", "/send", body)[1]["accepted"] for _ in range(2)] == [False, True]
    (record,) = reports(running, sender)
    assert record["of"] == max(mail["id"] for mail in running.api("GET", f"/mail?to=a@{domain}")[1])


@pytest.mark.parametrize(
    ("domain", "state", "code", "tries"),
    [("reject", "refused", 550, 1), ("nxdomain", "failed", 0, 1), ("greylist", "accepted", 250, 2)],
)
def test_what_becomes_of_a_report(
    running: Running, someone: str, domain: str, state: str, code: int, tries: int
) -> None:
    late = running.put_behaviour({"like": "late-bounce-exchange", "report": {"delay": 0}})
    sender = f"{someone}@{domain}.lab.test"
    send(running, f"a@{late}", sender)
    (record,) = reports(running, sender)
    assert (record["state"], record["reply"]["code"], record["tries"]) == (state, code, tries)


async def test_reports_reach_a_server_beside_the_lab() -> None:
    async with Lab() as lab, Lab() as platform:
        lab.set_route("rp.shop.test", Route(platform.smtp_port))
        await lab.set_behaviour("customers.test", {"like": "complain", "report": {"delay": 0}})
        assert (await lab.send(TO, DATA, sender=SENDER)).accepted
        (report,) = await platform.wait_for_mail(SENDER)
        assert report.sender == ""
        assert b"Feedback-Type: abuse" in report.data
        assert platform.violations() == []
        await lab.set_behaviour("customers.test", {"like": "complain", "report": {"delay": 3600}})
        assert (await lab.send(TO, DATA, sender=SENDER)).accepted  # and ends with the lab


async def test_reports_are_bounded() -> None:
    def mail(number: int) -> Mail:
        return Mail(id=number, sender="a@nowhere.test", to=(TO,), data=DATA, tls=None, at=0)

    async with Lab() as lab:
        lab.reports.max_kept = 10
        for number in range(15):
            lab.reports.take(mail(number), [(TO, Report("qmail", delay=0))])
        assert await lab.reports.wait(None, 10, 30)
        found = lab.reports.find()
        assert [record.of for record in found] == list(range(5, 15))
        assert {(record.state, record.reply.stage if record.reply else "") for record in found} == {
            ("failed", "dns")
        }
        assert lab.reports.content(found[0].id)
        assert lab.reports.content(1) is None
        assert not await lab.reports.wait(None, 11, 0.01)
        assert (lab.reports.clear(), lab.reports.dropped) == (10, 0)
        lab.reports.max_waiting = 20
        for number in range(23):
            lab.reports.take(mail(number), [(TO, Report("qmail", delay=3600))])
        assert lab.reports.dropped == 3


async def test_large_reports_are_not_kept_for_ever() -> None:
    data = DATA + (b"x" * 76 + b"\r\n") * 600
    letter = Mail(id=1, sender="a@nowhere.test", to=(TO,), data=data, tls=None, at=0)
    async with Lab() as lab:
        lab.reports.max_octets = 100_000
        for _ in range(5):
            lab.reports.take(letter, [(TO, Report("qmail", delay=0))])
        assert await lab.reports.wait("a@nowhere.test", 2, 30)
        assert len(lab.reports.find()) == 2
