"""``ekiden doctor``: one finding for each thing that can be wrong, on real sockets, files and DNS."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import json
import os
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pytest
from installation import Installation, loop_apart
from sqlalchemy import update

import ekiden.doctor
from ekiden.access.accounts import create_account
from ekiden.access.vault import Vault
from ekiden.cli import doctor
from ekiden.config.model import ALL_ROLES
from ekiden.core.clock import DAY, HOUR, MINUTE
from ekiden.core.states import State
from ekiden.doctor import callbacks, checks, clock, disk, examine, postgresql, workers
from ekiden.doctor.translations import TEXTS
from ekiden.lab.lab import Lab
from ekiden.net.clock import SystemClock
from ekiden.net.tls import make_self_signed
from ekiden.notify.endpoints import Endpoints
from ekiden.store.sqlite import store as sqlite_store
from ekiden.store.sqlite.turn import Turn
from ekiden.store.tables import endpoint, notice, worker
from ekiden.wiring.dialects import DIALECTS
from support.queue_rows import Rows


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab on a loop of its own, as another process would be."""
    with loop_apart() as apart:
        made = apart(_start())
        yield made
        apart(made.close())


async def _start() -> Lab:
    made = Lab()
    await made.start()
    made.set_dns("mail.test.example", "A", ["127.0.0.1"])
    made.set_dns("mail.test.example", "TXT", ["v=spf1 a -all"])
    return made


@pytest.fixture
def healthy(ekiden: Installation, lab: Lab) -> Installation:
    """An installation in lab mode that lacks nothing: workers live, and somebody may send."""

    async def work(rows: Rows) -> None:
        await create_account(rows.store, "relay", rows.now, senders="any")

    ekiden.fill(work)
    ekiden.ask(lab.dns_address[1])
    edit(ekiden, "[lab]", f"[delivery]\nsmtp_port = {lab.smtp_port}\n[lab]")
    Path(ekiden.url.removeprefix("sqlite:///")).chmod(0o600)
    return ekiden


def edit(ekiden: Installation, old: str, new: str) -> None:
    text = ekiden.config.read_text()
    assert old in text
    ekiden.config.write_text(text.replace(old, new, 1))


def examined(ekiden: Installation) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """The exit status, and level and sentence of every finding by check."""
    ended = ekiden.run("doctor", "--json")
    found: dict[str, list[tuple[str, str]]] = {}
    report = json.loads(ended.out)
    assert report["healthy"] == (ended.status == 0)
    for item in report["findings"]:
        assert set(item) == {"check", "level", "title", "what", "fix"}
        found.setdefault(item["check"], []).append((item["level"], item["what"]))
    return ended.status, found


def test_an_installation_that_is_well(healthy: Installation) -> None:
    status, found = examined(healthy)
    assert status == 0
    troubles = {check: item for check, items in found.items() for item in items if item[0] != "ok"}
    troubles.pop("disk", None)  # the machine's own affair
    troubles.pop("limits", None)
    assert troubles == {}
    assert set(found) == {
        "config",
        "disk",
        "files",
        "limits",
        "database",
        "key",
        "clock",
        "certificates",
        "ports",
        "dns",
        "hostname",
        "sender",
        "senders",
        "return_path",
        "outbound",
        "links",
        "queue",
        "deliveries",
        "callbacks",
        "workers",
    }
    assert found["links"] == [("ok", "they lead to https://mail.test.example")]
    assert found["outbound"][0][1].endswith("with STARTTLS")


