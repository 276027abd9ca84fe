"""What is said about a wrong configuration, in Japanese (the English stands where it is said)."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "{source} cannot be used:": "{source} は使えません:",
        "there is no configuration; make one with: ekiden init (or name it with --config FILE)": (
            "設定ファイルがありません。ekiden init で作成してください (または --config ファイル で指定)"
        ),
        "{path} cannot be read: {why}": "{path} を読めません: {why}",
        "{error}": "{error}",
        "{value} is not a table": "{value} はテーブルではありません",
        "unknown key; did you mean {guess}?": "不明なキーです。{guess} のことですか?",
        "unknown key; allowed are {allowed}": "不明なキーです。使えるのは {allowed} です",
        "is missing": "必要な値がありません",
        "must not be empty": "空にはできません",
        "{value} is not a duration; allowed are texts such as {examples}, or seconds": (
            "{value} は時間の長さではありません。{examples} のような文字列か秒数で書いてください"
        ),
        "{value} is not allowed; allowed are {allowed}": "{value} は使えません。使えるのは {allowed} です",
        "{value} is not a list, which is written as [{value}]": (
            "{value} はリストではありません。リストは [{value}] のように書きます"
        ),
        "{value} is not a text": "{value} は文字列ではありません",
        "{value} is not a whole number": "{value} は整数ではありません",
        "{value} is not a number": "{value} は数値ではありません",
        "{value} is not allowed here": "{value} はここでは使えません",
        "{value} is too small; the least allowed is {bound}": "{value} は小さすぎます。最小値は {bound} です",
        "{value} is too large; the most allowed is {bound}": "{value} は大きすぎます。最大値は {bound} です",
        "there are only {count} entries before it": "その前の要素は {count} 個しかありません",
        "there is no such setting": "そのような設定はありません",
        "{value} is not a domain name": "{value} はドメイン名ではありません",
        "must be at least as long as delivery.expire_after ({bound})": (
            "delivery.expire_after ({bound}) 以上でなければなりません"
        ),
        'a path follows sqlite:///, as in "sqlite:///ekiden.db"': (
            'sqlite:/// の後にはパスを書きます (例: "sqlite:///ekiden.db")'
        ),
        "{value} is not an address to listen on; allowed are texts such as {examples}": (
            "{value} は待ち受けアドレスではありません。{examples} のように書いてください"
        ),
        "{value} is not a network; allowed are texts such as {examples}": (
            "{value} はネットワークではありません。{examples} のように書いてください"
        ),
        "{value} is not an address of a next hop; allowed are texts such as {examples}": (
            "{value} は配信先のアドレスではありません。{examples} のように書いてください"
        ),
        "{value} is not an IP address": "{value} は IP アドレスではありません",
        "{value} is a second address of its family; one IPv4 and one IPv6 address are allowed": (
            "{value} は同じ種類の 2 つ目のアドレスです。IPv4 と IPv6 を 1 つずつまで指定できます"
        ),
        "{value} is not used: delivery.ipv6 is false": (
            "{value} は使われません。delivery.ipv6 が false です。どちらかを変更してください"
        ),
        "{value} is already used by {other}": "{value} は {other} ですでに使われています",
        "{value} is the name of another listener": "{value} は別のリスナーの名前です",
        "{value} is not allowed: only loopback and private networks can be trusted without AUTH": (
            "{value} は使えません。AUTH なしで信頼できるのはループバックとプライベートネットワークだけです"
        ),
        "{value} is not allowed: with lab.enabled everything stays on loopback": (
            "{value} は使えません。lab.enabled のときはループバックの外に出られません"
        ),
        "is missing: whose mail is it that comes from trusted_networks?": (
            "必要な値がありません。trusted_networks から届くメールはどのアカウントのものですか?"
        ),
        "is missing: trusted_account has no meaning without it": (
            "必要な値がありません。これがないと trusted_account は意味を持ちません"
        ),
        '"plain" is allowed only together with trusted_networks: AUTH exists only inside TLS': (
            '"plain" は trusted_networks と一緒にだけ使えます。AUTH は TLS の中でしか使えません'
        ),
        "is missing: mode {mode} needs at least one": "必要な値がありません。mode {mode} では一つ以上必要です",
    }
)
