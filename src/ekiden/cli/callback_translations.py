"""What ``ekiden callback`` says, in Japanese."""

from __future__ import annotations

from ekiden.cli.common import CliError, CliUsageError, lang
from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "id": "ID",
        "account": "アカウント",
        "format": "形式",
        "URL": "URL",
        "waiting": "待機",
        "dead": "通知失敗",
        "oldest": "最古",
        "failures": "連続失敗",
        "next": "次回",
        "time": "日時",
        "endpoint": "通知先",
        "status": "ステータス",
        "ms": "ミリ秒",
        "events": "イベント数",
        "answer": "応答",
        "event": "イベント",
        "message": "メール",
        "type": "種類",
        "happened": "発生日時",
        "given up": "通知失敗日時",
        "tries": "試行",
        # types of events
        "accepted": "受付",
        "delivered": "配信",
        "deferred": "延期",
        "bounced": "不達",
        "expired": "期限切れ",
        "dropped": "送信中止",
        "cancelled": "取り消し",
        "held": "保留",
        "released": "再開",
        "lease_lost": "ワーカー消失",
        "notified": "送信者への報告",
        "opened": "開封",
        "clicked": "クリック",
        "unsubscribed": "配信停止",
        "complained": "苦情",
        "late_bounce": "受付後の不達",
        "domain_verified": "ドメインの検証",
        "domain_failed": "ドメインの不備",
        "domain_suspended": "ドメインの停止",
        "domain_resumed": "ドメインの再開",
        "1 event gets another chance": "イベント 1 件を再度送信します",
        "1 event will be told once more": "イベント 1 件を改めて通知します",
        "1 event would be told once more": "イベント 1 件が、改めて通知する対象です",
        "{count} events get another chance": "イベント {count} 件を再度送信します",
        "{count} events will be told once more": "イベント {count} 件を改めて通知します",
        "{count} events would be told once more": "イベント {count} 件が、改めて通知する対象です",
        "there is no endpoint {id}": "通知先 {id} はありません",
        "name endpoints, or an account with --account": "通知先か、--account でアカウントを指定してください",
        "name an event with --event, or an endpoint with --endpoint and a time with --from": (
            "--event でイベントを指定するか、--endpoint で通知先を、--from で時刻を指定してください"
        ),
        "--event stands without --from and --to": "--event は --from や --to と一緒には使えません",
        "{value!r} is not an event id: {why}": "{value!r} はイベント ID ではありません: {why}",
        "--from is later than --to": "--from が --to より後になっています",
        "event {id} is not kept, or nobody wants it": ("イベント {id} は保存されていないか、通知先がありません"),
    }
)


def tr(text: str, **values: object) -> str:
    """A text of this catalogue in the language of the person at the terminal."""
    return TEXTS(text, lang(), **values)


class CallbackCliError(CliError):
    catalogue = TEXTS


class CallbackUsageError(CliUsageError):
    catalogue = TEXTS
