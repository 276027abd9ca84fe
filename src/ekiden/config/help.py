"""One sentence for every key of the configuration, in English and Japanese.

``ekiden init`` writes them into the configuration, ``docs/configuration.md`` shows them; a test holds them against
the Structs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ekiden.core.texts import Help
from ekiden.web.dialect import Dialect

SECTIONS: dict[str, Help] = {
    "": Help("The installation.", "インストール全体。"),
    "store": Help("Where everything is kept.", "すべてのデータの保存先。"),
    "workers": Help("The processes that do the work.", "処理を行うプロセス。"),
    "listeners": Help(
        "Where clients submit mail. Any number of these tables.",
        "クライアントがメールを送信する窓口。このテーブルはいくつでも書けます。",
    ),
    "listeners.certificates": Help(
        "Certificates: the first is the default, others are chosen by the name a client asks for (SNI).",
        "リスナーの証明書。最初のものが既定で、他はクライアントが求めた名前（SNI）で選ばれます。",
    ),
    "smtp": Help(
        "Limits of the SMTP listeners. Counts and memory are per worker.",
        "SMTP リスナーの制限。接続数とメモリはワーカーごとの値です。",
    ),
    "inbound": Help(
        "What other servers may send us (listeners of mode inbound). Counts and memory are per worker.",
        "他のサーバーから受信するメール（mode が inbound のリスナー）。接続数とメモリはワーカーごとの値です。",
    ),
    "intake": Help("What is done to a message when it is accepted.", "受け付け時の処理。"),
    "http": Help("Health, metrics and the HTTP APIs.", "ヘルスチェック、メトリクス、HTTP API。"),
    "access": Help(
        "How logins are remembered, and how guessing is slowed. Each worker counts for itself.",
        "認証結果の記憶と、総当たり攻撃の抑制。ワーカーごとに数えます。",
    ),
    "networks": Help(
        "What stands for private clouds and services of others in network zones.",
        "ネットワークゾーンに書かれた VPC や他のサービスに当たるネットワーク。",
    ),
    "domains": Help(
        "What accounts' domains have to publish, and how often that is looked at.",
        "アカウントのドメインに求める DNS レコードと、確認の頻度。",
    ),
    "regions": Help(
        "Where instances of a region submit mail, as GET /regions tells. Any number of these tables.",
        "リージョンごとの送信用の接続先。GET /regions で公開されます。このテーブルはいくつでも書けます。",
    ),
    "delivery": Help("How mail goes out.", "メールの送出。"),
    "delivery.routes": Help(
        "Fixed next hops instead of a look-up of MX records. Any number of these tables.",
        "MX レコードを引かずに使う固定の配信先。このテーブルはいくつでも書けます。",
    ),
    "tracking": Help(
        "Links, pictures and pages that recipients of composed messages reach.",
        "作成したメッセージの受信者が開くリンク、画像、ページ。",
    ),
    "callbacks": Help(
        "News for the URLs that accounts name. Limits are per worker.",
        "アカウントが指定した URL への通知。制限はワーカーごとの値です。",
    ),
    "dns": Help(
        "Whom to ask for names, and how long to believe the answer.", "名前解決の相手と、回答を保持する時間。"
    ),
    "retention": Help("How long what is finished stays visible.", "終わったものの記録を残す期間。"),
    "lab": Help("The switch for trying things out.", "実験用のスイッチ。"),
    "log": Help(
        'Logs, on standard error or in a file; docs/logging.md has the lines. The level of a line can be "off".',
        "ログ（標準エラー出力またはファイル）。各行の内容は docs/logging.md にあります。"
        '行のレベルは "off" にもできます。',
    ),
}

KEYS: dict[str, Help] = {
    "hostname": Help(
        "The name of this server: in the greeting, in EHLO, in Received fields. Empty: the machine's own name.",
        "このサーバーの名前。接続時の挨拶、EHLO、Received フィールドに現れます。空ならマシンの名前です。",
    ),
    "data_dir": Help(
        "Where the database and the instance key are; relative to this file.",
        "データベースとインスタンスキーの置き場所。このファイルからの相対パスです。",
    ),
    "store.url": Help(
        'The database: "sqlite:///FILE" (relative to data_dir) or "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"; '
        'of several servers ("HOST:PORT,HOST:PORT") the one that takes writes is used.',
        'データベース。"sqlite:///ファイル"（data_dir からの相対パス）か "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"。'
        'サーバーが複数あれば（"HOST:PORT,HOST:PORT"）、書き込みを受け付けるものを使います。',
    ),
    "workers.count": Help(
        "How many worker processes; 0: one per core.", "ワーカープロセスの数。0 ならコアごとに一つです。"
    ),
    "workers.roles": Help("What the workers of this machine do.", "このマシンのワーカーの役割。"),
    "workers.lease": Help(
        "For how long work belongs to a worker that is not heard of; after it, others take the work over.",
        "音信の途絶えたワーカーが仕事を保持する時間。過ぎると他のワーカーが引き継ぎます。",
    ),
    "workers.drain_timeout": Help(
        "How long a worker may finish what it is doing when it is asked to stop.",
        "停止を求められたワーカーが処理中の仕事を終えるまで待つ時間。",
    ),
    "workers.hang_timeout": Help(
        "A worker that does nothing for so long hangs: it is killed and replaced. "
        "Best below three fifths of lease.",
        "この時間まったく動かないワーカーは停止したと見なし、強制終了して置き換えます。"
        "lease の 5 分の 3 未満にしてください。",
    ),
    "workers.memory": Help(
        "Octets of contents and requests that one worker may hold; 0: a quarter of the machine's memory for all of "
        "them, from 64 MiB to 1 GiB each.",
        "一つのワーカーが本文とリクエストに使えるメモリ（オクテット）。0 なら全ワーカーでマシンのメモリの 4 分の 1 "
        "（ワーカーごとに 64 MiB から 1 GiB）。",
    ),
    "listeners.name": Help("A name for logs and traces.", "ログとトレースに現れる名前。"),
    "listeners.addresses": Help(
        'Where to listen, such as ["0.0.0.0:587", "[::]:587"].',
        '待ち受けるアドレス。例: ["0.0.0.0:587", "[::]:587"]。',
    ),
    "listeners.mode": Help(
        '"starttls": the client must switch to TLS (port 587); "tls": TLS from the start (port 465); '
        '"plain": no TLS, for trusted networks only; "inbound": mail of other servers (port 25).',
        '"starttls": クライアントが TLS に切り替える（ポート 587）。"tls": 最初から TLS（ポート 465）。'
        '"plain": TLS なし。信頼されたネットワーク専用です。"inbound": 他のサーバーからのメール（ポート 25）。',
    ),
    "listeners.region": Help("A label of the region, for traces.", "リージョンの名札。トレースに現れます。"),
    "listeners.endpoint": Help(
        "Whether clients reach it over the public or a private network.",
        "公開ネットワーク用か、プライベートネットワーク用か。",
    ),
    "listeners.proxy_from": Help(
        "Networks of load balancers that speak the PROXY protocol (v1 or v2); from them it is required.",
        "PROXY プロトコル（v1/v2）を話すロードバランサーのネットワーク。そこからの接続では必須になります。",
    ),
    "listeners.trusted_networks": Help(
        "Networks that may submit without AUTH and TLS; only loopback and private ones are allowed.",
        "AUTH と TLS なしで送信できるネットワーク。ループバックとプライベートネットワークだけが許されます。",
    ),
    "listeners.trusted_account": Help(
        "The account that mail from trusted_networks belongs to.",
        "trusted_networks からのメールが属するアカウント。",
    ),
    "listeners.restricted": Help(
        "Turn clients away at once that no network rule lets in; for SMTP users only.",
        "どのネットワークルールでも許可されないクライアントを接続時に断ります。SMTP ユーザー専用です。",
    ),
    "listeners.max_size": Help(
        "The largest message here, in octets (SIZE); 0: smtp.max_size.",
        "このリスナーでのメッセージの最大サイズ（オクテット、SIZE）。0 なら smtp.max_size。",
    ),
    "listeners.max_recipients": Help(
        "Recipients of one message here (LIMITS RCPTMAX); 0: smtp.max_recipients.",
        "このリスナーでの一通あたりの宛先の最大数（LIMITS RCPTMAX）。0 なら smtp.max_recipients。",
    ),
    "listeners.certificates.certificate": Help(
        "A PEM file with the certificate and its chain; relative to this file.",
        "証明書とチェーンの PEM ファイル。このファイルからの相対パスです。",
    ),
    "listeners.certificates.key": Help(
        "A PEM file with its private key; relative to this file.",
        "秘密鍵の PEM ファイル。このファイルからの相対パスです。",
    ),
    "inbound.max_size": Help(
        "The largest message, in octets (SIZE).", "メッセージの最大サイズ（オクテット、SIZE）。"
    ),
    "inbound.max_recipients": Help(
        "Recipients of one message (LIMITS RCPTMAX).", "一通あたりの宛先の最大数（LIMITS RCPTMAX）。"
    ),
    "inbound.max_received": Help(
        "Received fields, beyond which it is a loop.", "Received フィールドの上限。超えるとループと見なします。"
    ),
    "inbound.max_connections": Help(
        "Connections of one worker; more get 421.", "ワーカーあたりの接続数。超えると 421 を返します。"
    ),
    "inbound.max_connections_per_address": Help(
        "From one IP address (IPv6: one /64).", "一つの IP アドレス（IPv6 は /64）からの接続数。"
    ),
    "inbound.max_memory": Help(
        "Octets of contents that are being received or stored; MAIL is put off beyond it.",
        "受信中または保存中の本文のオクテット数。超えると MAIL を一時的に断ります。",
    ),
    "inbound.messages_per_second": Help(
        "On average; MAIL is put off beyond it.", "一秒あたりの平均の通数。超えると MAIL を一時的に断ります。"
    ),
    "inbound.arc_trusted": Help(
        "Domains of forwarders whose ARC seals are believed where DMARC fails.",
        "DMARC が失敗したときに ARC の封印を信頼する、転送者のドメイン。",
    ),
    "inbound.command_timeout": Help(
        "Without a complete command, or without any octet of content (RFC 5321 §4.5.3.2.7).",
        "コマンドが完成しない、または本文が届かないまま待つ時間（RFC 5321 §4.5.3.2.7）。",
    ),
    "smtp.max_size": Help("The largest message, in octets (SIZE).", "メッセージの最大サイズ（オクテット、SIZE）。"),
    "smtp.max_recipients": Help(
        "Recipients of one message (LIMITS RCPTMAX).", "一通あたりの宛先の最大数（LIMITS RCPTMAX）。"
    ),
    "smtp.command_timeout": Help(
        "Without a complete command, or without any octet of content (RFC 5321 §4.5.3.2.7).",
        "コマンドが完成しない、または本文が届かないまま待つ時間（RFC 5321 §4.5.3.2.7）。",
    ),
    "smtp.data_timeout": Help(
        "For one content, from its first octet to its last.", "一通の本文の最初から最後までに使える時間。"
    ),
    "smtp.min_rate": Help(
        "Octets per second that content must come with, on average, after its first minute; 0: any.",
        "本文が届く平均速度の下限（オクテット毎秒、最初の一分より後）。0 なら制限しません。",
    ),
    "smtp.tls_timeout": Help(
        "For a TLS handshake, and for the PROXY header before it.",
        "TLS ハンドシェイクと、その前の PROXY ヘッダーを待つ時間。",
    ),
    "smtp.login_timeout": Help("From the connection to the login.", "接続からログインまでの時間。"),
    "smtp.session_timeout": Help("From one message to the next.", "あるメッセージから次のメッセージまでの時間。"),
    "smtp.max_connections": Help(
        "Connections of one worker; more get 421.", "ワーカーあたりの接続数。超えると 421 を返します。"
    ),
    "smtp.max_connections_per_address": Help(
        "From one IP address (IPv6: one /64); trusted networks may have as many as there are.",
        "一つの IP アドレス（IPv6 は /64）からの接続数。信頼されたネットワークには適用しません。",
    ),
    "smtp.max_memory": Help(
        "Octets of contents that are being received or stored; MAIL is put off beyond it.",
        "受信中・保存中の本文に使うメモリ（オクテット）。超えると MAIL を先延ばしにします。",
    ),
    "smtp.max_errors": Help(
        "Mistakes of a client, before it is sent away.", "クライアントを切断するまでの誤りの回数。"
    ),
    "smtp.max_commands": Help(
        "Commands between two accepted messages, before a client is sent away. Recipients that are accepted and "
        "BDAT chunks of 1 KiB and more do not count.",
        "メッセージの受け付けと受け付けの間に送れるコマンドの数。超えると切断します。受け付けた宛先と 1 KiB 以上の "
        "BDAT チャンクは数えません。",
    ),
    "intake.show_client": Help(
        "Whether the Received field names the client: its HELO name and IP address.",
        "Received フィールドにクライアントの HELO 名と IP アドレスを書くかどうか。",
    ),
    "intake.max_received": Help(
        "More Received fields than this are a loop (RFC 5321 §6.3).",
        "Received フィールドがこれより多いメッセージはループと見なします（RFC 5321 §6.3）。",
    ),
    "intake.carrier_addresses": Help(
        "Take recipients such as a..b@docomo.ne.jp and a.@ezweb.ne.jp, which Japanese carriers gave away, without "
        "the quotes that they need. On the way out they have them.",
        "携帯電話会社がかつて発行した a..b@docomo.ne.jp や a.@ezweb.ne.jp のような宛先を、引用符がなくても"
        "受け付けます。送信時には引用符を付けます。",
    ),
    "intake.short_lines": Help(
        "Whether messages with lines over 998 octets are made right before they are signed: bodies in another "
        "transfer encoding, fields folded. Servers on the way cut such lines, and the signature is broken.",
        "998 オクテットを超える行を署名の前に直すかどうか。本文は転送エンコーディングを変え、フィールドは"
        "折り返します。超えたままだと途中のサーバーが行を切り、署名が壊れます。",
    ),
    "intake.seven_bit": Help(
        "Whether 8-bit text of messages that are signed is encoded before: a server without 8BITMIME takes it, and "
        "the signature stays right on any way (RFC 6376 §5.3). Messages that need SMTPUTF8 stay as they are.",
        "署名するメッセージの 8 ビットのテキストを、署名の前にエンコードするかどうか。8BITMIME のない"
        "サーバーにも届き、どの経路でも署名が壊れません（RFC 6376 §5.3）。SMTPUTF8 が必要なメッセージは"
        "そのままです。",
    ),
    "intake.max_header": Help(
        "Octets of a message's header; beyond them it is refused before anything reads it.",
        "メッセージのヘッダーのオクテット数。超えると解析の前に拒否します。",
    ),
    "intake.max_header_fields": Help("Fields of a message's header.", "メッセージのヘッダーのフィールド数。"),
    "intake.max_header_field": Help(
        "Octets of one header field with its folded lines.",
        "折り返した行を含む、ヘッダーフィールド 1 つのオクテット数。",
    ),
    "http.addresses": Help(
        "Where /healthz, /readyz, /metrics and the HTTP APIs are served.",
        "/healthz、/readyz、/metrics と HTTP API を提供するアドレス。",
    ),
    "http.monitoring_addresses": Help(
        "Where /healthz, /readyz and /metrics are served, and nothing else. With any of these, http.addresses "
        "answers /metrics with 404; /healthz and /readyz stay there for load balancers.",
        "/healthz、/readyz、/metrics だけを提供するアドレス。指定すると、http.addresses では "
        "/metrics が 404 になります。/healthz と /readyz はロードバランサーのためにそのまま残ります。",
    ),
    "http.proxy_from": Help(
        "Networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; nobody else's are. "
        "A proxy that is not named counts as one client, with all who come through it.",
        "リバースプロキシのネットワーク。そこからの X-Forwarded-For と X-Forwarded-Proto だけを信用します。"
        "書かれていないプロキシは、経由するすべての利用者とともに一つのクライアントとして数えられます。",
    ),
    "http.max_url": Help(
        "Octets of the target in a request line; more get 414. A link that is tracked takes up to 12,000.",
        "リクエスト行の URL の最大長（オクテット）。超えると 414 を返します。計測リンクは 12,000 までになります。",
    ),
    "http.max_header_field": Help(
        "Octets of one header field with its name; more get 431.",
        "ヘッダーフィールド一つの最大長（名前を含むオクテット）。超えると 431 を返します。",
    ),
    "http.max_header": Help(
        "Octets of all header fields of a request, trailers included; more get 431.",
        "一つのリクエストの全ヘッダーフィールドの合計（オクテット、トレーラーを含む）。超えると 431 を返します。",
    ),
    "http.max_header_fields": Help(
        "Header fields of a request, trailers included; more get 431.",
        "一つのリクエストのヘッダーフィールドの数（トレーラーを含む）。超えると 431 を返します。",
    ),
    "http.max_chunk_extensions": Help(
        "Octets around the chunks of a body, beyond 18 for each octet of content; more get 400.",
        "チャンクの前後に許すオクテット数（本文 1 オクテットにつき 18 を超える分）。超えると 400 を返します。",
    ),
    "http.max_pipelined": Help(
        "Requests that a client may send before the first is answered; then the connection ends.",
        "最初の応答より前に送れるリクエストの数。超えるとそこまで応答して切断します。",
    ),
    "http.first_timeout": Help(
        "From the connection to its first octet.",
        "接続から最初のオクテットまでの時間。",
    ),
    "http.header_timeout": Help(
        "From the first octet of a request to the end of its header; then 408.",
        "リクエストの最初のオクテットからヘッダーの終わりまでの時間。超えると 408 を返します。",
    ),
    "http.body_idle_timeout": Help(
        "Without any octet of a body that is waited for; then 408.",
        "本文が届かないまま待つ時間。超えると 408 を返します。",
    ),
    "http.body_timeout": Help(
        "For a whole body, while it is waited for; then 408.",
        "本文全体を待つ時間。超えると 408 を返します。",
    ),
    "http.min_rate": Help(
        "Octets per second that a body must come with, and answers be read with, after a minute; 0: any.",
        "本文が届く速度と応答が読まれる速度の下限（オクテット毎秒、最初の一分より後）。0 なら制限しません。",
    ),
    "http.answer_timeout": Help(
        "Without any octet of an answer being read; then the connection ends.",
        "応答がまったく読まれないまま待つ時間。超えると切断します。",
    ),
    "http.max_unread": Help(
        "Octets of all answers that wait to be read; beyond it those that have waited longest are dropped.",
        "読まれるのを待つ応答の合計（オクテット）。超えると最も長く待っている接続から切断します。",
    ),
    "http.keep_alive": Help(
        "Between two requests of a connection. Longer than a proxy's in front, so that it is the proxy that ends.",
        "接続を保ったまま次のリクエストを待つ時間。手前のプロキシの設定より長くします。",
    ),
    "http.linger_timeout": Help(
        "For a body that was answered before its end; it is read and dropped, so that the answer arrives.",
        "本文の途中で応答した後、応答が届くように残りを読み捨てる時間。",
    ),
    "http.linger_octets": Help(
        "Of such a body; beyond them the connection ends.",
        "読み捨てる本文の最大長（オクテット）。超えると切断します。",
    ),
    "http.max_connections": Help(
        "Connections of one worker. Beyond them the one that has waited longest for a request makes "
        "room; when none waits, newcomers come into the reserve.",
        "ワーカーあたりの接続数。超えるとリクエストを最も長く待っている接続を切断し、なければ予備で受けます。",
    ),
    "http.max_connections_per_address": Help(
        "From one IP address (IPv6: one /64); networks of proxy_from may have as many as there are.",
        "一つの IP アドレス（IPv6 は /64）からの接続数。proxy_from のネットワークには適用しません。",
    ),
    "http.reserve": Help(
        "Connections beyond these bounds: /healthz, /readyz and /metrics are answered on them, the rest gets 503.",
        "上限を超えて受ける予備の接続数。/healthz、/readyz、/metrics には応答し、ほかには 503 を返します。",
    ),
    "access.cache_time": Help(
        "A user name and password that were right are not computed again for so long.",
        "正しかったユーザー名とパスワードを計算し直さない時間。",
    ),
    "access.recheck": Help(
        "How old knowledge of a revoked credential or a suspended account may be.",
        "失効した認証情報や停止されたアカウントに気づくまでの時間。",
    ),
    "access.parallelism": Help(
        "Password hashes computed at the same time, per worker; each takes 19 MiB for about 30 ms of one core.",
        "同時に計算するパスワードハッシュの数（ワーカーごと）。一つにつき 19 MiB と一コア約 30 ミリ秒を使います。",
    ),
    "access.window": Help("Failed logins are counted over this time.", "認証の失敗を数える期間。"),
    "access.address_delay_after": Help(
        "So many failures from one address (IPv6: one /64), and its next refusals are delayed.",
        "一つのアドレス（IPv6 は /64）からの失敗がこの回数に達すると、次の拒否を遅らせます。",
    ),
    "access.guess_limit": Help(
        "So many failures of one user name from one address, and it is refused there without looking at the "
        "password, unless that was right within a day. API keys are always looked at.",
        "一つのアドレスから一つのユーザー名への失敗がこの回数に達すると、一日以内に正しかったパスワードを除き、"
        "パスワードを見ずに拒否します。API キーは常に確認します。",
    ),
    "access.address_limit": Help(
        "So many failures from one address, and only user names that were right from there within a day are "
        "looked at.",
        "一つのアドレスからの失敗がこの回数に達すると、そこから一日以内に成功したユーザー名だけを確認します。",
    ),
    "access.account_delay_after": Help(
        "So many failures for one user name, from wherever, and replies are delayed.",
        "一つのユーザー名への失敗が（どこからでも）この回数に達すると、返答を遅らせます。",
    ),
    "access.account_limit": Help(
        "So many failures of one user name, and an address that has failed itself is refused; another one has "
        "one try.",
        "一つのユーザー名への失敗がこの回数に達すると、失敗したことのあるアドレスを拒否し、"
        "ほかのアドレスには一度だけ許します。",
    ),
    "access.max_wait": Help(
        "How long a login waits for its turn when many are to be checked; then it is told to come again.",
        "多くのログインが確認を待つとき、一つのログインが順番を待つ時間。過ぎると再試行を求めます。",
    ),
    "access.delay": Help(
        "The first delay; it doubles with each failure.", "最初の遅延。失敗のたびに倍になります。"
    ),
    "access.max_delay": Help("The longest delay.", "遅延の上限。"),
    "networks.groups": Help(
        "Networks (addresses, ranges, subnets) by what a zone may name: the CRN of a VPC or an instance, "
        '"service:NAME" or "service:NAME:LOCATION". What has none matches nothing.',
        'ゾーンが指し得るもの（VPC やインスタンスの CRN、"service:名前"、"service:名前:場所"）ごとのネットワーク '
        "（アドレス、範囲、サブネット）。ここにないものはどのアドレスにも一致しません。",
    ),
    "networks.services": Help(
        "Tables with display_name and type of services that have a group, for people who look for them.",
        "グループを持つサービスの display_name と type のテーブル。サービス参照を探す人に表示されます。",
    ),
    "domains.spf_include": Help(
        "The host whose SPF record lists our outgoing addresses, for include:; empty: hostname.",
        "送信元アドレスを SPF レコードに挙げているホスト（include: に使います）。空なら hostname です。",
    ),
    "domains.addresses": Help(
        "Our outgoing IP addresses and networks, which the SPF records must permit; "
        "empty: the addresses of hostname in DNS.",
        "送信元の IP アドレスとネットワーク。SPF レコードで許可されている必要があります。"
        "空なら hostname の DNS 上のアドレスです。",
    ),
    "domains.mx": Help(
        "The host that takes bounces, which MX records of return paths name; empty: hostname.",
        "バウンスを受け取るホスト。リターンパスの MX レコードに書きます。空なら hostname です。",
    ),
    "domains.check_every": Help(
        "Between the checks of a verified domain, and the most between those of another.",
        "検証済みドメインを確認する間隔。未検証のドメインでもこれより長くは空けません。",
    ),
    "domains.grace": Help(
        "How long the checks of a verified domain may fail before nothing is accepted from it any more.",
        "検証済みドメインの確認が失敗し続けてから、送信を停止するまでの猶予。",
    ),
    "domains.require_address": Help(
        "Whether a domain needs an address record (A or AAAA) before it is verified.",
        "確認にアドレスレコード（A か AAAA）を必須とするかどうか。",
    ),
    "domains.ed25519": Help(
        "Offer every domain a second DKIM key, for Ed25519 signatures (RFC 8463).",
        "二つ目の DKIM 鍵として Ed25519 の鍵（RFC 8463）を用意します。",
    ),
    "domains.overlap": Help(
        "How long the record of a key stays needed after its last signature; at least delivery.expire_after.",
        "鍵の交代後、古い鍵のレコードを残しておく期間。delivery.expire_after 以上にします。",
    ),
    "regions.name": Help("The region of instances.", "インスタンスのリージョン。"),
    "regions.smtp_public": Help(
        "The host name of the SMTP endpoint that serves it.", "そのリージョンが使う SMTP エンドポイントのホスト名。"
    ),
    "regions.smtp_private": Help(
        "The same within private networks; empty: there is none.",
        "プライベートネットワーク用のホスト名。空ならありません。",
    ),
    "regions.ports": Help("The ports of both.", "両方のポート。"),
    "regions.addresses": Help(
        "The IP addresses that mail of the region goes out from.", "そのリージョンのメールを送出する IP アドレス。"
    ),
    "delivery.smtp_port": Help("The port of other mail servers.", "他のメールサーバーのポート。"),
    "delivery.helo": Help("The name in EHLO; empty: hostname.", "EHLO で名乗る名前。空なら hostname です。"),
    "delivery.return_path": Help(
        "The host of our envelope senders, to which bounces come. Empty: rp.HOSTNAME where a listener receives "
        "mail; without one, clients' envelope senders go out as they are.",
        "バウンスを受け取るための、Ekiden のエンベロープ送信者のホスト。空なら、"
        "メールを受信するリスナーがある場合は rp.HOSTNAME です。"
        "リスナーがなければ、クライアントのエンベロープ送信者のまま送出します。",
    ),
    "delivery.verp": Help(
        "What our envelope senders name: the message, and the recipient where one travels alone; always the "
        "recipient, each in a transaction of its own; or off.",
        "エンベロープ送信者が示すもの。message: メッセージ（宛先が一つの配信では宛先も）、recipient: 常に宛先"
        "（宛先ごとに別のトランザクション）、off: 書き換えません。",
    ),
    "delivery.source_address": Help(
        "The local IP addresses to connect from, one of each family at most; a family without one is not tried. "
        "Empty: the system chooses.",
        "接続元の IP アドレス（IPv4 と IPv6 を 1 つずつまで）。指定のない種類では接続しません。"
        "空ならシステムが選びます。",
    ),
    "delivery.ipv6": Help(
        "Whether IPv6 addresses of mail servers are tried.",
        "メールサーバーの IPv6 アドレスにも接続するかどうか。",
    ),
    "delivery.allowed_networks": Help(
        "Networks that recipients' domains may lead to although they are not public, such as 10.20.0.0/16.",
        "公開されていなくても、宛先ドメインの DNS に従って配信してよいネットワーク（例: 10.20.0.0/16）。",
    ),
    "delivery.refused_networks": Help(
        "Networks that they never may lead to, such as our own address behind NAT.",
        "DNS が示しても決して配信しないネットワーク（例: NAT の外側の自分のアドレス）。",
    ),
    "delivery.routes.domain": Help(
        'A domain, ".example.com" for everything below it, or "*" for everything else.',
        'ドメイン。".example.com" はその下のすべて、"*" は残りのすべて。',
    ),
    "delivery.routes.hosts": Help(
        'Next hops, tried in this order: "192.0.2.1:2525", "[2001:db8::1]:25", "relay.example.com".',
        '配信先。この順に試します。例: "192.0.2.1:2525"、"[2001:db8::1]:25"、"relay.example.com"。',
    ),
    "delivery.retry": Help(
        "Waits after the 1st, 2nd, … attempt; the last one repeats.",
        "1 回目、2 回目… の試行後の待ち時間。最後の値が繰り返されます。",
    ),
    "delivery.jitter": Help(
        "A wait is made longer or shorter by up to this part of it, by chance.",
        "待ち時間をこの割合まで無作為に伸縮させます。",
    ),
    "delivery.expire_after": Help(
        "How long delivery is tried before the message is returned.", "配信を諦めて送信者に返すまでの時間。"
    ),
    "delivery.delay_notice_after": Help(
        "When a sender who asked for it (NOTIFY=DELAY) hears that a delivery is late.",
        "遅延通知を求めた送信者（NOTIFY=DELAY）に知らせるまでの時間。",
    ),
    "delivery.site_concurrency": Help(
        "Connections to one site (a set of MX hosts) at the same time, at most.",
        "一つのサイト（MX ホストの組）への同時接続の上限。",
    ),
    "delivery.initial_concurrency": Help(
        "With how many connections a site begins; it grows with every success.",
        "サイトへの接続数の初期値。成功するたびに増えます。",
    ),
    "delivery.max_connections": Help("Outgoing connections in all.", "送出側の接続数の上限。"),
    "delivery.max_recipients": Help("Recipients in one transaction.", "一つのトランザクションの宛先の上限。"),
    "delivery.max_deliveries_per_connection": Help(
        "Deliveries over one connection, before it is closed.", "一つの接続で行う配信の上限。"
    ),
    "delivery.idle_timeout": Help("How long a connection without work is kept.", "仕事のない接続を保つ時間。"),
    "delivery.max_addresses_per_attempt": Help(
        "Addresses of mail servers that one attempt tries.", "一回の試行で試すメールサーバーのアドレスの数。"
    ),
    "delivery.connect_timeout": Help("For a connection to be made.", "接続の確立を待つ時間。"),
    "delivery.greeting_timeout": Help(
        "For the greeting (RFC 5321 §4.5.3.2.1).", "挨拶を待つ時間（RFC 5321 §4.5.3.2.1）。"
    ),
    "delivery.command_timeout": Help("For the reply to a command.", "コマンドへの応答を待つ時間。"),
    "delivery.data_timeout": Help("For the reply to the content.", "本文への応答を待つ時間。"),
    "delivery.max_hosts_per_attempt": Help(
        "Mail hosts whose addresses are looked up for one attempt; the next one begins elsewhere.",
        "一回の試行でアドレスを調べるメールホストの数。次の試行は別のホストから始めます。",
    ),
    "delivery.lookup_timeout": Help("For looking all of them up.", "そのすべてを調べる時間。"),
    "delivery.reply_timeout": Help(
        "From the first octet of a reply to its last.", "応答の最初の文字から最後の文字までの時間。"
    ),
    "delivery.attempt_timeout": Help(
        "For one attempt from connecting to DATA, with all addresses that are tried.",
        "接続から DATA までの一回の試行全体の時間。試すアドレスすべてを含みます。",
    ),
    "delivery.min_rate": Help(
        "Octets a second in which a peer has to take contents.", "相手が本文を受け取る最低の速さ（バイト/秒）。"
    ),
    "delivery.yield_after": Help(
        "When connections are scarce, an attempt that has taken so long gives its place to what waits.",
        "接続が足りないとき、この時間を過ぎた試行は待っているものに接続を譲ります。",
    ),
    "delivery.tls_timeout": Help("For a TLS handshake.", "TLS ハンドシェイクを待つ時間。"),
    "delivery.starttls": Help("Use TLS whenever the peer offers it.", "相手が対応していれば TLS を使います。"),
    "delivery.tls_broken_for": Help(
        "How long a host whose TLS failed is talked to in clear.", "TLS に失敗したホストと平文で話し続ける時間。"
    ),
    "delivery.ready_limit": Help(
        "Deliveries in memory for one site.", "一つのサイトについてメモリに置く配信の数。"
    ),
    "delivery.queue_limit": Help(
        "Deliveries in memory in all, per worker.", "メモリに置く配信の総数（ワーカーごと）。"
    ),
    "delivery.claim_batch": Help("Due deliveries taken from the store at once.", "一度に取り出す配信の数。"),
    "delivery.memory_limit": Help(
        "Octets of contents kept in memory for deliveries that wait there.",
        "メモリで待つ配信の本文に使うメモリ（オクテット）。",
    ),
    "dns.nameservers": Help(
        "IP addresses of recursive resolvers; empty: those of the system.",
        "再帰リゾルバーの IP アドレス。空ならシステムの設定です。",
    ),
    "dns.port": Help("Their port.", "そのポート。"),
    "dns.timeout": Help("For one question to one server.", "一つのサーバーへの一回の問い合わせの時間。"),
    "dns.lifetime": Help("For one question in all, with its repetitions.", "再送を含む問い合わせ全体の時間。"),
    "dns.cache_size": Help("Answers kept; the oldest goes first.", "保持する回答の数。古いものから捨てます。"),
    "dns.cache_memory": Help("Octets that they take, roughly.", "そのおおよそのメモリ量（バイト）。"),
    "dns.concurrency": Help(
        "Questions that are asked at the same time; accounts share them.",
        "同時に行う問い合わせの数。アカウント間で分け合います。",
    ),
    "dns.slow_concurrency": Help(
        "Further ones that have waited for longer than slow_after.",
        "slow_after を過ぎても回答のない問い合わせに使う、それとは別の数。",
    ),
    "dns.slow_after": Help("When a question counts as slow.", "問い合わせを遅いとみなすまでの時間。"),
    "dns.max_answer": Help(
        "Octets of an answer over TCP; larger ones count as a failure.",
        "TCP の回答の最大サイズ（バイト）。これを超えるものは失敗とみなします。",
    ),
    "dns.max_records": Help(
        "Records of an answer that are kept; of MX those with the least preference.",
        "保持するレコードの数。MX は優先度の高いものから残します。",
    ),
    "dns.min_ttl": Help("An answer is kept for its own TTL, but at least so long.", "回答を保持する最短の時間。"),
    "dns.max_ttl": Help("And at most so long.", "回答を保持する最長の時間。"),
    "dns.negative_max_ttl": Help(
        'The most for "there is no such name" and "no such record" (RFC 2308 §5).',
        "「名前がない」「レコードがない」という回答を保持する最長の時間（RFC 2308 §5）。",
    ),
    "dns.failure_max_ttl": Help(
        "The most for it: it is doubled with each failure of the same name.",
        "その上限。同じ名前で失敗するたびに倍になります。",
    ),
    "dns.failure_ttl": Help(
        "For a failure to get any answer (RFC 2308 §7).", "回答が得られなかったことを覚える時間（RFC 2308 §7）。"
    ),
    "tracking.base_url": Help(
        "Where recipients reach the HTTP listener, such as https://links.example.com; empty: https://HOSTNAME.",
        "受信者から見た HTTP リスナーの URL（例: https://links.example.com）。空なら https://ホスト名 です。",
    ),
    "callbacks.timeout": Help(
        "For one request: looking the name up, connecting, sending, and the answer.",
        "1 回のリクエストの制限時間。名前解決、接続、送信、応答を含みます。",
    ),
    "callbacks.concurrency": Help(
        "Requests to one URL at the same time; those about the same message go one after the other.",
        "一つの URL への同時リクエスト数。同じメッセージの通知は順番に送られます。",
    ),
    "callbacks.endpoints": Help("URLs that are sent to at the same time.", "同時に送信する URL の数。"),
    "callbacks.batch": Help(
        "Events in one request, at most, where the format takes several.",
        "1 回のリクエストに入れるイベントの最大数（複数を送れる形式の場合）。",
    ),
    "callbacks.longest_wait": Help(
        "The most between two tries. The waits are 1, 2, 5, 10, 17 … minutes: 1 min + 1 min · n².",
        "再試行の最長の間隔。間隔は 1 分 + 1 分 × n²、すなわち 1、2、5、10、17 … 分です。",
    ),
    "callbacks.expire_after": Help(
        "What could not be told for so long is given up and kept as a dead letter.",
        "この期間送れなかった通知はあきらめ、配信不能として残します。",
    ),
    "callbacks.allowed_networks": Help(
        "Networks that callbacks may reach although they are not public, such as 10.20.0.0/16.",
        "公開されていなくても通知を送ってよいネットワーク（例: 10.20.0.0/16）。",
    ),
    "retention.messages": Help(
        "Messages with their deliveries, since acceptance and since the last change of any delivery.",
        "メッセージとその配信。受け付けと最後の変化から数えます。",
    ),
    "retention.attempts": Help(
        "Attempts with their SMTP dialogues, since acceptance; at most as long as the message.",
        "試行とその SMTP の対話。受け付けから数え、長くてもメッセージと同じ期間です。",
    ),
    "retention.events": Help(
        "Events, since acceptance; at most as long as the message.",
        "イベント。受け付けから数え、長くてもメッセージと同じ期間です。",
    ),
    "retention.workers": Help(
        "Workers that have ended, and duties that nobody renews.", "終了したワーカーと、更新されなくなった当番。"
    ),
    "retention.callbacks": Help(
        "The log of requests to the endpoints of accounts, and what had to be given up.",
        "アカウントのエンドポイントへのリクエストの記録と、送れずに終わった通知。",
    ),
    "retention.reports": Help("Delivery reports that nobody has fetched.", "誰にも取得されていない配信レポート。"),
    "retention.checks": Help(
        "Checks of domains; the last ones of each domain stay.",
        "ドメインの検査の記録。各ドメインの最後の検査は残ります。",
    ),
    "retention.inbound": Help(
        "Contents of mail that came in, since it was accepted, and as long as somebody is to be told of it. "
        "What is known of it stays as long as a message.",
        "受信したメールの本文。受け付けからの時間です。通知が終わっていないものはそれまで残ります。"
        "メールの記録はメッセージと同じ期間残ります。",
    ),
    "retention.audit": Help(
        "The audit log: who changed what, and from where.", "監査ログ。誰が、何を、どこから変更したか。"
    ),
    "lab.enabled": Help(
        "Nothing outside loopback is ever contacted. For the lab and for tests.",
        "ループバックの外には決して接続しません。ラボとテスト用です。",
    ),
    "log.level": Help("The least important level that is logged.", "記録する最低のレベル。"),
    "log.format": Help(
        '"console" for people, "json" for machines (one object per line).',
        '"console" は人向け、"json" は機械向け（一行一オブジェクト）。',
    ),
    "log.file": Help(
        "A file to append to instead of standard error, relative to this one. It may be moved away at any time: a "
        "new one is begun within a second.",
        "標準エラー出力の代わりに追記するファイル。このファイルからの相対パスです。"
        "いつ移動しても構いません。一秒以内に新しいファイルが作られます。",
    ),
    "log.accepted": Help(
        "The level of the line for each message that was accepted.", "受け付けたメッセージごとの行のレベル。"
    ),
    "log.delivered": Help(
        "The level of the line for each attempt after which the next server has the message.",
        "次のサーバーへの配信が成功した試行ごとの行のレベル。",
    ),
    "log.failed": Help("The level of the line for each other attempt.", "それ以外の試行ごとの行のレベル。"),
    "log.refused": Help(
        "The level of the line for each refusal, over SMTP and HTTP.", "SMTP と HTTP の拒否ごとの行のレベル。"
    ),
    "log.logins": Help(
        "The level of the line for each login that failed; fail2ban reads these.",
        "失敗したログインごとの行のレベル。fail2ban が読むのはこの行です。",
    ),
    "log.requests": Help(
        "The level of the line for each HTTP request that was answered well.",
        "正常に応答した HTTP リクエストごとの行のレベル。",
    ),
    "log.sample": Help(
        "Of how many messages, and requests, one is told of when all goes well. What fails is always told.",
        "正常なメッセージとリクエストを何件に一件記録するか。失敗は必ず記録されます。",
    ),
    "log.burst": Help(
        "How many lines of one kind others may cause in ten seconds, per worker; more are counted.",
        "他者が十秒間に書かせることのできる一種類の行の数（ワーカーごと）。超えた分は件数だけ記録されます。",
    ),
}


class Explained(NamedTuple):
    """What sections and keys mean, those of dialects among them; keys with their section, as ``store.url``."""

    sections: Mapping[str, Help]
    keys: Mapping[str, Help]

    @classmethod
    def of(cls, dialects: Sequence[Dialect[Any]]) -> Explained:
        sections, keys = dict(SECTIONS), dict(KEYS)
        for dialect in dialects:
            sections[dialect.name] = dialect.section
            keys |= {f"{dialect.name}.{name}": text for name, text in dialect.keys.items()}
        return cls(sections, keys)
