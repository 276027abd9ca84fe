"""What is said about endpoints and destinations, in Japanese (the English stands where it is said)."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "the URL has at most {longest} characters": "URL は {longest} 文字以内です",
        "{url!r} is not a URL": "{url!r} は URL ではありません",
        "{url!r} does not begin with http:// or https://": "{url!r} は http:// または https:// で始まっていません",
        "{url!r} names no host": "{url!r} にホストがありません",
        "a user name, password or key for callbacks has no control characters": (
            "コールバックのユーザー名、パスワード、キーに制御文字は使えません"
        ),
        "{name!r} is not the name of a header field": "{name!r} はヘッダーフィールド名ではありません",
    }
)
