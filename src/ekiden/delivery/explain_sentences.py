"""The sentences that tell a person what became of a delivery, why, and what to do: English and Japanese.

Which of the reasons is told is the diagnosis of the last attempt.
"""

from __future__ import annotations

from typing import NamedTuple

from ekiden.core.diagnosis import Diagnosis
from ekiden.core.language import Language
from ekiden.core.states import After, Cause, State, Wait


class Text(NamedTuple):
    """The same said in both languages."""

    en: str
    ja: str

    def get(self, lang: Language) -> str:
        return self.ja if lang == "ja" else self.en


class Reason(NamedTuple):
    """Why something was not delivered, and what a person can do about it.

    ``to_sender``: the advice for a sender who has neither this machine's commands nor the dialogue before them;
    ``None``: it is the same.
    """

    reason: Text
    advice: Text
    to_sender: Text | None = None


NOTHING = Text("", "")

HEADLINES: dict[State, Text] = {
    State.HELD: Text("Held: it waits for a person.", "保留中です。担当者の操作を待っています。"),
    State.SCHEDULED: Text(
        "Scheduled: its sender asked for a later time, which has not come yet.",
        "予約済みです。送信者が指定した時刻になるまで待っています。",
    ),
    State.QUEUED: Text(
        "Queued: it is due, and waits for a worker.",
        "送信待ちです。送信時刻になっており、ワーカーの空きを待っています。",
    ),
    State.SENDING: Text(
        "Being sent: an attempt has begun, and its outcome has not been reported yet.",
        "送信中です。試行を開始しましたが、結果はまだ報告されていません。",
    ),
    State.DEFERRED: Text(
        "Not delivered yet: the last attempt failed for now, and it will be tried again.",
        "まだ配信されていません。直前の試行は一時的に失敗し、再試行を予定しています。",
    ),
    State.DELIVERED: Text(
        "Delivered: the recipient's mail server took responsibility for it.",
        "配信済みです。受信者側のメールサーバーがメールを引き受けました。",
    ),
    State.BOUNCED: Text(
        "Not delivered: it was refused for good.",
        "配信されませんでした。恒久的に拒否されました。",
    ),
    State.EXPIRED: Text(
        "Given up: its time ran out while it was being retried.",
        "配信を断念しました。再試行を続けましたが、期限が切れました。",
    ),
    State.DROPPED: Text(
        "Not sent, on purpose: a rule of this platform said so.",
        "意図的に送信しませんでした。この基盤の規則によるものです。",
    ),
    State.CANCELLED: Text(
        "Cancelled: it was taken back, and is not tried any more.",
        "取り消されました。これ以上の送信は試みません。",
    ),
}

AFTERWARDS: dict[After, Text] = {
    After.BOUNCED: Text(
        "It bounced later: the recipient's mail server took it, and gave it up afterwards.",
        "後からバウンスしました。受信者側のメールサーバーはいったん引き受けましたが、その後配信を断念しました。",
    ),
    After.COMPLAINED: Text(
        "Delivered, and reported as unwanted: the recipient's provider passed a complaint on.",
        "配信済みですが、迷惑メールとして報告されました。受信者側の事業者から苦情の通知がありました。",
    ),
    After.UNSUBSCRIBED: Text(
        "Delivered, and the recipient wants no more: the unsubscribe address of this mail was written to.",
        "配信済みです。受信者はその後、このメールの配信停止用アドレスにメールを送り、配信を停止しました。",
    ),
    After.AUTO_REPLIED: Text(
        "Delivered: the recipient's mail server took responsibility for it, and an automatic reply came.",
        "配信済みです。受信者側のメールサーバーがメールを引き受け、その後自動応答が届きました。",
    ),
}
"""What was heard of a delivery once it had ended."""
AFTER_ADVICE: dict[After, Text] = {
    After.COMPLAINED: Text(
        "Take the address off your lists: it is on the suppression list.",
        "このアドレスをリストから外してください。送信抑止リストに登録されています。",
    ),
    After.UNSUBSCRIBED: Text(
        "Take the address off your lists: it is on the suppression list.",
        "このアドレスをリストから外してください。送信抑止リストに登録されています。",
    ),
}

