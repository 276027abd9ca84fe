"""The commands speak Japanese, and JSON stays as it is."""

from __future__ import annotations

import ast
import inspect
import os
import re
import string
import subprocess
import sys
from types import ModuleType

import pytest
from installation import Installation

from ekiden.cli import (
    account,
    audit,
    bulk,
    common,
    completion,
    credential,
    db,
    default_sender,
    demo,
    find,
    init,
    moments,
    project,
    queue,
    queue_filter,
    send,
    serve,
    service,
    sign,
    submission,
    tables,
    trace,
    user,
)
from ekiden.cli.translations import TEXTS
from ekiden.core.clock import HOUR
from ekiden.core.ids import format_id
from ekiden.core.states import State
from support.queue_rows import Rows


@pytest.fixture
def japanese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKIDEN_LANG", "ja")


async def two(rows: Rows) -> str:
    new = await rows.attempted("one@a.example", state=State.DEFERRED, reply="421 4.7.0 slow down", due_in=HOUR)
    await rows.message("held@b.example", state=State.HELD)
    return format_id(new.message.id)


@pytest.mark.usefixtures("japanese")
def test_accounts(ekiden: Installation) -> None:
    assert "アカウントはまだありません" in ekiden.run("account", "list").err
    assert ekiden.run("account", "create", "acme").out == "アカウント acme を作成しました\n"
    ekiden.run("domain", "add", "x.example", "--account", "acme")
    ekiden.run("account", "suspend", "acme")
    assert ekiden.run("account", "list").out.splitlines()[0].split() == [
        *("名前", "優先度", "作成日時", "状態", "レポート", "不達アドレス"),
    ]
    assert "から停止中" in ekiden.run("account", "list").out
    ekiden.fill(two)
    shown = ekiden.run("account", "show", "acme").out
    assert "ドメイン x.example: 未検証" in shown
    assert "キュー内: 保留 1 件、再試行待ち 1 件" in shown
    assert ekiden.json("account", "show", "acme")["queue"] == {"held": 1, "deferred": 1}


