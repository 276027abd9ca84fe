"""Automatic replies (RFC 3834): absence notes, confirmations, receipts, and questions whether a person wrote.

They are never bounces, whatever they say of somebody who has left.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, Final

from ekiden.core.report import Kind, Report
from ekiden.inbound.reports.dates import moment
from ekiden.inbound.reports.material import Material
from ekiden.inbound.reports.patterns import PatternSet, compiled
from ekiden.inbound.reports.status_fields import mailbox

_DATA: Final[dict[str, Any]] = tomllib.loads(
    files("ekiden.inbound.reports").joinpath("answers.toml").read_text("utf-8")
)
_FIELDS: Final = {name: compiled(pattern) for name, pattern in _DATA["fields"].items()}
_SUBJECTS: Final = PatternSet(_DATA["subjects"].values())
LANGUAGES: Final = tuple(_DATA["subjects"])
_CHALLENGE: Final = PatternSet([_DATA["challenge"]["subjects"]])
_CHALLENGE_BODY: Final = PatternSet([_DATA["challenge"]["body"]])
_RECEIPT: Final = PatternSet([_DATA["receipt"]["subjects"]])
_SEARCHED: Final = 4_096

CHALLENGE: Final = "challenge"
RECEIPT: Final = "receipt"


def says_so(material: Material) -> bool:
    """Whether its subject is that of an automatic reply: no bounce has one."""
    subject = material.header("subject")
    return _SUBJECTS.said(subject) or _RECEIPT.said(subject)


def read_auto_reply(material: Material) -> Report | None:
    """``None``: a person wrote it, or at least nobody says otherwise."""
    subject = material.header("subject")
    action = ""
    if material.dispositions or _RECEIPT.said(subject):
        action = RECEIPT
    elif _CHALLENGE.said(subject) and _CHALLENGE_BODY.said(material.text[:_SEARCHED]):
        action = CHALLENGE
    elif not (_marked(material) or (says_so(material) and not material.header("list-unsubscribe"))):
        return None
    elif _CHALLENGE_BODY.said(material.text[:_SEARCHED]):
        action = CHALLENGE
    return Report(
        Kind.AUTO_REPLY,
        mailbox(material.header("from")),
        action=action,
        at=moment(material.header("date")),
        how="auto-reply",
    )


def _marked(material: Material) -> bool:
    for name, pattern in _FIELDS.items():
        value = material.header(name)
        if value and pattern.search(value):
            return True
    # It is in much that wants no automatic replies, but with a null sender there is only what Exchange replies.
    return bool(material.header("x-auto-response-suppress")) and material.header("return-path") == "<>"
