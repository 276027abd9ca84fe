"""What DKIM says to people, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # Signing
        "the message has no From field and cannot be signed": (
            "メッセージに From フィールドがないため、署名できません"
        ),
        "the key does not fit the algorithm {algorithm}": "鍵がアルゴリズム {algorithm} に合いません",
        "{domain!r} is not a domain in lower-case A-labels": (
            "{domain!r} は小文字の A ラベルのドメインではありません"
        ),
        "{selector!r} is not a selector": "{selector!r} はセレクターとして使えません",
        "a signature cannot expire before it is made": "署名の有効期限を署名時刻より前にすることはできません",
        "the identity {identity!r} does not belong to {domain}": (
            "識別子 {identity!r} は {domain} のものではありません"
        ),
        # Keys
        "this is not a private key in DER": "DER 形式の秘密鍵ではありません",
        "DKIM uses RSA and Ed25519 keys only": "DKIM で使えるのは RSA と Ed25519 の鍵だけです",
        "an RSA key of {bits} bits is not usable for DKIM": "{bits} ビットの RSA 鍵は DKIM では使えません",
        # Tag lists and key records
        "{part!r} is not a tag with a value": "{part!r} は「タグ=値」の形ではありません",
        "the tag {tag}= is there twice": "タグ {tag}= が 2 回あります",
        "{part!r} is not base64": "{part!r} は base64 ではありません",
        "the record does not begin with v=DKIM1": "レコードが v=DKIM1 で始まっていません",
        "the record has no p= with a key": "レコードに鍵 (p=) がありません",
        "the key type k={kind} is not known": "鍵の種類 k={kind} は未知のものです",
        "p= is not base64": "p= の値が base64 ではありません",
        "p= is not an Ed25519 key of 32 octets": "p= の値が 32 オクテットの Ed25519 鍵ではありません",
        "p= is not an RSA key": "p= の値が RSA 鍵ではありません",
        # What is published, against our own key
        "there is no TXT record with the key": "鍵の TXT レコードがありません",
        "there are {count} TXT records; only one is allowed": (
            "TXT レコードが {count} 個あります。1 個だけにしてください"
        ),
        "the record revokes the key: its p= is empty": "レコードの p= が空で、鍵が失効しています",
        "the record is for {found} keys (k=), our key is of type {wanted}": (
            "レコードの鍵の種類 (k=) は {found} ですが、署名に使う鍵は {wanted} です"
        ),
        "the record has another key than the one we sign with": "レコードの鍵が、署名に使う鍵と異なります",
        "the record does not allow the key for e-mail (s=)": "レコードがメールでの鍵の使用 (s=) を許していません",
        "the record does not allow the hash sha256 (h=)": "レコードがハッシュ sha256 (h=) を許していません",
        "the record has our key": "レコードの鍵は署名に使う鍵と一致します",
        # Verifying
        "the signature is right": "署名は正しいものです",
        "only {count} signatures are looked at": "検証する署名は {count} 個までです",
        "signatures of more than {count} fields are not looked at": (
            "{count} 個を超えるフィールドの署名は検証しません"
        ),
        "the signature has no {tag}=": "署名に {tag}= がありません",
        "the signature is of another version than 1": "署名のバージョンが 1 ではありません",
        "the identity (i=) does not belong to the domain (d=)": "識別子 (i=) がドメイン (d=) のものではありません",
        "the canonical form (c=) is not known": "正規化の方法 (c=) が未知のものです",
        "the key is to be asked for in a way (q=) that is not known": "鍵の問い合わせ方法 (q=) が未知のものです",
        "the list of fields (h=) is not right": "フィールドの一覧 (h=) が正しくありません",
        "the value of {tag}= is not a domain name": "{tag}= の値がドメイン名ではありません",
        "the value of {tag}= is not a number": "{tag}= の値が数値ではありません",
        "rsa-sha1 is not accepted any more": "rsa-sha1 はもう受け付けられません",
        "the algorithm (a=) is not known": "アルゴリズム (a=) が未知のものです",
        "the signature does not cover From": "署名が From を対象にしていません",
        "the signature expires (x=) before it was made (t=)": "署名の有効期限 (x=) が署名時刻 (t=) より前です",
        "the signature has expired": "署名の有効期限が切れています",
        "the body is shorter than what was signed (l=)": "本文が、署名された長さ (l=) より短くなっています",
        "the body is not the one that was signed": "本文が署名されたものと異なります",
        "the DNS gave no answer for {name}": "{name} について DNS の応答がありません",
        "there is no key at {name}": "{name} に鍵がありません",
        "the message has a From that the signature does not cover": (
            "署名の対象ではない From がメッセージにあります"
        ),
        "an RSA key of {bits} bits is not accepted": "{bits} ビットの RSA 鍵は受け付けられません",
        "header or signature are not what was signed": "ヘッダーまたは署名が、署名されたものと異なります",
        "the key was revoked": "鍵は失効しています",
        "the key is not of the type that the signature says": "鍵の種類が署名の示すものと異なります",
        "the key does not allow an identity below the domain (t=s)": (
            "鍵がサブドメインの識別子を許していません (t=s)"
        ),
    }
)
