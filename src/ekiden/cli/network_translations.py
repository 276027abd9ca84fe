"""What ``ekiden zone`` and ``ekiden rule`` say, in Japanese."""

from __future__ import annotations

from ekiden.cli.common import CliError, CliUsageError, lang
from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # both
        "account": "アカウント",
        "name": "名前",
        "id": "ID",
        "description": "説明",
        "created {time} by {who}, changed {changed} by {changer}": (
            "作成 {time} ({who})、最終変更 {changed} ({changer})"
        ),
        # zone
        "addresses": "アドレス数",
        "excluded": "除外数",
        "zone {name} added: {id}": "ゾーン {name} を追加しました: {id}",
        "zone {name} removed": "ゾーン {name} を削除しました",
        "zone {name} of {account}: {id}": "{account} のゾーン {name}: {id}",
        "excluded: {address}": "除外: {address}",
        "there is no zone {zone!r}": "ゾーン {zone!r} はありません",
        "several accounts have a zone {zone!r}; name one with --account": (
            "ゾーン {zone!r} は複数のアカウントにあります。--account で指定してください"
        ),
        # rule
        "mode": "モード",
        "instance": "インスタンス",
        "operations": "操作",
        "from": "接続元",
        "all": "すべて",
        "nobody": "なし",
        "anywhere": "どこからでも",
        "rule {id} added": "ルール {id} を追加しました",
        "rule {id} removed": "ルール {id} を削除しました",
        "rule {id} is now {mode}": "ルール {id} を {mode} にしました",
        "rule {id} of {account}: {mode}": "{account} のルール {id}: {mode}",
        "protects: {resource}": "対象: {resource}",
        "operations: {operations}": "操作: {operations}",
        "lets pass: {context}": "許可: {context}",
        "there is no rule {rule!r}": "ルール {rule!r} はありません",
        "there is no account {name!r}": "アカウント {name!r} はありません",
        "there is no instance {instance!r}": "インスタンス {instance!r} はありません",
        "name a zone with --zone or an endpoint with --endpoint, or say --nobody": (
            "--zone でゾーンか --endpoint でエンドポイントを指定するか、--nobody を付けてください"
        ),
        # rule test
        "{address!r} is not an IP address": "{address!r} は IP アドレスではありません",
        "allowed; rules that let it pass: {rules}": "許可されます。許可するルール: {rules}",
        "allowed; no rule applies": "許可されます。適用されるルールはありません",
        "refused; no rule applies": "拒否されます。適用されるルールはありません",
        "refused by rule {rule}; it has no context and lets nobody pass": (
            "ルール {rule} により拒否されます。コンテキストがなく、誰も許可しません"
        ),
        "refused by rule {rule}; the address is in none of its zones": (
            "ルール {rule} により拒否されます。アドレスがどのゾーンにも含まれません"
        ),
        "refused by rule {rule}; the address is in one of its zones, but not for this endpoint": (
            "ルール {rule} により拒否されます。アドレスはゾーンに含まれますが、このエンドポイントでは許可されません"
        ),
        "refused by rule {rule}; it demands several factors, which nobody proves here": (
            "ルール {rule} により拒否されます。多要素認証を求めていますが、ここでは確認できません"
        ),
        "rule {rule} (report) would refuse it": "ルール {rule} (report) なら拒否します",
    }
)


def tr(text: str, **values: object) -> str:
    """A text of this catalogue in the language of the person at the terminal."""
    return TEXTS(text, lang(), **values)


class NetworkCliError(CliError):
    catalogue = TEXTS


class NetworkUsageError(CliUsageError):
    catalogue = TEXTS
