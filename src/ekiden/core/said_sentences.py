"""The sentences of ``core.said`` in both languages: what Ekiden says of a delivery in queue lists and traces."""

from __future__ import annotations

from typing import Final

from ekiden.core.texts import Texts

_SENTENCES: Final[dict[str, tuple[str, str]]] = {
    # ---- who changed it
    "held_by_operator": ("held by an operator", "管理者が保留しました"),
    "released_by_operator": ("released by an operator", "管理者が保留を解除しました"),
    "cancelled_by_operator": ("cancelled by an operator", "管理者が取り消しました"),
    "paused_by_sender": ("paused by its sender", "送信者が一時停止しました"),
    "resumed_by_sender": ("resumed by its sender", "送信者が再開しました"),
    "rescheduled_by_sender": ("rescheduled by its sender", "送信者が送信日時を変更しました"),
    "cancelled_by_sender": ("cancelled by its sender", "送信者が取り消しました"),
    "awaits_confirmation": ("waits until its sender confirms it", "送信者の確認を待っています"),
    "account_suspended": ("its account is suspended", "アカウントが停止されています"),
    # ---- the door
    "over_quota": (
        "the account's quota is used up: waits for the next window with room",
        "アカウントの送信枠を使い切ったため、空きのある次の時間枠を待っています",
    ),
    "suppressed": (
        "the address is on the account's suppression list ({kind}): {reason}",
        "アドレスがアカウントの送信抑止リスト（{kind}）にあります: {reason}",
    ),
    # ---- the queue
    "unreadable": ("unreadable: {table}: {why}", "読み取れない行があります（{table}）: {why}"),
    "unwritable": (
        "unwritable: the store refused what was seen",
        "書き込めません: 試行の結果をストアが受け付けませんでした",
    ),
    "worker_lost": (
        "the worker that had it ended before it reported; the outcome of that attempt is unknown",
        "担当のワーカーが報告前に終了しました。その試行の結果は不明です",
    ),
    "worker_stopping": ("the worker is stopping", "ワーカーが停止するため戻しました"),
    "account_share": (
        "waits: its account has its share of the worker",
        "アカウントがワーカーの割り当てを使い切ったため待っています",
    ),
    "turn": ("waits for its turn at {site}", "{site} への順番を待っています"),
    "cut_off_stopping": ("cut off because this worker stopped", "ワーカーの停止により中断しました"),
    "gave_way": (
        "cut off after {seconds} s: the server is slow, and others need the connection",
        "{seconds} 秒で中断しました: サーバーの応答が遅く、ほかの配信が接続を必要としています",
    ),
    "internal_error": ("internal error: {error}", "内部エラー: {error}"),
    "content_gone": (
        "the content of the message is gone from the store",
        "メールの内容がストアから失われています",
    ),
    "content_not_read": ("the content could not be read: {error}", "メールの内容を読み取れませんでした: {error}"),
    "given_up": ("given up after {after}; last: {last}", "{after}で断念しました。最後の結果: {last}"),
    # ---- the domain and its servers
    "no_such_domain": ("the domain {name} does not exist (NXDOMAIN)", "ドメイン {name} は存在しません（NXDOMAIN）"),
    "not_a_name": ("{name} is not a name that DNS can hold", "{name} は DNS の名前として使えません"),
    "not_an_address": ("{name} is not an address", "{name} はアドレスとして使えません"),
    "no_name_server": (
        "no name server answered for {name} ({type}) in time",
        "{name}（{type}）について、時間内に応答したネームサーバーがありません",
    ),
    "no_name_server_yet": (
        "no name server answered for {name} ({type}) at once, and others wait for their turn",
        "{name}（{type}）について、すぐに応答したネームサーバーがなく、ほかの問い合わせが順番を待っています",
    ),
    "no_dns_answer": ("no answer for {name} ({type}): {why}", "{name}（{type}）の応答がありません: {why}"),
    "null_mx": (
        "{name} takes no mail: its MX record says so (null MX, RFC 7505)",
        "{name} はメールを受け取りません（null MX、RFC 7505）",
    ),
    "no_mail_host": (
        "{name} has no mail host: neither MX nor address records",
        "{name} にはメールサーバーがありません（MX レコードもアドレスレコードもありません）",
    ),
    "mx_without_host": (
        "no MX record of {domain} names a host",
        "{domain} の MX レコードに有効なホスト名がありません",
    ),
    "domain_loops": (
        "mail for {domain} loops back to this host",
        "{domain} 宛てのメールがこのホストに戻ってきます",
    ),
    "hosts_loop": ("{hosts} loops back to this host: {why}", "{hosts} がこのホストに戻ってきます: {why}"),
    "lookup_slow": (
        "looking up the mail hosts of {hosts} took more than {seconds} s",
        "メールサーバー {hosts} の名前解決に {seconds} 秒以上かかりました",
    ),
    "hosts_not_tried": (
        "none of {count} mail hosts can be tried; there are {total}",
        "メールサーバー {total} 台のうち、試せる {count} 台がどれも使えません",
    ),
    "no_host_address": (
        "none of the mail hosts has an address: {hosts}",
        "どのメールサーバーにもアドレスがありません: {hosts}",
    ),
    "not_tried": ("{address} is not tried: {why}", "{address} は試しません: {why}"),
    "not_delivered_to": ("mail is not delivered to {address}: {why}", "{address} には配信しません: {why}"),
    "outside_lab": (
        "{host} is not a loopback address, and in lab mode nothing else may be contacted",
        "{host} はループバックアドレスではありません。ラボモードではそれ以外に接続できません",
    ),
    # ---- the connection
    "no_address": ("no address to connect to", "接続できるアドレスがありません"),
    "at_host": ("{host}: {why}", "{host}: {why}"),
    "system": ("{why}", "{why}"),
    "refuses_to_talk": ("the server refuses to talk to us: {reply}", "サーバーが通信を拒否しました: {reply}"),
    "tls_failed": ("the TLS handshake failed: {why}", "TLS ハンドシェイクに失敗しました: {why}"),
    "timed_out": ("timed out", "タイムアウトしました"),
    "timed_out_in_reply": ("timed out in the middle of a reply", "応答の途中でタイムアウトしました"),
    "timed_out_attempt": (
        "timed out: the attempt as a whole took too long",
        "タイムアウトしました: 試行全体に時間がかかりすぎました",
    ),
    "timed_out_sending": (
        "timed out: the peer takes the content too slowly",
        "タイムアウトしました: 相手サーバーの受信が遅すぎます",
    ),
    "connection_broke": ("the connection broke ({why})", "接続が切れました（{why}）"),
    "connection_lost": ("the connection was lost", "接続が失われました"),
    "waiting_for_greeting": ("{what} while waiting for the greeting", "{what}（グリーティング待ち）"),
    "waiting_for_reply": ("{what} while waiting for the reply to {command}", "{what}（{command} の応答待ち）"),
    "lost_before_message": (
        "The connection was lost before the message was sent",
        "メールを送る前に接続が失われました",
    ),
    "not_smtp": ("the peer does not speak SMTP: {why}", "相手サーバーの応答が SMTP ではありません: {why}"),
    "reply_unasked": ("a reply that nothing asked for: {reply}", "求めていない応答がありました: {reply}"),
    "reply_early": ("the peer replied before it was asked", "相手サーバーが、求める前に応答しました"),
    "reply_odd": ("the peer answered {command} with {reply}", "相手サーバーが {command} に {reply} と応答しました"),
    "rset_refused": ("the server refused RSET: {reply}", "サーバーが RSET を拒否しました: {reply}"),
    "reply_missing": (
        "The server gave no reply for this recipient",
        "サーバーからこの宛先についての応答がありませんでした",
    ),
    "replies_doubtful": (
        "The server's replies cannot be told apart",
        "サーバーの応答がどの宛先のものか区別できません",
    ),
    # ---- remarks in a dialogue
    "connected": ("connected to {to}", "{to} に接続しました"),
    "tls_begun": ("TLS {tls}, certificate not checked", "TLS {tls}、証明書は未検証"),
    "again_in_clear": ("again without TLS", "TLS なしでもう一度接続します"),
    "others_not_tried": ("the others are not tried: {why}", "ほかのサーバーは試しません: {why}"),
    "host_without_address": ("{host} has no address", "{host} にはアドレスがありません"),
    "content_sent": ("content, {octets} octets", "本文 {octets} オクテット"),
    "no_reply_line": ("not a reply: {line}", "SMTP の応答ではない行: {line}"),
    "more_lines": ("{count} more lines", "ほか {count} 行"),
    "not_dialled": (
        "not dialled: the site was found down a moment ago; what was seen then:",
        "接続していません: 直前にサイトが停止していました。そのときの記録:",
    ),
    "no_connection": (
        "no connection to {to} within {seconds} s",
        "{to} に {seconds} 秒以内に接続できませんでした",
    ),
    # ---- requests to endpoints
    "no_answer_within": ("no answer within {seconds} s", "{seconds} 秒以内に応答がありませんでした"),
    "bad_port": (
        "callbacks are not sent to port {port}: other protocols are spoken there",
        "ポート {port} には通知を送りません: 別のプロトコルのポートです",
    ),
    "bad_address": ("callbacks are not sent to {address}: {why}", "{address} には通知を送りません: {why}"),
    "answer_too_long": (
        "the answer is longer than {most} octets",
        "応答が上限の {most} オクテットを超えています",
    ),
    "many_interim_statuses": (
        "more than {most} interim statuses (1xx)",
        "途中経過のステータス（1xx）が上限の {most} 件を超えています",
    ),
    "event_not_written": ("cannot be written: {error}", "イベントを書き出せません: {error}"),
    "no_format": ("there is no format {name} here", "形式 {name} はここにはありません"),
    "host_silent": (
        "not tried: its host has not answered lately",
        "送信していません: 通知先のホストが最近応答していません",
    ),
    "key_missing": ("its credentials cannot be opened: {error}", "認証情報を復号できません: {error}"),
    # ---- suppressions
    "unsubscribed_page": (
        "unsubscribed on the page, message {message}",
        "配信停止ページで手続き（メール {message}）",
    ),
    "unsubscribed_one_click": (
        "unsubscribed with one click, message {message}",
        "ワンクリックで配信停止（メール {message}）",
    ),
    # ---- what a server cannot take
    "needs_smtputf8": (
        "The message needs SMTPUTF8, which the recipient's server does not offer",
        "メールの送信に必要な SMTPUTF8 に、相手サーバーが対応していません",
    ),
    "needs_8bitmime": (
        "The message has 8-bit content, and the recipient's server does not offer 8BITMIME",
        "メールに 8 ビットの内容がありますが、相手サーバーが 8BITMIME に対応していません",
    ),
    "address_unsafe": (
        "The address has characters that cannot be sent",
        "アドレスに送信できない文字が含まれています",
    ),
    "too_large": (
        "The message has {size} octets; the recipient's server takes {most} at most",
        "メールは {size} オクテットですが、相手サーバーが受け取る上限は {most} オクテットです",
    ),
    "too_many_recipients": (
        "More recipients than the {most} the recipient's server takes at a time",
        "相手サーバーが一度に受け取る宛先の上限 {most} 件を超えています",
    ),
}

