"""One word for one thing, and how sentences look: in all strings, all catalogues and the Japanese README."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_JAPANESE = re.compile(r"[぀-ヿ一-鿿]")
INSTEAD = {
    "投函|投入": "送信",
    "配送": "配信",
    "送信先": "通知先 (of callbacks), 宛先 (of mail)",
    "追跡": "計測",
    "実験環境": "ラボ",
    "当方|こちら": "Ekiden",
    "プロキシー": "プロキシ",
    "大きさ": "サイズ",
    "引退": "使用を終えた",
    "確認済み": "検証済み",
    "(?<!送信)抑止": "送信抑止",
}


def sentences() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if _JAPANESE.search(text) else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _JAPANESE.search(node.value):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value
    for path in sorted((ROOT / "src").rglob("*.ja.json")):
        for english, japanese in json.loads(path.read_text("utf-8")).items():
            yield f"{path.relative_to(ROOT)}: {english}", japanese
    for number, line in enumerate((ROOT / "README.ja.md").read_text().splitlines(), 1):
        yield f"README.ja.md:{number}", line


def test_one_word_for_one_thing() -> None:
    found = [
        f"{where}: {text} ({instead})"
        for where, text in sentences()
        for word, instead in INSTEAD.items()
        if re.search(word, text)
    ]
    assert found == []


def test_sentences_have_full_width_parentheses_and_question_marks() -> None:
    """Not where a link or something typed needs the others."""
    found = []
    fenced = False
    for where, text in sentences():
        if where.startswith("README") and text.startswith("```"):
            fenced = not fenced
        bare = re.sub(r"```.*|`[^`]*`|\]\([^)]*\)|\{[^}]*\}|https?://\S+", "", text)
        if _JAPANESE.search(bare) and not fenced and re.search(r"[()]|[\u3040-\u30ff\u4e00-\u9fff]\?", bare):
            found.append(f"{where}: {text}")
    assert found == []


def test_errors_say_what_to_enter() -> None:
    assert [
        f"{where}: {text}" for where, text in sentences() if re.search("でなければなりません|以内です$", text)
    ] == []


def test_english_is_plain() -> None:
    """It is not a thing, rather than no thing; at most N, rather than so many."""
    wrong = re.compile(
        r"(?<![Tt]here )\bis no (?!longer)|\btold of\b|\bso many\b|\bso long ago\b|\bneither on nor\b"
    )
    assert [
        f"{path.relative_to(ROOT)}: {english}"
        for path in sorted((ROOT / "src").rglob("*.ja.json"))
        for english in json.loads(path.read_text("utf-8"))
        if wrong.search(english)
    ] == []
