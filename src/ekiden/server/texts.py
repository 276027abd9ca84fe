"""What the server says to the person who starts it, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "{who}: {address} is in use by another program": "{who}: {address} は別のプログラムが使用中です",
        "{who}: this machine does not have the address {address}": (
            "{who}: アドレス {address} はこのマシンにありません"
        ),
        "{who}: not allowed to listen on {address} (ports below 1024)": (
            "{who}: {address} で待ち受ける権限がありません (1024 未満のポート)"
        ),
        "{who}: cannot listen on {address}: {why}": "{who}: {address} で待ち受けできません: {why}",
        "{path} exists already; nothing was changed": "{path} はすでにあります。何も変更していません",
        "{path} cannot be written: {why}": "{path} に書き込めません: {why}",
        "the configuration has no listeners": "設定にリスナーがありません",
        "there is no account {name}, which listeners.{listener} trusts": (
            "listeners.{listener} が信頼するアカウント {name} がありません"
        ),
    }
)
