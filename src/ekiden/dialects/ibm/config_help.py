"""What ``[ibm]`` and each of its keys mean, in English and Japanese."""

from __future__ import annotations

from typing import Final

from ekiden.core.texts import Help

SECTION: Final = Help(
    "The APIs of IBM Cloud Event Notifications: SMTP configurations, their users, tokens.",
    "IBM Cloud Event Notifications の API: SMTP 構成、そのユーザー、トークン。",
)

KEYS: Final = {
    "max_recipients": Help(
        "Recipients of a message, in new SMTP configurations.", "新しい SMTP 構成での、メール一通の宛先の上限。"
    ),
    "attachments": Help(
        "Whether messages may have attachments, in new SMTP configurations.",
        "新しい SMTP 構成で添付ファイルを許すかどうか。",
    ),
    "users_per_configuration": Help(
        "Users of one SMTP configuration, clones included.", "一つの SMTP 構成のユーザーの上限（クローンを含む）。"
    ),
    "legacy_allowlist": Help(
        "How long the deprecated list of allowed subnets is honoured after its last change; 0s: not any more.",
        "非推奨の許可サブネット一覧を、最後の変更からどれだけ有効とするか。0s なら使いません。",
    ),
    "token_ttl": Help(
        "How long a token from POST /identity/token is good.", "POST /identity/token が返すトークンの有効期間。"
    ),
}
