"""What projects, SMTP configurations, their users and tokens say to people, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "{field} has {shortest} to {longest} printable characters": (
            "{field} は {shortest}～{longest} 文字の表示できる文字です"
        ),
        "the account has a project {name!r} already": "このアカウントにはプロジェクト {name!r} がすでにあります",
        "the account has no such domain": "アカウントにそのドメインはありません",
        "there is no SMTP configuration {id!r}": "SMTP 構成 {id!r} はありません",
        "there is an SMTP configuration {name!r} in this instance already": (
            "このインスタンスには SMTP 構成 {name!r} がすでにあります"
        ),
        "the domain {domain} has an SMTP configuration in this instance already": (
            "このインスタンスにはドメイン {domain} の SMTP 構成がすでにあります"
        ),
        "there is no SMTP user {id!r}": "SMTP ユーザー {id!r} はありません",
        "there is no SMTP user with the name {name!r} in this instance": (
            "このインスタンスにはユーザー名 {name!r} の SMTP ユーザーはいません"
        ),
        "the SMTP configuration has the user {name!r} already": (
            "この SMTP 構成にはユーザー {name!r} がすでにいます"
        ),
        "an SMTP configuration has at most {limit} users": "一つの SMTP 構成のユーザーは {limit} 人までです",
        "subnets: 1 to {most} of them are needed": "subnets には 1～{most} 個が必要です",
    }
)