ENGLISH: Final[dict[str, str]] = {code: english for code, (english, _) in _SENTENCES.items()}
TEXTS: Final = Texts(dict(_SENTENCES.values()))

WORDS: Final = Texts(
    {
        # kinds of suppressions
        "bounce": "バウンス",
        "complaint": "苦情",
        "over_quota": "容量超過",
        "unsubscribe": "配信停止",
        # systems' errors (strerror)
        "Connection refused": "接続が拒否されました",
        "Connection reset by peer": "接続が相手側からリセットされました",
        "Connection timed out": "接続がタイムアウトしました",
        "Connection aborted": "接続が中断されました",
        "No route to host": "ホストへの経路がありません",
        "Host is down": "ホストが停止しています",
        "Network is unreachable": "ネットワークに到達できません",
        "Network is down": "ネットワークが停止しています",
        "Broken pipe": "接続が閉じられました",
        "Cannot assign requested address": "要求されたアドレスを割り当てられません",
        "Permission denied": "許可がありません",
        "Operation not permitted": "操作が許可されていません",
        "Too many open files": "開いているファイルが多すぎます",
        "Operation timed out": "操作がタイムアウトしました",
        "Temporary failure in name resolution": "名前解決に一時的に失敗しました",
        "Name or service not known": "ホスト名を解決できません",
        "no answer in time": "時間内に応答がありませんでした",
        "Server disconnected": "サーバーが接続を切断しました",
        # OpenSSL's reasons, as its library words them in lower case
        "wrong version number": "TLS のバージョン番号が正しくありません",
        "unsupported protocol": "対応していない TLS のバージョンです",
        "tlsv1 alert protocol version": "相手が TLS のバージョンを拒否しました",
        "tlsv1 alert internal error": "相手の内部エラーです",
        "sslv3 alert handshake failure": "相手がハンドシェイクを拒否しました",
        "ssl/tls alert handshake failure": "相手がハンドシェイクを拒否しました",
        "unexpected eof while reading": "途中で接続が切れました",
        "certificate verify failed": "証明書を検証できません",
        "no shared cipher": "共通の暗号スイートがありません",
        "dh key too small": "DH 鍵が短すぎます",
        "http request": "HTTP のリクエストです",
        "record layer failure": "TLS のレコードが正しくありません",
        "every name server refused": "すべてのネームサーバーが拒否しました",
        # what mail is not delivered to (net.destinations)
        "in lab mode nothing but loopback may be contacted": "ラボモードではループバック以外に接続できません",
        "it is no IP address": "IP アドレスではありません",
        "a network that the configuration refuses": "設定で拒否されているネットワーク",
        "not a public address": "公開アドレスではありません",
        "an address of this machine": "このマシンのアドレス",
        "this network": "自ネットワーク",
        "a private network": "プライベートネットワーク",
        "the shared space of carriers": "通信事業者の共有アドレス空間",
        "loopback": "ループバック",
        "link-local, where clouds keep their metadata": "リンクローカル（クラウドのメタデータ）",
        "reserved for protocols": "プロトコル用に予約されたアドレス",
        "for documentation": "文書用のアドレス",
        "the former relay of 6to4": "6to4 の旧リレー",
        "for benchmarks": "ベンチマーク用のアドレス",
        "multicast": "マルチキャスト",
        "reserved": "予約済みのアドレス",
        "a cloud's metadata": "クラウドのメタデータ",
        # families in which there is nothing to send from (net.families)
        "IPv6 is switched off (delivery.ipv6)": "IPv6 は無効です（delivery.ipv6）",
        "delivery.source_address has no IPv4 address": "delivery.source_address に IPv4 アドレスがありません",
        "delivery.source_address has no IPv6 address": "delivery.source_address に IPv6 アドレスがありません",
        "this machine has no IPv4 address to send from": "このマシンには送信元にできる IPv4 アドレスがありません",
        "this machine has no IPv6 address to send from": "このマシンには送信元にできる IPv6 アドレスがありません",
    }
)
"""Facts that are words of a known set, and what they are in Japanese."""
