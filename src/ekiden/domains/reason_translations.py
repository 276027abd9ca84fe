"""Why a domain is not verified, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "everything is right": "すべて正しく設定されています",
        "the record is right": "レコードは正しく設定されています",
        "not checked yet": "まだ確認されていません",
        "it was not checked yet": "まだ確認されていません",
        "publish the records, then ask for a check": "レコードを公開してから、確認を依頼してください",
        "a record is missing": "レコードがありません",
        "there is no such {type} record at {name}": "{name} に {type} レコードがありません",
        "publish it as shown; a change can take up to 72 hours to be seen everywhere": (
            "表示どおりに公開してください。変更が行き渡るまで最大 72 時間かかることがあります"
        ),
        "a record is at a wrong name": "レコードの名前が違います",
        "the record is at {found}, not at {name}": "レコードが {name} ではなく {found} にあります",
        "move it to {name}; many DNS services add the domain to what is typed by themselves": (
            "{name} に移してください。多くの DNS サービスは入力した名前にドメインを自動で付け足します"
        ),
        "a record has characters that do not belong to it": "レコードに余分な文字が入っています",
        "the record at {name} has characters that do not belong to it, and is not read as it was meant: {found}": (
            "{name} のレコードに余分な文字が入っているため、意図したとおりに読まれません: {found}"
        ),
        "publish it without {remove}: {suggestion}": "{remove}を除いて公開してください: {suggestion}",
        "a record is not read as SPF": "SPF として読めないレコードがあります",
        "the record at {name} is not an SPF record: {found}": (
            "{name} のレコードは SPF レコードではありません: {found}"
        ),
        "it has to begin with v=spf1 and a blank; change it to: {suggestion}": (
            "v=spf1 と空白で始めてください。次のように変更してください: {suggestion}"
        ),
        "the DKIM record is in pieces": "DKIM レコードが分割されています",
        "the record at {name} is published as {count} records, each with a piece of it": (
            "{name} のレコードが {count} 個のレコードに分けて公開されています"
        ),
        "publish it as one record; a DNS service divides a long text by itself": (
            "1 つのレコードとして公開してください。長いテキストの分割は DNS サービスが自動で行います"
        ),
        "there are several records where one is allowed": "1 つだけのはずのレコードが複数あります",
        "there are {count} records at {name}, and only one is allowed": (
            "{name} にレコードが {count} 個あります。1 つだけが許されます"
        ),
        "leave one of them": "1 つだけ残してください",
        "the SPF record does not include us": "SPF レコードが Ekiden のサーバーを含んでいません",
        "the SPF record does not permit our address {address}: it does not have include:{include}": (
            "SPF レコードが送信元アドレス {address} を許可していません。include:{include} がありません"
        ),
        "change the record to: {suggestion}": "レコードを次のように変更してください: {suggestion}",
        "the SPF record permits our addresses, but does not include us": (
            "SPF レコードは送信元アドレスを許可していますが、include がありません"
        ),
        "the record permits our addresses without include:{include}, so it has to be changed whenever they do": (
            "include:{include} なしで送信元アドレスを許可しているため、アドレスが変わるたびに変更が必要です"
        ),
        "SPF does not pass for one of our addresses": "送信元アドレスの一つで SPF が pass になりません",
        "SPF for our address {address} says {word}: {problem}": (
            "送信元アドレス {address} の SPF の結果は {word} です: {problem}"
        ),
        "put include:{include} before the term that decides, and without a sign before it": (
            "include:{include} を、結果を決めている項目より前に、記号を付けずに置いてください"
        ),
        "the SPF record refers to a domain without SPF record": (
            "SPF レコードが、SPF レコードのないドメインを参照しています"
        ),
        "{problem}": "{problem}",
        "take that term out of the record: receivers treat the whole record as broken": (
            "その項目をレコードから外してください。受信側はレコード全体を無効と見なします"
        ),
        "the SPF record needs too many DNS lookups": "SPF レコードの評価に必要な DNS 検索が多すぎます",
        "take out terms that ask the DNS (10 are allowed, RFC 7208 4.6.4), or replace them by ip4: and ip6:": (
            "DNS を引く項目を減らすか (10 個まで、RFC 7208 4.6.4 節)、ip4: や ip6: に置き換えてください"
        ),
        "a record is not valid": "レコードの書き方が正しくありません",
        "publish the record exactly as shown": "レコードを表示どおり正確に公開してください",
        "the DKIM record has another key": "DKIM レコードの鍵が異なります",
        "the record at {name} has another key than the one we sign with": (
            "{name} のレコードの鍵が、署名に使う鍵と異なります"
        ),
        "replace it by the one shown; see whether it was cut off or had characters added": (
            "表示されているものに置き換えてください。途中で切れたり余分な文字が入ったりしていないか確かめてください"
        ),
        "the DKIM record revokes the key": "DKIM レコードが鍵を失効させています",
        "the record at {name} revokes the key: its p= is empty": (
            "{name} のレコードは p= が空で、鍵が失効しています"
        ),
        "publish the record as shown": "レコードを表示どおりに公開してください",
        "the DKIM record is for another type of key": "DKIM レコードの鍵の種類が異なります",
        "the DKIM record does not allow the key for e-mail": "DKIM レコードがメールでの鍵の使用を許していません",
        "the DKIM record says that the domain is testing": "DKIM レコードがテスト中になっています",
        "the record has t=y: some receivers then act as if there were no signature": (
            "レコードに t=y があります。署名がないものとして扱う受信側があります"
        ),
        "take t=y out of the record": "レコードから t=y を外してください",
        "the domain has no address record": "ドメインにアドレスレコードがありません",
        "{name} has no A or AAAA record": "{name} に A レコードも AAAA レコードもありません",
        "publish an A record for {name}, such as that of its website": (
            "{name} の A レコード (ウェブサイトのものなど) を公開してください"
        ),
        "the DNS gave no answer": "DNS の応答がありませんでした",
        "a question to the DNS failed: {problem}": "DNS への問い合わせに失敗しました: {problem}",
        "see whether the domain's name servers work; the check is repeated": (
            "ドメインのネームサーバーが動いているか確かめてください。確認は繰り返されます"
        ),
        "the platform's own SPF record is not right": "送信側の SPF レコードが正しくありません",
        "it cannot be checked because of the platform's own record {include}: {problem}": (
            "送信側のレコード {include} に問題があるため確認できません: {problem}"
        ),
        "nothing is to be done at your domain; tell the operator of this platform (ekiden doctor)": (
            "ドメイン側ですることはありません。運用担当者に知らせてください (ekiden doctor)"
        ),
        "no outgoing address is known": "送信元アドレスが分かりません",
        "an administrator has not approved it yet": "管理者の承認を待っています",
        "an administrator has not approved the domain yet": "管理者がまだドメインを承認していません",
        "answer the questionnaire, and wait for the approval": "質問票に回答し、承認をお待ちください",
        "an administrator refused it": "管理者が拒否しました",
        "an administrator refused the domain: {problem}": "管理者がドメインを拒否しました: {problem}",
        "answer the questionnaire again, in the sense of what was said": (
            "指摘を踏まえて、質問票にもう一度回答してください"
        ),
        "there is no DMARC record": "DMARC レコードがありません",
        "no DMARC record applies to the domain": "ドメインに適用される DMARC レコードがありません",
        "publish the one shown; large receivers demand one": (
            "表示されているレコードを公開してください。大手の受信側は DMARC を必須としています"
        ),
        "there are several DMARC records": "DMARC レコードが複数あります",
        "there are several DMARC records at {name}, so none of them counts": (
            "{name} に DMARC レコードが複数あるため、どれも有効になりません"
        ),
        "the DMARC record can be better": "DMARC レコードに改善の余地があります",
    }
)