def test_it_speaks_both_languages(healthy: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(healthy, "url =", "# url =")
    edit(healthy, "[store]", '[store]\nurl = "sqlite:///new.db"')
    assert healthy.run("db", "upgrade").status == 0
    told = healthy.run("doctor").out
    assert "mail cannot flow; in its way: 2" in told
    assert "→ start one: ekiden serve" in told
    assert "→ make one: ekiden account create NAME" in told
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    told = healthy.run("doctor").out
    assert "メールの流れを止める問題が 2 件あります" in told
    assert "起動してください: ekiden serve" in told


def test_a_configuration_that_cannot_be_read(ekiden: Installation) -> None:
    ekiden.config.write_text('hostname = "x y"\n')
    status, found = examined(ekiden)
    assert status == 1
    assert found["config"][0][0] == "fail"
    assert "hostname" in found["config"][0][1]


def test_no_database(healthy: Installation) -> None:
    os.unlink(healthy.url.removeprefix("sqlite:///"))
    status, found = examined(healthy)
    assert status == 1
    assert found["database"][0][0] == "fail"
    assert "ekiden db upgrade" in found["database"][0][1]
    assert "ports" in found  # the other checks ran all the same


def test_a_database_that_cannot_be_written(healthy: Installation) -> None:
    """A trigger stands for whatever may keep a commit from happening: it works for root as well."""
    connection = sqlite3.connect(healthy.url.removeprefix("sqlite:///"))
    connection.execute("CREATE TRIGGER no BEFORE INSERT ON lease BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    connection.commit()
    connection.close()
    status, found = examined(healthy)
    assert status == 1
    assert found["database"][0][0] == "fail"
    assert "disk full" in found["database"][0][1]


def test_a_process_that_keeps_the_turn_to_write_is_named(
    healthy: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "PATIENCE", 0.5)  # it is in vain, however long
    with Turn(healthy.url.removeprefix("sqlite:///")):
        status, found = examined(healthy)
    assert status == 1
    assert found["database"] == [
        ("fail", f"nobody can write: process {os.getpid()} has the turn to write and does not give it back")
    ]
    assert "queue" in found  # what is read goes on


def test_secrets_that_others_can_read(healthy: Installation) -> None:
    key = healthy.config.parent / "key.pem"
    key.chmod(0o644)
    status, found = examined(healthy)
    assert status == 0
    assert found["files"] == [("warn", f"{key} is open to others (mode 0644)")]


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_database_that_others_can_read(healthy: Installation, suffix: str) -> None:
    database = healthy.url.removeprefix("sqlite:///")
    file = Path(database + suffix)
    with contextlib.closing(sqlite3.connect(database)) as worker:
        with worker:  # who has it open keeps the files beside it; SQLite mends an empty one by itself
            worker.execute("DELETE FROM worker")
        file.chmod(0o604)
        _, found = examined(healthy)
        assert ("warn", f"{file} is open to others (mode 0604)") in found["files"]
        assert f"chmod 600 {file}" in healthy.run("doctor").out


def test_a_folder_in_which_others_can_replace_the_instance_key(healthy: Installation) -> None:
    folder = healthy.config.parent
    folder.chmod(0o777)
    _, found = examined(healthy)
    assert ("warn", f"{folder} is open to others (mode 0777)") in found["files"]
    assert f"chmod go-w {folder}" in healthy.run("doctor").out


@pytest.mark.parametrize(
    ("names", "not_after", "level", "words"),
    [
        (["mail.test.example"], -DAY, "fail", "has expired"),
        (["mail.test.example"], 3 * DAY, "warn", "expires soon"),
        (["*.test.example"], 90 * DAY, "ok", "self-signed"),
        (
            ["other.example"],
            90 * DAY,
            "warn",
            "none is for the host name mail.test.example; there are other.example",
        ),
    ],
)
def test_certificates(healthy: Installation, names: list[str], not_after: int, level: str, words: str) -> None:
    folder = healthy.config.parent
    pair = make_self_signed(names, not_after=healthy.now + not_after)
    pair.write(folder / "cert.pem", folder / "key.pem")
    status, found = examined(healthy)
    assert status == (1 if level == "fail" else 0)
    assert any(item[0] == level and words in item[1] for item in found["certificates"]), found["certificates"]


def test_a_key_that_does_not_fit(healthy: Installation) -> None:
    (healthy.config.parent / "key.pem").write_bytes(make_self_signed(["x.example"]).key)
    status, found = examined(healthy)
    assert status == 1
    assert found["certificates"][0][0] == "fail"


@contextmanager
def answering(reply: bytes, first: int = 0) -> Iterator[int]:
    """A server that says the same to everybody, on a free port: ``first`` octets, and the rest a moment later."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if first:
                    connection.sendall(reply[:first])
                    ended.wait(0.2)
                connection.sendall(reply[first:])
                if reply:
                    connection.recv(1000)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join()
        listener.close()


@pytest.mark.parametrize(
    ("reply", "level", "words"),
    [
        (b"220 mail.test.example ESMTP\r\n", "ok", "is answered by a running Ekiden"),
        (b"220 postfix.example ESMTP Postfix\r\n", "fail", "something else: 220 postfix.example ESMTP Postfix"),
        (b"", "fail", "nothing answers there as it should"),
    ],
)
def test_ports_in_use(healthy: Installation, reply: bytes, level: str, words: str) -> None:
    with answering(reply) as port:
        edit(healthy, 'addresses = ["127.0.0.1:0"]\nmode', f'addresses = ["127.0.0.1:{port}"]\nmode')
        _, found = examined(healthy)
    assert found["ports"][0][0] == level
    assert words in found["ports"][0][1]


@pytest.mark.parametrize("first", [1, 12, 17, 40, 62])
def test_an_answer_in_two_segments_is_one_answer(healthy: Installation, first: int) -> None:
    """A header and a body hardly ever come together; a greeting may be cut anywhere."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
    greeting = b"220-mail.test.example ESMTP\r\n220 at your service, at any time\r\n"
    with answering(answer, first) as http, answering(greeting, first) as port:
        edit(healthy, 'addresses = ["127.0.0.1:0"]', f'addresses = ["127.0.0.1:{http}"]')
        edit(healthy, 'addresses = ["127.0.0.1:0"]\nmode', f'addresses = ["127.0.0.1:{port}"]\nmode')
        _, found = examined(healthy)
    assert [item[0] for item in found["ports"]] == ["ok", "ok"], found["ports"]


@pytest.mark.parametrize(
    ("networks", "level"),
    [(["127.0.0.1"], None), (["10.0.0.0/8", "fd00::/8"], None), (["0.0.0.0/0"], "fail"), (["::/0"], "fail")],
)
def test_proxies_that_anybody_could_be(healthy: Installation, networks: list[str], level: str | None) -> None:
    edit(healthy, "[http]", f"[http]\nproxy_from = {json.dumps(networks)}")
    status, found = examined(healthy)
    assert [item[0] for item in found.get("proxies", [])] == ([level] if level else [])
    assert status == (1 if level else 0)


def test_http_in_the_open(healthy: Installation) -> None:
    edit(healthy, 'addresses = ["127.0.0.1:0"]', 'addresses = ["0.0.0.0:0"]')
    edit(healthy, "enabled = true", "enabled = false")
    _, found = examined(healthy)
    assert found["proxies"] == [
        ("warn", "http: 0.0.0.0:0 is reachable from outside without TLS: API keys and passwords go in clear")
    ]


def test_an_address_that_is_not_ours(healthy: Installation) -> None:
    edit(healthy, 'addresses = ["127.0.0.1:0"]\nmode', 'addresses = ["192.0.2.1:2587"]\nmode')
    status, found = examined(healthy)
    assert status == 1
    assert "cannot be listened on" in found["ports"][0][1]


def test_name_servers_that_do_not_answer(ekiden: Installation) -> None:
    status, found = examined(ekiden)  # its port is one that nobody listens on
    assert status == 1
    assert found["dns"][0][0] == "fail"
    assert "no answer from the name servers (127.0.0.1)" in found["dns"][0][1]
    assert found["outbound"][0][0] == "fail"


def test_a_host_name_that_nobody_knows(healthy: Installation, lab: Lab) -> None:
    lab.remove_dns("mail.test.example", "A")
    _, found = examined(healthy)
    assert found["hostname"] == [
        ("warn", "mail.test.example has no address in DNS: many servers refuse mail from it")
    ]


def publish(healthy: Installation, lab: Lab, domain: str, kinds: str = "spf dkim ed25519 address") -> None:
    """What ``ekiden domain show`` asks for, and a mail host."""
    lab.set_dns(domain, "MX", ["10 mail.test.example."])
    for record in healthy.json("domain", "show", domain)["records"]:
        if record["kind"] in kinds.split() and record["status"] != "retired":
            lab.set_dns(record["name"], record["type"], [record["value"] or "127.0.0.1"])


def test_domains_of_accounts(healthy: Installation, lab: Lab) -> None:
    healthy.run("account", "create", "acme")
    for domain in ("fine.example", "bare.example", "broken.example", "null.example"):
        healthy.run("domain", "add", domain, "--account", "acme")
    lab.set_dns("bare.example", "A", ["127.0.0.1"])
    publish(healthy, lab, "fine.example")
    publish(healthy, lab, "broken.example")
    lab.set_dns("null.example", "MX", ["0 ."])
    for domain in ("fine.example", "broken.example"):
        assert healthy.run("domain", "verify", domain).status == 0
    lab.set_dns("broken.example", "TXT", ["v=spf1 -all"])
    _, found = examined(healthy)
    told = [(level, *what.split(":")[0].split()[:3]) for level, what in found["domains"]]
    assert sorted(told) == [
        ("ok", "fine.example", "is", "verified,"),
        ("warn", "bare.example"),
        ("warn", "bare.example"),
        ("warn", "broken.example"),
        ("warn", "null.example"),
        ("warn", "null.example"),
        ("warn", "null.example", "says", "that"),
    ]
    healthy.run("domain", "verify", "broken.example")
    _, found = examined(healthy)
    assert "broken.example will be suspended at" in found["domains"][0][1]


def test_the_way_back_of_bounces(healthy: Installation, lab: Lab) -> None:
    _, found = examined(healthy)
    assert found["return_path"] == [
        ("ok", "bounces that come later are not received: they go to clients' envelope senders")
    ]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1], lab.smtp_port]
        addresses = ", ".join(f'"127.0.0.1:{port}"' for port in (*ports, 0))
        receive(healthy, addresses)
        _, found = examined(healthy)
    host = "rp.mail.test.example"
    assert found["return_path"] == [
        ("fail", f"{host}: there is no such MX record at {host}"),
        ("warn", f"{host}: there is no such TXT record at {host}"),
        ("warn", f"mx: nothing answers at 127.0.0.1:{ports[0]}"),
        ("ok", f"mx: 127.0.0.1:{ports[1]} takes mail"),
        ("ok", "mx: mail comes in on any free port"),
        ("warn", "bounce reports that Ekiden writes are not signed"),
    ]
    assert healthy.run("domain", "add", "mail.test.example", "--platform").status == 0
    publish(healthy, lab, "mail.test.example", "rp_mx rp_spf")
    _, found = examined(healthy)
    assert found["return_path"][0] == ("ok", f"bounces to {host} come to us, and SPF passes for it")
    assert not any("signed" in what for _, what in found["return_path"])
    lab.remove_dns("mail.test.example", "A")
    _, found = examined(healthy)
    assert found["return_path"][0] == (
        "fail",
        "mail.test.example, which is to receive bounces, has no address in DNS",
    )


