"""What can be wrong with network zones and rules, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # zones
        "there is a zone {name!r} already": "ゾーン {name!r} はすでにあります",
        "there is no zone {zone!r}": "ゾーン {zone!r} はありません",
        "zone {zone} is named by rules: {rules}": "ゾーン {zone} はルールで使われています: {rules}",
        "an account has at most {limit} zones": "一つのアカウントのゾーンは {limit} 個までです",
        "the zones of an account have at most {limit} addresses together": (
            "一つのアカウントのゾーンのアドレスは合わせて {limit} 個までです"
        ),
        "{id} was changed in the meantime: its version is another one": (
            "{id} はその間に変更され、バージョンが異なります"
        ),
        "{field}: {value!r} is no field to sort by": "{field}: {value!r} では並べ替えられません",
        "{field}: 1 to 128 letters, digits, blanks, hyphens and underscores": (
            "{field}: 英数字、空白、ハイフン、下線の 1～128 文字で指定してください"
        ),
        "{field}: at most 300 characters of Latin-1": "{field}: Latin-1 の 300 文字までです",
        "{field}: only addresses, ranges and subnets can be excluded": (
            "{field}: 除外できるのはアドレス、範囲、サブネットだけです"
        ),
        "{field}: at most {limit}": "{field}: {limit} 個までです",
        "{field}: this is needed": "{field}: 必須です",
        "{field}: not for this type": "{field}: この種類では使えません",
        "{field}: 1 to 128 printable characters of ASCII, no blanks": (
            "{field}: 空白を除く ASCII の 1～128 文字で指定してください"
        ),
        "{field}: {value!r} is no IP address": "{field}: {value!r} は IP アドレスではありません",
        "{field}: {value!r} is no range of IP addresses, first-last": (
            "{field}: {value!r} は IP アドレスの範囲 (最初-最後) ではありません"
        ),
        "{field}: {value!r} is no subnet, address/length": (
            "{field}: {value!r} はサブネット (アドレス/長さ) ではありません"
        ),
        "{field}: {value!r} is no CRN": "{field}: {value!r} は CRN ではありません",
        # rules
        "there is no rule {rule!r}": "ルール {rule!r} はありません",
        "an account has at most {limit} rules": "一つのアカウントのルールは {limit} 個までです",
        "an account has at most {limit} rules with tags": "一つのアカウントのタグ付きルールは {limit} 個までです",
        "the rules of an account have at most {limit} conditions together": (
            "一つのアカウントのルールの条件は合わせて {limit} 個までです"
        ),
        "{field}: ids of zones, separated by commas": "{field}: ゾーンの ID をコンマ区切りで指定してください",
        "{field}: {value!r} is none of {allowed}": "{field}: {value!r} は使えません。使えるのは {allowed} です",
        "{field}: {value!r} is there twice": "{field}: {value!r} が重複しています",
        "{field}: the attribute {name} is needed": "{field}: 属性 {name} が必要です",
        "{field}: 1 to 128 letters, digits, underscores, points and hyphens": (
            "{field}: 英数字、下線、ピリオド、ハイフンの 1～128 文字で指定してください"
        ),
        "{field}: 1 to 1000 printable characters of ASCII": "{field}: ASCII の 1～1000 文字で指定してください",
        "{field}: rules do not protect the service {service!r}": (
            "{field}: サービス {service!r} はルールの対象になりません"
        ),
        "{field}: {service} has no API type {value!r}": "{field}: {service} に API タイプ {value!r} はありません",
        "{field}: {value!r} is not supported for {api_type}": "{field}: {api_type} に {value!r} は使えません",
        "{field}: there is no zone {zones}": "{field}: ゾーン {zones} はありません",
        "{field}: the resource belongs to another account": "{field}: リソースが別のアカウントのものです",
    }
)
