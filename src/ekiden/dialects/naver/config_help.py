"""What ``[naver]`` and each of its keys mean, in English and Japanese."""

from __future__ import annotations

from typing import Final

from ekiden.core.texts import Help

SECTION: Final = Help(
    "The API of NAVER Cloud Outbound Mailer: signed requests.",
    "NAVER Cloud Outbound Mailer の API: 署名付きリクエスト。",
)

KEYS: Final = {
    "requests_per_second": Help(
        "Requests of an account to each operation, per second and worker. 0: no limit.",
        "アカウントが一つの操作に出せるリクエスト数（毎秒、ワーカーごと）。0 なら無制限。",
    ),
    "refuse_replays": Help(
        "Refuse a request that creates something when its signature was used before. Clients whose requests share"
        " a millisecond need this to be false.",
        "何かを作成するリクエストの署名が使用済みなら拒否します。同じミリ秒に複数のリクエストを出すクライアントには"
        " false が必要です。",
    ),
}