def receive(ekiden: Installation, addresses: str) -> None:
    listener = f'[[listeners]]\nname = "mx"\naddresses = [{addresses}]\nmode = "inbound"\n'
    listener += 'certificates = [{certificate = "cert.pem", key = "key.pem"}]\n'
    ekiden.config.write_text(ekiden.config.read_text() + listener)


def test_return_paths_of_domains(healthy: Installation, lab: Lab) -> None:
    """One that is not there is as well; one that is wrong is not."""
    edit(healthy, "[delivery]", '[delivery]\nreturn_path = "rp.mail.test.example"')
    lab.set_dns("rp.mail.test.example", "MX", ["10 mail.test.example."])
    healthy.run("account", "create", "acme")
    healthy.run("domain", "add", "shop.example", "--account", "acme")
    publish(healthy, lab, "shop.example", "spf dkim address")
    assert healthy.run("domain", "verify", "shop.example").status == 0
    _, found = examined(healthy)
    assert [level for level, _ in found["domains"]] == ["ok"]
    assert found["return_path"][-2][1].startswith("no listener of this machine receives bounces")
    lab.set_dns("rp.shop.example", "MX", ["10 accept.lab.test."])
    _, found = examined(healthy)
    assert [what for level, what in found["domains"] if level == "warn"] == [
        "shop.example: mail for rp.shop.example goes to accept.lab.test, not to us",
        "shop.example: there is no such TXT record at rp.shop.example",
    ]


