"""Texts about SPF in English and Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # spf_errors, spf_macro, spf_record: syntax
        "{term} (character {position}): {problem}": "{term}（{position} 文字目）：{problem}",
        "a domain name is missing": "ドメイン名がありません",
        "{name} is an address; write ip4:{name}": "{name} はアドレスです。ip4:{name} と書いてください",
        "{name} is not a domain name with at least two labels": (
            "{name} は 2 つ以上のラベルからなるドメイン名ではありません"
        ),
        "the character {char} is not allowed": "文字 {char} は使えません",
        "{macro} is not a macro; a percent sign is written %%": (
            "{macro} はマクロではありません。パーセント記号は %% と書きます"
        ),
        "the macro {macro} is only allowed in the text of an explanation": (
            "マクロ {macro} は説明文の中でだけ使えます"
        ),
        "there is no macro {macro}": "マクロ {macro} はありません",
        "the number in {macro} must not be zero": "{macro} の中の数はゼロにできません",
        "an SPF record begins with v=spf1 and a blank": "SPF レコードは v=spf1 と空白で始まります",
        "an SPF record must not have more than {most} characters": (
            "SPF レコードは {most} 文字以内でなければなりません"
        ),
        "only ASCII is allowed; other names are written as A-labels": (
            "使えるのは ASCII だけです。それ以外の名前は A ラベルで書きます"
        ),
        "{name}= may stand only once in a record": "{name}= は 1 つのレコードに 1 回だけ書けます",
        "nothing may follow all": "all の後には何も書けません",
        "{rest} is not a prefix length that {name} can have": (
            "{rest} は {name} に付けられるプレフィックス長ではありません"
        ),
        "{name} needs a domain name, as in {name}:example.com": (
            "{name} には {name}:example.com のようにドメイン名が必要です"
        ),
        "{name} needs an address, as in {example}": "{name} には {example} のようにアドレスが必要です",
        "{prefix} is not a prefix length from 0 to {longest}": (
            "{prefix} は 0 から {longest} までのプレフィックス長ではありません"
        ),
        "{address} is not an {kind} address": "{address} は {kind} アドレスではありません",
        "terms are separated by blanks, not by commas": "項目はコンマではなく空白で区切ります",
        "redirect and exp are modifiers: no qualifier, and = before the domain": (
            "redirect と exp は修飾子です。限定子は付けず、ドメインの前には = を書きます"
        ),
        "an address is written ip4:{name}": "アドレスは ip4:{name} と書きます",
        "there is no mechanism {name}; {meant} is meant": "機構 {name} はありません。{meant} のことでしょう",
        "after a mechanism stands a colon, not an equals sign": "機構の後に書くのは等号ではなくコロンです",
        "there is no mechanism {name}": "機構 {name} はありません",
        # spf: results
        "{domain} permits {ip} to send: {mechanism}": "{domain} は {ip} からの送信を許可しています：{mechanism}",
        "{domain} forbids {ip} to send: {mechanism}": "{domain} は {ip} からの送信を禁止しています：{mechanism}",
        "{domain} does not expect {ip} to send: {mechanism}": (
            "{domain} は {ip} からの送信を想定していません：{mechanism}"
        ),
        "{domain} says neither yes nor no about {ip}: {mechanism}": (
            "{domain} は {ip} について可否を示していません：{mechanism}"
        ),
        "no mechanism in the SPF record of {domain} matches {ip}": (
            "{domain} の SPF レコードに {ip} と一致する機構がありません"
        ),
        "{domain} is not a domain name that can have an SPF record": (
            "{domain} は SPF レコードを持てるドメイン名ではありません"
        ),
        "{domain} has no SPF record": "{domain} に SPF レコードがありません",
        "{domain} has {count} SPF records; only one is allowed": (
            "{domain} に SPF レコードが {count} 個あります。1 つだけが許されます"
        ),
        "the SPF record of {domain} is not valid: {problem}": (
            "{domain} の SPF レコードが正しくありません：{problem}"
        ),
        "more than {limit} terms ask the DNS; {domain} goes over the limit with {term}": (
            "DNS を引く項目が {limit} 個を超えています。{domain} の {term} で上限を超えました"
        ),
        "more than {limit} DNS lookups found nothing; {domain} goes over the limit with {term}": (
            "結果のない DNS 検索が {limit} 回を超えました。{domain} の {term} で上限を超えました"
        ),
        "{name} has {count} MX hosts; {term} of {domain} may look at {limit}": (
            "{name} に MX ホストが {count} 個あります。{domain} の {term} で調べられるのは {limit} 個までです"
        ),
        "{domain} includes {name}, which has no SPF record": (
            "{domain} が参照する {name} に SPF レコードがありません"
        ),
        "{domain} redirects to {name}, which has no SPF record": (
            "{domain} の転送先 {name} に SPF レコードがありません"
        ),
        "the DNS failed while {domain} was looked at: {problem}": (
            "{domain} を調べる間に DNS の応答がありませんでした：{problem}"
        ),
    }
)
