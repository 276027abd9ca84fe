"""What this dialect's errors say, in Japanese. Clients ask for it with ``Accept-Language: ja``."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # any request
        "there is no such resource: {path}": "そのようなリソースはありません: {path}",
        "{method} is not possible here": "ここでは {method} を使えません",
        "the body must be JSON, with Content-Type: application/json": (
            "本文は JSON でなければなりません (Content-Type: application/json)"
        ),
        "the body is encoded in a way that is not known: {encoding}": (
            "未知の方法で符号化された本文です: {encoding}"
        ),
        "the body is not what its Content-Encoding says": "本文が Content-Encoding のとおりではありません",
        "the body is not complete": "本文が途中で終わっています",
        "the request has more than {most} values": "リクエストの値は {most} 個までです",
        "the body is nested deeper than {most}": "本文の入れ子は {most} 段までです",
        "there is no room for the request now; try again later": (
            "現在このリクエストを処理する余裕がありません。しばらくしてからもう一度お試しください"
        ),
        "the request is too large: {most} octets are the most": (
            "本文が大きすぎます。上限は {most} オクテットです"
        ),
        "the body is not JSON: {why}": "本文が JSON ではありません: {why}",
        "the body does not have the expected form: {why}": "本文の形が正しくありません: {why}",
        "the request cannot be understood: {why}": "リクエストを理解できません: {why}",
        "something went wrong here; the log has it under this trace": (
            "Ekiden で問題が起きました。ログにはこの trace で記録されています"
        ),
        "the server is busy; try again later": "サーバーが混み合っています。しばらくしてからやり直してください",
        "too many requests, try again later": "リクエストが多すぎます。しばらくしてからやり直してください",
        "the database cannot be reached; try again later": (
            "データベースに接続できません。しばらくしてからやり直してください"
        ),
        "the query needs {name}": "クエリに {name} が必要です",
        "{name} in the query has up to {longest} printable characters": (
            "クエリの {name} は {longest} 文字までの表示できる文字です"
        ),
        "{name} in the query is a whole number from {lowest} to {highest}": (
            "クエリの {name} は {lowest} から {highest} までの整数です"
        ),
        "{name} in the query is a time such as 2026-01-02T03:04:05Z": (
            "クエリの {name} は 2026-01-02T03:04:05Z のような時刻です"
        ),
        "gte in the query is later than lte": "クエリの gte が lte より後です",
        # who asks
        "a bearer token is needed: POST /identity/token gives one": (
            "ベアラートークンが必要です。POST /identity/token で取得できます"
        ),
        "the token is not valid, or has expired, or its API key was revoked": (
            "トークンが無効か、期限切れか、API キーが失効しています"
        ),
        "the account is suspended": "アカウントは停止中です",
        "the API key may not do this: it has no scope {scope!r}": (
            "この API キーには許されていません: スコープ {scope!r} がありません"
        ),
        "the API key may not be used from this address": "この API キーはこのアドレスからは使えません",
        "an access rule refuses requests from this address": (
            "アクセスルールがこのアドレスからの要求を拒否しました"
        ),
        # tokens
        "the body must be a form, with Content-Type: application/x-www-form-urlencoded": (
            "本文はフォームでなければなりません (Content-Type: application/x-www-form-urlencoded)"
        ),
        "the body is not a form": "本文がフォームではありません",
        "the form needs grant_type {wanted}": "フォームには grant_type {wanted} が必要です",
        "the form needs apikey": "フォームには apikey が必要です",
        "too many logins wait to be checked, try again later": (
            "確認待ちのログインが多すぎます。しばらくしてからやり直してください"
        ),
        "too many failed attempts, try again later": ("失敗が続いています。しばらくしてからやり直してください"),
        "Provided API key could not be found.": "API キーが見つかりません。",
        # instances
        "there is no instance {id!r}": "インスタンス {id!r} はありません",
        "type in the query names any of {known}, with commas between": (
            "クエリの type は {known} のいくつかをコンマで区切ったものです"
        ),
        "allowed subnets are not honoured any more: use access rules": (
            "許可サブネットはもう使われません。アクセスルールを使ってください"
        ),
        "{name}: only mail submitted over SMTP is measured here": (
            "{name}: ここで計測するのは SMTP で送信されたメールだけです"
        ),
        "there is no message {id!r} of this instance": "このインスタンスにメール {id!r} はありません",
    }
)