def test_a_suspended_domain_is_told(healthy: Installation, lab: Lab) -> None:
    healthy.run("account", "create", "acme")
    healthy.run("domain", "add", "shop.example", "--account", "acme", "--vouch")
    healthy.run("domain", "refuse", "shop.example", "--reason", "complaints")
    _, found = examined(healthy)
    assert found["domains"][0] == (
        "warn",
        "shop.example is suspended, nothing is accepted from it: an administrator refused it",
    )


def test_keys_on_their_way_in_and_out(healthy: Installation, lab: Lab) -> None:
    healthy.run("account", "create", "acme")
    healthy.run("domain", "add", "shop.example", "--account", "acme")
    publish(healthy, lab, "shop.example")
    healthy.run("domain", "verify", "shop.example")
    healthy.run("domain", "rotate", "shop.example")
    _, found = examined(healthy)
    assert [(level, what.rpartition(" ")[0]) for level, what in found["domains"]] == [
        ("warn", "shop.example has a new key that waits for its record")
    ]
    publish(healthy, lab, "shop.example")
    healthy.run("domain", "verify", "shop.example")
    _, found = examined(healthy)
    assert [level for level, _ in found["domains"]] == ["ok"]
    old = next(item for item in healthy.json("domain", "show", "shop.example")["records"] if item["until"])
    lab.remove_dns(old["name"], "TXT")
    _, found = examined(healthy)
    assert found["domains"] == [
        (
            "warn",
            f"shop.example: the record {old['name']} of a retired key is not right, "
            "though mail signed with it may still wait",
        )
    ]


