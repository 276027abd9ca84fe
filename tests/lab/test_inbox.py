"""Received mail for eyes: on a terminal, and in a browser that must not be led astray."""

from __future__ import annotations

import json
import time
from email.message import EmailMessage

import pytest
from lab_clients import Running

from ekiden.core.language import Language
from ekiden.lab.inbox import MAX_ROWS, as_text, inbox_page, mail_page
from ekiden.lab.mailbox import Mail
from ekiden.lab.reading import MAX_OCTETS, MAX_TEXT, read, text_of_html

SENDER = "a@sender.test"


def mail(data: bytes, number: int = 1, **changes: object) -> Mail:
    values = {"id": number, "sender": SENDER, "to": ("b@accept.lab.test",), "data": data, "tls": None, "at": 0}
    return Mail(**{**values, **changes})  # type: ignore[arg-type]


def composed(html: str = "", **attached: bytes) -> bytes:
    message = EmailMessage()
    message["From"] = "山田 <yamada@sender.test>"
    message["To"] = "b@accept.lab.test"
    message["Subject"] = "ご注文の確認"
    message.set_content("いつもありがとうございます。\nhttps://shop.example/?a=1&b=2\n")
    if html:
        message.add_alternative(html, subtype="html")
    for name, data in attached.items():
        message.add_attachment(data, maintype="application", subtype="pdf", filename=f"{name}.pdf")
    return message.as_bytes()


def test_a_message_as_text(running: Running, someone: str) -> None:
    to = f"{someone}@accept.lab.test"
    running.smtp("accept.lab.test").sendmail(SENDER, [to], composed("<p>x</p>", 見積=b"%PDF"))
    status, headers, raw = running.http(running.lab.api_url, "GET", f"/mail/last/text?to={to}&wait=10")
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    text = raw.decode()
    assert "From: 山田 <yamada@sender.test>\n" in text
    assert "Subject: ご注文の確認\n" in text
    assert f"Envelope: <{SENDER}> to <{to}>\n" in text
    assert "Attached: 見積.pdf (4 octets)\n" in text
    assert "\n\nいつもありがとうございます。\nhttps://shop.example/?a=1&b=2\n" in text
    (kept,) = running.api("GET", f"/mail?to={to}")[1]
    japanese = running.http(running.lab.api_url, "GET", f"/mail/{kept['id']}/text?lang=ja")[2].decode()
    assert "件名: ご注文の確認\n" in japanese
    assert f"エンベロープ: <{SENDER}> から <{to}> へ\n" in japanese
    same = running.http(running.lab.api_url, "GET", f"/mail/last?to={to}")
    assert (same[1]["Content-Type"], same[2]) == ("message/rfc822", composed_as_received(running, kept["id"]))


def composed_as_received(running: Running, number: int) -> bytes:
    found: bytes = running.http(running.lab.api_url, "GET", f"/mail/{number}")[2]
    return found


def test_the_pages(running: Running, someone: str) -> None:
    to = f"{someone}@accept.lab.test"
    running.smtp("accept.lab.test").sendmail(SENDER, [to], composed())
    (kept,) = running.api("GET", f"/mail?to={to}&wait=10")[1]
    status, headers, page = running.http(running.lab.api_url, "GET", f"/inbox?to={to}")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert f'<a href="/inbox/{kept["id"]}">ご注文の確認</a>' in page.decode()
    assert "Newest first; the page renews itself. 1 of 1 are shown." in page.decode()
    shown = running.http(running.lab.api_url, "GET", f"/inbox/{kept['id']}?lang=ja")[2].decode()
    assert '<html lang="ja">' in shown
    assert '<a href="https://shop.example/?a=1&amp;b=2" rel="noreferrer noopener">' in shown
    assert f'<a href="/mail/{kept["id"]}">受信したままのメール</a>' in shown


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/mail/999999999/text", 404, "999999999"),
        ("/mail/last/text?to=nobody@x.test", 404, "no message is kept yet"),
        ("/inbox/x", 404, "no message x"),
        ("/inbox/1/2", 404, "2"),
        ("/inbox?lang=fr", 400, "en or ja"),
        ("/mail/last/html", 404, "html"),
    ],
)
def test_what_is_not_there(running: Running, path: str, status: int, word: str) -> None:
    running.smtp("accept.lab.test").sendmail(SENDER, ["x@accept.lab.test"], b"Subject: x\r\n\r\nx\r\n")
    found, _, raw = running.http(running.lab.api_url, "GET", path)
    assert found == status
    assert word in json.loads(raw)["error"]


@pytest.mark.parametrize("accept", ["text/html,application/xhtml+xml,*/*;q=0.8", "*/*", ""])
def test_a_browser_is_led_to_the_mail(running: Running, accept: str) -> None:
    status, headers, _ = running.http(running.lab.api_url, "GET", "/", headers={"Accept": accept} if accept else {})
    if accept.startswith("text/html"):
        assert (status, headers["Location"]) == (302, "/inbox")
    else:
        assert (status, headers["Content-Type"]) == (200, "application/json")


