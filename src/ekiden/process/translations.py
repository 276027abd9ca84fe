"""What the server says to the person who starts it, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "{who}: {address} is in use by another program": "{who}: {address} は別のプログラムが使用中です",
        "{who}: this machine does not have the address {address}": (
            "{who}: アドレス {address} はこのマシンにありません"
        ),
        "{who}: not allowed to listen on {address} (ports below 1024)": (
            "{who}: {address} で待ち受ける権限がありません (1024 未満のポート)"
        ),
        "{who}: cannot listen on {address}: {why}": "{who}: {address} で待ち受けできません: {why}",
        "{path} exists already; nothing was changed": "{path} はすでにあります。何も変更していません",
        "the database {url} belongs to an installation already, and a new instance key would open nothing in it; "
        "nothing was changed. Give the key of that installation: --instance-key FILE": (
            "データベース {url} はすでに別のインストールで使われており、新しいインスタンスキーでは"
            "中の秘密情報を復号できません。何も変更していません。"
            "そのインストールのキーを --instance-key FILE で指定してください"
        ),
        "this is not the instance key of the database {url}; nothing was changed": (
            "データベース {url} のインスタンスキーではありません。何も変更していません"
        ),
        "{why}. Put the copy of this installation's key there (64 hexadecimal digits, readable by Ekiden's user); "
        "a new key would not open what the database has sealed. Without any copy see: ekiden db key --help": (
            "{why}。このインストールのキーの控えをそこに置いてください（64 桁の 16 進数、"
            "Ekiden のユーザーが読み取れること）。新しいキーでは、データベース内の秘密情報を復号できません。"
            "控えがない場合は ekiden db key --help を参照してください"
        ),
        "the instance key {path} is not the one of this database: what is sealed in it (keys that sign mail, "
        "secrets of access keys and callbacks) cannot be opened. Put the instance.key there that belongs to the "
        "database, from its backup or from another machine of the installation. If that key is lost for good, see: "
        "ekiden db key --help": (
            "インスタンスキー {path} はこのデータベースのものではなく、中の秘密情報（メールの署名鍵、アクセスキーと"
            "コールバックのシークレット）を復号できません。データベースと対になる instance.key を、バックアップか"
            "同じインストールの別のマシンからコピーしてください。キーを完全に失った場合は ekiden db key --help を"
            "参照してください"
        ),
        "{path} cannot be written: {why}": "{path} に書き込めません: {why}",
        "log.file: {path} cannot be written: {why}": "log.file: {path} に書き込めません: {why}",
        "another demo is running in {directory}": "{directory} では別のデモが動いています",
        "{path} cannot be read: {why}": "{path} を読めません: {why}",
        "{directory} has a demo on {store}": "{directory} のデモは {store} を使っています",
        "{what} did not start: {why}": "{what} が起動しませんでした: {why}",
        "the domain of the demo is not verified: {why}": "デモ用ドメインを検証できませんでした: {why}",
        "the lab ended (see {log})": "ラボが終了しました ({log} を見てください)",
        "the database ended, starting it again": "データベースが終了したので、もう一度起動します",
        "the platform ended, starting it again": "プラットフォームが終了したので、もう一度起動します",
        "workers end as soon as they start ({how}); the log says why": (
            "ワーカーが起動直後に終了します ({how})。理由はログにあります"
        ),
        "the clock of this machine is {seconds} s ahead of the database's ({most} s are allowed): "
        "let both machines set theirs by NTP "
        "(timedatectl set-ntp true; chronyc makestep), then start again": (
            "このマシンの時計はデータベースの時計より {seconds} 秒進んでいます (許されるのは {most} 秒まで)。"
            "両方のマシンの時計を NTP で合わせて "
            "(timedatectl set-ntp true; chronyc makestep)、もう一度起動してください"
        ),
        "the clock of this machine is {seconds} s behind the database's ({most} s are allowed): "
        "let both machines set theirs by NTP "
        "(timedatectl set-ntp true; chronyc makestep), then start again": (
            "このマシンの時計はデータベースの時計より {seconds} 秒遅れています (許されるのは {most} 秒まで)。"
            "両方のマシンの時計を NTP で合わせて "
            "(timedatectl set-ntp true; chronyc makestep)、もう一度起動してください"
        ),
        "there is no account {name}, which listeners.{listener} trusts": (
            "listeners.{listener} が信頼するアカウント {name} がありません"
        ),
    }
)
