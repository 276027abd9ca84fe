"""What ``[cmc]`` and each of its keys mean, in English and Japanese."""

from __future__ import annotations

from typing import Final

from ekiden.core.texts import Help

SECTION: Final = Help(
    "The API of Customers Mail Cloud: API users, bulk mail, event and inbound webhooks.",
    "Customers Mail Cloud の API: API ユーザー、一括送信、イベント・インバウンド Webhook。",
)

KEYS: Final = {
    "server_composition": Help(
        "Name of the server configuration that requests give and events tell. Every account has this one.",
        "リクエストで指定され、イベントで通知されるサーバー構成の名前。全アカウントに共通です。",
    ),
    "connections_per_user": Help(
        "Requests of an API user that a worker answers at a time. 0: no limit.",
        "一つの API ユーザーのリクエストを、一つのワーカーが同時に処理する数。0 なら無制限。",
    ),
}
