"""Refused submissions: what was refused, what the client heard, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ekiden.cli.tables import make_table
from ekiden.cli.trace_news_view import separator
from ekiden.core.display import local_time
from ekiden.core.ids import format_id
from ekiden.core.language import Language
from ekiden.core.texts import Texts

if TYPE_CHECKING:
    from ekiden.access.refusals import KeptRefusal
    from ekiden.documents.message import Refusal

_TEXTS = Texts("cli/refusal_view")
_DOMAIN_ADVICE = "`ekiden domain show` tells what each record should be and what was found"
_WHY = {
    "account_suspended": ("the account is suspended", "an operator resumes it with `ekiden account resume`"),
    "sender_not_owned": (
        "the domain does not belong to the account or SMTP configuration that logged in",
        "send from a domain of the account, or add it with `ekiden domain add`",
    ),
    "domain_not_verified": ("the domain is not verified", _DOMAIN_ADVICE),
    "domain_suspended": ("the domain is suspended, because its records fail the periodic checks", _DOMAIN_ADVICE),
    "network_rule": (
        "no network rule lets this address use the SMTP configuration",
        "`ekiden rule test` tells which rule allows or refuses an address",
    ),
    "no_configuration": ("the SMTP user belongs to no configuration any more", "make a new user"),
    "credential_revoked": (
        "the credential was revoked while the message was being sent",
        "log in with another one",
    ),
    "attachment": (
        "the SMTP configuration takes no attachments",
        "send it without attachments, or let the configuration take them",
    ),
    "quota": ("the quota of the account is used up", "`ekiden account quota` shows it, and changes it"),
    "author_unknown": (
        "the message has no From field that can be read, so its author cannot be checked",
        "give it exactly one From field with an address",
    ),
}
"""By ``KeptRefusal.reason``: why, and what to do."""


def refusal_document(refusal: KeptRefusal, account: str, lang: Language) -> Refusal:
    """``account`` is its name."""
    from ekiden.documents.message import Refusal

    return Refusal.of(refusal, account, *_explained(refusal, lang))


def print_refusal(out: Console, refusal: KeptRefusal, account: str, lang: Language) -> None:
    """The whole story of one."""
    stage = refusal.stage.upper()
    out.print(Text(_TEXTS("{id}  refused at {stage}", lang, id=format_id(refusal.id), stage=stage), "bold red"))
    why, advice = _explained(refusal, lang)
    facts = separator(lang).join(_fact(name, value, lang) for name, value in refusal.facts.items() if value)
    for name, value in (
        ("time", local_time(refusal.at)),
        ("account", account),
        ("client", refusal.client),
        ("sender", refusal.sender),
        ("reply", refusal.reply),
        ("why", why),
        ("advice", advice),
        ("detail", facts),
    ):
        if value:
            line = Text("  ")
            line.append(_TEXTS(name, lang), "dim")
            out.print(line.append("  " + value))


_FACTS = {
    "listener": "listener",
    "endpoint": "endpoint",
    "user": "user",
    "client": "client",
    "domain": "domain",
    "status": "status",
    "why": "reason",
    "rule": "rule",
    "reports": "reports",
    "configuration": "configuration",
    "attachment": "attachment",
}
"""What ``KeptRefusal.facts`` can hold."""
_VALUES = frozenset({"pending", "verified", "failed", "suspended"})


def _fact(name: str, value: Any, lang: Language) -> str:
    shown = _TEXTS(value, lang) if value in _VALUES else value
    return _TEXTS("{name} {value}", lang, name=_TEXTS(_FACTS.get(name, name), lang), value=shown)


def print_refusals(out: Console, refusals: Sequence[KeptRefusal], accounts: dict[int, str], lang: Language) -> None:
    """One line for each."""
    if not refusals:
        out.print(_TEXTS("nothing was refused", lang))
        return
    table = make_table(*(_TEXTS(name, lang) for name in ("refused", "time", "account", "client", "sender", "why")))
    for item in refusals:
        account, why = accounts.get(item.account_id, ""), refusal_why(item, lang)
        table.add_row(format_id(item.id), local_time(item.at), account, item.client, item.sender, why)
    out.print(table)


def refusal_why(refusal: KeptRefusal, lang: Language) -> str:
    """Why, in a few words."""
    return _explained(refusal, lang)[0]


def _explained(refusal: KeptRefusal, lang: Language) -> tuple[str, str]:
    from ekiden.domains.reasons import REASONS, short

    why, advice = _WHY.get(refusal.reason, (refusal.reason, ""))
    text = _TEXTS(why, lang) if refusal.reason in _WHY else why
    code = refusal.facts.get("why", "") if refusal.reason.startswith("domain_") else ""
    if code in REASONS and code:
        text += f": {short(code, lang)}"
    return text, _TEXTS(advice, lang) if advice else ""