HOSTILE = (
    b'From: "<script>alert(1)</script>" <x@y.test>\r\nSubject: <img src=x onerror=alert(1)>\x1b[31m\r\n'
    b"Content-Type: text/plain; charset=no-such\r\n\r\n"
    b'\x1b]0;owned\x07 <b>bold</b> javascript:alert(1) http://x.test/"onmouseover=alert(1)\r\n'
)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_what_strangers_write_is_text(lang: Language) -> None:
    letter = mail(HOSTILE, sender="<i>@x.test", to=("<u>@accept.lab.test",), server="mx", helo="<s>")
    for response in (inbox_page([letter], lang), mail_page(letter, lang)):
        page = response.body.decode()
        for tag in ("<script", "<img", "<b>", "<i>", "<u>", "<s>", 'href="javascript', "\x1b", "\x07", '"onmouse'):
            assert tag not in page, tag
        headers = dict(response.headers)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
    text = as_text(letter, lang).body.decode()
    assert "\x1b" not in text
    assert r"\x1b]0;owned" in text


def test_html_alone_is_read_as_text() -> None:
    html = (
        "<html><head><title>t</title><style>p{}</style></head><body><p>Dear  <b>Ann</b>,</p>"
        '<p>see <a href="https://x.test/?a=1&amp;b=2">our page</a> &amp; smile<br>Bye'
        "<!-- <p> --></p><script>x()</script>"
    )
    found = read(mail(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + html.encode()))
    assert found.is_html
    assert found.text == "Dear Ann,\n\nsee our page <https://x.test/?a=1&b=2> & smile\nBye\n"
    assert "HTML" in as_text(mail(b"Content-Type: text/html\r\n\r\n<p>x"), "en").body.decode()


def test_a_message_inside_of_one_is_attached() -> None:
    outer = EmailMessage()
    outer["Subject"] = "report"
    outer.set_content("outer\n")
    inner = EmailMessage()
    inner.set_content("inner\n")
    outer.add_attachment(inner)
    found = read(mail(outer.as_bytes()))
    assert found.text == "outer\n"
    assert [name for name, size in found.attached if size > 5] == ["message/rfc822"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no header at all",
        b"Subject: =?utf-8?b?!!!?=\r\n\r\n",
        b"Subject: =?no-such?q?x?=\r\n\r\n\xff\xfe",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n\r\nx\r\n" * 5_000,
        b"Content-Transfer-Encoding: base64\r\n\r\n%%%",
        b"Content-Type: text/html\r\n\r\n<![x[<!" + b"<a" * 50_000,
        b"\xff\xfe: x\r\n\r\n",
        "Subject: 生の UTF-8\r\n\r\n本文".encode(),
        "Subject: 生の\r\n\r\n本文".encode("iso-2022-jp"),
        b"Subject: =?utf-8?b?a?=\r\n\r\n",
        b"Content-Disposition: attachment; filename*=a\x00b'en'x\r\n\r\n",
        b"Content-Type: text/plain; charset=idna\r\n\r\n\xff.x",
        b"Content-Type: message/rfc822\r\n\r\n" * 30_000,
        b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(3_000)),
        b"Content-Type: text/plain; " + b'";' * 400_000 + b"\r\n\r\n",
    ],
)
def test_nothing_that_comes_is_too_much(data: bytes) -> None:
    found = read(mail(data))
    assert len(found.attached) <= 200
    for lang in ("en", "ja"):
        assert as_text(mail(data), lang).status == 200
        assert inbox_page([mail(data)], lang).status == 200


def test_a_message_that_nobody_can_take_apart_is_shown_as_it_is() -> None:
    found = read(mail(b"Subject: x\r\nContent-Type: text/plain; charset*=a\x00b'en'x\r\n\r\nHello\r\n"))
    assert (found.fields, found.text) == ({"Subject": "x"}, "Hello\n")
    assert read(mail("Subject: 生の UTF-8\r\n\r\n".encode())).fields == {"Subject": "生の UTF-8"}


@pytest.mark.parametrize(
    "piece", ["<a", "<!--", "<a b='", "</", "<![CDATA[", "<![CDATA[>", "<!--x>", "<?", "<p \n", "<textarea><!--"]
)
def test_no_page_takes_minutes(piece: str) -> None:
    """``html.parser`` takes 14 s for 64 KiB of some of these, and four times as long for twice as much."""
    begun = time.process_time()
    text_of_html(piece * (MAX_OCTETS // len(piece)) + "]]></textarea>")
    assert time.process_time() - begun < 5


def test_large_ones_are_cut_and_say_so() -> None:
    found = read(mail(b"\r\n" + b"x" * (MAX_OCTETS + 5)))
    assert found.cut
    assert len(found.text) == MAX_TEXT
    assert "as it came has everything" in as_text(mail(b"\r\n" + b"x" * MAX_OCTETS), "en").body.decode()
    assert text_of_html("<p>" * 3) == "\n"


def test_the_newest_come_first_and_are_bounded() -> None:
    page = inbox_page(
        [mail(b"Subject: x\r\n\r\n", number) for number in range(1, MAX_ROWS + 51)], "en"
    ).body.decode()
    assert page.count("<tr>") == MAX_ROWS + 1
    assert page.index(f"/inbox/{MAX_ROWS + 50}") < page.index(f"/inbox/{MAX_ROWS + 49}")
    assert '/inbox/50"' not in page
    assert "No mail yet" in inbox_page([], "en").body.decode()
