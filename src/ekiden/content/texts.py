"""What changes to content say when they are refused, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # landing pages
        "a landing page's id has 1 to {longest} letters, digits, hyphens and underscores": (
            "ランディングページの ID は英数字、ハイフン、下線の 1～{longest} 文字です"
        ),
        "a landing page's name has 1 to {longest} printable characters": (
            "ランディングページの名前は 1～{longest} 文字の表示できる文字です"
        ),
        "a landing page has at most {longest} octets": "ランディングページは {longest} オクテットまでです",
        "a landing page needs {mark} where its button is to be": (
            "ランディングページには、ボタンを置く場所に {mark} が必要です"
        ),
        "there is a landing page {uid!r} already": "ランディングページ {uid!r} はすでにあります",
        "there is no landing page {uid!r}": "ランディングページ {uid!r} はありません",
    }
)
