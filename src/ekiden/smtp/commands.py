"""The server's command table: one row per command drives dispatch, checks of state, and HELP.

A row is read from left to right as the machine does: what the session must have (TLS, AUTH), which states allow
the command, what is answered in the others, and which method of ``ServerConnection`` carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ekiden.smtp.reply import Reply


class State(IntEnum):
    """Where the session is between two commands."""

    CONNECTED = 0
    """No HELO or EHLO yet, or TLS has just begun (RFC 3207 §4.2)."""
    GREETED = 1
    MAIL = 2
    """A sender is accepted, no recipient yet."""
    RCPT = 3
    """At least one recipient is accepted."""
    CHUNKS = 4
    """A BDAT that was not the last is accepted (RFC 3030 §2)."""


# Tuples: members are found by identity, while hashing them would call Python code for every command.
_ANY = tuple(State)
_NO_TRANSACTION = (State.CONNECTED, State.GREETED)
_TRANSACTION = (State.MAIL, State.RCPT)

_BAD_SEQUENCE = Reply.of(503, "5.5.1", "Error: bad sequence of commands")
_NESTED_MAIL = Reply.of(503, "5.5.1", "Error: nested MAIL command")
_NEED_MAIL = Reply.of(503, "5.5.1", "Error: need MAIL command")
_AUTH_IN_TRANSACTION = Reply.of(503, "5.5.1", "Error: AUTH is not permitted during a mail transaction")


@dataclass(frozen=True, slots=True)
class Command:
    """One row. ``handler`` names a method; ``out_of_order`` is the reply where ``states`` does not allow it."""

    verb: str
    handler: str
    states: tuple[State, ...]
    syntax: str
    help_en: str
    help_ja: str
    needs_tls: bool = False
    """Refused with 530 before TLS when the listener requires TLS (AUTH: always)."""
    needs_auth: bool = False
    """Refused with 530 before AUTH when the listener requires AUTH."""
    argument: bool | None = None
    """``True``: must have one; ``False``: must have none; ``None``: may have one."""
    out_of_order: Reply = _BAD_SEQUENCE


COMMANDS: dict[str, Command] = {
    command.verb: command
    for command in (
        Command(
            "HELP", "do_help", _ANY, "HELP [command]",
            "Lists the commands, or explains one.",
            "コマンドの一覧、または指定したコマンドの説明を返します。",
        ),
        Command(
            "HELO", "do_helo", _ANY, "HELO hostname",
            "Starts a session without extensions and names the client.",
            "拡張機能を使わないセッションを開始し、クライアントの名前を伝えます。",
            argument=True,
        ),
        Command(
            "EHLO", "do_ehlo", _ANY, "EHLO hostname",
            "Starts a session, names the client and lists the extensions of this server.",
            "セッションを開始し、クライアントの名前を伝え、このサーバーの拡張機能を一覧します。",
            argument=True,
        ),
        Command(
            "STARTTLS", "do_starttls", _NO_TRANSACTION, "STARTTLS",
            "Encrypts the connection with TLS. Say EHLO again afterwards.",
            "接続を TLS で暗号化します。その後もう一度 EHLO を送ってください。",
            argument=False,
        ),
        Command(
            "AUTH", "do_auth", _NO_TRANSACTION, "AUTH mechanism [initial-response]",
            "Authenticates with PLAIN or LOGIN, inside TLS only. With an API key the user name is App.",
            "TLS の中で PLAIN または LOGIN により認証します。API キーを使うときのユーザー名は App です。",
            needs_tls=True, argument=True, out_of_order=_AUTH_IN_TRANSACTION,
        ),
        Command(
            "MAIL", "do_mail", _NO_TRANSACTION,
            "MAIL FROM:<address> [SIZE=n] [BODY=7BIT|8BITMIME] [SMTPUTF8] [AUTH=xtext] [RET=FULL|HDRS] [ENVID=id]",
            "Starts a message and names its envelope sender.",
            "メールの送信を開始し、エンベロープの送信者を指定します。",
            needs_tls=True, needs_auth=True, argument=True, out_of_order=_NESTED_MAIL,
        ),
        Command(
            "RCPT", "do_rcpt", _TRANSACTION,
            "RCPT TO:<address> [NOTIFY=NEVER|SUCCESS,FAILURE,DELAY] [ORCPT=type;address]",
            "Adds a recipient. Repeat it for each one, also for those of Cc and Bcc.",
            "受信者を追加します。Cc と Bcc を含め、受信者ごとに繰り返してください。",
            needs_tls=True, needs_auth=True, argument=True, out_of_order=_NEED_MAIL,
        ),
        Command(
            "DATA", "do_data", _TRANSACTION, "DATA",
            "Begins the content, which ends with a line that holds a single dot.",
            "メールの内容の送信を開始します。ドット 1 文字だけの行で終わります。",
            needs_tls=True, needs_auth=True, argument=False, out_of_order=_NEED_MAIL,
        ),
        Command(
            "BDAT", "do_bdat", (*_TRANSACTION, State.CHUNKS), "BDAT size [LAST]",
            "Sends the content in chunks of a given number of octets.",
            "内容を、指定したオクテット数のチャンクに分けて送信します。",
            needs_tls=True, needs_auth=True, argument=True, out_of_order=_NEED_MAIL,
        ),
        Command(
            "RSET", "do_rset", _ANY, "RSET",
            "Drops the message that was begun; the connection stays open.",
            "途中のメールを取り消します。接続は開いたままです。",
            argument=False,
        ),
        Command(
            "NOOP", "do_noop", _ANY, "NOOP [text]",
            "Does nothing, successfully.",
            "何もせず、正常の応答を返します。",
        ),
        Command(
            "VRFY", "do_vrfy", _ANY, "VRFY address",
            "Does not tell whether an address exists; send the message to find out.",
            "アドレスの有無は答えません。メールを送信して確認してください。",
            needs_tls=True, needs_auth=True, argument=True,
        ),
        Command(
            "QUIT", "do_quit", _ANY, "QUIT",
            "Ends the session.",
            "セッションを終了します。",
            argument=False,
        ),
    )
}  # fmt: skip

NOT_OFFERED = frozenset({"EXPN", "ETRN", "TURN", "ATRN", "SEND", "SAML", "SOML", "BURL", "XCLIENT", "XFORWARD"})
"""Known to SMTP and not offered here: 502 instead of 500 (RFC 5321 §4.2.4)."""

OTHER_PROTOCOLS = frozenset({"GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT", "DELETE", "PATCH"})
"""First words of HTTP: a browser was led here by someone else's page, so nothing after them is read."""


def help_reply(topic: str, language: str) -> Reply | None:
    """214 for HELP: the list when ``topic`` is empty, else one command; ``None`` for an unknown one."""
    japanese = language == "ja"
    if not topic:
        verbs = list(COMMANDS)
        half = (len(verbs) + 1) // 2
        return Reply.of(
            214,
            "2.0.0",
            "次のコマンドが使えます:" if japanese else "Commands of this server:",
            "  " + " ".join(verbs[:half]),
            "  " + " ".join(verbs[half:]),
            "コマンドの説明: HELP <コマンド>" if japanese else "For one of them: HELP <command>",
        )
    command = COMMANDS.get(topic.upper())
    if command is None:
        return None
    return Reply.of(214, "2.0.0", command.syntax, command.help_ja if japanese else command.help_en)