NOT_REPORTED = Text(
    "What became of the last attempt is not known. It will be tried again.",
    "直前の試行の結果は分かっていません。再試行を予定しています。",
)
"""Of a delivery that waits after an attempt that nobody reported."""

_NOTHING_TO_DO = Text("Nothing to do.", "対応は不要です。")

WAITS: dict[Wait, Reason] = {
    Wait.QUOTA: Reason(
        Text(
            "Scheduled: the quota of its account is used up, and it waits for the next window with room.",
            "予約済みです。アカウントの送信上限に達したため、空きのある次の時間枠まで待っています。",
        ),
        Text(
            "Nothing to do. `ekiden account quota` shows and changes the quota.",
            "対応は不要です。上限は `ekiden account quota` で確認・変更できます。",
        ),
    ),
    Wait.SITE_DOWN: Reason(
        Text(
            "Not delivered yet: no server of the destination could be talked to; it will be tried again.",
            "まだ配信されていません。宛先のどのサーバーとも通信できず、再試行を予定しています。",
        ),
        _NOTHING_TO_DO,
    ),
    Wait.PACED: Reason(
        Text(
            "Waits for its turn: there is more mail for its destination than that takes at a time.",
            "順番を待っています。宛先が一度に受け取る量より多くのメールがあります。",
        ),
        _NOTHING_TO_DO,
    ),
    Wait.SHARE: Reason(
        Text(
            "Waits for room: its account has its share of the worker.",
            "空きを待っています。アカウントがワーカーの割り当てを使い切っています。",
        ),
        _NOTHING_TO_DO,
    ),
    Wait.NO_SOURCE: Reason(
        Text(
            "Not delivered yet: there is no address of ours to send from in the family that the destination has.",
            "まだ配信されていません。宛先と同じ種類（IPv4・IPv6）の送信元アドレスがありません。",
        ),
        Text(
            "Give this machine an address of that family, or set `delivery.source_address`.",
            "このマシンにその種類のアドレスを割り当てるか、`delivery.source_address` を設定してください。",
        ),
    ),
    Wait.WORKER_STOPPED: Reason(
        Text(
            "Waits for another worker: the one that had it stopped.",
            "別のワーカーを待っています。担当のワーカーが停止しました。",
        ),
        _NOTHING_TO_DO,
    ),
    Wait.HELD_BY_OPERATOR: Reason(
        Text("Held by an operator.", "管理者が保留しています。"),
        Text(
            "Let it go with `ekiden queue release ID`, or take it back with `ekiden queue cancel ID`.",
            "`ekiden queue release ID` で送信を再開するか、`ekiden queue cancel ID` で取り消してください。",
        ),
    ),
    Wait.PAUSED_BY_SENDER: Reason(
        Text("Paused by its sender.", "送信者が一時停止しています。"),
        Text(
            "Its sender resumes it; `ekiden queue cancel ID` takes it back.",
            "再開できるのは送信者です。取り消すには `ekiden queue cancel ID` を使います。",
        ),
    ),
    Wait.UNREADABLE: Reason(
        Text(
            "Set aside: a row of it cannot be read, or what became of it could not be written.",
            "保留しています。データを読み取れないか、試行の結果を書き込めませんでした。",
        ),
        Text(
            "Mend the row, then `ekiden queue release ID`; or take it back with `ekiden queue cancel ID`.",
            "行を修復してから `ekiden queue release ID` を実行するか、"
            "`ekiden queue cancel ID` で取り消してください。",
        ),
    ),
    Wait.CONFIRMATION: Reason(
        Text("Waits until its sender confirms it.", "送信者の確認を待っています。"),
        Text(
            "Its sender confirms it; `ekiden queue cancel ID` takes it back.",
            "確認できるのは送信者です。取り消すには `ekiden queue cancel ID` を使います。",
        ),
    ),
    Wait.ACCOUNT_SUSPENDED: Reason(
        Text("Held: its account is suspended.", "保留しています。アカウントが停止されています。"),
        Text(
            "`ekiden account resume` lets the account send again.",
            "`ekiden account resume` でアカウントの送信を再開できます。",
        ),
    ),
}
"""What is waited for, where the state does not say it, and what to do."""

