"""What changes to domains say when they are refused, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "{name} is not a domain name: {why}": "{name} はドメイン名ではありません: {why}",
        "{name} is an address, not a domain": "{name} はドメインではなくアドレスです",
        "{name} is not a domain that mail can come from: it needs at least two labels": (
            "{name} は送信元のドメインにできません。少なくとも 2 つのラベルが必要です"
        ),
        "{name} is not a domain that mail can come from: it has an underscore": (
            "{name} は送信元のドメインにできません。アンダースコアが含まれています"
        ),
        "{name} is too long: a domain with DKIM records has at most {longest} characters": (
            "{name} は長すぎます。DKIM レコードを持つドメインは {longest} 文字までです"
        ),
        "the account has the domain {name} already": "アカウントには既にドメイン {name} があります",
        "there is no domain {name}": "ドメイン {name} はありません",
        "the domain {name} is used by an SMTP configuration; remove that first": (
            "ドメイン {name} は SMTP 構成で使われています。先に構成を削除してください"
        ),
        "{name} is not a host name: {why}": "{name} はホスト名ではありません: {why}",
        "{name} is an address; the links need a host name": ("{name} はアドレスです。リンクにはホスト名が必要です"),
        "{name} is not the name of a host on the Internet": "{name} はインターネットのホスト名ではありません",
        "{address} is not an e-mail address: {why}": "{address} はメールアドレスではありません: {why}",
        "{address}: the part before the @ of a return path is ASCII": (
            "{address}: リターンパスの @ より前は ASCII だけです"
        ),
        "{address} is not at {domain} or another domain of the account": (
            "{address} は {domain} やアカウントの他のドメインのアドレスではありません"
        ),
        "{question}: there is no such question": "{question}: そのような質問はありません",
        "{question}: an answer is missing": "{question}: 回答がありません",
        "{question}: the answer is a text": "{question}: 回答は文字列です",
        "{question}: the answer is one of {allowed}": "{question}: 回答は {allowed} のどれかです",
        "{question}: the answer is yes or no (true or false)": (
            "{question}: 回答は「はい」か「いいえ」(true か false) です"
        ),
        "{question}: an answer has at most {longest} characters": "{question}: 回答は {longest} 文字までです",
        "{question}: {value} is not the URL of a website": (
            "{question}: {value} はウェブサイトの URL ではありません"
        ),
        "{question}: one to {most} e-mail addresses are wanted": (
            "{question}: メールアドレスを 1 件から {most} 件指定してください"
        ),
        "{question}: {value} is not an e-mail address": "{question}: {value} はメールアドレスではありません",
        "{question}: this has to be affirmed": "{question}: 同意が必要です",
        "{question}: there may be {most} files": "{question}: ファイルは {most} 個までです",
        "{question}: the files may have {most} octets together": (
            "{question}: ファイルの合計は {most} オクテットまでです"
        ),
        "{question}: {value} is not the name of a file": "{question}: {value} はファイル名ではありません",
        "a refusal needs a reason": "拒否には理由が必要です",
    }
)