@pytest.mark.parametrize(
    ("address", "record", "words"),
    [
        ("192.0.2.1", "v=spf1 ip4:192.0.2.2 -all", "forbids 192.0.2.1"),
        ("192.0.2.1", "other", "has no SPF record"),
        ("", "v=spf1 -all", "forbids 127.0.0.1"),
    ],
)
def test_our_own_spf_record(healthy: Installation, lab: Lab, address: str, record: str, words: str) -> None:
    if address:
        edit(healthy, "[lab]", f'[domains]\naddresses = ["{address}"]\n[lab]')
    lab.set_dns("mail.test.example", "TXT", [record])
    _, found = examined(healthy)
    ((level, what),) = found["sender"]
    assert level == "warn"
    assert words in what
    wanted = f"v=spf1 ip4:{address or '127.0.0.1'} -all"
    assert wanted in next(
        item["fix"]
        for item in json.loads(healthy.run("doctor", "--json").out)["findings"]
        if item["check"] == "sender"
    )


def test_outgoing_addresses_that_nobody_knows(healthy: Installation, lab: Lab) -> None:
    lab.remove_dns("mail.test.example", "A")
    _, found = examined(healthy)
    assert found["sender"] == [("warn", "domains cannot be verified: no outgoing address is known")]


def test_a_queue_that_nobody_works_on(healthy: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(rows: Rows) -> None:
        await rows.message("a@x.example", due_in=-2 * HOUR, age=2 * HOUR)
        await rows.message("b@x.example", state=State.HELD)

    healthy.fill(late)
    status, found = examined(healthy)
    assert status == 1
    assert [item[0] for item in found["queue"]] == ["fail", "warn"]
    assert "has been due for 2h" in found["queue"][0][1]
    assert "and nobody takes it (1 held, 1 queued)" in found["queue"][0][1]
    assert found["queue"][1][1] == "held deliveries, which wait for a person: 1"
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    _, found = examined(healthy)
    assert "予定時刻を 2時間" in found["queue"][0][1]
    assert "（保留 1 件、送信待ち 1 件）" in found["queue"][0][1]


def test_who_holds_what_is_under_way(healthy: Installation) -> None:
    async def slow(rows: Rows) -> None:
        many = [f"u{n}@slow.example" for n in range(150)]
        await rows.message(*many, state=State.SENDING, due_in=-HOUR, age=HOUR, account="greedy")
        await rows.message("a@x.example", state=State.SENDING)

    healthy.fill(slow)
    _, found = examined(healthy)
    (one,) = found["deliveries"]
    assert one == ("warn", "account greedy has 150 under way, the oldest for 1h (to slow.example)")


def test_workers_alive_and_dead(healthy: Installation) -> None:
    async def workers(rows: Rows) -> None:
        # Rows has two that live.
        await rows.store.register_worker("lost.example", 4711, healthy.now - HOUR, MINUTE)

    healthy.fill(workers)
    _, found = examined(healthy)
    assert [item[0] for item in found["workers"]] == ["warn", "ok"]
    assert "(lost.example, process 4711) died" in found["workers"][0][1]
    assert found["workers"][1][1] == "4 alive on test.example"


@pytest.mark.parametrize("missing", ALL_ROLES)
def test_a_role_that_nobody_has(healthy: Installation, missing: str) -> None:
    """Each worker has some; the one that would have it is dead."""

    async def work(rows: Rows) -> None:
        others = ",".join(role for role in ALL_ROLES if role != missing)
        async with rows.store.write() as connection:
            await connection.execute(update(worker).values(roles=others))
        await rows.store.register_worker("lost.example", 4711, healthy.now - HOUR, MINUTE, [missing])

    healthy.fill(work)
    if missing == "inbound":  # wanted where somebody is to receive
        receive(healthy, '"127.0.0.1:0"')
    status, found = examined(healthy)
    assert status == 1
    ((_, what),) = [item for item in found["workers"] if item[0] == "fail"]
    assert what == workers.NOBODY[missing]  # type: ignore[index]


def test_a_queue_is_not_taken_without_a_worker_that_delivers(healthy: Installation) -> None:
    async def work(rows: Rows) -> None:
        await rows.message("a@x.example", due_in=-5000)
        async with rows.store.write() as connection:
            await connection.execute(worker.update().values(roles="smtp,http"))

    healthy.fill(work)
    status, found = examined(healthy)
    assert status == 1
    assert found["queue"][0][0] == "fail"
    assert "and nobody takes it" in found["queue"][0][1]


def test_who_may_send(healthy: Installation) -> None:
    def told() -> tuple[int, tuple[str, str]]:
        status, found = examined(healthy)
        return status, found["senders"][0]

    assert told() == (0, ("ok", "0 domains may send, and accounts with any sender: 1"))
    healthy.run("account", "suspend", "relay")
    assert told() == (1, ("fail", "there is no account that is not suspended: nobody can send"))
    healthy.run("account", "create", "shop")
    assert told() == (1, ("fail", "no account has a domain: nobody can send"))
    healthy.run("domain", "add", "shop.example", "--account", "shop")
    assert told() == (1, ("fail", "none of 1 domains can send: none is verified"))
    healthy.run("domain", "add", "vouched.example", "--account", "shop", "--vouch")
    assert told() == (0, ("ok", "1 domains may send"))
    healthy.run("domain", "refuse", "vouched.example", "--reason", "complaints")
    assert told()[0] == 1


def tried(ekiden: Installation, host: str) -> tuple[int, list[tuple[str, str, str]]]:
    ended = ekiden.run("doctor", "--json", "--outbound", host)
    found = [item for item in json.loads(ended.out)["findings"] if item["check"] == "outbound"]
    return ended.status, [(item["level"], item["what"], item["fix"]) for item in found]


def test_the_way_out(healthy: Installation, lab: Lab) -> None:
    """By a domain with MX, by a name without, and by an address; it is dialled only when it is named."""
    lab.set_dns("host.example", "A", ["127.0.0.1"])
    for host in ("accept.lab.test", "host.example", "127.0.0.1", "[127.0.0.1]"):
        status, (one, *_) = tried(healthy, host)
        assert (status, one[0]) == (0, "ok"), one
        assert f":{lab.smtp_port}) answers in" in one[1]
    status, ((level, what, _),) = tried(healthy, "192.0.2.1")  # outside of the lab: no socket is opened
    assert (status, level) == (1, "fail")
    assert "in lab mode nothing else may be contacted" in what
    status, ((level, what, _),) = tried(healthy, "nobody.example")
    assert (status, level) == (1, "fail")
    edit(healthy, "enabled = true", "enabled = false")
    _, found = examined(healthy)
    assert found["outbound"] == [
        (
            "ok",
            f"port {lab.smtp_port} of other servers was not tried; to try it: ekiden doctor --outbound HOST",
        )
    ]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            b"554 5.7.1 your address is on a list\r\n",
            "turns this machine away: 554 5.7.1 your address is on a list",
        ),
        (b"SSH-2.0-OpenSSH_9\r\n", "does not greet as a mail server: SSH-2.0-OpenSSH_9"),
        (b"", "cannot be reached: the connection was closed"),
    ],
)
def test_a_way_out_that_is_closed(healthy: Installation, reply: bytes, words: str) -> None:
    with answering(reply) as port:
        text = healthy.config.read_text()
        healthy.config.write_text(re.sub(r"smtp_port = \d+", f"smtp_port = {port}", text))
        status, ((level, what, fix),) = tried(healthy, "127.0.0.1")
    assert (status, level) == (1, "fail")
    assert words in what
    assert fix