@pytest.mark.usefixtures("japanese")
def test_credentials(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    with_quota = ekiden.run("account", "quota", "acme", "--minute", "5", "--action", "reject").out
    assert with_quota == "アカウント acme: 上限を超えた分は拒否します\n  この 1 分: 0 / 5\n"
    made = ekiden.run("credential", "password", "create", "acme")
    assert made.out.startswith("ユーザー名  acme\nパスワード  ")
    assert made.err == "表示されるのは今回限りです。\n"
    (row,) = ekiden.json("credential", "list")
    assert row["kind"] == "password"
    listed = ekiden.run("credential", "list").out.splitlines()
    assert listed[0].split() == ["ID", "アカウント", "種類", "名前", "作成日時", "最終使用日時", "状態"]
    assert listed[1].split()[-2:] == ["未使用", "有効"]
    wrong = ekiden.run("credential", "api-key", "revoke", str(row["id"])).err
    assert wrong == f"ekiden: 認証情報 {row['id']} は API キー ではなく パスワード です\n"
    revoked = ekiden.run("credential", "revoke", str(row["id"])).out
    assert revoked == "acme のパスワード 'acme' を失効させました\n"
    bad = ekiden.run("credential", "api-key", "create", "acme", "--network", "10.0.0.1/8").err
    assert bad.startswith("ekiden: '10.0.0.1/8' はプレフィックスより後ろにビットがあります")
    assert ekiden.run("account", "show", "nobody").err == "ekiden: アカウント 'nobody' はありません\n"


@pytest.mark.usefixtures("japanese")
def test_console_users_and_the_audit_log(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    refused = ekiden.run("user", "add", "ann@acme.example", "--account", "acme").err
    assert refused == "ekiden: アカウントの最初のコンソールユーザーは所有者です: 役割 owner\n"
    made = ekiden.run("user", "add", "ann@acme.example", "--account", "acme", "--role", "owner")
    assert made.out.startswith("ann@acme.example をアカウント acme の owner にしました\nパスワード  ")
    listed = ekiden.run("user", "list").out.splitlines()
    assert listed[0].split() == ["ログイン名", "アカウント", "役割", "作成日時", "最終使用日時", "状態"]
    logged = ekiden.run("audit", "list").out.splitlines()
    assert logged[0].split() == ["日時", "アカウント", "誰が", "どこから", "操作", "対象", "詳細"]
    assert "user.add" in logged[1]


@pytest.mark.usefixtures("japanese")
def test_queue(ekiden: Installation) -> None:
    id = ekiden.fill(two)
    listed = ekiden.run("queue", "list", "--state", "deferred").out.splitlines()
    assert listed[0].split() == ["ID", "宛先", "状態", "待ち", "次回", "試行", "経過", "理由"]
    assert listed[1].split()[:3] == [id, "one@a.example", "再試行待ち"]
    assert ekiden.run("queue", "list", "--account", "acme", "--state", "sending").err == (
        "該当するものはありません\n"
    )
    assert "合計" in ekiden.run("queue", "shape").out
    assert ekiden.run("queue", "cancel", "--all", "--dry-run").out == "配信 2 件が、取り消す対象です\n"
    assert ekiden.run("queue", "release", "--all").out.splitlines() == [
        "配信 1 件を再開しました",
        "1 件は対象外: 保留中でないか、管理者以外が保留しています",
    ]
    assert ekiden.json("queue", "hold", id)["action"] == "hold"
    assert ekiden.run("queue", "list", "--older-than", "x").err.startswith(
        "ekiden: --older-than: 'x' は使えません。90s"
    )
    assert ekiden.run("queue", "show", "0000000000000").err == "ekiden: メール 0000000000000 はありません\n"
    assert "保存期間が過ぎて" in ekiden.run("trace", "0000000000000").err


@pytest.mark.usefixtures("japanese")
def test_the_whole_queue_is_not_changed_by_a_slip(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "CONFIRM_ABOVE", 1)
    ekiden.fill(two)
    refused = ekiden.run("queue", "cancel", "--state", "held", "--state", "deferred").err
    assert refused.startswith("ekiden: cancel: キュー全体（配信 2 件）が対象です。実行するには --yes")


@pytest.mark.usefixtures("japanese")
def test_send(ekiden: Installation) -> None:
    assert ekiden.run("send", "--server", "h:25").err == (
        "ekiden: 宛先がありません。--to か --to-file を指定してください\n"
    )
    told = ekiden.run("send", "--to", "a@x.example", "--server", "127.0.0.1:1").err
    assert told.startswith("ekiden: 127.0.0.1:1 を利用できません: ")


@pytest.mark.usefixtures("japanese")
def test_what_was_sent(capsys: pytest.CaptureFixture[str]) -> None:
    refused = submission.Result([], refused={"b@x.example": (550, "5.1.1 no such user")})
    taken = submission.Result(["a@x.example"], "0000000000001", "250 Ok")
    broken = submission.CliError("the connection broke: {error}", error="gone")
    with pytest.raises(send.typer.Exit):
        send._report([taken, refused], [broken], 3, 1.0, False)
    told = capsys.readouterr()
    assert told.out == "0000000000001  受け付けました: a@x.example\n"
    assert told.err.splitlines() == [
        "b@x.example は拒否されました: 550 5.1.1 no such user",
        "接続が切れました: gone",
        "1 通は送信を試みていません",
    ]
    with pytest.raises(send.typer.Exit):
        send._report([taken, refused], [broken], 3, 1.0, True)
    assert '"errors":["the connection broke: gone"]' in capsys.readouterr().out


@pytest.mark.usefixtures("japanese")
def test_db(ekiden: Installation) -> None:
    ekiden.fill(two)
    assert "はすでにリビジョン" in ekiden.run("db", "upgrade").out
    assert "テーブルはこの Ekiden に合っています" in ekiden.run("db", "upgrade", "--check").out
    lines = ekiden.run("db", "status").out.splitlines()
    assert lines[1] == "  エンジン    sqlite"
    assert lines[4] == "  キュー      保留 1 件、予約 0 件、送信待ち 0 件、送信中 0 件、再試行待ち 1 件"
    queued = ekiden.json("db", "status")["queue"]
    assert queued == {"held": 1, "scheduled": 0, "queued": 0, "sending": 0, "deferred": 1}


def test_the_password_comes_before_the_remark_in_one_pipe(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    ended = subprocess.run(
        [sys.executable, "-m", "ekiden.cli.main", "credential", "password", "create", "acme"],
        env={**os.environ, "EKIDEN_CONFIG": str(ekiden.config)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=True,
    )
    name, password, remark = ended.stdout.splitlines()
    assert name == "user name  acme"
    assert password.startswith("password   ")
    assert remark == "This is the only time it is shown."


# completeness

MODULES = (
    account,
    audit,
    bulk,
    common,
    completion,
    credential,
    db,
    demo,
    find,
    init,
    moments,
    project,
    queue,
    queue_filter,
    send,
    default_sender,
    serve,
    service,
    sign,
    submission,
    tables,
    trace,
    user,
)


def calls(module: ModuleType) -> list[tuple[str, ast.Call]]:
    """The calls of plain names, by name."""
    tree = ast.parse(inspect.getsource(module))
    return [
        (node.func.id, node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]


def constants(node: ast.expr) -> list[str]:
    """The text, or the two between which a condition chooses."""
    nodes = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    return [item.value for item in nodes if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def sentences() -> set[str]:
    """Every text that a module gives to ``tr``, ``CliError`` or a table that is translated."""
    found = {
        *db.MEANING.values(),
        *db.KEY_STATES.values(),
        *db.SECRETS.values(),
        *queue.WOULD.values(),
        *queue.DONE.values(),
    }
    for module in MODULES:
        for name, call in calls(module):
            if name in ("tr", "CliError", "CliUsageError"):
                found.update(constants(call.args[0]))
            elif name == "make_table" and any(item.arg == "translate" for item in call.keywords):
                found.update(text for argument in call.args for text in constants(argument))
    return found


def test_every_sentence_is_translated_and_no_other() -> None:
    used = sentences()
    assert sorted(used - set(TEXTS.japanese)) == []
    assert sorted(set(TEXTS.japanese) - used) == []


@pytest.mark.parametrize("module", MODULES)
def test_no_error_is_put_together_where_nobody_can_translate_it(module: ModuleType) -> None:
    assert [
        ast.unparse(call)
        for name, call in calls(module)
        if name in ("tr", "CliError", "CliUsageError") and isinstance(call.args[0], ast.JoinedStr)
    ] == []


@pytest.mark.parametrize("english", sorted(TEXTS.japanese))
def test_translations_name_the_same_values(english: str) -> None:
    def values(text: str) -> list[tuple[str | None, str | None, str | None]]:
        return sorted(
            (name, form, conversion) for _, name, form, conversion in string.Formatter().parse(text) if name
        )

    assert values(TEXTS.japanese[english]) == values(english)
    assert re.findall(r"--[a-z-]+|EKIDEN_\w+", TEXTS.japanese[english]) == re.findall(
        r"--[a-z-]+|EKIDEN_\w+", english
    )
