"""What a whole installation writes into its log: the promised lines, where programs find them."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.demo_process import Demo, wait_for

PAGE = (Path(__file__).parents[2] / "docs" / "logging.md").read_text("utf-8")
HOSTILE = 'me" client=6.6.6.6 \u202e"client":"6.6.6.6'
FORMATS = ["json", "console"]


Logged = tuple[Demo, Path, str]


@pytest.fixture(scope="module", params=FORMATS)
def logged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    path = tmp_path_factory.mktemp("log") / "mail.log"
    environment = {
        "EKIDEN_LOG__FILE": str(path),
        "EKIDEN_LOG__FORMAT": request.param,
        "EKIDEN_LOG__REQUESTS": "info",
        "EKIDEN_ACCESS__ADDRESS_DELAY_AFTER": "10000",
        "EKIDEN_ACCESS__ACCOUNT_DELAY_AFTER": "10000",
    }
    running = Demo("--workers", "2", environment=environment)
    try:
        yield running, path, request.param
    finally:
        assert running.stop() == 0


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def objects(path: Path, **facts: Any) -> list[dict[str, Any]]:
    """Lines in JSON that have these fields."""
    found = [json.loads(line) for line in lines(path)]
    return [line for line in found if all(line.get(name) == value for name, value in facts.items())]


def one(path: Path, **facts: Any) -> dict[str, Any]:
    """The only line with these fields, once it is there."""
    wait_for(lambda: objects(path, **facts), f"a line with {facts}")
    [line] = objects(path, **facts)
    return line


def ask(demo: Demo, path: str, request_id: str = "", data: bytes | None = None, key: str = "") -> tuple[int, str]:
    """Status, and the id in the answer."""
    request = urllib.request.Request(demo.facts["http"] + path, data)
    if request_id:
        request.add_header("X-Request-Id", request_id)
    if key:
        request.add_header("Authorization", f"App {key}")
    if data is not None:
        request.add_header("Content-Type", "multipart/form-data; boundary=b")
    try:
        with urllib.request.urlopen(request) as response:
            response.read()
            return response.status, response.headers["X-Request-Id"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["X-Request-Id"]


def form(**fields: str) -> bytes:
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    return ("".join(part.format(name, value) for name, value in fields.items()) + "--b--\r\n").encode()


def of_json(logged: Logged) -> tuple[Demo, Path]:
    demo, path, format = logged
    if format != "json":
        pytest.skip("read as JSON")
    return demo, path


def test_a_message_and_its_attempts(logged: Logged) -> None:
    demo, path = of_json(logged)
    name = uuid.uuid4().hex
    content = b"From: me@demo.lab.test\r\nMessage-ID: <a.b@c>\r\nSubject: not in the log\r\n\r\nnor this\r\n"
    with demo.login(demo.connect("tls")) as client:
        good = demo.send(client, [f"{name}@accept.lab.test"], content)
        bad = demo.send(client, [f"{name}@reject.lab.test"], content)
    accepted = one(path, event="message accepted", id=good)
    assert (accepted["level"], accepted["client"], accepted["via"]) == ("info", "127.0.0.1", "ESMTPSA")
    assert (accepted["recipients"], accepted["sender"], accepted["header_id"]) == (1, "me@demo.lab.test", "<a.b@c>")
    assert accepted["account"] > 0 < accepted["credential"]
    attempt = one(path, event="attempt finished", id=good)
    assert (attempt["state"], attempt["code"], attempt["enhanced"]) == ("delivered", 250, "2.0.0")
    assert (attempt["recipient"], attempt["number"], attempt["attempt"]) == (f"{name}@accept.lab.test", 1, 1)
    assert attempt["address"].startswith("127.")
    assert 0 <= attempt["seconds"] <= attempt["age"]
    bounced = one(path, event="attempt finished", id=bad)
    trace = demo.trace(bad)["recipients"][0]
    assert bounced["state"] == "bounced"
    assert bounced["code"] // 100 == 5
    assert bounced["reason"] == trace["reason"]
    # The bounce report is a message, too.
    wait_for(lambda: objects(path, event="message accepted", via="DSN", sender=""), "the line of the report")
    assert not [line for line in lines(path) if "not in the log" in line or "nor this" in line]


def test_refusals_over_smtp(logged: Logged) -> None:
    demo, path = of_json(logged)
    with demo.login(demo.connect()) as client:
        code, reply = client.mail("me@not-mine.example")
        kept = one(path, event="refused", id=reply.decode().rpartition("[")[2].rstrip("]"))
        assert (kept["stage"], kept["client"], kept["code"]) == ("mail", "127.0.0.1", code)
        client.docmd("WHATEVER", "is this")
        client.docmd("VRFY")
        client.mail("me@demo.lab.test")
        assert client.rcpt("no address")[0] == 501
        assert client.rcpt("no address")[0] == 501
    unknown = one(path, event="refused", stage="command", code=500)
    assert (unknown["client"], unknown["reason"]) == ("127.0.0.1", "protocol")
    assert unknown["account"] == kept["account"] > 0
    assert "is this" not in json.dumps(objects(path, event="refused"))
    assert len(objects(path, event="refused", enhanced="5.1.3")) == 2
    with demo.connect() as client:
        client.ehlo()
        assert client.docmd("MAIL FROM:<a@b.example>")[0] == 530
    assert one(path, event="refused", code=530)["account"] == 0


def test_requests_have_ids(logged: Logged) -> None:
    demo, path = of_json(logged)
    key = demo.account["api_key"]
    status, given = ask(demo, "/email/1/reports?secret=1", key=key)
    answered = one(path, event="request answered", request_id=given)
    assert status == answered["status"] == 200
    assert re.fullmatch("[0-9a-f]{16}", given)
    assert (answered["client"], answered["method"], answered["route"]) == ("127.0.0.1", "GET", "/email/1/reports")
    assert answered["account"] > 0
    mine = uuid.uuid4().hex
    assert ask(demo, "/nothing/here", mine) == (404, mine)
    refused = one(path, event="request refused", request_id=mine)
    assert (refused["status"], refused["route"], refused["level"]) == (404, "/nothing/here", "info")
    # Parts that may be values are not told, whatever refuses the request; nobody's link is in the log.
    link = "x" * 48
    for wrong, shown in (
        (f"/t/c/{link}", "/t/c/…"),
        ("/a/me@b.example/1", "/a/…/1"),
        ("/1/2/3/4/5/6/7", "/1/2/3/4/5/…"),
    ):
        status, given = ask(demo, wrong, data=b"")
        assert (one(path, event="request refused", request_id=given)["route"], status) == (shown, status), wrong
        assert status in (404, 405)
    assert not [line for line in lines(path) if link in line]
    for bad in ("a b", "a\tb", "x" * 65, '"', "-", "é", "\x1b[2J", "a%0d%0ab"):
        status, other = ask(demo, "/email/1/reports", bad, key=key)
        assert re.fullmatch("[0-9a-f]{16}", other), bad
    sent = f"m{uuid.uuid4().hex}"
    body = form(**{"from": "me@demo.lab.test", "to": f"{sent}@accept.lab.test", "subject": "s", "text": "t"})
    assert ask(demo, "/email/3/send", sent, body, key) == (200, sent)
    message = one(path, event="message accepted", request_id=sent)
    assert (message["via"], message["client"]) == ("HTTP", "127.0.0.1")
    # Only the request's own lines have its id: not the delivery that began in it.
    attempt = one(path, event="attempt finished", id=message["id"])
    assert "request_id" not in attempt
    assert ask(demo, "/healthz")[0] == 200
    assert not objects(path, event="request answered", route="/healthz")


def test_fail2ban_finds_who_guesses_and_nobody_else(logged: Logged) -> None:
    demo, path, format = logged
    guesses = 12
    for number in range(guesses):
        login = f"guessed{number}" if number % 2 else HOSTILE
        with demo.connect() as client:
            client.ehlo()
            assert client.docmd("AUTH PLAIN", b64encode(f"\0{login}\0wrong".encode()).decode())[0] == 535
    assert ask(demo, "/email/1/reports", key="ek_" + "x" * 43)[0] == 401
    # What only looks like a failed login.
    with demo.login(demo.connect()) as client:
        client.docmd("MAIL", 'FROM:<"login refused client=6.6.6.6 why=bad_credentials "@b.example>')
        client.docmd("login refused      client=6.6.6.6 why=bad_credentials ")
    ask(demo, "/login%20refused%22,%22client%22:%226.6.6.6%22,%22why%22:%22bad_credentials%22,")
    # Each guess, the key, and the sender that looks like one: with fewer, not all of them are there yet.
    wait_for(lambda: sum("login refused" in line for line in lines(path)) == guesses + 2, "the lines")
    date, expressions = the_filter(format)
    found = []
    for line in lines(path):
        dated = date.match(line)
        assert dated, line
        rest = line[: dated.start()] + line[dated.end() :]  # as fail2ban does it
        found += [match["addr"] for expression in expressions if (match := expression.search(rest))]
    assert found == ["127.0.0.1"] * (guesses + 1)


def the_filter(format: str) -> tuple[re.Pattern[str], list[re.Pattern[str]]]:
    """That of the documentation: how a date is found, and what is a failure."""
    [block] = [part for part in re.findall(r"```ini\n(.*?)```", PAGE, re.S) if f'log.format = "{format}"' in part]
    date = re.search("^datepattern = (.*)$", block, re.M)
    failures = re.search("^failregex = (.*?)^ignoreregex", block, re.M | re.S)
    assert date
    assert failures
    pattern = date[1]
    for name, digits in {"%%Y": r"\d{4}", "%%m": r"\d\d", "%%d": r"\d\d", "%%H": r"\d\d", "%%M": r"\d\d"}.items():
        pattern = pattern.replace(name, digits)
    pattern = pattern.replace("%%S", r"\d\d").replace("%%f", r"\d+").replace("%%z", "Z")
    expressions = [line.strip().replace("<ADDR>", r"(?P<addr>[0-9a-fA-F.:]+)") for line in failures[1].splitlines()]
    return re.compile(pattern), [re.compile(item) for item in expressions if item]


def test_the_file_can_be_moved_away(logged: Logged) -> None:
    """As logrotate does it; nobody tells the processes."""
    demo, path, _ = logged
    moved = path.with_suffix(".1")
    path.rename(moved)
    before = set(lines(moved))

    def written_anew() -> bool:
        ask(demo, "/nothing/here/either")
        return path.exists() and any("request refused" in line for line in lines(path))

    wait_for(written_anew, "a new file")
    assert before <= set(lines(moved))
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_page_has_every_field(logged: Logged) -> None:
    """The last test of this file: of all that was written, each event of the table has the fields of its row."""
    _, path = of_json(logged)
    rows = re.findall(r"^\| `([a-z 0-9]+)`[^|]*\| `log\.\w+` \|[^|]*\| (.*) \|$", PAGE, re.M)
    promised: dict[str, set[str]] = {}
    for event, fields in rows:
        promised.setdefault(event, {"timestamp", "level", "event", "pid"}).update(re.findall(r"`(\w+)`", fields))
    seen: dict[str, set[str]] = {}
    for where in (path, path.with_suffix(".1")):
        for line in objects(where):
            if line["event"] in promised:
                seen.setdefault(line["event"], set()).update(line)
    assert len(seen) >= 6, seen.keys()
    promised["attempt finished"] |= {"cause", "due"}
    undocumented = {event: fields - promised[event] for event, fields in seen.items() if fields - promised[event]}
    assert undocumented == {}
