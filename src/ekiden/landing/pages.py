"""The pages that recipients see, in Japanese and English: plain HTML that works without scripts, and for everybody.

Nothing is loaded from anywhere. Each page comes with a Content-Security-Policy that says so, is in no search index
and no cache, and tells nobody where its reader came from: the address of the page is a secret of the recipient.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Final

from ekiden.core.language import Language
from ekiden.landing.translations import TEXTS

if TYPE_CHECKING:
    from ekiden.content.landing_pages import LandingPage
    from ekiden.recipients.tracking_tokens import UnsubscribeToken

RESUBSCRIBE: Final = "resubscribe"
"""The field of the form that takes an unsubscription back."""

_STYLE: Final = """
:root { color-scheme: light dark; --ground: #f4f5f7; --sheet: #fff; --ink: #1d2430; --soft: #5a6474;
  --line: #dfe3e8; --accent: #1f5fbf; --on-accent: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ground: #12161c; --sheet: #1c222b; --ink: #e9edf2; --soft: #a5b0be;
    --line: #303945; --accent: #8ab4f8; --on-accent: #10151c }
}
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.25rem;
  background: var(--ground); color: var(--ink); font: 1.0625rem/1.65 system-ui, -apple-system, "Segoe UI",
  "Hiragino Sans", "Noto Sans CJK JP", "Yu Gothic UI", Meiryo, sans-serif }
main { width: 100%; max-width: 30rem; padding: 2rem; background: var(--sheet); border: 1px solid var(--line);
  border-radius: .75rem }
h1 { margin: 0 0 .75rem; font-size: 1.375rem; line-height: 1.35 }
p { margin: 0 0 1.25rem; overflow-wrap: anywhere }
p:last-child { margin-bottom: 0 }
.soft { margin: 1.5rem 0 .75rem; color: var(--soft) }
form { margin: 0 }
button { width: 100%; min-height: 3rem; padding: .6rem 1.25rem; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--on-accent); background: var(--accent); border: 2px solid var(--accent); border-radius: .5rem }
button.plain { color: var(--accent); background: transparent }
button:hover { filter: brightness(1.08) }
button:focus-visible { outline: 3px solid var(--ink); outline-offset: 3px }
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode("ascii")

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
"""Of everything below ``/t``."""

PAGE_HEADERS: Final = {
    **HEADERS,
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Vary": "Accept-Language",
}

CUSTOM_HEADERS: Final = {
    **HEADERS,
    "Content-Security-Policy": (
        "sandbox allow-forms; default-src 'none'; img-src https: data:; font-src https: data:; "
        "style-src 'unsafe-inline' https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Vary": "Accept-Language",
}
"""Of an account's own HTML: pictures and styles may come from elsewhere; no script runs, and it has no origin."""


def button(lang: Language) -> str:
    """The form with the button to unsubscribe, for pages of ours and of accounts."""
    words = TEXTS("Unsubscribe", lang)
    return f'<form method="post"><button type="submit" class="unsubscribe">{words}</button></form>'


def asked(lang: Language, token: UnsubscribeToken) -> str:
    """Before: looking at the page changes nothing."""
    text = _about(lang, "{address} will get no more mail from {domain}.", token)
    return _page(lang, "Unsubscribe?", f"<p>{text}</p>{button(lang)}")


def done(lang: Language, token: UnsubscribeToken) -> str:
    """After, with a way back."""
    text = _about(
        lang,
        "{address} gets no more mail from {domain}. Messages that are already on their way may still arrive.",
        token,
    )
    undo = (
        f'<form method="post"><button type="submit" class="plain" name="{RESUBSCRIBE}" value="1">'
        f"{TEXTS('Undo', lang)}</button></form>"
    )
    mistake = TEXTS("Was that a mistake?", lang)
    return _page(lang, "You are unsubscribed", f'<p role="status">{text}</p><p class="soft">{mistake}</p>{undo}')


def undone(lang: Language, token: UnsubscribeToken) -> str:
    """After the way back."""
    text = _about(lang, "{address} gets mail from {domain} again.", token)
    return _page(lang, "You are subscribed again", f'<p role="status">{text}</p>{button(lang)}')


def own(lang: Language, page: LandingPage, token: UnsubscribeToken) -> str:
    """The account's page in the place of ``asked``."""
    return page.render(token.placeholders, button(lang))


def error(lang: Language, status: int) -> str:
    """404: nothing of ours; from 429 on: come again; else a request that is no form of ours."""
    if status == 404:
        text = TEXTS(
            "It may have been cut off or altered on its way. "
            "Copy the whole link from the message, or open it there.",
            lang,
        )
        return _page(lang, "This link does not work", f"<p>{text}</p>")
    if status >= 429:
        return _page(lang, "Please try again later", f"<p>{TEXTS('Nothing has been changed yet.', lang)}</p>")
    return _page(lang, "This cannot be answered", f"<p>{TEXTS('Nothing has been changed yet.', lang)}</p>")


def _about(lang: Language, text: str, token: UnsubscribeToken) -> str:
    address, domain = (f"<strong>{escape(value)}</strong>" for value in (token.address, token.domain))
    return TEXTS(text, lang, address=address, domain=domain)


def _page(lang: Language, title: str, body: str) -> str:
    words = TEXTS(title, lang)
    return (
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex, nofollow">\n'
        f"<title>{words}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{words}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )
