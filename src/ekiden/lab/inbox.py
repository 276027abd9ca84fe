"""Received mail for eyes: as plain text for terminals, and as two pages for browsers, in English and Japanese.

Nothing of a message is rendered: the pages hold its text, and the browser is told to load nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from ekiden.core.language import Language
from ekiden.core.texts import Texts
from ekiden.core.visible import visible
from ekiden.lab.http import Response
from ekiden.lab.mailbox import Mail
from ekiden.lab.reading import Reading, read, read_fields

MAX_ROWS: Final = 100
_LINK: Final = re.compile(r"https?://[^\s<>\"']{1,2000}")
_NAMES: Final = {
    "From": "差出人",
    "To": "宛先",
    "Cc": "Cc",
    "Subject": "件名",
    "Date": "日付",
    "Reply-To": "返信先",
    "Message-ID": "Message-ID",
}
TEXTS: Final = Texts("lab/inbox")
_STYLE: Final = (
    "body{font:16px/1.6 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1.5rem}"
    "body{color:#1c2430;background:#fff}h1{font-size:1.3rem;margin:0 0 .5rem}a{color:#0b57a4}"
    "p.note{color:#56606e;margin:.2rem 0 1rem}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #dde2e8}"
    "td{overflow-wrap:anywhere}th{font-weight:600;color:#56606e;white-space:nowrap}td.time{white-space:nowrap}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;font:15px/1.6 ui-monospace,monospace}"
    "pre{background:#f5f7f9;padding:1rem;border-radius:6px}"
    "@media(prefers-color-scheme:dark){body{color:#e4e8ee;background:#15191f}a{color:#7db8f5}"
    "pre{background:#1f252d}th,p.note{color:#9aa5b3}th,td{border-color:#333b45}}"
)
_HEADERS: Final = (
    # Whatever gets past the escaping still may do nothing, and links tell nobody where they were followed from.
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)


def as_text(mail: Mail, lang: Language) -> Response:
    """One message, for a terminal."""
    found = read(mail)
    lines = [f"{name}: {value}" for name, value in _facts(mail, found, lang)]
    remarks = [f"[{remark}]" for remark in _remarks(found, lang)]
    text = "\n".join([*lines, "", found.text.rstrip("\n"), *(["", *remarks] if remarks else [])]) + "\n"
    return Response(200, text.encode(), (("Content-Type", "text/plain; charset=utf-8"), *_HEADERS))


def inbox_page(mails: Sequence[Mail], lang: Language) -> Response:
    """All kept messages, the newest first."""
    chosen = list(mails)[-MAX_ROWS:][::-1]
    title = TEXTS("Mail that arrived in the lab", lang)
    if not chosen:
        body = f"<p class=note>{escape(TEXTS('No mail yet. It appears here by itself.', lang))}</p>"
    else:
        note = TEXTS(
            "Newest first; the page renews itself. {count} of {total} are shown.",
            lang,
            count=len(chosen),
            total=len(mails),
        )
        heads = "".join(f"<th>{escape(TEXTS(name, lang))}</th>" for name in ("Received", "From", "To", "Subject"))
        body = (
            f"<p class=note>{escape(note)}</p><table><thead><tr>{heads}</tr></thead>"
            f"<tbody>{''.join(_row(mail, lang) for mail in chosen)}</tbody></table>"
        )
    return _page(title, f"<h1>{escape(title)}</h1>{body}", lang, renew=True)


def _row(mail: Mail, lang: Language) -> str:
    fields = read_fields(mail)
    subject = fields.get("Subject") or TEXTS("(no subject)", lang)
    recipients = visible(", ".join(mail.to[:5])) + (", …" if len(mail.to) > 5 else "")
    cells = (
        f"<td class=time>{_time(mail.at)}</td>",
        f"<td>{escape(fields.get('From') or visible(mail.sender) or '<>')}</td>",
        f"<td>{escape(recipients)}</td>",
        f'<td><a href="/inbox/{mail.id}">{escape(subject)}</a></td>',
    )
    return f"<tr>{''.join(cells)}</tr>"


def mail_page(mail: Mail, lang: Language) -> Response:
    """One message."""
    found = read(mail)
    title = found.fields.get("Subject") or TEXTS("(no subject)", lang)
    facts = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _facts(mail, found, lang)
    )
    remarks = "".join(f"<p class=note>{escape(remark)}</p>" for remark in _remarks(found, lang))
    links = " · ".join(
        f'<a href="{path}">{escape(TEXTS(name, lang))}</a>'
        for path, name in (
            ("/inbox", "all mail"),
            (f"/mail/{mail.id}/text", "as text"),
            (f"/mail/{mail.id}", "as it came"),
        )
    )
    body = f"<p>{links}</p><h1>{escape(title)}</h1><table>{facts}</table><pre>{_linked(found.text)}</pre>{remarks}"
    return _page(title, body, lang)


def _facts(mail: Mail, found: Reading, lang: Language) -> list[tuple[str, str]]:
    facts = [(TEXTS(name, lang), value) for name, value in found.fields.items()]
    envelope = TEXTS(
        "{sender} to {recipients}",
        lang,
        sender=f"<{visible(mail.sender)}>",
        recipients=", ".join(f"<{visible(address)}>" for address in mail.to[:50]),
    )
    facts.append((TEXTS("Envelope", lang), envelope))
    server = f"{mail.server}, {visible(mail.tls) if mail.tls else TEXTS('in clear', lang)}"
    facts.append((TEXTS("Server", lang), server))
    facts.append((TEXTS("Received", lang), _time(mail.at)))
    facts += [
        (TEXTS("Attached", lang), TEXTS("{name} ({size} octets)", lang, name=name, size=size))
        for name, size in found.attached
    ]
    return facts


def _remarks(found: Reading, lang: Language) -> list[str]:
    remarks = [TEXTS("the text is taken from HTML", lang)] if found.is_html else []
    if found.cut:
        remarks.append(TEXTS("there is more; the message as it came has everything", lang))
    return remarks


def _linked(text: str) -> str:
    """Escaped, with links that lead out of the page only when somebody follows them."""
    parts: list[str] = []
    at = 0
    for match in _LINK.finditer(text):
        parts.append(escape(text[at : match.start()]))
        address = escape(match[0])
        parts.append(f'<a href="{address}" rel="noreferrer noopener">{address}</a>')
        at = match.end()
    return "".join([*parts, escape(text[at:])])


def _page(title: str, body: str, lang: Language, *, renew: bool = False) -> Response:
    meta = '<meta http-equiv="refresh" content="5">' if renew else ""
    page = (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8">{meta}'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )
    return Response(200, page.encode(), (("Content-Type", "text/html; charset=utf-8"), *_HEADERS))


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
