"""Composed messages, as the standard library reads them."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.attachment_parts import SharedBuilder, SharedParts
from ekiden.mime.compose import Composer
from ekiden.mime.errors import BadHeaderName, BadHeaderValue
from ekiden.mime.mailbox import Mailbox
from ekiden.mime.placeholders import Text

_FROM = Mailbox("Shop", "shop@example.com")
_TO = [Mailbox("", "a@customer.example")]


def _shared(inline: bool, attached: bool) -> SharedParts | None:
    builder = SharedBuilder(1)
    if inline:
        builder.add("logo.png", "image/png", [b"logo"], inline=True)
    if attached:
        builder.add("a.pdf", "application/pdf", [b"pdf"])
    return builder.build()


def _message(octets: bytes, shared: SharedParts | None = None) -> EmailMessage:
    whole = octets + (b"".join(shared.content.pieces) if shared else b"")
    assert octets.endswith(b"\r\n")
    message: Any = message_from_bytes(whole, policy=policy.default)
    assert not any(part.defects for part in message.walk())
    return message  # type: ignore[no-any-return]


def _structure(part: Any) -> Any:
    """``[multipart, part, part]`` by their types."""
    if not part.is_multipart():
        return part.get_content_type()
    return [part.get_content_subtype(), *map(_structure, part.get_payload())]


def test_the_plainest() -> None:
    assert Composer(_FROM, "Hello", text="Hi\n").compose(_TO, {}) == (
        b"From: Shop <shop@example.com>\r\n"
        b"To: a@customer.example\r\n"
        b"Subject: Hello\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hi\r\n"
    )


@pytest.mark.parametrize("text", [None, "T {{a}}"])
@pytest.mark.parametrize("amp", [None, "<html amp4email>{{a}}"])
@pytest.mark.parametrize("html", [None, "<p>{{a}}"])
@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize("attached", [False, True])
def test_structures(text: str | None, amp: str | None, html: str | None, inline: bool, attached: bool) -> None:
    """No deeper than needed; alternatives from the plainest to the richest that all readers know."""
    shared = _shared(inline, attached)
    composer = Composer(_FROM, "S", text=text, amp=amp, html=html, shared=shared)
    types = [
        kind
        for kind, body in (("text/plain", text), ("text/x-amp-html", amp), ("text/html", html))
        if body is not None
    ] or ["text/plain"]
    expected: Any = types[0] if len(types) == 1 else ["alternative", *types]
    root = expected if isinstance(expected, str) else "multipart/alternative"
    if inline:
        expected = ["related", expected, "image/png"]
    if attached:
        expected = ["mixed", expected, "application/pdf"]
    message = _message(composer.compose(_TO, {"a": "日本"}), shared)
    assert _structure(message) == expected
    bodies = [part for part in message.walk() if part.get_content_maintype() == "text"]
    wanted = [body.replace("{{a}}", "日本") for body in (text, amp, html) if body is not None] or [""]
    assert [part.get_content().rstrip("\r\n") for part in bodies] == wanted
    for part in message.walk():
        if part.get_content_type() == "multipart/related":
            assert part["Content-Type"].params["type"] == root


def test_head_of_the_message() -> None:
    composer = Composer(
        Mailbox("山田", "yamada@example.com"),
        "Order {{n}}",
        text="",
        headers=[("X-One", "1"), ("In-Reply-To", "<x@example.com>")],
    )
    message = _message(
        composer.compose(
            [Mailbox("太郎", "t@x.example"), Mailbox("Doe, J.", "j@x.example")],
            {"n": "五"},
            cc=[Mailbox("", "c@x.example")],
            reply_to=[Mailbox("", "r@example.com"), Mailbox("R 2", "r2@example.com")],
            headers=[("List-Unsubscribe", "<https://x.example/u>")],
        )
    )
    assert message.keys() == [
        "From", "To", "Cc", "Reply-To", "Subject", "X-One", "In-Reply-To", "List-Unsubscribe",
        "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
    ]  # fmt: skip
    assert message["From"].addresses[0].display_name == "山田"
    assert [each.display_name for each in message["To"].addresses] == ["太郎", "Doe, J."]
    assert message["Cc"] == "c@x.example"
    assert message["Reply-To"] == "r@example.com, R 2 <r2@example.com>"
    assert message["Subject"] == "Order 五"
    assert message["List-Unsubscribe"] == "<https://x.example/u>"


def test_links_and_pixel() -> None:
    html = '<body><a href="https://x.example/">x</a><a href="{{u}}">u</a></body>'
    composer = Composer(_FROM, "S", html=html, clicks=True, pixel="BOTTOM")
    assert composer.links == 2
    assert composer.names == {"u"}
    octets = composer.compose(
        _TO,
        {"u": "https://u.example/"},
        link=lambda url: f"https://t.example/{len(url)}",
        pixel="https://t.example/o",
        untouched={"https://u.example/"},
    )
    assert _message(octets).get_content() == (
        '<body><a href="https://t.example/18">x</a><a href="https://u.example/">u</a>'
        '<img src="https://t.example/o" width="1" height="1" alt=""></body>\r\n'
    )


def test_names_of_all_templates() -> None:
    composer = Composer(_FROM, "{{a}}", text="{{b}}", html="<a href='{{c}}'>{{d}}", amp="{{e}}", clicks=True)
    assert composer.names == {"a", "b", "c", "d", "e"}
    assert Composer(_FROM, "").links == 0


def test_values_are_as_they_are_in_html() -> None:
    octets = Composer(_FROM, "S", html="<p>{{a}}").compose(_TO, {"a": "<b>&"})
    assert _message(octets).get_content() == "<p><b>&\r\n"


@pytest.mark.parametrize("value", ["x\r\nBcc: evil@x.example", "x\nBcc: evil@x.example", "\r\n\r\nbody", "x\0"])
def test_values_that_would_leave_the_subject(value: str) -> None:
    composer = Composer(_FROM, "Hello {{name}}", text="{{name}}")
    with pytest.raises(BadHeaderValue) as raised:
        composer.compose(_TO, {"name": value})
    assert raised.value.name == "Subject"


def test_headers_of_a_request_and_of_a_message_are_checked() -> None:
    with pytest.raises(BadHeaderValue):
        Composer(_FROM, "S", headers=[("X-A", "a\r\nBcc: x@y.example")])
    with pytest.raises(BadHeaderName):
        Composer(_FROM, "S", headers=[("X-A: 1\r\nBcc", "x@y.example")])
    with pytest.raises(BadHeaderName):
        Composer(_FROM, "S").compose(_TO, {}, headers=[("", "x")])


@pytest.mark.parametrize(
    "value",
    [
        "\r\n--=_alternative_part--\r\n\r\n",
        "\n--=_mixed_part\nContent-Type: text/html\n\n<b>evil",
        "--=_related_part",
    ],
)
def test_values_make_no_parts(value: str) -> None:
    shared = _shared(True, True)
    composer = Composer(_FROM, "S", text="a {{v}}", html="{{v}}", shared=shared)
    message = _message(composer.compose(_TO, {"v": value}), shared)
    assert _structure(message) == [
        "mixed",
        ["related", ["alternative", "text/plain", "text/html"], "image/png"],
        "application/pdf",
    ]


_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=100)
_BODY = st.text(st.characters(exclude_categories=("Cs",)), max_size=300) | st.text("a=_-\r\n .日", max_size=200)


@given(_TEXT, _TEXT, _TEXT, _BODY, _BODY, st.booleans(), st.booleans())
def test_everything_comes_back(
    subject: str, name: str, value: str, text: str, html: str, inline: bool, attached: bool
) -> None:
    shared = _shared(inline, attached)
    subject, text, html = (each.replace("{", "").replace("}", "") for each in (subject, text, html))
    composer = Composer(
        Mailbox(name.strip(), "a@b.example"),
        subject + "{{v}}",
        text=text + "{{v}}",
        html="{{v}}" + html,
        shared=shared,
    )
    octets = composer.compose(_TO, {"v": value})
    assert octets.isascii()
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    message = _message(octets, shared)
    assert message["Subject"] == (subject + value).strip(" \t")
    bodies = [part for part in message.walk() if part.get_content_maintype() == "text"]
    for part, wanted in zip(bodies, (text + value, value + html), strict=True):
        got: Any = part.get_payload(decode=True)
        lines = wanted.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode()
        assert got in (lines, lines.removesuffix(b"\r\n"))


def test_how_long_a_message_becomes_is_known_before() -> None:
    html = '<body><a href="https://x.example/{{a}}">{{ b }}</a>{{a}}{{c}}</body>'
    composer = Composer(_FROM, "{{a}}", text="{{b}}", html=html, amp="{{a}}{{a}}", clicks=True)
    for values in ({}, {"a": "", "b": "x" * 100}, {"a": "y" * 1000, "b": "", "d": "z"}):
        filled = [each for text in ("{{a}}", "{{b}}", html, "{{a}}{{a}}") for each in (Text(text).render(values),)]
        assert composer.length(values) == sum(map(len, filled))
    # What would not fit into any memory is told at once.
    assert Composer(_FROM, "", html="{{a}}" * 200_000).length({"a": "x" * 10_000_000}) == 2 * 10**12
