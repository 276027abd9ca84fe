"""Every error of composing can be told in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import ekiden.mime
from ekiden.mime.translations import TEXTS


def test_texts_and_their_values() -> None:
    source = "".join(
        path.read_text() for path in Path(ekiden.mime.__file__).parent.glob("*.py") if path.stem != "texts"
    )
    for english, japanese in TEXTS.japanese.items():
        assert f'"{english}"' in source
        assert sorted(re.findall(r"\{\w+", english)) == sorted(re.findall(r"\{\w+", japanese))
