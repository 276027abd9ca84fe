"""What people read in a DSN, in English and in Japanese; by the action that is reported (RFC 3464 §2.3.3)."""

from __future__ import annotations

SUBJECTS = {
    "failed": ("Message not delivered", "配信できませんでした"),
    "delayed": ("Message delayed", "配信が遅れています"),
    "delivered": ("Message delivered", "配信しました"),
    "relayed": ("Message relayed", "中継しました"),
    "expanded": ("Message expanded", "展開して配信しました"),
}

INTRODUCTION = (
    "This is the mail system at {host}.",
    "{host} のメールシステムからのお知らせです。",
)

EXPLANATIONS = {
    "failed": (
        "Your message could not be delivered to the recipients below. It will not be tried again.",
        "次の宛先にメールを配信できませんでした。再送は行いません。",
    ),
    "delayed": (
        "Your message has not been delivered to the recipients below yet. Delivery is still being tried; "
        "you need not send it again.",
        "次の宛先への配信が遅れています。引き続き配信を試みますので、送り直す必要はありません。",
    ),
    "delivered": (
        "Your message was delivered to the recipients below.",
        "次の宛先にメールを配信しました。",
    ),
    "relayed": (
        "Your message was handed to the servers of the recipients below, which do not report any further.",
        "次の宛先のサーバーにメールを引き渡しました。この先の配信状況は通知されません。",
    ),
    "expanded": (
        "Your message was delivered to the addresses below, which passed it on to several recipients.",
        "次のアドレスに配信し、そこから複数の宛先に転送されました。",
    ),
}

SAID = ("{mta} said: {text}", "{mta} の応答: {text}")
WE_SAY = ("{text}", "理由: {text}")
MEANS = ("What it means: {text}", "説明: {text}")
ADVICE = ("What you can do: {text}", "対処: {text}")
UNTIL = ("Delivery will be tried until {date}.", "{date} まで配信を試みます。")
