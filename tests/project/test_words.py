"""One word for one thing, in Japanese: what is not said is looked for in all strings and the README."""

from __future__ import annotations

import ast
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
