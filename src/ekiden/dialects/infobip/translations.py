"""What this dialect's errors say, in Japanese. Clients ask for it with ``Accept-Language: ja``.

The fixed texts of the envelopes are Infobip's and are not translated (``errors``).
"""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # fields
        "must not be null": "必須です",
        "must not be blank": "空にはできません",
        "the request has more than {most} values": "リクエストの値は {most} 個までです",
        "the body is nested deeper than {most}": "本文の入れ子は {most} 段までです",
        "there is no room for the request now; try again later": (
            "現在このリクエストを処理する余裕がありません。しばらくしてからもう一度お試しください"
        ),
        "must not have more than {most} placeholders": "差し込み項目は {most} 個までです",
        "must be in the body, never in the query": "クエリではなく本文で指定してください",
        "must be given once": "1 回だけ指定してください",
        "must be true or false": "true または false を指定してください",
        "must be a whole number": "整数を指定してください",
        "must be between {lowest} and {highest}": "{lowest} から {highest} までの値を指定してください",
        "size must be between {lowest} and {highest}": "長さは {lowest} から {highest} までです",
        "must not contain line breaks or control characters": "改行や制御文字を含めることはできません",
        "must not contain the character NUL": "NUL 文字を含めることはできません",
        "must be valid Unicode text": "正しい Unicode 文字列でなければなりません",
        "must be one of {known}": "{known} のいずれかを指定してください",
        "must be a well-formed email address": "正しいメールアドレスではありません",
        "must be a domain name": "ドメイン名を指定してください",
        "must be a http or https URL without user name and password": (
            "ユーザー名とパスワードを含まない http または https の URL を指定してください"
        ),
        "must be a time such as 2025-12-01T12:00:00.000Z": (
            "2025-12-01T12:00:00.000Z のような時刻を指定してください"
        ),
        "must not be more than {days} days ahead": "{days} 日より先の時刻は指定できません",
        "must be JSON: an object whose values are texts": "値が文字列である JSON オブジェクトを指定してください",
        "must be JSON of the form {form}": "{form} の形の JSON を指定してください",
        "header {name} cannot be set": "ヘッダー {name} は指定できません",
        "{name} is not the name of a header": "{name} はヘッダー名として使えません",
        "header {name} is given twice": "ヘッダー {name} が 2 回指定されています",
        "must not have more than {most} entries": "{most} 件を超えることはできません",
        "must be of another type: {why}": "型が違います: {why}",
        # bodies
        "the body is not complete": "本文が途中で終わっています",
        "the body is larger than {most} octets": "本文が {most} オクテットを超えています",
        "the body is not JSON: {why}": "本文が JSON ではありません: {why}",
        "the body must be JSON": "本文は JSON でなければなりません",
        "the body must be a form: multipart/form-data or application/x-www-form-urlencoded": (
            "本文はフォームでなければなりません (multipart/form-data または application/x-www-form-urlencoded)"
        ),
        "the body is no form as its Content-Type says: {why}": (
            "本文が Content-Type のとおりのフォームではありません: {why}"
        ),
        "the form has a field without a name": "名前のないフィールドがあります",
        "the form has a field with a long name": "名前の長すぎるフィールドがあります",
        "is no field of this request": "このリクエストにそのような項目はありません",
        "is no field of this request; did you mean {name}?": (
            "このリクエストにそのような項目はありません。{name} のつもりではありませんか"
        ),
        "is no field of this request; files are given as {names}": (
            "このリクエストにそのような項目はありません。ファイルの項目は {names} です"
        ),
        "must be a file with a name": "ファイル名のあるファイルを指定してください",
        "{name} cannot be the name of a file": "{name} はファイル名として使えません",
        "files of the type .{extension} are not accepted": "拡張子 .{extension} のファイルは受け付けられません",
        "there must not be more than {most} files": "ファイルは {most} 個までです",
        "the files must not have more than {most} octets together": ("ファイルの合計は {most} オクテットまでです"),
        "must not have more than {most} octets": "{most} オクテットを超えることはできません",
        "{charset} is not supported": "文字コード {charset} には対応していません",
        "must not be encoded as {encoding}": "{encoding} で符号化することはできません",
        "must be encoded in base64": "base64 で符号化してください",
        "must be at least an hour after {other}": "{other} より 1 時間以上後の時刻を指定してください",
        "must belong to the domain of the message's own author": (
            "メール自身の From と同じドメインのアドレスを指定してください"
        ),
        "must begin with a header": "ヘッダーで始まらなければなりません",
        "is not supported": "対応していません",
        # any request
        "the credential has no scope {scope}": "認証情報にスコープ {scope} がありません",
        "too many logins wait to be checked, try again later": (
            "確認待ちのログインが多すぎます。しばらくしてからやり直してください"
        ),
        "too many failed attempts, try again later": ("認証の失敗が多すぎます。しばらくしてからやり直してください"),
        "there is no such resource: {path}": "そのようなリソースはありません: {path}",
        "{method} is not possible here": "ここでは {method} を使えません",
        "the request cannot be understood: {why}": "リクエストを理解できません: {why}",
        "the server is busy; try again later": "サーバーが混み合っています。しばらくしてからやり直してください",
        "the database cannot be reached; try again later": (
            "データベースに接続できません。しばらくしてからやり直してください"
        ),
        # the door
        "the account is suspended": "アカウントは停止中です",
        "the credential is not valid any more": "認証情報が無効になっています",
        "must have at least one recipient": "宛先が 1 つ以上必要です",
        "there are more recipients than one message may have": "1 通のメールの宛先が多すぎます",
        "the message has {size} octets, more than the {most} that are allowed": (
            "メールは {size} オクテットあり、上限の {most} オクテットを超えています"
        ),
        "the header must not have more than {most} octets": "ヘッダーは {most} オクテット以内にしてください",
        "the header must not have more than {most} fields": "ヘッダーのフィールドは {most} 個以内にしてください",
        "a field of the header must not have more than {most} octets": (
            "ヘッダーのフィールド 1 つは {most} オクテット以内にしてください"
        ),
        "the messages of the request are too large together": "リクエスト全体のメールの合計が大きすぎます",
        "must not have more placeholders than can be filled": "差し込み項目が多すぎます",
        "must not have more links than can be tracked": "計測できるリンクの数を超えています",
        "attachments are not accepted from this account": "このアカウントからの添付ファイルは受け付けられません",
        "the account has sent as much as it may for now; try again after {time}": (
            "アカウントの送信上限に達しました。{time} 以降にもう一度お試しください"
        ),
        "the time to deliver the message in is over already": "配信期限を過ぎています",
        "the message has passed too many servers": "メールが経由したサーバーが多すぎます",
        "must be an address that the account may send from: {why}": (
            "アカウントが送信に使えるアドレスを指定してください: {why}"
        ),
        "the message is refused: {why}": "メールは拒否されました: {why}",
        "the message could not be stored, try again later": (
            "メールを保存できませんでした。しばらくしてからやり直してください"
        ),
    }
)
