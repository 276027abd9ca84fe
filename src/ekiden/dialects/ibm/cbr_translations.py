"""What context-based restrictions say when a request cannot be answered, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "account_id is needed": "account_id が必要です",
        "{value!r} is no account id": "{value!r} はアカウント ID ではありません",
        "the account {value!r} is not yours": "アカウント {value!r} は利用者のものではありません",
        "If-Match is needed: the ETag of what is to be replaced": "If-Match に置き換え対象の ETag が必要です",
        "resources: exactly one is needed": "resources: ちょうど一つ必要です",
        "operations.api_types: at least one is needed": "operations.api_types: 一つ以上必要です",
        "{field}: this is needed": "{field}: 必須です",
        "{field}: {value!r} is none of {allowed}": "{field}: {value!r} は使えません。使えるのは {allowed} です",
        "service_name and service_group_id exclude each other": (
            "service_name と service_group_id は同時に指定できません"
        ),
        "there is no service reference target {name!r}": "サービス参照の対象 {name!r} はありません",
    }
)
