"""Delivery status notifications, read back with the standard library's parser."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.submission import Ret
from ekiden.delivery.dsn_message import (
    MAX_RETURNED,
    MAX_RETURNED_FULL,
    Action,
    Report,
    ReportedRecipient,
    build_report,
)

AT = 1_767_225_600_000
ORIGINAL = b"From: s@src.test\r\nSubject: hello\r\nMessage-ID: <o@src.test>\r\n\r\nbody\r\n"
FAILED = ReportedRecipient(
    "b@dst.test", Action.FAILED, "5.1.1", "rfc822;old@dst.test", "mx.dst.test", "550 5.1.1 No such user",
    last_attempt=AT + 60_000,
)  # fmt: skip


def report(*recipients: ReportedRecipient, content: bytes = ORIGINAL, **changes: object) -> Report:
    return Report("mail.test", "s@src.test", "<1@mail.test>", AT, recipients or (FAILED,), content, **changes)  # type: ignore[arg-type]


def parsed(value: Report) -> EmailMessage:
    octets = build_report(value)
    assert octets.endswith(b"\r\n")
    assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
    message = message_from_bytes(octets, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert message.defects == []
    return message


def groups(message: EmailMessage) -> list[dict[str, str]]:
    """The fields of the second part, per message and per recipient."""
    part = message.get_payload(1)
    assert isinstance(part, EmailMessage)
    if part.get_content_type() == "message/delivery-status":
        return [{name: str(value) for name, value in group.items()} for group in part.get_payload()]  # type: ignore[union-attr]
    text = part.get_payload(0).get_payload(decode=False)  # type: ignore[union-attr]
    import base64

    text = base64.b64decode(text).decode()
    return [
        dict(line.split(": ", 1) for line in group.replace("\r\n ", " ").splitlines())
        for group in text.split("\r\n\r\n")
    ]


def test_what_it_means_and_what_to_do_in_both_languages() -> None:
    told = ReportedRecipient(
        "b@dst.test", Action.FAILED, "5.2.2", remote_mta="mx.dst.test", diagnostic="552 full",
        meaning=("It is full.", "いっぱいです。"), advice=("Wait.\r\nX: y", "待ってください。"),
    )  # fmt: skip
    text = parsed(report(told)).get_payload(0).get_content().replace("\r\n", "\n")  # type: ignore[union-attr]
    assert "    What it means: It is full.\n    What you can do: Wait." in text
    assert "    説明: いっぱいです。\n    対処: 待ってください。" in text
    assert "\nX: y" not in text


def test_failure() -> None:
    message = parsed(report(arrived_at=AT - 1000, envid="id 7", original_message_id="<o@src.test>"))
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["From"] == "Mail Delivery System <mailer-daemon@mail.test>"
    assert message["To"].addresses[0].addr_spec == "s@src.test"
    assert message["Subject"] == "Message not delivered / 配信できませんでした"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Message-ID"] == "<1@mail.test>"
    assert message["In-Reply-To"] == message["References"] == "<o@src.test>"
    assert message["Date"].datetime.timestamp() * 1000 == AT
    assert message["MIME-Version"] == "1.0"
    kinds = [part.get_content_type() for part in message.iter_parts()]
    assert kinds == ["text/plain", "message/delivery-status", "message/rfc822"]
    assert groups(message) == [
        {
            "Original-Envelope-Id": "id 7",
            "Reporting-MTA": "dns; mail.test",
            "Arrival-Date": "Wed, 31 Dec 2025 23:59:59 +0000",
        },
        {
            "Original-Recipient": "rfc822; old@dst.test",
            "Final-Recipient": "rfc822; b@dst.test",
            "Action": "failed",
            "Status": "5.1.1",
            "Remote-MTA": "dns; mx.dst.test",
            "Diagnostic-Code": "smtp; 550 5.1.1 No such user",
            "Last-Attempt-Date": "Thu, 1 Jan 2026 00:01:00 +0000",
        },
    ]
    assert build_report(report()).isascii()
    assert ORIGINAL in build_report(report())


def test_people_read_it_in_english_and_japanese() -> None:
    text = parsed(report()).get_payload(0).get_content()  # type: ignore[union-attr]
    assert "mx.dst.test said: 550 5.1.1 No such user" in text
    assert "could not be delivered" in text
    assert "配信できませんでした" in text
    assert text.count("<b@dst.test>") == 2


@pytest.mark.parametrize(
    ("action", "status", "subject", "english", "japanese"),
    [
        (Action.FAILED, "5.0.0", "Message not delivered", "could not be delivered", "再送は行いません"),
        (Action.DELAYED, "4.0.0", "Message delayed", "need not send it again", "遅れています"),
        (Action.DELIVERED, "2.0.0", "Message delivered", "was delivered", "配信しました"),
        (Action.RELAYED, "2.0.0", "Message relayed", "do not report", "引き渡しました"),
        (Action.EXPANDED, "2.0.0", "Message expanded", "several recipients", "複数の宛先"),
    ],
)
def test_actions(action: Action, status: str, subject: str, english: str, japanese: str) -> None:
    message = parsed(report(ReportedRecipient("b@dst.test", action, will_retry_until=AT)))
    assert message["Subject"].startswith(subject + " / ")
    fields = groups(message)[1]
    assert (fields["Action"], fields["Status"]) == (action.value, status)
    assert ("Will-Retry-Until" in fields) == (action is Action.DELAYED)
    text = message.get_payload(0).get_content()  # type: ignore[union-attr]
    assert english in text
    assert japanese in text
    # RFC 3461 §4.3: only failures return the content.
    kind = message.get_payload(2).get_content_type()  # type: ignore[union-attr]
    assert kind == ("message/rfc822" if action is Action.FAILED else "text/rfc822-headers")


def test_mixed_actions_are_named_after_the_worst() -> None:
    message = parsed(report(ReportedRecipient("a@dst.test", Action.DELIVERED, "2.1.5"), FAILED))
    assert message["Subject"].startswith("Message not delivered")
    assert [group["Action"] for group in groups(message)[1:]] == ["delivered", "failed"]


def test_what_no_peer_said_is_not_ascribed_to_one() -> None:
    local = ReportedRecipient(
        "b@dst.test", Action.FAILED, "4.4.2", remote_mta="mx.dst.test", diagnostic="Timed out", local=True
    )
    message = parsed(report(local))
    fields = groups(message)[1]
    assert "Remote-MTA" not in fields
    assert fields["Diagnostic-Code"] == "X-Ekiden; Timed out"
    assert " said:" not in message.get_payload(0).get_content()  # type: ignore[union-attr]


BIG = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n"


@pytest.mark.parametrize(
    ("ret", "size", "kind"),
    [
        (None, 100, "message/rfc822"),
        (None, MAX_RETURNED + 1, "text/rfc822-headers"),
        (Ret.FULL, MAX_RETURNED + 1, "message/rfc822"),
        (Ret.FULL, MAX_RETURNED_FULL + 1, "text/rfc822-headers"),
        (Ret.HDRS, 100, "text/rfc822-headers"),
    ],
)
def test_what_is_returned(ret: Ret | None, size: int, kind: str) -> None:
    content = BIG + b"y" * (size - len(BIG) - 2) + b"\r\n"
    part = parsed(report(content=content, ret=ret)).get_payload(2)
    assert isinstance(part, EmailMessage)
    assert part.get_content_type() == kind
    if kind == "text/rfc822-headers":
        assert part.get_content().strip() == "Subject: big"


def test_international_addresses() -> None:
    recipient = ReportedRecipient("受信@例え.test", Action.FAILED, "5.1.1", "utf-8;元@例え.test", "mx", "550 不明")
    message = parsed(report(recipient, content="Subject: 件名\r\n\r\n本文\r\n".encode()))
    kinds = [part.get_content_type() for part in message.iter_parts()]
    assert kinds == ["text/plain", "message/global-delivery-status", "message/global"]
    fields = groups(message)[1]
    assert fields["Original-Recipient"] == "utf-8; 元@例え.test"
    assert fields["Final-Recipient"] == "utf-8; 受信@例え.test"
    assert fields["Diagnostic-Code"] == "smtp; 550 不明"
    # The sender is ASCII, so the report must be able to go anywhere.
    assert build_report(report(recipient, content="Subject: 件名\r\n\r\n本文\r\n".encode())).isascii()
    headers = parsed(report(recipient, content="Subject: 件名\r\n\r\n".encode(), ret=Ret.HDRS))
    assert headers.get_payload(2).get_content_type() == "message/global-headers"  # type: ignore[union-attr]


def test_eight_bit_content_is_returned_as_it_was() -> None:
    content = "Subject: x\r\n\r\n本文\r\n".encode()
    octets = build_report(report(content=content))
    assert content in octets
    assert octets.count(b"Content-Transfer-Encoding: 8bit\r\n") == 2


def test_the_boundary_is_not_in_the_content() -> None:
    content = ORIGINAL + b"--1mail.test.0\r\n--1mail.test.1--\r\n"
    message = parsed(report(content=content))
    assert len(list(message.iter_parts())) == 3
    assert message.get_boundary() == "1mail.test.2"


@given(
    st.text(max_size=200),
    st.text(max_size=300),
    st.text(max_size=60),
    st.text(max_size=60),
    st.binary(max_size=300),
)
def test_no_value_breaks_out_of_its_field(address: str, text: str, orcpt: str, envid: str, content: bytes) -> None:
    clean = address.encode(errors="replace").decode()
    recipient = ReportedRecipient(clean, Action.FAILED, "5.1.1", orcpt, text, text)
    message = parsed(report(recipient, content=content, envid=envid))
    assert {str(key) for key in message} == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
        *(["Content-Transfer-Encoding"] if "Content-Transfer-Encoding" in message else []),
    }  # fmt: skip
    assert len(list(message.iter_parts())) == 3
    names = {name for group in groups(message) for name in group}
    assert names <= {
        "Original-Envelope-Id", "Reporting-MTA", "Original-Recipient", "Final-Recipient", "Action", "Status",
        "Remote-MTA", "Diagnostic-Code",
    }  # fmt: skip
    assert all(len(line) <= 998 for line in build_report(report(recipient, content=b"")).split(b"\r\n"))


def test_people_read_what_was_written_and_programs_the_address() -> None:
    recipient = ReportedRecipient('"a..b"@docomo.ne.jp', Action.FAILED, "5.1.1", shown="a..b@docomo.ne.jp")
    human, status, _ = parsed(report(recipient)).iter_parts()
    assert "<a..b@docomo.ne.jp>" in human.get_content()
    assert status.get_payload()[1]["Final-Recipient"] == 'rfc822; "a..b"@docomo.ne.jp'