WAIT_NAMES: dict[Wait, Text] = {
    Wait.DUE: Text("a worker", "ワーカー"),
    Wait.SCHEDULED: Text("its time", "指定時刻"),
    Wait.QUOTA: Text("quota", "送信枠"),
    Wait.RETRY: Text("retry", "再試行"),
    Wait.SITE_DOWN: Text("site down", "宛先停止"),
    Wait.PACED: Text("its turn", "順番"),
    Wait.SHARE: Text("account's share", "アカウントの割り当て"),
    Wait.NO_SOURCE: Text("source address", "送信元アドレス"),
    Wait.WORKER_LOST: Text("retry (worker lost)", "再試行（ワーカー喪失）"),
    Wait.WORKER_STOPPED: Text("another worker", "別のワーカー"),
    Wait.HELD_BY_OPERATOR: Text("operator", "管理者"),
    Wait.PAUSED_BY_SENDER: Text("sender (paused)", "送信者（一時停止）"),
    Wait.UNREADABLE: Text("repair", "修復"),
    Wait.CONFIRMATION: Text("confirmation", "確認"),
    Wait.ACCOUNT_SUSPENDED: Text("account (suspended)", "アカウント（停止中）"),
}
"""Under "waits for"."""

STATE_ADVICE: dict[State, Text] = {
    State.SCHEDULED: Text(
        "Nothing to do. `ekiden queue retry ID` sends it now.",
        "対応は不要です。すぐに送るには `ekiden queue retry ID` を使います。",
    ),
    State.QUEUED: Text(
        "If it stays here, no worker is free or running: `ekiden doctor` tells.",
        "この状態が続く場合は、ワーカーが動いていないか、空きがありません。`ekiden doctor` で確認してください。",
    ),
    State.SENDING: Text(
        "If it stays here, the other server takes its time, or the worker has died: then the delivery becomes due "
        "again when the worker's lease ends.",
        "この状態が続く場合は、相手サーバーの応答が遅いか、ワーカーが停止しています。"
        "ワーカーが停止した場合は、リースの期限が切れると自動的に再試行されます。",
    ),
    State.DELIVERED: Text(
        "If the recipient does not see it: look in the spam folder, or give the server's reply to its operator.",
        "受信者に見当たらない場合は、迷惑メールフォルダーを確認してください。"
        "相手サーバーの応答は、先方の管理者が調べる手がかりになります。",
    ),
    State.DROPPED: Text(
        "Change the rule or the suppression, then submit it again.",
        "規則または送信抑止の設定を変更してから、もう一度送信してください。",
    ),
    State.CANCELLED: Text(
        "Submit it again if it should go after all.", "やはり送る場合は、もう一度送信してください。"
    ),
}


def _r(en: str, ja: str, advice_en: str, advice_ja: str, to_sender: Text | None = None) -> Reason:
    return Reason(Text(en, ja), Text(advice_en, advice_ja), to_sender)


_ASK_OPERATOR = Text(
    "If it happens again, show this report to the operator of your mail server.",
    "繰り返し起きる場合は、この通知をメールサーバーの管理者に見せてください。",
)
_ASK_RECIPIENT = Text(
    "Try again later, or reach the recipient another way; only the recipient's side can mend it.",
    "時間をおいて再送するか、別の方法で受信者に連絡してください。解決できるのは受信者側だけです。",
)


