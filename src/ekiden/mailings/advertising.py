"""What the law wants of advertising: a mark before the title, and a way out at the end of the text.

The mark is that of Korea's Network Act (article 50). The way out is a link of ours, the recipient's own; it stands
where the text says ``#{UNSUBSCRIBE_MESSAGE}``, else at the end.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ekiden.intake.mailer import UNSUBSCRIBE_NAME
from ekiden.mime.html_tokens import tags
from ekiden.mime.placeholders import DOLLAR

MARK: Final = "(광고) "
TAG: Final = "#{UNSUBSCRIBE_MESSAGE}"
LINK: Final = f"${{{UNSUBSCRIBE_NAME}}}"

_STOCK: Final = (
    '<p style="font-size:12px;color:#666">'
    f'메일 수신을 원하지 않으시면 <a href="{LINK}">수신거부</a>를 눌러 주세요.<br>'
    f'If you do not want to receive this email any more, please <a href="{LINK}">unsubscribe</a>.</p>'
)
_OWN: Final = f'<p><a href="{LINK}">수신거부 / Unsubscribe</a></p>'


def marked(title: str) -> str:
    """The title with the mark, once."""
    return title if title.startswith(MARK) else MARK + title


class Grown(NamedTuple):
    """What a text comes to with its way out, told before it is made: a long message may have many places."""

    octets: int
    placeholders: int
    """At most so many."""


def grown(html: str, own: str) -> Grown:
    """Of ``with_way_out``."""
    message, tags_in_it = _message(own), html.count(TAG)
    places = tags_in_it or 1
    octets = _octets(html) + places * _octets(message) - tags_in_it * len(TAG)
    return Grown(octets, html.count(DOLLAR.opening) + places * message.count(DOLLAR.opening))


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _message(own: str) -> str:
    if not own:
        return _STOCK
    return own if LINK in own else own + _OWN


def with_way_out(html: str, own: str) -> str:
    """``html`` with the way out. ``own``: what the sender says of it; empty: our own text. Who says it without the
    link (``${unsubscribeUrl}``) has it behind."""
    message = _message(own)
    if TAG in html:
        return html.replace(TAG, message)
    end = len(html)
    for tag in tags(html, ("body", "html")):
        if tag.closing and tag.name in ("body", "html"):
            end = tag.start
            break
    return html[:end] + message + html[end:]
