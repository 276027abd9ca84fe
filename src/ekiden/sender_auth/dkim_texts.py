"""What DKIM says to people, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # Signing
        "the message has no From field and cannot be signed": "メッセージに From フィールドがないため、署名できません",
        "the key does not fit the algorithm {algorithm}": "鍵がアルゴリズム {algorithm} に合いません",
        "{domain!r} is not a domain in lower-case A-labels": "{domain!r} は小文字の A ラベルのドメインではありません",
        "{selector!r} is not a selector": "{selector!r} はセレクターとして使えません",
        "a signature cannot expire before it is made": "署名の有効期限を署名時刻より前にすることはできません",
        "the identity {identity!r} does not belong to {domain}": "識別子 {identity!r} は {domain} のものではありません",
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
        "there are {count} TXT records; only one is allowed": "TXT レコードが {count} 個あります。1 個だけにしてください",
        "the record revokes the key: its p= is empty": "レコードの p= が空で、鍵が失効しています",
        "the record is for {found} keys (k=), our key is of type {wanted}": (
            "レコードの鍵の種類 (k=) は {found} ですが、署名に使う鍵は {wanted} です"
        ),
        "the record has another key than the one we sign with": "レコードの鍵が、署名に使う鍵と異なります",
        "the record does not allow the key for e-mail (s=)": "レコードがメールでの鍵の使用 (s=) を許していません",
        "the record does not allow the hash sha256 (h=)": "レコードがハッシュ sha256 (h=) を許していません",
        "the record has our key": "レコードの鍵は署名に使う鍵と一致します",
    }
)
