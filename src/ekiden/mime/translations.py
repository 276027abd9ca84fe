"""What composing a message says to people, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "{mailbox!r} is no mail address: {reason}": "{mailbox!r} はメールアドレスではありません: {reason}",
        "{name!r} is no name of a header field": "{name!r} はヘッダーフィールドの名前として使えません",
        "the header field {name} must not have line breaks or control characters": (
            "ヘッダーフィールド {name} に改行や制御文字を含めることはできません"
        ),
        "the header field {name} has a word that is longer than a line may be": (
            "ヘッダーフィールド {name} に、1 行に収まらない長さの語があります"
        ),
    }
)
