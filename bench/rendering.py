"""What composing personal messages costs: templates compiled once, then one message after the other on one core.

Each message has its own subject, text and values in 4 KB of HTML with five tracked links and a pixel. Measured is
``mime.compose`` up to the finished octets; sealing the tokens of links, signing and storing are not part of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.figures import spread
from bench.report import Table, show
from ekiden.mime.attachment_parts import SharedBuilder
from ekiden.mime.compose import Composer
from ekiden.mime.html_links import Html
from ekiden.mime.mailbox import Mailbox, parse_mailbox
from ekiden.mime.placeholders import Text

TARGET = 5_000
"""Messages a second on one core."""
_TRACKED = "https://links.example.com/t/c/" + "A" * 160
_PIXEL = "https://links.example.com/t/o/" + "B" * 60
_WORDS = {
    "English": (
        "Hello {{name}}, your order {{order}}",
        "<p>Thank you for your order, {{name}}. It left our house this morning and will be with you soon.</p>\n",
    ),
    "Japanese": (
        "{{name}} 様、ご注文 {{order}} について",
        "<p>{{name}} 様、このたびはご注文いただき、誠にありがとうございます。本日発送いたしました。</p>\n",
    ),
}
_SIZE = 4096


@dataclass(slots=True)
class Rendered:
    """Figures of one row: calls a second in each round, and the octets of what a call returns."""

    what: str
    octets: int
    rates: list[float]


def texts(language: str) -> tuple[str, str, str]:
    """Subject, text, and HTML, with ``{{name}}`` and ``{{order}}`` in each."""
    subject, paragraph = _WORDS[language]
    return subject, paragraph * 8, _html(paragraph)


def _html(paragraph: str) -> str:
    """A document of 4 KB in UTF-8 with five links."""
    head = (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>{{order}}</title>\n'
        '<style>p { margin: 0 0 1em }</style></head>\n<body style="font-family: sans-serif">\n'
    )
    links = "".join(
        f'<p><a class="button" href="https://shop.example.com/{number}?order={{{{order}}}}&amp;from=mail">'
        f"{number}</a></p>\n"
        if number % 2
        else f'<p><a href="https://shop.example.com/page/{number}">{number}</a></p>\n'
        for number in range(5)
    )
    tail = "</body></html>\n"
    room = _SIZE - len((head + links + tail).encode())
    return head + paragraph * (room // len(paragraph.encode())) + links + tail


def _composer(language: str, attachment: bool = False) -> Composer:
    subject, text, html = texts(language)
    builder = SharedBuilder(1)
    if attachment:
        builder.add("terms.pdf", "application/pdf", [bytes(50_000)])
    return Composer(
        parse_mailbox("Shop <shop@example.com>"),
        subject,
        text=text,
        html=html,
        headers=[("X-Campaign", "spring")],
        shared=builder.build(),
        clicks=True,
        pixel="BOTTOM",
    )


def _composing(language: str, attachment: bool = False) -> Callable[[int], bytes]:
    composer = _composer(language, attachment)

    def compose(number: int) -> bytes:
        values = {"name": f"Taro {number}", "order": f"2026-{number:08d}"}
        to = (Mailbox(f"Taro {number}", f"taro.{number}@customer.example.net"),)
        return composer.compose(
            to,
            values,
            link=lambda _: f"{_TRACKED}{number:08d}",
            pixel=f"{_PIXEL}{number:08d}",
            headers=[("List-Unsubscribe", f"<https://links.example.com/t/u/{number:08d}>")],
        )

    return compose


def _rendering() -> Callable[[int], bytes]:
    document = Html.compile(_html(_WORDS["English"][1]), clicks=True, pixel="BOTTOM")
    return lambda number: document.render(
        {"name": f"Taro {number}", "order": str(number)}, lambda _: _TRACKED, _PIXEL
    ).encode()


def _compiling() -> Callable[[int], bytes]:
    html = _html(_WORDS["English"][1])
    return lambda number: b"." * Html.compile(f"{html}{number}", clicks=True, pixel="BOTTOM").links


def _substituting() -> Callable[[int], bytes]:
    text = Text.compile(_WORDS["English"][0])
    return lambda number: text.render({"name": "Taro", "order": str(number)}).encode()


def measure(what: str, call: Callable[[int], bytes], rounds: int, seconds: float) -> Rendered:
    """``call`` with ever new numbers, for ``seconds`` of CPU in each round: neighbours do not count."""
    octets = len(call(0))
    rates = []
    number = 0
    for _ in range(rounds):
        first = number
        begin = time.process_time()
        while (elapsed := time.process_time() - begin) < seconds:
            for number in range(number + 1, number + 101):  # noqa: B020 - counts on from round to round
                call(number)
        rates.append((number - first) / elapsed)
    return Rendered(what, octets, rates)


def run(options: argparse.Namespace, _base: Path) -> list[Rendered]:
    """Measure everything."""
    rounds = options.rounds or (1 if options.quick else 3)
    seconds = 0.2 if options.quick else 2.0
    return [
        measure(what, call, rounds, seconds)
        for what, call in (
            ("message, English", _composing("English")),
            ("message, English, with an attachment", _composing("English", attachment=True)),
            ("message, Japanese", _composing("Japanese")),
            ("render the HTML only", _rendering()),
            ("compile the HTML", _compiling()),
            ("render a subject only", _substituting()),
        )
    ]


def tables(results: list[Rendered]) -> list[Table]:
    """The rates."""
    rows = [[r.what, f"{r.octets:,}", show(spread(r.rates))] for r in results]
    return [Table("Rendering, on one core", ("what", "octets", "calls/s"), rows)]


def verdicts(results: list[Rendered]) -> list[list[str]]:
    """Of what is a message."""
    found = []
    for each in results:
        rates = spread(each.rates)
        if each.what.startswith("message") and rates is not None:
            word = "met" if rates.middle >= TARGET else "NOT MET"
            found.append([f"rendering on one core: {each.what}", f"≥ {TARGET:,} /s", show(rates), word])
    return found
