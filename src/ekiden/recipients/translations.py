"""What can be wrong with a change to suppressions, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "{address!r} is not an e-mail address: {why}": "{address!r} はメールアドレスではありません: {why}",
        "{domain!r} is not a domain name: {why}": "{domain!r} はドメイン名ではありません: {why}",
        "{kind!r} is not a kind of suppression; there are {known}": (
            "{kind!r} という送信抑止の種類はありません。使えるもの: {known}"
        ),
    }
)
