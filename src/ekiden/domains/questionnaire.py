"""The questions that an administrator decides by, and what is an answer to them.

The eight parts are those of a large provider's questionnaire, in words of our own; what a support case around it
has besides (a category, a watch list) need not be answered. Its attachments are ``domains.evidence``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from ekiden.core.address import parse_address, to_ascii_domain
from ekiden.core.language import Language
from ekiden.domains.errors import BadAnswer

AnswerKind = Literal["choice", "url", "text", "yes_no", "addresses", "affirmation"]
MAX_TEXT: Final = 4_000
MAX_URL: Final = 2_000
MAX_CONTACTS: Final = 4
MAX_WATCHERS: Final = 20


class Question(NamedTuple):
    """``part`` is its number in the questionnaire. ``kind``:

    - ``choice``: one of ``choices``
    - ``url``: of a website, ``https://`` or ``http://``
    - ``text``: up to ``MAX_TEXT`` characters
    - ``yes_no``: true or false
    - ``addresses``: one to ``most`` e-mail addresses, a list or a text with commas
    - ``affirmation``: true; without it nothing is accepted

    One that is ``optional`` may stay without an answer, and is not kept then.
    """

    id: str
    part: str
    kind: AnswerKind
    en: str
    ja: str
    choices: tuple[str, ...] = ()
    most: int = MAX_CONTACTS
    optional: bool = False

    def text(self, lang: Language) -> str:
        return self.ja if lang == "ja" else self.en


QUESTIONS: Final = (
    Question(
        "nature",
        "1",
        "choice",
        "Is the mail marketing (the same for many) or transactional (caused by what its recipient did)?",
        "メールの性質はマーケティング（多数への同報）ですか、トランザクション（受信者の操作への応答）ですか。",
        ("marketing", "transactional"),
    ),
    Question("website", "2", "url", "What is the URL of your website?", "ウェブサイトの URL を教えてください。"),
    Question("usage", "3", "text", "How do you plan to send mail?", "メールをどのように送る予定ですか。"),
    Question(
        "subscribers",
        "3a",
        "text",
        "How do you make or obtain your list of subscribers?",
        "購読者のリストをどのように作成または入手しますか。",
    ),
    Question(
        "bounces",
        "3b",
        "text",
        "How do you handle mail that bounces, and complaints of recipients?",
        "不達メールや受信者からの苦情をどのように処理しますか。",
    ),
    Question(
        "unsubscribing", "3c", "text", "How can recipients unsubscribe?", "受信者はどのように配信を停止できますか。"
    ),
    Question(
        "rate",
        "3d",
        "text",
        "How did you determine the sending rate or quota that you ask for?",
        "希望する送信速度や上限をどのように決めましたか。",
    ),
    Question(
        "cleaning",
        "3e",
        "yes_no",
        "Do you regularly remove invalid and outdated addresses from your list?",
        "無効な宛先や古い宛先を定期的にリストから取り除いていますか。",
    ),
    Question(
        "contacts",
        "4",
        "addresses",
        "Where do you want to receive messages about your account? Up to four e-mail addresses.",
        "アカウントに関する連絡を受け取るメールアドレスを 4 件まで挙げてください。",
    ),
    Question(
        "reply_to",
        "5",
        "affirmation",
        "Is the address in your Reply-To field valid, with a mailbox that is read?",
        "Reply-To のアドレスは有効で、読まれるメールボックスがありますか。",
    ),
    Question(
        "consent",
        "6",
        "affirmation",
        "Do you commit yourself to send only to people who asked for it, and to handle notifications of bounces "
        "and of complaints?",
        "明示的に希望した人にだけ送り、不達と苦情の通知を処理することを約束しますか。",
    ),
    Question(
        "unsubscribe_link",
        "7",
        "affirmation",
        "Do you agree that every mail you send has a link to unsubscribe?",
        "送信するすべてのメールに配信停止リンクを入れることに同意しますか。",
    ),
    Question(
        "html",
        "8",
        "yes_no",
        "If you send HTML, do you validate that it is well formed?",
        "HTML を送る場合、正しい形式であることを検証していますか。",
    ),
    Question(
        "category",
        "9",
        "text",
        "What is this request about (topic, subtopic, subject)? It may stay empty.",
        "この依頼の分類（トピック、サブトピック、件名）を書いてください。空でもかまいません。",
        optional=True,
    ),
    Question(
        "watch_list",
        "10",
        "addresses",
        "Who is to be kept informed of the request? Up to 20 e-mail addresses, or nobody.",
        "この依頼について連絡を受ける人のメールアドレスを 20 件まで挙げてください。空でもかまいません。",
        most=MAX_WATCHERS,
        optional=True,
    ),
)
"""In the order of the questionnaire. Each wants an answer, but those that are optional."""

_BY_ID: Final = {question.id: question for question in QUESTIONS}


def validate(answers: Mapping[str, Any]) -> dict[str, Any]:
    """The answers by the id of their question, as they are kept: JSON-ready. Raises ``BadAnswer``."""
    for name in answers:
        if name not in _BY_ID:
            raise BadAnswer(str(name), "{question}: there is no such question")
    return {
        question.id: _checked(question, answers.get(question.id))
        for question in QUESTIONS
        if not (question.optional and answers.get(question.id) in (None, "", []))
    }


def _checked(question: Question, answer: Any) -> Any:
    if answer is None or answer == "":
        raise BadAnswer(question.id, "{question}: an answer is missing")
    if question.kind == "addresses":
        return _addresses(question, answer)
    if question.kind in ("yes_no", "affirmation"):
        if not isinstance(answer, bool):
            raise BadAnswer(question.id, "{question}: the answer is yes or no (true or false)")
        if question.kind == "affirmation" and not answer:
            raise BadAnswer(question.id, "{question}: this has to be affirmed")
        return answer
    if not isinstance(answer, str):
        raise BadAnswer(question.id, "{question}: the answer is a text")
    text = answer.strip()
    if not text:
        raise BadAnswer(question.id, "{question}: an answer is missing")
    if question.kind == "choice":
        if text.lower() not in question.choices:
            allowed = ", ".join(question.choices)
            raise BadAnswer(question.id, "{question}: the answer is one of {allowed}", allowed=allowed)
        return text.lower()
    longest = MAX_URL if question.kind == "url" else MAX_TEXT
    if len(text) > longest:
        raise BadAnswer(question.id, "{question}: an answer has at most {longest} characters", longest=longest)
    if "\0" in text or _has_surrogate(text):
        raise BadAnswer(question.id, "{question}: the answer is a text")
    if question.kind == "url" and not _is_website(text):
        raise BadAnswer(question.id, "{question}: {value} is not the URL of a website", value=text)
    return text


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def _is_website(text: str) -> bool:
    try:
        parts = urlsplit(text)
        host = to_ascii_domain(parts.hostname or "")
    except ValueError:  # BadAddress is one
        return False
    return parts.scheme in ("http", "https") and "." in host and text.isprintable() and " " not in text


def _addresses(question: Question, answer: Any) -> list[str]:
    texts = answer.split(",") if isinstance(answer, str) else answer
    if not isinstance(texts, list | tuple) or not 1 <= len(texts) <= question.most:
        raise BadAnswer(question.id, "{question}: one to {most} e-mail addresses are wanted", most=question.most)
    found = []
    for text in texts:
        try:
            found.append(parse_address(text.strip()).shown)
        except (ValueError, AttributeError):  # BadAddress is a ValueError
            template = "{question}: {value} is not an e-mail address"
            raise BadAnswer(question.id, template, value=text) from None
    return found
