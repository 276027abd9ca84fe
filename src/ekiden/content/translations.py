"""What changes to content say when they are refused, in Japanese."""

from __future__ import annotations

from ekiden.core.texts import Texts

TEXTS = Texts(
    {
        # landing pages
        "a landing page's id has 1 to {longest} letters, digits, hyphens and underscores": (
            "ランディングページの ID は英数字、ハイフン、下線の 1～{longest} 文字です"
        ),
        "a landing page's name has 1 to {longest} printable characters": (
            "ランディングページの名前は 1～{longest} 文字の表示できる文字です"
        ),
        "a landing page has at most {most} placeholders": "ランディングページの差し込み項目は {most} 個までです",
        "{field} has at most {most} placeholders": "{field} の差し込み項目は {most} 個までです",
        "a landing page has at most {longest} octets": "ランディングページは {longest} オクテットまでです",
        "a landing page needs {mark} where its button is to be": (
            "ランディングページには、ボタンを置く場所に {mark} が必要です"
        ),
        "there is a landing page {uid!r} already": "ランディングページ {uid!r} はすでにあります",
        "there is no landing page {uid!r}": "ランディングページ {uid!r} はありません",
        # fields of templates and files
        "{field} has {shortest} to {longest} characters": "{field} は {shortest}～{longest} 文字です",
        "{field} has control characters or line breaks": "{field} に制御文字か改行が含まれています",
        "{field} is not a text that can be kept": "{field} は保存できない文字を含んでいます",
        # uploads
        "{field} has no blank at its beginning or end": "{field} の前後に空白は置けません",
        "{field} is a media type such as application/pdf": (
            "{field} は application/pdf のようなメディアタイプです"
        ),
        "{field} is {shortest} to {longest} minutes": "{field} は {shortest}～{longest} 分です",
        "{field} is that of an attachment of a template": "{field} はテンプレートの添付ファイルの ID です",
        "a file has at most {longest} bytes": "ファイルは {longest} バイトまでです",
        "the files of the account have {longest} bytes in all; wait until some of them have expired": (
            "アカウントのファイルは合計 {longest} バイトまでです。期限が切れるまでお待ちください"
        ),
        "there is no upload {uid}, or it has expired": "アップロード {uid} はないか、期限が切れています",
        # templates
        "there is no template {id}": "テンプレート {id} はありません",
        "template {id} has no attachment {uid}": "テンプレート {id} に添付ファイル {uid} はありません",
        "an account has at most {most} templates": "テンプレートは 1 アカウントあたり {most} 件までです",
        "a template has at most {most} attachments": "テンプレートの添付ファイルは {most} 件までです",
        "the attachments of a template have at most {longest} bytes in all": (
            "テンプレートの添付ファイルは合計 {longest} バイトまでです"
        ),
        "{field} is one e-mail address, with a name or without": (
            "{field} は名前付きか名前なしのメールアドレス 1 件です"
        ),
        "{field} is a list of e-mail addresses": "{field} はメールアドレスの一覧です",
        "{field}: there is no landing page {uid}": "{field}: ランディングページ {uid} はありません",
        "there is no field {field}": "{field} というフィールドはありません",
    }
)
