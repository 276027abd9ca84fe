"""What the pages say, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # asked
        "Unsubscribe?": "配信を停止しますか",
        "{address} will get no more mail from {domain}.": (
            "{address} へのメールは、今後 {domain} から届かなくなります。"
        ),
        "Unsubscribe": "配信を停止する",
        # done
        "You are unsubscribed": "配信を停止しました",
        "{address} gets no more mail from {domain}. Messages that are already on their way may still arrive.": (
            "{domain} から {address} へのメール配信を停止しました。すでに送信されたメールは届くことがあります。"
        ),
        "Was that a mistake?": "間違えた場合は、元に戻せます。",
        "Undo": "元に戻す",
        # undone
        "You are subscribed again": "配信を再開しました",
        "{address} gets mail from {domain} again.": "{domain} から {address} へのメール配信を再開しました。",
        # errors
        "This link does not work": "このリンクは使えません",
        "It may have been cut off or altered on its way. Copy the whole link from the message, or open it there.": (
            "リンクが途中で切れたか、変わった可能性があります。"
            "メールのリンク全体をコピーするか、メールから開いてください。"
        ),
        "Please try again later": "しばらくしてからもう一度お試しください",
        "Nothing has been changed yet.": "まだ何も変更されていません。",
        "This cannot be answered": "この要求には応答できません",
    }
)
