"""What ``ekiden domain`` says, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        "{value!r} is not a status; there are {known}": (
            "{value!r} という状態はありません。{known} から選んでください"
        ),
        # statuses
        "pending": "検証待ち",
        "verified": "検証済み",
        "failed": "未検証（不備あり）",
        "suspended": "停止中",
        # headings
        "domain": "ドメイン",
        "account": "アカウント",
        "status": "状態",
        "why": "理由",
        "last check": "最終確認",
        "never": "なし",
        "time": "時刻",
        "record": "レコード",
        "result": "結果",
        "found": "内容",
        # results of checks
        "pass": "合格",
        "fail": "不合格",
        "temporary": "判定できず",
        "advice": "参考",
        # kinds of records
        "SPF": "SPF",
        "DKIM, RSA": "DKIM（RSA）",
        "DKIM, Ed25519 (a second signature; may be left out)": "DKIM（Ed25519、二つ目の署名、任意）",
        "DMARC (recommended)": "DMARC（推奨）",
        "address": "アドレス",
        # one domain
        "{name} of {account}: {status}": "{account} の {name}: {status}",
        "an operator vouches for it": "運用者が保証しています",
        "{why} (checks fail since {time})": "{why}（{time} から確認に失敗しています）",
        "if that stays so, nothing is accepted from it from {time} on": (
            "このままだと {time} から送信が停止されます"
        ),
        "approval: pending; the questionnaire is answered": "承認: 待機中（質問票は回答済み）",
        "approval: pending; the questionnaire is not answered": "承認: 待機中（質問票は未回答）",
        "approval: given by {actor}": "承認: {actor} が承認しました",
        "approval: refused by {actor}: {reason}": "承認: {actor} が拒否しました: {reason}",
        "tracking: {what}": "計測: {what}",
        "tracking: {what}, by {host}": "計測: {what}（{host}）",
        "opens": "開封",
        "clicks": "クリック",
        "unsubscribing": "配信停止",
        "nothing": "なし",
        "return path: {address}": "リターンパス: {address}",
        "checked {time}; next {next}": "確認 {time}、次回 {next}",
        "not checked yet": "まだ確認されていません",
        "Records to publish:": "公開するレコード:",
        "{kind}: published": "{kind}: 公開されています",
        "{kind}: not checked yet": "{kind}: まだ確認されていません",
        "{kind}: {what}": "{kind}: {what}",
        "{kind}: retired; keep the record until {time}": (
            "{kind}: 使用を終えた鍵。{time} までレコードを残してください"
        ),
        "wanted: an A record, such as that of a website": "必要: A レコード（ウェブサイトのものなど）",
        "Last checks:": "最近の確認:",
        "Answers:": "回答:",
        "yes": "はい",
        "no": "いいえ",
        # changes
        "domain {name} added; publish these records, then: ekiden domain verify {name}": (
            "ドメイン {name} を追加しました。次のレコードを公開してから: ekiden domain verify {name}"
        ),
        "domain {name} has new keys; they begin to sign when their records are seen": (
            "ドメイン {name} の新しい鍵を作成しました。レコードが確認されると署名に使われます"
        ),
        "tracking of domain {name} set": "ドメイン {name} の計測を設定しました",
        "return path of domain {name} set": "ドメイン {name} のリターンパスを設定しました",
        "domain {name} removed": "ドメイン {name} を削除しました",
        "the answers for {name} are kept; an administrator decides: ekiden domain approve {name}": (
            "{name} の回答を保存しました。管理者が判断します: ekiden domain approve {name}"
        ),
        "domain {name} approved": "ドメイン {name} を承認しました",
        "domain {name} refused": "ドメイン {name} を拒否しました",
        "no such domains": "該当するドメインはありません",
        "no domains; add one with: ekiden domain add DOMAIN --account NAME": (
            "ドメインはありません。追加するには: ekiden domain add ドメイン --account 名前"
        ),
        # errors
        "{name} belongs to several accounts ({accounts}); choose one with --account": (
            "{name} は複数のアカウント（{accounts}）にあります。--account で選んでください"
        ),
        "there is no domain {name}": "ドメイン {name} はありません",
        "there is no record of the kind {kind}; there are {kinds}": (
            "{kind} というレコードはありません。あるのは {kinds} です"
        ),
        "{path} cannot be read: {why}": "{path} を読めません: {why}",
        "Attachments (ekiden domain attachment):": "添付ファイル (ekiden domain attachment):",
        "{name} has no attachment {number}": "{name} に添付ファイル {number} はありません",
        "{path} cannot be written: {why}": "{path} に書き込めません: {why}",
        "the answers are not a JSON object: {why}": "回答が JSON オブジェクトではありません: {why}",
        "the answers are wanted: --file FILE, or a terminal to ask them at": (
            "回答が必要です。--file ファイル を指定するか、端末で実行してください"
        ),
        "{question} (one of {choices})": "{question}（{choices} のどれか）",
    }
)
