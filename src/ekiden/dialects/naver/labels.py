"""What codes are called in the reader's language; the texts are in ``labels.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from ekiden.dialects.naver.translations import Language

Enumeration = Literal[
    "email_status",
    "recipient_type",
    "reservation_status",
    "export_status",
    "block_action",
    "block_requester",
    "block_status",
    "send_result",
]


@cache
def all_labels() -> dict[str, dict[str, dict[Language, str]]]:
    """By enumeration, code and language."""
    return tomllib.loads(Path(__file__).with_name("labels.toml").read_text("utf-8"))


def label(of: Enumeration, code: str, language: Language) -> str:
    """The text alone."""
    return all_labels()[of][code][language]


def labelled(of: Enumeration, code: str, language: Language) -> dict[str, str]:
    """``{"label", "code"}``, as enumerations go out (contract §0.8)."""
    return {"label": label(of, code, language), "code": code}
