"""What ``ekiden suppression`` and ``ekiden landing-page`` say, in Japanese."""

from __future__ import annotations

import os

from ekiden.core.texts import Texts, TranslatedError, language

TEXTS = Texts(
    {
        # both
        "nothing found": "該当するものはありません",
        "{file} cannot be read: {why}": "{file} を読めません: {why}",
        "it is not UTF-8": "UTF-8 ではありません",
        # suppression
        "address": "アドレス",
        "domain": "ドメイン",
        "kind": "種類",
        "since": "登録日時",
        "reason": "理由",
        "name an address, or a file with --file": "アドレスを指定するか、--file でファイルを指定してください",
        "{domain} does not mail {count} more addresses; {known} were suppressed already": (
            "{domain} から {count} 件のアドレスへの送信を新たに抑止しました。{known} 件はすでに抑止されています"
        ),
        "{count} suppressions of {domain} removed": "{domain} の抑止を {count} 件削除しました",
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
    return TEXTS(text, language(os.environ), **values)


class OptOutCliError(TranslatedError):
    """A command cannot do what it was asked to; the text is one of this catalogue."""

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(TEXTS, template, **values)


def unreadable(file: object, error: OSError | UnicodeDecodeError) -> OptOutCliError:
    """The error of a file that a command was given."""
    why = tr("it is not UTF-8") if isinstance(error, UnicodeDecodeError) else error.strerror
    return OptOutCliError("{file} cannot be read: {why}", file=file, why=why)
