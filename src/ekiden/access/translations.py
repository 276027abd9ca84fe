"""What this room says to people, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # names
        "an account's name has 1 to {longest} printable characters, and none of them is a blank at an end": (
            "アカウント名は 1～{longest} 文字の表示できる文字で、前後に空白を置けません"
        ),
        "a user name has 1 to {longest} printable characters, and none of them is a blank at an end": (
            "ユーザー名は 1～{longest} 文字の表示できる文字で、前後に空白を置けません"
        ),
        "an API key's label has 1 to {longest} printable characters, and none of them is a blank at an end": (
            "API キーのラベルは 1～{longest} 文字の表示できる文字で、前後に空白を置けません"
        ),
        "an access key's label has 1 to {longest} printable characters, and none of them is a blank at an end": (
            "アクセスキーのラベルは 1～{longest} 文字の表示できる文字で、前後に空白を置けません"
        ),
        # accounts
        "there is no account {name!r}": "アカウント {name!r} はありません",
        "there is an account {name!r} already": "アカウント {name!r} はすでにあります",
        "a quota is at least 1": "上限は 1 以上です",
        # credentials
        "there is no credential {id}": "認証情報 {id} はありません",
        "the user name {name!r} stands for API keys": "ユーザー名 {name!r} は API キー用です",
        "the user name {name!r} belongs to another account": "ユーザー名 {name!r} は別のアカウントのものです",
        "the user name {name!r} has a password already": "ユーザー名 {name!r} にはすでにパスワードがあります",
        "the user name {name!r} is the one of an SMTP user": "ユーザー名 {name!r} は SMTP ユーザーのものです",
        "a password has {shortest} to {longest} characters": "パスワードは {shortest}～{longest} 文字です",
        "{scope!r} is no scope; there are {known}": "{scope!r} というスコープはありません。使えるもの: {known}",
        "{network!r} is no IP address and no network such as 192.0.2.0/24": (
            "{network!r} は IP アドレスでも、192.0.2.0/24 のようなネットワークでもありません"
        ),
        "{network!r} has bits beyond its prefix; is {meant} meant?": (
            "{network!r} はプレフィックスより後ろにビットがあります。{meant} のことですか"
        ),
        "there is no access key {name!r}": "アクセスキー {name!r} はありません",
        # the instance key
        "the instance key {path} cannot be read: {why}": "インスタンスキー {path} を読み取れません: {why}",
        "the instance key {path} is not {digits} hexadecimal digits": (
            "インスタンスキー {path} が {digits} 桁の 16 進数になっていません"
        ),
        "an instance key has {octets} octets": "インスタンスキーは {octets} オクテットです",
        "the secret was stored in a form that this version does not know": (
            "この秘密情報は、このバージョンでは扱えない形式で保存されています"
        ),
        "a secret cannot be decrypted; is this the instance key it was stored with?": (
            "秘密情報を復号できません。保存したときのインスタンスキーですか"
        ),
        # console users
        "a login is an e-mail address: {why}": "ログイン名はメールアドレスです: {why}",
        "there is a console user {login!r} already": "コンソールのユーザー {login!r} はすでにいます",
        "there is no console user {login!r}": "コンソールのユーザー {login!r} はいません",
        "{role!r} is no role; there are {known}": "{role!r} という役割はありません。使えるもの: {known}",
        "the first console user of an account is its owner: role owner": (
            "アカウントの最初のコンソールユーザーは所有者です: 役割 owner"
        ),
        "{login!r} is the last owner of the account; make somebody else an owner first": (
            "{login!r} はこのアカウントの最後の所有者です。先に別のユーザーを所有者にしてください"
        ),
        # quotas
        "the quota is used up; there is room again at {until}": "送信数の上限に達しました。{until} に空きます",
    }
)
