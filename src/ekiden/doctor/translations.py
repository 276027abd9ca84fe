"""The sentences of ``ekiden doctor`` in Japanese; the English ones stand in the checks."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # the table
        "what": "項目",
        "found": "結果",
        "ok": "正常",
        "warn": "注意",
        "fail": "障害",
        "mail cannot flow; in its way: {count}": "メールの流れを止める問題が {count} 件あります",
        "mail can flow; to be looked at: {count}": "メールは流れます。確認すべき点が {count} 件あります",
        "nothing stands in the way of mail": "メールの流れを妨げるものはありません",
        # titles
        "Configuration": "設定",
        "Disk": "ディスク",
        "Files": "ファイル",
        "Open files": "オープンファイル数",
        "Certificates": "証明書",
        "Ports": "ポート",
        "Database": "データベース",
        "Instance key": "インスタンスキー",
        "Clock": "時計",
        "Queue": "キュー",
        "Deliveries": "配信",
        "Workers": "ワーカー",
        "DNS": "DNS",
        "Sender record": "送信元レコード",
        "Host name": "ホスト名",
        "Domains": "ドメイン",
        "Senders": "送信者",
        "Outbound": "外向き接続",
        "Links in mails": "メール内のリンク",
        "Callbacks": "コールバック",
        # any check
        "this check could not be carried out: {why}": "この検査を実行できませんでした: {why}",
        "{why}": "{why}",
        # configuration
        "correct the configuration": "設定を修正してください",
        "there is no listener: nobody can submit mail": "リスナーがなく、誰もメールを送信できません",
        "add [[listeners]] to the configuration; ekiden init writes an example": (
            "設定に [[listeners]] を追加してください。ekiden init が例を書き出します"
        ),
        "it can be read, and its keys fit together": "読み込むことができ、内容に矛盾はありません",
        # disk
        "{path} cannot be looked at: {why}": "{path} を調べられません: {why}",
        "create the folder, and let Ekiden's user read and write it": (
            "フォルダーを作成し、Ekiden のユーザーに読み書きを許可してください"
        ),
        "{free} free ({percent} %) where {path} lies": "{path} のあるディスクの空きは {free}（{percent} %）です",
        "make room: without it no message can be accepted": (
            "空きを作ってください。なくなるとメールを受け付けられません"
        ),
        "only {count} more files can be created where {path} lies (inodes)": (
            "{path} のあるディスクに作成できるファイルは残り {count} 個です（inode）"
        ),
        "remove files": "ファイルを削除してください",
        "{path} cannot be written by this user": "{path} にこのユーザーは書き込めません",
        "let Ekiden's user write it, or run the doctor as that user": (
            "Ekiden のユーザーに書き込みを許可するか、そのユーザーで doctor を実行してください"
        ),
        # files
        "{path} cannot be read by this user": "{path} をこのユーザーは読み取れません",
        "make it belong to Ekiden's user, or run the doctor as that user": (
            "所有者を Ekiden のユーザーにするか、そのユーザーで doctor を実行してください"
        ),
        "{path} is open to others (mode {mode})": "{path} は他のユーザーからも読み書きできます（モード {mode}）",
        "chmod 600 {path}": "chmod 600 {path}",
        "chmod go-w {path}": "chmod go-w {path}",
        "keys and database are closed to others ({count} files)": (
            "鍵とデータベースは他のユーザーから保護されています（{count} ファイル）"
        ),
        # limits
        "{soft} files may be open at once, and {needed} connections are allowed": (
            "同時に開けるファイルは {soft} 個ですが、許可された接続は {needed} 本です"
        ),
        "raise the limit (ulimit -n, LimitNOFILE=), or lower smtp.max_connections": (
            "上限（ulimit -n、LimitNOFILE=）を上げるか、smtp.max_connections を下げてください"
        ),
        "enough for all connections that are allowed": "許可された接続の数に足りています",
        # certificates
        "none is for the host name {hostname}; there are {names}": (
            "ホスト名 {hostname} の証明書がありません。あるのは {names} です"
        ),
        "clients that connect to this name will refuse it: get a certificate for it": (
            "この名前で接続するクライアントに拒否されます。この名前の証明書を取得してください"
        ),
        "listener {listener}: {why}": "リスナー {listener}: {why}",
        "put a certificate and the key that belongs to it there": "証明書と、対応する秘密鍵を置いてください",
        "renew it, then tell the running Ekiden with SIGHUP": "更新し、動作中の Ekiden に SIGHUP を送ってください",
        "{path} has expired: {end}": "{path} は期限切れです: {end}",
        "check this machine's clock, or wait": "このマシンの時計を確認するか、有効になるまで待ってください",
        "{path} is not valid before {start}": "{path} は {start} まで有効になりません",
        "{path} expires soon: {end}": "{path} の期限が近づいています: {end}",
        "{path} is valid until {end}; it is self-signed, so clients must be told to trust it": (
            "{path} は {end} まで有効です。自己署名のため、クライアントに信頼させる設定が必要です"
        ),
        "{path} is valid until {end}": "{path} は {end} まで有効です",
        # ports
        "{name}: any free port on {host}": "{name}: {host} の空きポートを使います",
        "{name}: this user may not listen on {address}": (
            "{name}: このユーザーには {address} で待ち受ける権限がありません"
        ),
        "start as root or with CAP_NET_BIND_SERVICE (ekiden service print), or choose a port from 1024 on": (
            "root か CAP_NET_BIND_SERVICE 付き（ekiden service print）で起動するか、1024 以上のポートを選んでくださ"
            "い"
        ),
        "{name}: {address} shows another certificate than the one in {path}": (
            "{name}: {address} が提示する証明書は {path} のものではありません"
        ),
        "the file was changed: tell the running Ekiden with SIGHUP (systemctl reload ekiden)": (
            "ファイルが更新されています。動作中の Ekiden に SIGHUP を送ってください（systemctl reload ekiden）"
        ),
        "this machine does not have that address; correct the configuration": (
            "このマシンにそのアドレスはありません。設定を修正してください"
        ),
        "{name}: {address} cannot be listened on: {why}": "{name}: {address} で待ち受けられません: {why}",
        "{name}: {address} is free": "{name}: {address} は空いています",
        "{name}: {address} is answered by a running Ekiden": "{name}: {address} では Ekiden が動作しています",
        "{name}: {address} is answered by something else: {greeting}": (
            "{name}: {address} では別のものが応答しています: {greeting}"
        ),
        "stop the other program, or choose another port": "そのプログラムを止めるか、別のポートを選んでください",
        "{name}: {address} is in use, but nothing answers there as it should": (
            "{name}: {address} は使用中ですが、期待した応答がありません"
        ),
        "find out what it is: ss -ltnp": "何が使っているか調べてください: ss -ltnp",
        # database
        "it cannot be written: {why}": "書き込めません: {why}",
        "look at the disk, at file permissions and at the database's own log": (
            "ディスク、ファイルの権限、データベース自身のログを確認してください"
        ),
        "{engine}: reachable, its tables are current, a commit took {length}": (
            "{engine}: 接続でき、テーブルは最新です。コミットの所要時間は {length} でした"
        ),
        "it cannot be used: {why}": "使用できません: {why}",
        "correct store.url, or start the database": "store.url を修正するか、データベースを起動してください",
        "ekiden db upgrade": "ekiden db upgrade",
        # instance key
        "{path} is the key of the database, but {count} of its secrets were sealed with another key": (
            "{path} はデータベースのキーですが、別のキーで暗号化されたシークレットが {count} 個あります"
        ),
        "see what they are, and how to make new ones: ekiden db key; ekiden db key --help": (
            "内訳と作り直し方: ekiden db key、ekiden db key --help"
        ),
        "{path} is the key of the database; keep a copy of it in a safe place": (
            "{path} はデータベースのキーです。控えを安全な場所に保管してください"
        ),
        "the database has no key yet; it gets {path} when Ekiden starts": (
            "データベースにキーがまだ登録されていません。Ekiden の起動時に {path} が登録されます"
        ),
        # machines that share a database
        "Connections": "接続数",
        "Database servers": "データベースサーバー",
        "workers alive: {workers}, on machines: {machines}; they have up to {most} connections ({each} each); "
        "the server takes {limit}, {used} are open": (
            "稼働中のワーカー: {workers}、マシン: {machines}。接続は最大 {most} 本 (各 {each} 本) です。"
            "サーバーの上限は {limit} 本で、現在 {used} 本が開いています"
        ),
        "raise max_connections of the database (reloads need twice as many), or run fewer workers": (
            "データベースの max_connections を増やすか (再読み込み中は 2 倍必要です)、ワーカーを減らしてください"
        ),
        "of {servers}, {serving} takes writes": "{servers} のうち、書き込みを受け付けるのは {serving} です",
        "start one, or promote a standby": "サーバーを起動するか、スタンバイを昇格させてください",
        # clock
        "let this machine's clock be set by NTP (chrony, systemd-timesyncd)": (
            "NTP（chrony、systemd-timesyncd）でこのマシンの時計を合わせてください"
        ),
        "the clock says {now}, which is before Ekiden was written": (
            "時計は {now} を指しています。Ekiden が作られるより前の時刻です"
        ),
        "it agrees with the database and the file system; no one else was asked": (
            "データベースとファイルシステムに一致しています（外部には問い合わせていません）"
        ),
        "this machine and the database's differ by {length}": "データベースの時計と {length} ずれています",
        "the kernel says that nothing sets this machine's clock": (
            "このマシンの時計は同期されていません（カーネルの情報）"
        ),
        "a worker was started in the future, {length} from now: a clock was wrong, or was set back": (
            "{length} 先の未来に起動したワーカーがあります。時計が誤っていたか、戻されました"
        ),
        "this machine and the file system of {path} differ by {length}": (
            "{path} のファイルシステムの時計と {length} ずれています"
        ),
        "nobody can write: process {pid} has the turn to write and does not give it back": (
            "どのプロセスも書き込めません。プロセス {pid} が書き込みの順番を持ったまま返していません"
        ),
        "if it is stopped, let it go on (kill -CONT {pid}) or end it": (
            "停止している場合は再開させる（kill -CONT {pid}）か、終了してください"
        ),
        "{count} deliveries are held because rows cannot be read or written; the first is of {id}": (
            "データベースの行を読み書きできないため、{count} 件の配信が保留されています。最初のものは {id} です"
        ),
        "see why (ekiden trace {id}), mend the row or cancel them, then: ekiden queue release {id}": (
            "理由を確認し（ekiden trace {id}）、行を直すか取り消してから"
            " ekiden queue release {id} を実行してください"
        ),
        # queue and workers
        "the oldest delivery has been due for {length}, and nobody takes it ({counts})": (
            "最も古い配信は予定時刻を {length} 過ぎていますが、処理されていません（{counts}）"
        ),
        "start ekiden serve; if it runs, look at its log: it is overloaded or cannot connect": (
            "ekiden serve を起動してください。動作中なら、過負荷か接続障害です。ログを確認してください"
        ),
        "{counts}": "{counts}",
        "empty": "空です",
        "account {name} has {count} under way, the oldest for {length} (to {domain})": (
            "アカウント {name} の配信 {count} 件が処理中で、最も古いものは {length} 前からです (宛先 {domain})"
        ),
        "slow servers hold them: ekiden queue shape; ekiden queue hold --account NAME --domain DOMAIN": (
            "遅い相手サーバーが原因です。ekiden queue shape で確認し、"
            "ekiden queue hold --account NAME --domain DOMAIN で止められます"
        ),
        "{count} under way": "処理中 {count} 件",
        "held deliveries, which wait for a person: {count}": "{count} 件の配信が保留中で、担当者を待っています",
        "ekiden queue list --state held; then ekiden queue release or cancel with an id, a filter or --all": (
            "ekiden queue list --state held で確認し、ID・条件・--all のいずれかを付けて"
            " ekiden queue release か cancel を実行してください"
        ),
        "worker {id} ({host}, process {pid}) died: its lease ended {length} ago": (
            "ワーカー {id}（{host}、プロセス {pid}）が停止しました。リースは {length} 前に切れています"
        ),
        "a running Ekiden frees what it had within seconds; if none runs, start it": (
            "動作中の Ekiden が数秒で引き継ぎます。動いていなければ起動してください"
        ),
        "{count} alive on {hosts}": "{hosts} で {count} 個が動作中です",
        "no living worker has the role smtp: nobody can submit mail": (
            "役割 smtp のワーカーがなく、誰もメールを送信できません"
        ),
        "no living worker has the role http: the HTTP APIs and links in mails do not answer": (
            "役割 http のワーカーがなく、HTTP API とメール内のリンクが応答しません"
        ),
        "no living worker has the role delivery: nothing leaves the queue": (
            "役割 delivery のワーカーがなく、キューのメールが配信されません"
        ),
        "no living worker has the role notify: nobody is told by callbacks": (
            "役割 notify のワーカーがなく、コールバックで通知されません"
        ),
        "no living worker has the role housekeeping: domains are not checked, work of crashed workers is not taken "
        "over": (
            "役割 housekeeping のワーカーがなく、ドメインの確認も、異常終了したワーカーの引き継ぎも行われません"
        ),
        "add it to workers.roles or to serve --roles, here or on another machine of the installation": (
            "このマシンか同じインストールの別のマシンで、workers.roles か serve --roles に追加してください"
        ),
        "worker {id} (process {pid}) has {used} of {limit} files open: soon it takes no more connections": (
            "ワーカー {id}（プロセス {pid}）は {limit} 個中 {used} 個のファイルを開いており、まもなく接続を受け付け"
            "られなくなります"
        ),
        "raise LimitNOFILE= of the service; or lower smtp.max_connections and http.max_connections": (
            "サービスの LimitNOFILE= を上げるか、smtp.max_connections と http.max_connections を下げてください"
        ),
        "none is running": "動作していません",
        "start one: ekiden serve": "起動してください: ekiden serve",
        # DNS
        "no answer from the name servers ({servers}): {why}": "ネームサーバー（{servers}）が応答しません: {why}",
        "correct dns.nameservers, or /etc/resolv.conf; a local resolver such as unbound serves best": (
            "dns.nameservers か /etc/resolv.conf を修正してください。unbound などのローカルリゾルバーが最適です"
        ),
        "correct dns.nameservers": "dns.nameservers を修正してください",
        "the name servers answer ({servers})": "ネームサーバー（{servers}）は応答しています",
        "{name} is not a full name: many servers refuse mail from it": (
            "{name} は完全な名前ではありません。多くのサーバーに拒否されます"
        ),
        "set hostname to this server's name in DNS, such as mail.example.com": (
            "hostname を DNS 上の名前（mail.example.com など）にしてください"
        ),
        "{name} has no address in DNS: many servers refuse mail from it": (
            "{name} のアドレスが DNS にありません。多くのサーバーに拒否されます"
        ),
        "publish an A or AAAA record for it, or set hostname to a name that has one": (
            "A または AAAA レコードを公開するか、hostname をアドレスのある名前にしてください"
        ),
        "{name} is {addresses}": "{name} のアドレスは {addresses} です",
        "{address} leads back to {name}": "{address} の逆引きは {name} です",
        "{address} has the reverse name {names}, not {name}: large providers refuse mail from it": (
            "{address} の逆引きは {name} ではなく {names} です。大手プロバイダーに拒否されます"
        ),
        "{address} has no reverse name (PTR): large providers refuse mail from it": (
            "{address} に逆引き（PTR）がありません。大手プロバイダーに拒否されます"
        ),
        "have whoever gave you the address set its PTR record to {name}": (
            "アドレスの提供者に、PTR レコードを {name} にするよう依頼してください"
        ),
        # domains
        "only the first {count} of {total} domains were looked at": (
            "{total} ドメインのうち最初の {count} 個だけを調べました"
        ),
        "{domain}: {why}": "{domain}: {why}",
        "{domain} says that it takes no mail (null MX): servers refuse mail from it": (
            "{domain} はメールを受け取らないと宣言しています（null MX）。このドメインからのメールは拒否されます"
        ),
        "{domain} cannot receive mail: no answers, no notifications, and servers refuse mail from it": (
            "{domain} はメールを受信できません。返信も通知も届かず、このドメインからのメールは拒否されます"
        ),
        "publish MX records for it": "MX レコードを公開してください",
        "{domain} is verified, and its records are right": "{domain} は検証済みで、レコードにも問題はありません",
        "{domain} waits: {why}": "{domain} は検証待ちです: {why}",
        "{domain} is suspended, nothing is accepted from it: {why}": (
            "{domain} は停止中で、このドメインからの送信を受け付けていません: {why}"
        ),
        "{domain} will be suspended at {time}: {why}": "{domain} は {time} に停止されます: {why}",
        "see: ekiden domain show {domain}": "確認するには: ekiden domain show {domain}",
        "{domain} was to be checked at {time}, and was not": (
            "{domain} は {time} に確認されるはずでしたが、確認されていません"
        ),
        "let a worker with the role housekeeping run": "housekeeping の役割を持つワーカーを動かしてください",
        "{advice}": "{advice}",
        "{domain} has a new key that waits for its record {name}": (
            "{domain} の新しい鍵がレコード {name} の公開を待っています"
        ),
        "publish it: ekiden domain show {domain}": "公開してください: ekiden domain show {domain}",
        "{domain}: the record {name} of a retired key is not right, though mail signed with it may still wait": (
            "{domain}: 使用を終えた鍵のレコード {name} に不備がありますが、"
            "署名済みのメールが残っている可能性があります"
        ),
        "publish it until {time}: ekiden domain show {domain}": (
            "{time} まで公開してください: ekiden domain show {domain}"
        ),
        "{domain}: the record {name} of a retired key may be removed after {time}": (
            "{domain}: 使用を終えた鍵のレコード {name} は {time} を過ぎたら削除できます"
        ),
        # our own SPF record
        "the SPF record of {include} permits our addresses ({addresses})": (
            "{include} の SPF レコードは送信元アドレス ({addresses}) を許可しています"
        ),
        "domains cannot be verified: {why}": "ドメインを検証できません: {why}",
        "set domains.addresses to the addresses that mail leaves from, or publish an address of the hostname": (
            "domains.addresses に送信元アドレスを設定するか、hostname のアドレスを公開してください"
        ),
        "publish at {include} the TXT record: {record}": "{include} に TXT レコードを公開してください: {record}",
        # links in mails
        "{url} is without TLS: mail programs and browsers warn of links in mails that lead there": (
            "{url} は TLS を使っていません。メールソフトやブラウザーがリンクに警告を出します"
        ),
        "set tracking.base_url to an https:// URL, with a proxy in front that has a certificate for {name}": (
            "tracking.base_url を https:// の URL にし、{name} の証明書を持つプロキシを前に置いてください"
        ),
        "{url} has no address in DNS: links, pictures and unsubscribing in mails that are tracked do not work": (
            "{url} のアドレスが DNS にありません。計測するメールのリンク・画像・配信停止が機能しません"
        ),
        "set tracking.base_url to a name that leads to the HTTP listener, or publish an address for {name}": (
            "tracking.base_url を HTTP リスナーに届く名前にするか、{name} のアドレスを公開してください"
        ),
        "they lead to {url}": "リンク先は {url} です",
        # senders
        "{count} domains may send": "送信できるドメインは {count} 個です",
        "{count} domains may send, and accounts with any sender: {free}": (
            "送信できるドメインは {count} 個、任意の差出人を使えるアカウントは {free} 個です"
        ),
        "there is no account that is not suspended: nobody can send": (
            "有効なアカウントがなく、誰も送信できません"
        ),
        "make one: ekiden account create NAME": "作成してください: ekiden account create 名前",
        "no account has a domain: nobody can send": "ドメインを持つアカウントがなく、誰も送信できません",
        "add one, publish its records, and have them looked at: ekiden domain add; ekiden domain verify": (
            "ドメインを追加し、レコードを公開して確認してください: ekiden domain add、ekiden domain verify"
        ),
        "none of {count} domains can send: none is verified": (
            "{count} 個のドメインはどれも検証済みではなく、送信できません"
        ),
        "publish their records (ekiden domain show), then: ekiden domain verify": (
            "レコードを公開し（ekiden domain show）、ekiden domain verify を実行してください"
        ),
        # proxies
        "{key} names {network}: whoever connects from there is believed whatever client it names": (
            "{key} に {network} が指定されています。そこから接続した相手の名乗るクライアントがすべて信用されます"
        ),
        "name the addresses of your proxies only": "プロキシのアドレスだけを指定してください",
        "http: {address} is reachable from outside without TLS: API keys and passwords go in clear": (
            "http: {address} は TLS なしで外部から接続でき、API キーとパスワードが平文で流れます"
        ),
        "listen on 127.0.0.1, with a TLS proxy in front that http.proxy_from names (docs/operating.md)": (
            "127.0.0.1 で待ち受け、前段に TLS プロキシを置いて http.proxy_from に指定してください（"
            "docs/operating.md）"
        ),
        "Proxies": "プロキシ",
        "a proxy that http.proxy_from does not name passes requests on ({count} so far): all of its clients "
        "count as one, failed logins included": (
            "http.proxy_from に書かれていないプロキシからリクエストが届いています（これまでに {count} 件）。"
            "そのクライアントはすべて一つとして数えられ、認証の失敗も同じです"
        ),
        "name its network in http.proxy_from": "そのネットワークを http.proxy_from に書いてください",
        # callbacks
        "endpoint {id} ({url}) began to fail {since}, {failures} times in a row; events that wait: {waiting}": (
            "通知先 {id}（{url}）は {since}から連続 {failures} 回失敗しています。未送信イベント: {waiting} 件"
        ),
        "its answers: ekiden callback log --endpoint {id}; to try now: ekiden callback retry {id}": (
            "応答は ekiden callback log --endpoint {id} で確認できます。"
            "すぐに再試行するには ekiden callback retry {id}"
        ),
        "further endpoints fail: {count}": "ほかに {count} 件の通知先が失敗しています",
        "ekiden callback list --busy": "ekiden callback list --busy",
        "events that could not be told, and were given up: {count}": (
            "通知失敗 (デッドレター) になったイベント: {count} 件"
        ),
        "ekiden callback dead lists them; ekiden callback retry gives them another chance": (
            "一覧は ekiden callback dead、再試行は ekiden callback retry"
        ),
        "no endpoint fails, and nothing was given up": (
            "失敗している通知先も、通知失敗 (デッドレター) もありません"
        ),
        # outbound
        "port {port} of other servers was not tried; to try it: ekiden doctor --outbound HOST": (
            "他のサーバーのポート {port} への接続は試していません。試すには: ekiden doctor --outbound HOST"
        ),
        "let connections to port {port} out: many providers block it until they are asked": (
            "ポート {port} への外向きの接続を許可してください。申請するまで遮断している事業者が多くあります"
        ),
        "start the lab, and set dns.nameservers, dns.port and delivery.smtp_port to its ports": (
            "ラボを起動し、dns.nameservers・dns.port・delivery.smtp_port をそのポートに合わせてください"
        ),
        "{host} cannot be tried: {why}": "{host} への接続を試せません: {why}",
        "{host} ({address}) cannot be reached: {why}": "{host}（{address}）に接続できません: {why}",
        "{host} ({address}) does not greet as a mail server: {greeting}": (
            "{host}（{address}）はメールサーバーとして応答していません: {greeting}"
        ),
        "{host} ({address}) turns this machine away: {greeting}": (
            "{host}（{address}）はこのマシンを拒否しています: {greeting}"
        ),
        "{host} ({address}) answers in {length}, with STARTTLS": (
            "{host}（{address}）は {length} で応答し、STARTTLS に対応しています"
        ),
        "{host} ({address}) answers in {length}, without STARTTLS": (
            "{host}（{address}）は {length} で応答しましたが、STARTTLS に対応していません"
        ),
    }
)