SUPPRESSED: dict[str, Reason] = {
    "bounce": _r(
        "The address is on the account's suppression list: mail to it bounced for good before.",
        "宛先がアカウントの送信抑止リストに載っています。以前のメールが恒久的に拒否されました。",
        "If the mailbox works again, take the suppression back with `ekiden suppression remove`, and submit the "
        "message again.",
        "メールボックスが使えるようになった場合は、`ekiden suppression remove` で送信抑止を解除し、"
        "もう一度送信してください。",
    ),
    "over_quota": _r(
        "The address is on the account's suppression list: its mailbox was full.",
        "宛先がアカウントの送信抑止リストに載っています。メールボックスがいっぱいでした。",
        "Once the recipient has made room, take the suppression back with `ekiden suppression remove`, and submit "
        "the message again.",
        "受信者が空きを作った後、`ekiden suppression remove` で送信抑止を解除し、もう一度送信してください。",
    ),
    "complaint": _r(
        "The address is on the account's suppression list: its owner reported mail of this domain as unwanted.",
        "宛先がアカウントの送信抑止リストに載っています。"
        "受信者がこのドメインのメールを迷惑メールとして報告しました。",
        "Take the address off your lists. Only if its owner asks for your mail: `ekiden suppression remove`.",
        "このアドレスをリストから外してください。"
        "受信者本人が希望した場合に限り、`ekiden suppression remove` で解除できます。",
    ),
    "unsubscribe": _r(
        "The address is on the account's suppression list: its owner unsubscribed from mail of this domain.",
        "宛先がアカウントの送信抑止リストに載っています。受信者がこのドメインのメールの配信を停止しました。",
        "Take the address off your lists. Only if its owner asks for your mail: `ekiden suppression remove`.",
        "このアドレスをリストから外してください。"
        "受信者本人が希望した場合に限り、`ekiden suppression remove` で解除できます。",
    ),
}
"""Why a delivery was dropped, by the kind of its suppression."""

_UNEXPLAINED = _r(
    "The recipient's server gave no closer reason.",
    "相手サーバーは詳しい理由を示していません。",
    "The dialogue shows its exact words.",
    "正確な文言は対話の記録にあります。",
    _ASK_OPERATOR,
)

