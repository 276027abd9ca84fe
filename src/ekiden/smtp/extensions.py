"""What a peer's EHLO reply offers (RFC 5321 §4.1.1.1), and the limits it tells (RFC 9422)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ekiden.smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class Offer:
    """What a peer said it can do. Without a value: nothing, as before its greeting, or after HELO."""

    extensions: dict[str, str] = field(default_factory=dict)
    esmtp: bool = False
    max_size: int | None = None
    """SIZE, if it told one (RFC 1870)."""
    max_recipients: int | None = None
    """RCPTMAX (RFC 9422): more recipients than that go into another transaction."""
    max_transactions: int | None = None
    """MAILMAX: so many transactions on one connection."""


def parse_offer(reply: Reply) -> Offer:
    """What the reply to EHLO offers."""
    extensions = parse_extensions(reply)
    limits = parse_limits(extensions.get("LIMITS", ""))
    return Offer(
        extensions,
        True,
        positive_number(extensions.get("SIZE", "")),
        limits.get("RCPTMAX"),
        limits.get("MAILMAX"),
    )


def parse_extensions(reply: Reply) -> dict[str, str]:
    """Upper-case keywords and their parameters. The first line is the peer's name.

    The old ``AUTH=LOGIN`` and other words with ``=`` are no keywords.
    """
    found: dict[str, str] = {}
    for line in reply.lines[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        if keyword and "=" not in keyword:
            found[keyword.upper()] = parameters.strip()
    return found


def parse_limits(parameters: str) -> dict[str, int]:
    """``RCPTMAX=100 MAILMAX=10`` as numbers; what is none is left out (RFC 9422 §3)."""
    words = (word.upper().partition("=") for word in parameters.split())
    return {name: value for name, _, text in words if (value := positive_number(text)) is not None}


def positive_number(text: str) -> int | None:
    """A positive decimal number, or ``None``: peers write SIZE 0 or nothing for "no limit"."""
    return int(text) or None if text.isascii() and text.isdigit() and len(text) <= 20 else None
