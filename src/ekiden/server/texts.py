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
        "log.file: {path} cannot be written: {why}": "log.file: {path} に書き込めません: {why}",
        "another demo is running in {directory}": "{directory} では別のデモが動いています",
        "{path} cannot be read: {why}": "{path} を読めません: {why}",
        "{directory} has a demo on {store}": "{directory} のデモは {store} を使っています",
        "{what} did not start: {why}": "{what} が起動しませんでした: {why}",
        "the domain of the demo is not verified: {why}": "デモ用ドメインを検証できませんでした: {why}",
        "the lab ended (see {log})": "ラボが終了しました ({log} を見てください)",
        "the database ended, starting it again": "データベースが終了したので、もう一度起動します",
        "the platform ended, starting it again": "プラットフォームが終了したので、もう一度起動します",
        "workers end as soon as they start ({how}); the log says why": (
            "ワーカーが起動直後に終了します ({how})。理由はログにあります"
        ),
        "there is no account {name}, which listeners.{listener} trusts": (
            "listeners.{listener} が信頼するアカウント {name} がありません"
        ),
    }
)
