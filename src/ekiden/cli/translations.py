"""What the commands say, in Japanese; what only ``trace``, ``doctor``, ``init`` or ``demo`` prints is with them."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # several commands
        "nothing found": "該当するものはありません",
        "account": "アカウント",
        "name": "名前",
        "id": "ID",
        "state": "状態",
        "created": "作成日時",
        "active": "有効",
        "Password": "パスワード",
        "Password again": "パスワード（確認）",
        "there is no message {id}": "メール {id} はありません",
        "--lang: en and ja are known": "--lang には en か ja を指定してください",
        "give an id, or --refused": "ID か --refused を指定してください",
        "the user name {name!r} has a password already; --replace gives it a new one": (
            "ユーザー名 {name!r} にはすでにパスワードがあります。新しくするには --replace を付けてください"
        ),
        "give --scope or --network, or --none for no bounds": (
            "--scope か --network を指定してください。制限をなくすには --none を指定してください"
        ),
        "{value!r} is not a number such as lists show": (
            "{value!r} は使えません。一覧にある番号で指定してください"
        ),
        "{value!r} is not a shell; there are {known}": "{value!r} には対応していません。{known} から選んでください",
        "{value!r} is not a priority; there are high, standard and low": (
            "{value!r} という優先度はありません。high、standard、low から選んでください"
        ),
        "{value!r} is neither verified nor any": "{value!r} は使えません。verified か any を指定してください",
        "{value!r} is neither on nor off": "{value!r} は使えません。on か off を指定してください",
        "{value!r} is neither a number from 1 nor none": (
            "{value!r} は使えません。1 以上の数か none を指定してください"
        ),
        "{value!r} is neither delay nor reject": "{value!r} は使えません。delay か reject を指定してください",
        # account
        "account {name} created": "アカウント {name} を作成しました",
        "account {name} suspended": "アカウント {name} を停止しました",
        "account {name} resumed": "アカウント {name} の停止を解除しました",
        "account {name} changed": "アカウント {name} を変更しました",
        "no accounts yet; create one with: ekiden account create NAME": (
            "アカウントはまだありません。作成するには: ekiden account create 名前"
        ),
        "priority": "優先度",
        "suspended since {time}": "{time} から停止中",
        "{name}: {state}, created {time}": "{name}: {state}、作成日時 {time}",
        "priority of its messages: {priority}": "メールの優先度: {priority}",
        "domain {name}: verified": "ドメイン {name}: 検証済み",
        "domain {name}: not verified": "ドメイン {name}: 未検証",
        "in the queue: {counts}": "キュー内: {counts}",
        "nothing": "なし",
        "no credentials": "認証情報はありません",
        "there is no region {region!r}; there are {known}": (
            "リージョン {region!r} はありません。使えるもの: {known}"
        ),
        "region: {region}": "リージョン: {region}",
        "it may send from any domain": "どのドメインからでも送信できます",
        "reports": "レポート",
        "bounces": "不達アドレス",
        "kept": "保管",
        "suppressed": "送信抑止",
        "its delivery reports are kept to be fetched": "配信レポートは取得されるまで保管します",
        "addresses that bounce for good are not mailed again": (
            "恒久的に不達となったアドレスには、以後送信しません"
        ),
        "no reports are kept, and bounces are not suppressed": (
            "レポートは保管せず、不達アドレスへの送信抑止もしません"
        ),
        "account {name}: {quota}": "アカウント {name}: {quota}",
        "no quota": "送信数の上限はありません",
        "what is over the quota is delayed": "上限を超えた分は遅らせます",
        "what is over the quota is rejected": "上限を超えた分は拒否します",
        "this minute": "この 1 分",
        "this hour": "この 1 時間",
        "this day (UTC)": "この 1 日（UTC）",
        "  {window}: {used:,} of {limit:,}": "  {window}: {used:,} / {limit:,}",
        # project
        "region": "リージョン",
        "project {name} added: {id}": "プロジェクト {name} を追加しました: {id}",
        # credential
        "kind": "種類",
        "last used": "最終使用日時",
        "never": "未使用",
        "revoked {time}": "{time} に失効",
        "password": "パスワード",
        "API key": "API キー",
        "user name  {name}": "ユーザー名  {name}",
        "password   {secret}": "パスワード  {secret}",
        "This is the only time it is shown.": "表示されるのは今回限りです。",
        "SMTP user": "SMTP ユーザー",
        "access key": "アクセスキー",
        "access key  {id}": "アクセスキー  {id}",
        "secret      {secret}": "シークレット  {secret}",
        "only for": "制限",
        "revoked {kind} {name!r} of {account}": "{account} の{kind} {name!r} を失効させました",
        "credential {id} is of the kind {found}, not {kind}": "認証情報 {id} は {kind} ではなく {found} です",
        "{kind} {name!r} of {account} is now only for: {only}": (
            "{account} の{kind} {name!r} を次に制限しました: {only}"
        ),
        "{kind} {name!r} of {account} has no bounds now": "{account} の{kind} {name!r} の制限を解除しました",
        # user
        "login": "ログイン名",
        "role": "役割",
        "removed {time}": "{time} に削除",
        "{login} is now {role} of the account {account}": ("{login} をアカウント {account} の {role} にしました"),
        "{login} has a new password": "{login} のパスワードを変更しました",
        "{login} is no longer a user of the account {account}": (
            "{login} をアカウント {account} のユーザーから外しました"
        ),
        # audit
        "time": "日時",
        "who": "誰が",
        "from": "どこから",
        "what": "操作",
        "target": "対象",
        "details": "詳細",
        # service
        "--user: {value!r} is not the name of a user": "--user: {value!r} はユーザー名として使えません",
        "a service needs a configuration file: --config FILE": (
            "サービスには設定ファイルが必要です。--config FILE で指定してください"
        ),
        "there is no user {user} yet: useradd --system --home-dir {directory} --shell /usr/sbin/nologin {user}; "
        "then: chown -R {user}: {directory}": (
            "ユーザー {user} がまだありません。作成してください: useradd --system --home-dir {directory} --shell "
            "/usr/sbin/nologin {user}、続いて chown -R {user}: {directory}"
        ),
        # db
        "it has no tables yet; create them with: ekiden db upgrade": (
            "テーブルがまだありません。作成するには: ekiden db upgrade"
        ),
        "its tables are as this Ekiden needs them": "テーブルはこの Ekiden に合っています",
        "its tables are older than this Ekiden needs; upgrade them with: ekiden db upgrade": (
            "テーブルがこの Ekiden には古すぎます。更新するには: ekiden db upgrade"
        ),
        "it was written by a newer Ekiden; this one cannot use it": (
            "より新しい Ekiden のデータベースです。この Ekiden では使えません"
        ),
        "{url} is at revision {before} and in use by workers of an older Ekiden: {workers}. Stop them first "
        "(a worker that crashed counts until its lease has ended); or, if they have to go on: --in-use": (
            "{url} はリビジョン {before} で、古い Ekiden のワーカーが使用中です: {workers}。先に停止してください"
            "（異常終了したワーカーはリースが切れるまで数えられます）。動かしたまま更新する場合は --in-use を指定し"
            "てください"
        ),
        "it is the key of this database": "このデータベースのキーです",
        "the database has no key yet; it gets this one when Ekiden starts": (
            "データベースにキーがまだ登録されていません。Ekiden の起動時にこのキーが登録されます"
        ),
        "it is not the key of this database": "このデータベースのキーではありません",
        "it cannot be read": "読み取れません",
        "{path}: {state}": "{path}: {state}",
        "  of the database since {time}": "  登録日時 {time}",
        "keys that sign mail: {opened} opened, {closed} not": (
            "メールの署名鍵: 復号できるもの {opened} 個、できないもの {closed} 個"
        ),
        "secrets of access keys: {opened} opened, {closed} not": (
            "アクセスキーのシークレット: 復号できるもの {opened} 個、できないもの {closed} 個"
        ),
        "secrets of callbacks: {opened} opened, {closed} not": (
            "通知先の認証情報: 復号できるもの {opened} 個、できないもの {closed} 個"
        ),
        "new DKIM keys to publish: ekiden domain show {name}": (
            "新しい DKIM 鍵を公開してください: ekiden domain show {name}"
        ),
        "{url} is at revision {revision} already": "{url} はすでにリビジョン {revision} です",
        "{url} is now at revision {revision} (before: {before})": (
            "{url} をリビジョン {revision} にしました（以前: {before}）"
        ),
        "empty": "空",
        "none": "なし",
        "  engine    {engine}": "  エンジン    {engine}",
        "  revision  {revision} ({meaning})": "  リビジョン  {revision}（{meaning}）",
        "  size      {size}": "  サイズ      {size}",
        "  queue     {counts}": "  キュー      {counts}",
        "  workers   {count}": "  ワーカー    {count}",
        # queue
        "recipient": "宛先",
        "next": "次回",
        "attempts": "試行",
        "age": "経過",
        "reason": "理由",
        "TOTAL": "合計",
        "the first {limit}; more with --limit": "最初の {limit} 件です。続きは --limit で表示できます",
        "the {shown} largest of {total} domains; more with --limit": (
            "全 {total} ドメインのうち上位 {shown} 件です。続きは --limit で表示できます"
        ),
        "the content of {id} has been removed, as nobody needs it any more": (
            "{id} の本文は、不要になったため削除されています"
        ),
        "{action} {count:,} deliveries, everything in the queue? Say --yes, or narrow it down.": (
            "{action}: キュー全体（配信 {count:,} 件）が対象です。"
            "実行するには --yes を付けるか、対象を絞ってください。"
        ),
        "{action} {count:,} deliveries, everything in the queue?": (
            "{action}: キュー全体（配信 {count:,} 件）が対象です。実行しますか?"
        ),
        "nothing was changed": "何も変更していません",
        "1 delivery": "配信 1 件",
        "{count:,} deliveries": "配信 {count:,} 件",
        "{deliveries} would be due": "{deliveries}が、すぐに再試行する対象です",
        "{deliveries} would be held": "{deliveries}が、保留する対象です",
        "{deliveries} would be released": "{deliveries}が、再開する対象です",
        "{deliveries} would be cancelled": "{deliveries}が、取り消す対象です",
        "{deliveries} now due": "{deliveries}を、すぐに再試行するようにしました",
        "{deliveries} now held": "{deliveries}を保留しました",
        "{deliveries} now released": "{deliveries}を再開しました",
        "{deliveries} now cancelled": "{deliveries}を取り消しました",
        "1 was taken by a worker or ended in the meantime, and is left alone": (
            "1 件は、その間にワーカーが送信を始めたか終了したため、そのままにしました"
        ),
        "1 skipped: a worker is sending it": "1 件は対象外: ワーカーが送信中です",
        "{count:,} were taken by a worker or ended in the meantime, and are left alone": (
            "{count:,} 件は、その間にワーカーが送信を始めたか終了したため、そのままにしました"
        ),
        "{count:,} skipped: a worker is sending them": "{count:,} 件は対象外: ワーカーが送信中です",
        "{count:,} skipped: due already, or held": "{count:,} 件は対象外: すでに送信待ち、または保留中です",
        "{count:,} skipped: not held, or held by others than an operator": (
            "{count:,} 件は対象外: 保留中でないか、管理者以外が保留しています"
        ),
        "1 of them stays held: somebody else holds it, too": (
            "うち 1 件は保留のままです: ほかにも保留している人がいます"
        ),
        "{count:,} of them stay held: somebody else holds them, too": (
            "うち {count:,} 件は保留のままです: ほかにも保留している人がいます"
        ),
        "{value!r} is not known to --wait; there are {names}": (
            "--wait: {value!r} は指定できません。指定できる値: {names}"
        ),
        "waits for": "待ち",
        "{count:,} skipped: in a state that {action} does not change": (
            "{count:,} 件は対象外: {action} では変わらない状態です"
        ),
        "{action} what? Name ids, narrow it down with a filter such as --domain, or say --all": (
            "{action} の対象がありません。ID か、--domain などの条件か、--all を指定してください"
        ),
        "--all stands without ids and filters": "--all は ID や条件と一緒には使えません",
        "{value!r} is not a state; there are {names}": (
            "{value!r} という状態はありません。{names} から選んでください"
        ),
        "{value!r}: after the slash stands the number of a recipient, from 1": (
            "{value!r}: スラッシュの後には宛先の番号（1 から）を指定してください"
        ),
        "{option}: {value!r} is not a duration such as 90s, 5m, 1h or 2d": (
            "{option}: {value!r} は使えません。90s、5m、1h、2d のような長さで指定してください"
        ),
        "{option}: {value!r} is neither a time such as 2026-01-31T09:00:00+09:00 nor a duration such as 2h": (
            "{option}: {value!r} は使えません。2026-01-31T09:00:00+09:00 のような時刻か、2h のような長さで"
            "指定してください"
        ),
        "--since is later than --until": "--since が --until より後になっています",
        "--sort: {value!r} is neither due nor newest": (
            "--sort: {value!r} は使えません。due か newest を指定してください"
        ),
        "--domain: {error}": "--domain: {error}",
        # find
        "a recipient with * wants --since: everything since then is looked at": (
            "* を含む宛先には --since を指定してください（その時刻以降のすべてを調べます）"
        ),
        "sender": "送信者",
        "subject": "件名",
        "refused": "拒否",
        # send
        "sending": "送信中",
        "--to-file: {path} cannot be read: {error}": "--to-file: {path} を読めません: {error}",
        "{username} has no verified domain to send from; see `ekiden domain list`, or give --from": (
            "{username} が送信できる検証済みのドメインがありません。`ekiden domain list` で確認するか、--from で"
            "送信者を指定してください"
        ),
        "--html: {path} cannot be read: {error}": "--html: {path} を読めません: {error}",
        "--file: {path} cannot be read: {error}": "--file: {path} を読めません: {error}",
        "name a server with --server HOST:PORT, or a configuration ({error})": (
            "--server HOST:PORT でサーバーを、または設定ファイルを指定してください（{error}）"
        ),
        "to whom? Give --to or --to-file": "宛先がありません。--to か --to-file を指定してください",
        "--username without a password; set EKIDEN_SMTP_PASSWORD": (
            "--username にはパスワードが必要です。EKIDEN_SMTP_PASSWORD に設定してください"
        ),
        "{id}  accepted for {recipients}": "{id}  受け付けました: {recipients}",
        "{count:,} messages accepted in {seconds:.1f} s ({rate:,.0f}/s)": (
            "{count:,} 通を {seconds:.1f} 秒で受け付けました（毎秒 {rate:,.0f} 通）"
        ),
        "refused for {recipient}: {code} {reply}": "{recipient} は拒否されました: {code} {reply}",
        "{count:,} recipients were refused in all": "拒否された宛先は全部で {count:,} 件です",
        "Follow it with: ekiden trace {id}": "経過を見るには: ekiden trace {id}",
        "1 message was not tried": "1 通は送信を試みていません",
        "{count:,} messages were not tried": "{count:,} 通は送信を試みていません",
        "--server: {value!r} is not HOST:PORT, such as mail.example.com:587 or [::1]:587": (
            "--server: {value!r} は HOST:PORT の形ではありません（例: mail.example.com:587、[::1]:587）"
        ),
        "--tls: {value!r} is not allowed; allowed are {allowed}": (
            "--tls: {value!r} は使えません。使えるのは {allowed} です"
        ),
        "the configuration has no such listener; name a server with --server HOST:PORT": (
            "設定にそのようなリスナーがありません。--server HOST:PORT でサーバーを指定してください"
        ),
        "listener {name} has port 0, any free one; name a server with --server HOST:PORT": (
            "リスナー {name} のポートは 0（空きポート）です。--server HOST:PORT でサーバーを指定してください"
        ),
        "the message has no From; give --from": "メールに From がありません。--from を指定してください",
        "the message has no To; give --to": "メールに To がありません。--to を指定してください",
        "{server} said {code} {reply}": "{server} の応答: {code} {reply}",
        "{server} cannot be used: {error}": "{server} を利用できません: {error}",
        "the server does not take addresses with other than ASCII characters (SMTPUTF8)": (
            "サーバーが ASCII 以外の文字を含むアドレスに対応していません (SMTPUTF8)"
        ),
        "the connection broke: {error}": "接続が切れました: {error}",
        # trace, init, serve, demo
        "several messages have this Message-ID; name one of {ids}": (
            "この Message-ID のメールは複数あります。次のどれかを指定してください: {ids}"
        ),
        "there is no message {id}; it may have been removed by retention, or be another server's": (
            "メール {id} はありません。保存期間が過ぎて削除されたか、別のサーバーのものかもしれません"
        ),
        "message {id} has no such recipient; it has {count}": (
            "メール {id} にその宛先はありません（宛先は {count} 件）"
        ),
        "--hostname: {value!r} is not a domain name": "--hostname: {value!r} はドメイン名ではありません",
        "--roles: {value!r} is not allowed; allowed are {allowed}": (
            "--roles: {value!r} は使えません。使えるのは {allowed} です"
        ),
        "the first message was not accepted: {error}": "最初のメールが受け付けられませんでした: {error}",
        "the first message did not arrive within 30 s; see {log}": (
            "最初のメールが 30 秒以内に届きませんでした。{log} を見てください"
        ),
    }
)
