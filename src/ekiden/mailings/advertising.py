"""What the law wants of advertising: a mark before the title, and a way out at the end of the text.

The mark is that of Korea's Network Act (article 50). The way out is a link of ours, the recipient's own; it stands
where the text says ``#{UNSUBSCRIBE_MESSAGE}``, else at the end.
"""

from __future__ import annotations

from typing import Final

from ekiden.intake.mailer import UNSUBSCRIBE_NAME
from ekiden.mime.html_tokens import tags

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


def with_way_out(html: str, own: str) -> str:
    """``html`` with the way out. ``own``: what the sender says of it; empty: our own text. Who says it without the
    link (``${unsubscribeUrl}``) has it behind."""
    message = _STOCK
    if own:
        message = own if LINK in own else own + _OWN
    if TAG in html:
        return html.replace(TAG, message)
    end = len(html)
    for tag in tags(html, ("body", "html")):
        if tag.closing and tag.name in ("body", "html"):
            end = tag.start
            break
    return html[:end] + message + html[end:]