def test_a_clock_that_was_set_back(healthy: Installation) -> None:
    async def future(rows: Rows) -> None:
        await rows.store.register_worker("future.example", 1, healthy.now + 3 * HOUR, HOUR)

    healthy.fill(future)
    status, found = examined(healthy)
    assert status == 1
    assert "a clock was wrong, or was set back" in found["clock"][0][1]


def test_the_clock_is_compared_with_the_database(
    tmp_path: Path, postgresql_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from installation import write_config

    from ekiden.config.load import load_config
    from ekiden.store.open import open_store
    from support.manual_clock import ManualClock

    async def main() -> list[tuple[str, str]]:
        store = await open_store(postgresql_url)
        try:
            config = load_config(write_config(tmp_path, postgresql_url), dialects=DIALECTS)
            patient = checks.Patient(config, ManualClock(), store)
            return [(item.level, item.told("en")[1]) for item in await clock.check_clock(patient)]
        finally:
            await store.close()

    found = asyncio.run(main())
    assert found[0][0] == "fail"
    assert found[0][1].startswith("this machine and the database's differ by ")


def test_links_that_lead_nowhere_or_without_tls(healthy: Installation) -> None:
    edit(healthy, "[lab]", '[tracking]\nbase_url = "https://links.test.example"\n[lab]')
    _, found = examined(healthy)
    assert found["links"][0][0] == "warn"
    assert found["links"][0][1].startswith("https://links.test.example has no address in DNS")
    edit(healthy, "https://links.test.example", "http://127.0.0.1:8080")
    assert examined(healthy)[1]["links"] == [("ok", "they lead to http://127.0.0.1:8080")]
    edit(healthy, "enabled = true", "enabled = false")
    _, found = examined(healthy)
    assert [level for level, _ in found["links"]] == ["warn"]
    assert "is without TLS" in found["links"][0][1]


def test_endpoints_that_fail_and_what_was_given_up(healthy: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(rows: Rows) -> None:
        account_id = await rows.account()
        endpoints = Endpoints(rows.store, SystemClock(), Vault(b"k" * 32))
        made = [await endpoints.find(account_id, "json", f"https://hooks.example/{number}") for number in range(30)]
        pull = await endpoints.find(account_id, "pull", "")
        async with rows.store.write() as connection:
            failing = endpoint.update().where(endpoint.c.id.in_(made[:25]))
            await connection.execute(
                failing.values(failures=4, failing_since=rows.now - HOUR, retry_at=rows.now + HOUR)
            )
            common = {"account_id": account_id, "message_id": 1, "recipient_number": 1, "attempts": 0}
            for id, where, dead_at in ((1, made[0], None), (2, made[29], rows.now), (3, pull, None)):
                values = common | {"id": id, "endpoint_id": where, "due_at": rows.now, "dead_at": dead_at}
                await connection.execute(notice.insert().values(**values))

    assert examined(healthy)[1]["callbacks"] == [("ok", "no endpoint fails, and nothing was given up")]
    healthy.fill(work)
    status, found = examined(healthy)
    assert status == 0
    told = found["callbacks"]
    assert len(told) == callbacks.MAX_ENDPOINTS + 2
    assert {level for level, _ in told} == {"warn"}
    assert "(https://hooks.example/0) began to fail 1h ago, 4 times in a row; events that wait: 1" in told[0][1]
    assert told[-2][1] == "further endpoints fail: 5"
    assert told[-1][1] == "events that could not be told, and were given up: 1"
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    assert "1時間前から連続 4 回失敗しています" in healthy.run("doctor").out


def test_a_full_disk(healthy: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "NO_SPACE", 1 << 62)
    status, found = examined(healthy)
    assert status == 1
    assert found["disk"][0][0] == "fail"


def test_more_connections_than_files(healthy: Installation) -> None:
    edit(healthy, "[lab]", "[smtp]\nmax_connections = 2000000000\n[lab]")
    _, found = examined(healthy)
    assert found["limits"][0][0] == "warn"


def test_a_check_that_fails_does_not_keep_the_others_from_running(
    healthy: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check_nothing(patient: checks.Patient) -> list[checks.Finding]:
        raise OSError("no such luck")

    monkeypatch.setattr(examine, "CHECKS", (check_nothing, *examine.CHECKS))
    status, found = examined(healthy)
    assert status == 1
    assert found["nothing"] == [("fail", "this check could not be carried out: no such luck")]
    assert "workers" in found


@pytest.mark.parametrize(
    "module",
    [doctor, *(import_module(f"ekiden.doctor.{each.name}") for each in iter_modules(ekiden.doctor.__path__))],
    ids=lambda module: module.__name__,
)
def test_every_sentence_is_translated(module: ModuleType) -> None:
    missing = [text for text in sentences(module) if text not in TEXTS.japanese]
    assert missing == []
    assert [text for text in workers.NOBODY.values() if text not in TEXTS.japanese] == []


def sentences(module: ModuleType) -> list[str]:
    """The texts that a module gives to ``find`` and ``TEXTS``, directly or by the names ``what`` and ``fix``."""
    tree = ast.parse(inspect.getsource(module))
    found: list[str] = []

    def constants(node: ast.AST) -> list[str]:
        return [
            item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)
        ]

    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "find":
                for argument in node.args[2:]:
                    if not isinstance(argument, ast.IfExp):
                        found += constants(argument)
            elif node.func.id == "TEXTS" and isinstance(node.args[0], ast.Constant):
                found.append(str(node.args[0].value))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id in ("what", "fix"):
                found.append(str(node.value.value))
    return found


def test_connections_of_all_workers_and_what_the_server_takes(tmp_path: Path, postgresql_url: str) -> None:
    from installation import write_config

    from ekiden.config.load import load_config
    from ekiden.store.open import open_store

    async def main() -> list[list[tuple[str, str, str]]]:
        store = await open_store(postgresql_url)
        try:
            patient = checks.Patient(
                load_config(write_config(tmp_path, postgresql_url), dialects=DIALECTS), SystemClock(), store
            )
            found = []
            for count in (3, 22):
                for number in range(count):
                    await store.register_worker(f"host{number % 2}", number, None, HOUR)
                await store.register_worker("lost.example", 4711, 0, MINUTE)  # dead, and not yet noticed
                found.append(
                    [(item.level, *item.told("en")[1:]) for item in await postgresql.check_postgresql(patient)]
                )
            return found
        finally:
            await store.close()

    few, many = asyncio.run(main())
    assert few[0][0] == "ok"
    assert few[0][1].startswith(
        "workers alive: 3, on machines: 2; they have up to 12 connections (4 each); the server takes 197, "
    )
    assert many[0][0] == "warn"
    assert "raise max_connections" in many[0][2]


def test_which_of_several_servers_takes_writes(tmp_path: Path, postgresql_url: str) -> None:
    from installation import write_config

    from ekiden.config.load import load_config
    from ekiden.store.open import open_store

    here = postgresql_url.partition("host=")[2].partition("&")[0]
    url = postgresql_url.replace("host=", "host=/nowhere,")

    async def main() -> list[tuple[str, str]]:
        store = await open_store(url)
        try:
            patient = checks.Patient(
                load_config(write_config(tmp_path, url), dialects=DIALECTS), SystemClock(), store
            )
            return [(item.level, item.told("en")[1]) for item in await postgresql.check_postgresql(patient)][1:]
        finally:
            await store.close()

    (found,) = asyncio.run(main())
    assert found == ("ok", f"of /nowhere:5432, {here}:5432, {here}:5432 takes writes")
