"""Texts about DMARC in English and Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # dmarc_record
        "a DMARC record begins with v=DMARC1 and a semicolon": "DMARC レコードは v=DMARC1 とセミコロンで始まります",
        # dmarc
        "SPF or DKIM passed for a domain that belongs to {domain}": (
            "{domain} に属するドメインについて SPF または DKIM が合格しました"
        ),
        "neither SPF nor DKIM passed for a domain that belongs to {domain}, which asks for: {policy}": (
            "{domain} に属するドメインについて SPF も DKIM も合格しませんでした。ドメインが求める処置：{policy}"
        ),
        "no DMARC record applies to {domain}": "{domain} に適用される DMARC レコードがありません",
        "{domain} has several DMARC records, so none of them counts": (
            "{domain} に DMARC レコードが複数あるため、どれも無効です"
        ),
        "the DMARC record for {domain} has no valid policy and no address for reports": (
            "{domain} の DMARC レコードに有効なポリシーもレポートの宛先もありません"
        ),
        "{domain} is not a domain name": "{domain} はドメイン名ではありません",
        "the DNS failed when asked about DMARC for {domain}: {problem}": (
            "{domain} の DMARC について DNS の応答がありませんでした：{problem}"
        ),
        # dmarc_advice
        "There is no DMARC record. Publish one, for example: v=DMARC1; p=none; rua=mailto:{mailbox}": (
            "DMARC レコードがありません。公開してください。例：v=DMARC1; p=none; rua=mailto:{mailbox}"
        ),
        "There are several DMARC records; receivers ignore all of them. Keep one.": (
            "DMARC レコードが複数あり、受信側ではすべて無視されます。1 つだけ残してください。"
        ),
        "The record has no valid policy (p). Without one, receivers act as if there were p=none at best.": (
            "レコードに有効なポリシー（p）がありません。受信側ではせいぜい p=none として扱われます。"
        ),
        "The policy is none: forged mail is delivered. Once reports are clean, go on to quarantine or reject.": (
            "ポリシーが none のため、なりすましメールも配信されます。"
            "レポートに問題がなくなったら quarantine か reject に進んでください。"
        ),
        "Subdomains have a weaker policy (sp={value}) than the domain (p={policy}).": (
            "サブドメインのポリシー（sp={value}）がドメインのポリシー（p={policy}）より緩くなっています。"
        ),
        "Names that do not exist have a weaker policy (np={value}) than the domain (p={policy}).": (
            "存在しない名前のポリシー（np={value}）がドメインのポリシー（p={policy}）より緩くなっています。"
        ),
        "The record is a test (t=y): receivers do one level less than the policy says.": (
            "テスト中のレコードです（t=y）。受信側の処置はポリシーより 1 段階緩くなります。"
        ),
        "By RFC 7489 the policy is for {value} % of the mail (pct); RFC 9989 only knows t=y, for tests.": (
            "RFC 7489 ではポリシーの対象はメールの {value} % です（pct）。"
            "RFC 9989 にあるのはテスト用の t=y だけです。"
        ),
        "Nobody gets aggregate reports (rua), so faults and forgeries go unnoticed.": (
            "集計レポート（rua）の宛先がないため、不具合やなりすましに気付けません。"
        ),
        "Reports go to {value}. Its owner, if that is not you, must publish the TXT record {name}: v=DMARC1": (
            "レポートの宛先は {value} です。ご自身のドメインでない場合は、"
            "その所有者が TXT レコード {name}（値は v=DMARC1）を公開する必要があります。"
        ),
        "fo has no effect without an address for failure reports (ruf).": (
            "失敗レポートの宛先（ruf）がないと fo は効果がありません。"
        ),
        "The record says that the domain is a public suffix (psd=y); only registries publish that.": (
            "レコードがこのドメインをパブリックサフィックスとしています（psd=y）。公開するのはレジストリだけです。"
        ),
        "This part is not tag=value and has no effect: {value}": (
            "この部分は「タグ=値」の形ではないため効果がありません：{value}"
        ),
        "The tag {tag} stands more than once; {tag}={value} has no effect.": (
            "タグ {tag} が複数あります。{tag}={value} は効果がありません。"
        ),
        "There is no tag {tag}; it has no effect.": "タグ {tag} は定義されていないため効果がありません。",
        "The tag {tag} belongs to RFC 7489; RFC 9989 no longer has it.": (
            "タグ {tag} は RFC 7489 のもので、RFC 9989 にはありません。"
        ),
        "{tag} cannot be {value}; this has no effect.": "{tag} の値に {value} は使えないため、効果がありません。",
        "The size limit in {tag}={value} belongs to RFC 7489; receivers ignore it.": (
            "{tag}={value} のサイズ制限は RFC 7489 のもので、受信側では無視されます。"
        ),
    }
)
