"""What ``ekiden suppression`` and ``ekiden landing-page`` say, in Japanese."""

from __future__ import annotations

from ekiden.cli.common import CliError, CliUsageError, lang
from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # both
        "{file} cannot be read: {why}": "{file} を読めません: {why}",
        "it is not UTF-8": "UTF-8 ではありません",
        # suppression
        "address": "アドレス",
        "domain": "ドメイン",
        "kind": "種類",
        "since": "登録日時",
        "reason": "理由",
        "name an address, or a file with --file": "アドレスを指定するか、--file でファイルを指定してください",
        "suppressed for {domain}: {count:,}; suppressed already: {known:,}": (
            "{domain} の送信抑止に {count:,} 件を追加しました（登録済み {known:,} 件）"
        ),
        "removed from the suppressions of {domain}: {count:,}": (
            "{domain} の送信抑止から {count:,} 件を削除しました"
        ),
        "{domain} is not a domain of the account {account}": (
            "{domain} はアカウント {account} のドメインではありません"
        ),
        "line {number}: {error}": "{number} 行目: {error}",
        "{file} has a line that is not an address; nothing was changed": (
            "{file} にメールアドレスではない行があります。何も変更していません"
        ),
        "{file} has {count:,} lines that are not addresses; nothing was changed": (
            "{file} にメールアドレスではない行が {count:,} 行あります。何も変更していません"
        ),
        # landing page
        "id": "ID",
        "name": "名前",
        "changed": "最終変更",
        "landing page {uid} added": "ランディングページ {uid} を追加しました",
        "landing page {uid} has a new content": "ランディングページ {uid} の内容を変更しました",
        "landing page {uid} removed": "ランディングページ {uid} を削除しました",
    }
)


def tr(text: str, **values: object) -> str:
    """A text of this catalogue in the language of the person at the terminal."""
    return TEXTS(text, lang(), **values)


class OptOutCliError(CliError):
    catalogue = TEXTS


class OptOutUsageError(CliUsageError):
    catalogue = TEXTS


def unreadable(file: object, error: OSError | UnicodeDecodeError) -> OptOutCliError:
    """The error of a file that a command was given."""
    why = tr("it is not UTF-8") if isinstance(error, UnicodeDecodeError) else error.strerror
    return OptOutCliError("{file} cannot be read: {why}", file=file, why=why)