REASONS: dict[Diagnosis, Reason] = {
    Diagnosis.NONE: _UNEXPLAINED,
    Diagnosis.NO_MAILBOX: _r(
        "The recipient's server says that there is no such mailbox.",
        "宛先のメールボックスが存在しない、と相手サーバーが応答しました。",
        "Check the address for a typing error, and take it off your lists: mail to it harms your reputation.",
        "宛先の入力間違いを確認し、リストから外してください。送り続けると送信元の評価が下がります。",
    ),
    Diagnosis.DISABLED: _r(
        "The mailbox exists, but is closed or disabled.",
        "メールボックスはありますが、停止または無効になっています。",
        "Ask the recipient for another address; treat this one as gone.",
        "受信者に別のアドレスを確認し、このアドレスは使えないものとして扱ってください。",
    ),
    Diagnosis.FULL: _r(
        "The recipient's mailbox is full.",
        "受信者のメールボックスがいっぱいです。",
        "Only the recipient can make room. It is worth trying again in a few days.",
        "空きを作れるのは受信者だけです。数日後に再送してみてください。",
    ),
    Diagnosis.MOVED: _r(
        "The mailbox has moved away, and mail is not forwarded.",
        "メールボックスは移転しており、転送もされません。",
        "Ask the recipient for the new address.",
        "受信者に新しいアドレスを確認してください。",
    ),
    Diagnosis.BAD_ADDRESS: _r(
        "The recipient's server does not accept the form of the address.",
        "相手サーバーが宛先アドレスの書式を受け付けませんでした。",
        "Check the address.",
        "宛先アドレスを確認してください。",
    ),
    Diagnosis.RECIPIENT_REFUSED: _r(
        "The recipient's server refuses this recipient.",
        "相手サーバーがこの宛先を拒否しました。",
        "Check the address with the recipient.",
        "宛先アドレスを受信者に確認してください。",
    ),
    Diagnosis.RECIPIENT_FILTER: _r(
        "A filter of the recipient's refused the message. Such filters often say that there is no such mailbox.",
        "受信者側のフィルターがメールを拒否しました。このとき「宛先が存在しない」と応答するサーバーもあります。",
        "Ask the recipient to let mail of the sender's domain in (carriers: domain filter settings). The address "
        "may be good.",
        "受信者に、送信者のドメインからのメールを受信できるよう設定を依頼してください（携帯電話ではドメイン指定受信など）。"
        "アドレスは有効な可能性があります。",
    ),
    Diagnosis.NO_DOMAIN: _r(
        "The recipient's domain does not exist, or cannot receive mail.",
        "宛先のドメインが存在しないか、メールを受信できません。",
        "Check the part after the @ for a typing error.",
        "@ より後ろの部分に入力間違いがないか確認してください。",
    ),
    Diagnosis.NULL_MX: _r(
        "The domain declares in DNS that it receives no mail at all (null MX, RFC 7505).",
        "このドメインは、メールを一切受信しないと DNS で宣言しています（null MX、RFC 7505）。",
        "Use another address; this domain will never take mail.",
        "別のアドレスを使ってください。このドメインがメールを受け取ることはありません。",
    ),
    Diagnosis.NO_ROUTE: _r(
        "There is no way to the recipient's domain: DNS or a route leads nowhere.",
        "宛先ドメインへの経路がありません。DNS または経路設定が行き止まりです。",
        "Check the domain's MX records, and `delivery.routes` in the configuration.",
        "ドメインの MX レコードと、設定の `delivery.routes` を確認してください。",
        Text(
            "Check the part after the @ for a typing error; else the recipient's domain is not set up for mail.",
            "@ より後ろの部分に入力間違いがないか確認してください。正しければ、宛先ドメイン側の設定の問題です。",
        ),
    ),
    Diagnosis.SENDER_REFUSED: _r(
        "The recipient's server does not accept the sender address.",
        "相手サーバーが送信者アドレスを受け付けませんでした。",
        "Check that the sender's domain exists in DNS and can receive mail (MX or A record).",
        "送信者のドメインが DNS に存在し、メールを受信できること（MX または A レコード）を確認してください。",
    ),
    Diagnosis.SPF: _r(
        "The recipient's server says that SPF does not allow this server to send for the sender's domain.",
        "このサーバーからの送信を、送信ドメインの SPF が許可していないと相手サーバーが応答しました。",
        "Add this server's addresses to the SPF record of the sender's domain.",
        "送信ドメインの SPF レコードに、このサーバーのアドレスを追加してください。",
    ),
    Diagnosis.DKIM: _r(
        "The recipient's server misses a valid DKIM signature.",
        "有効な DKIM 署名がないと相手サーバーが応答しました。",
        "Set up DKIM for the sender's domain, and check that the key in DNS matches.",
        "送信ドメインに DKIM を設定し、DNS の公開鍵が一致しているか確認してください。",
    ),
    Diagnosis.DMARC: _r(
        "The message fails the DMARC policy of the domain in its From field, or the domain has none.",
        "From フィールドのドメインの DMARC ポリシーに合格しなかったか、ポリシーがありません。",
        "Align SPF or DKIM with the From domain, and publish a DMARC record for it.",
        "SPF または DKIM を From のドメインに揃え、DMARC レコードを公開してください。",
    ),
    Diagnosis.PTR: _r(
        "The recipient's server wants the sending address to have a matching name in reverse DNS.",
        "送信元アドレスに、対応する逆引き DNS の名前がないことを相手サーバーが問題にしています。",
        "Set the PTR record of the sending address to this server's host name, and its A or AAAA record back.",
        "送信元アドレスの PTR レコードをこのサーバーのホスト名にし、"
        "そのホスト名の A または AAAA を一致させてください。",
        _ASK_OPERATOR,
    ),
    Diagnosis.TLS: _r(
        "The recipient's server takes mail only over an encrypted connection, and encryption failed.",
        "相手サーバーは暗号化された接続でのみ受け付けますが、暗号化に失敗しました。",
        "The dialogue shows what TLS said; the recipient's server has to offer a version from TLS 1.2 on.",
        "TLS の内容は対話の記録にあります。相手サーバーは TLS 1.2 以降に対応する必要があります。",
        _ASK_RECIPIENT,
    ),
    Diagnosis.AUTHENTICATION: _r(
        "The next server wants us to log in.",
        "次のサーバーがログイン（SMTP 認証）を求めています。",
        "Recipients' servers never do: a route leads to a submission server. Check `delivery.routes`.",
        "受信サーバーが認証を求めることはありません。送信用サーバーを指す経路がないか、"
        "`delivery.routes` を確認してください。",
        _ASK_OPERATOR,
    ),
    Diagnosis.IP_BLOCKED: _r(
        "The recipient's server mistrusts the sending address: it is on a blocklist, or has a poor reputation.",
        "送信元の IP アドレスが、ブロックリストに載っているか評価が低いため、相手サーバーに信用されていません。",
        "Look the address up at the list that the reply names, remove the cause, and ask to be delisted. "
        "Without a list: check reverse DNS, look for complaints, and send less until it recovers.",
        "応答がリストを示す場合は、そのリストで自分のアドレスを検索し、原因を取り除いてから解除を申請してください。"
        "示さない場合は、逆引き DNS と苦情の有無を確認し、評価が戻るまで送信量を抑えてください。",
        Text(
            "The operator of your mail server has to have its address taken off the list that the reply names.",
            "応答が示すリストからの解除を、メールサーバーの管理者に依頼してください。",
        ),
    ),
    Diagnosis.DOMAIN_BLOCKED: _r(
        "The recipient's server mistrusts the sender's domain, or one that the message names: it is on a "
        "blocklist, or has a poor reputation.",
        "送信者のドメイン、またはメールに含まれるドメインが、ブロックリストに載っているか評価が低いため、"
        "相手サーバーに信用されていません。",
        "Look the sender's domain and the domains of links up at the list that the reply names, and ask to be "
        "delisted. Check SPF, DKIM and DMARC, look for complaints, and mail only those who asked for it.",
        "応答が示すリストで送信者のドメインとリンク先のドメインを検索し、解除を申請してください。"
        "SPF・DKIM・DMARC と苦情の有無を確認し、希望した受信者だけに送ってください。",
    ),
    Diagnosis.SPAM: _r(
        "The recipient's server took the message for spam.",
        "相手サーバーが迷惑メールと判定しました。",
        "Check SPF, DKIM and DMARC of the sender's domain, wording and links, and that recipients asked for it.",
        "送信ドメインの SPF・DKIM・DMARC、文面とリンク、受信者の同意を確認してください。",
    ),
    Diagnosis.VIRUS: _r(
        "The recipient's server found something dangerous in the message.",
        "相手サーバーがメールから危険な内容を検出しました。",
        "Check the attachments and links, and the machine that made them.",
        "添付ファイルとリンク、作成した端末を確認してください。",
    ),
    Diagnosis.MALFORMED: _r(
        "The recipient's server does not accept the form of the message.",
        "相手サーバーがメールの形式を受け付けませんでした。",
        "Look at what the reply names: lines too long, missing, double or broken header fields, MIME.",
        "応答が指摘する点（長すぎる行、ヘッダーの欠落・重複・誤り、MIME）を見直してください。",
    ),
    Diagnosis.TOO_BIG: _r(
        "The message is larger than the recipient's server takes.",
        "メールが、相手サーバーの受け付けるサイズを超えています。",
        "Make it smaller, for example with links instead of attachments, and send it again.",
        "添付ファイルをリンクに置き換えるなどして小さくし、もう一度送信してください。",
    ),
    Diagnosis.CONVERSION: _r(
        "The recipient's server cannot take the message in its encoding (8-bit or international text).",
        "メールの符号化（8ビットや国際化テキスト）を、相手サーバーが扱えません。",
        "Send it with ASCII addresses and an encoded body (quoted-printable or base64).",
        "アドレスを ASCII にし、本文を quoted-printable か base64 で符号化して送ってください。",
    ),
    Diagnosis.SMTPUTF8: _r(
        "The address or the headers need SMTPUTF8 (RFC 6531), which the recipient's server does not offer.",
        "アドレスまたはヘッダーに SMTPUTF8（RFC 6531）が必要ですが、相手サーバーが対応していません。",
        "Use ASCII addresses and encoded headers for this recipient.",
        "この宛先には ASCII のアドレスと、符号化したヘッダーを使ってください。",
    ),
    Diagnosis.RATE_IP: _r(
        "The recipient's server limits how much it takes from this sender at a time.",
        "相手サーバーが、この送信元から一度に受け取る量を制限しています。",
        "Nothing to do for one message. For many: send more slowly, and lower `delivery.site_concurrency`.",
        "1通なら対応は不要です。大量の場合は送信の速さを落とし、`delivery.site_concurrency` を下げてください。",
        _ASK_OPERATOR,
    ),
    Diagnosis.RATE_DOMAIN: _r(
        "The recipient's server limits how much it takes from this sender's domain at a time.",
        "相手サーバーが、この送信者のドメインから一度に受け取る量を制限しています。",
        "Nothing to do for one message. For many: send more slowly, and look for complaints about its mail.",
        "1通なら対応は不要です。大量の場合は送信の速さを落とし、このドメインのメールへの苦情がないか確認してください。",
    ),
    Diagnosis.RATE_RECIPIENT: _r(
        "The recipient gets too much mail at the moment.",
        "この受信者には、現在メールが集中しています。",
        "Nothing to do: it is tried again later.",
        "対応は不要です。時間をおいて再試行します。",
        _ASK_RECIPIENT,
    ),
    Diagnosis.CONNECTIONS: _r(
        "The recipient's server takes no more connections, or no more messages over one, from here at the moment.",
        "相手サーバーが、接続の数、または1接続あたりの通数を制限しています。",
        "Nothing to do: fewer connections are used from now on. If it goes on, lower `delivery.site_concurrency`.",
        "対応は不要です。以後は接続を減らします。続く場合は `delivery.site_concurrency` を下げてください。",
        _ASK_OPERATOR,
    ),
    Diagnosis.RECIPIENTS: _r(
        "Too many recipients in one transaction for the recipient's server.",
        "1回の送信に含まれる宛先が、相手サーバーの上限を超えました。",
        "Nothing to do: the rest is tried again in smaller groups.",
        "対応は不要です。残りは分けて再試行します。",
    ),
    Diagnosis.GREYLISTED: _r(
        "The recipient's server asks unknown senders to come back later (greylisting).",
        "相手サーバーが、初めての送信者に時間をおいた再送を求めています（グレイリスティング）。",
        "Nothing to do: the next attempt normally goes through.",
        "対応は不要です。通常は次の試行で受け付けられます。",
    ),
    Diagnosis.RELAY: _r(
        "The server that answers for the domain says that it is not responsible for it.",
        "応答したサーバーが、このドメインの担当ではないと述べています（中継拒否）。",
        "The domain's MX record (or a static route of ours) points to the wrong server; tell its operator.",
        "ドメインの MX レコード、またはこの基盤の固定経路が誤ったサーバーを指しています。"
        "管理者に知らせてください。",
        _ASK_RECIPIENT,
    ),
    Diagnosis.POLICY: _r(
        "A policy of the recipient's side forbids this message.",
        "受信者側の方針により拒否されました。",
        "The reply often names a page that tells why; else ask the operator of that server.",
        "応答に理由を説明するページが示されていることがあります。なければ先方の管理者に問い合わせてください。",
    ),
    Diagnosis.PROTOCOL: _r(
        "The recipient's server did not accept a command of SMTP.",
        "相手サーバーが SMTP のコマンドを受け付けませんでした。",
        "The dialogue shows where. It is a fault of one of the two programs, not of the message.",
        "対話の記録に箇所が示されています。メールではなく、どちらかのプログラムの問題です。",
        _ASK_OPERATOR,
    ),
    Diagnosis.PEER: _r(
        "The recipient's server is not accepting mail at the moment.",
        "相手サーバーが現在メールを受け付けていません。",
        "Nothing to do while it is retried. Should it last, tell the operator of that server.",
        "再試行中は対応不要です。続く場合は先方の管理者に連絡してください。",
    ),
    Diagnosis.NO_ANSWER: _r(
        "None of the recipient's mail servers could be reached.",
        "宛先のメールサーバーのいずれにも接続できませんでした。",
        "If this happens with many domains, look at your own side: firewall, blocked port 25, routing. "
        "`ekiden doctor` helps.",
        "多くのドメインで起きる場合は、自分の側（ファイアウォール、25番ポートの遮断、経路）を調べてください。"
        "`ekiden doctor` が役立ちます。",
        _ASK_RECIPIENT,
    ),
    Diagnosis.LOST: _r(
        "The connection to the recipient's server broke or stalled in the middle.",
        "相手サーバーとの接続が、途中で切れたか止まりました。",
        "Usually passes. The dialogue shows how far it came; if the content was sent, the recipient may have it.",
        "多くは自然に解消します。どこまで進んだかは対話の記録で分かります。"
        "本文を送り終えていた場合は、受信者に届いている可能性があります。",
        Text(
            "Usually passes. The recipient may have the message already: ask before you send it again.",
            "多くは自然に解消します。すでに届いている可能性があるため、再送する前に受信者に確認してください。",
        ),
    ),
    Diagnosis.DNS: _r(
        "The recipient's domain could not be looked up in DNS just now.",
        "宛先ドメインの DNS を引けませんでした（一時的な失敗）。",
        "If it concerns many domains, run `ekiden doctor`: our resolver is at fault; else that domain's DNS is.",
        "多くのドメインで起きる場合は `ekiden doctor` で自分のリゾルバーを確認してください。"
        "そうでなければ先方の DNS の障害です。",
        _ASK_RECIPIENT,
    ),
    Diagnosis.NETWORK: _r(
        "The way to the recipient's server is disturbed: DNS, connection or TLS.",
        "相手サーバーまでの経路（DNS、接続、TLS）に障害があります。",
        "If it concerns many domains, run `ekiden doctor`; else it is the other side's.",
        "多くのドメインで起きる場合は `ekiden doctor` を実行してください。そうでなければ相手側の問題です。",
        _ASK_RECIPIENT,
    ),
    Diagnosis.NOT_SMTP: _r(
        "The two mail servers did not understand each other's commands.",
        "サーバー間で SMTP コマンドのやり取りが噛み合いませんでした。",
        "The dialogue shows where. It is a fault of one of the two programs, not of the message.",
        "対話の記録に箇所が示されています。メールではなく、どちらかのプログラムの問題です。",
        _ASK_OPERATOR,
    ),
    Diagnosis.LOOP: _r(
        "The message goes round in a circle between servers.",
        "メールがサーバー間を循環しています。",
        "Look at the forwarding and the MX records of the recipient's domain; one of them points back.",
        "宛先側の転送設定と MX レコードを確認してください。どれかが元に戻しています。",
    ),
    Diagnosis.OURS: _r(
        "Something on this platform's own side stood in the way.",
        "この基盤自身の側に原因がありました。",
        "Look at the log of that time, and run `ekiden doctor`.",
        "その時刻のログを見て、`ekiden doctor` を実行してください。",
        _ASK_OPERATOR,
    ),
    Diagnosis.UNREPORTED: _r(
        "The worker that made the attempt ended before it reported: the recipient may have the message or not.",
        "試行したワーカーが、結果を報告する前に終了しました。メールは届いた可能性も、届いていない可能性もあります。",
        "Nothing to do while it is retried; the recipient may get it twice. Should workers end often, run "
        "`ekiden doctor`.",
        "再試行中は対応不要です。受信者に 2 通届く可能性があります。"
        "ワーカーがたびたび終了する場合は `ekiden doctor` を実行してください。",
        Text(
            "The recipient may have the message already: ask before you send it again.",
            "すでに届いている可能性があるため、再送する前に受信者に確認してください。",
        ),
    ),
    Diagnosis.UNKNOWN: _UNEXPLAINED,
}
"""Why a delivery failed, or waits after an attempt."""

STATE_NAMES: dict[State, Text] = {
    State.HELD: Text("held", "保留"),
    State.SCHEDULED: Text("scheduled", "予約"),
    State.QUEUED: Text("queued", "送信待ち"),
    State.SENDING: Text("sending", "送信中"),
    State.DEFERRED: Text("deferred", "再試行待ち"),
    State.DELIVERED: Text("delivered", "配信済み"),
    State.BOUNCED: Text("bounced", "不達"),
    State.EXPIRED: Text("expired", "期限切れ"),
    State.DROPPED: Text("dropped", "送信中止"),
    State.CANCELLED: Text("cancelled", "取消"),
}

CAUSE_NAMES: dict[Cause, Text] = {
    Cause.NONE: Text("none", "なし"),
    Cause.RECIPIENT: Text("recipient", "宛先"),
    Cause.REPUTATION: Text("reputation", "評価"),
    Cause.CONTENT: Text("content", "内容"),
    Cause.RATE: Text("rate", "流量"),
    Cause.POLICY: Text("policy", "方針"),
    Cause.NETWORK: Text("network", "ネットワーク"),
    Cause.OURS: Text("ours", "送信側（Ekiden）"),
}
