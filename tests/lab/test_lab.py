"""A lab as a whole: in this process, as a process of its own, with a state file; and only ever on loopback."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import pytest

from ekiden.lab import Behaviour, Lab, LabConfig, LabError, MailHost
from ekiden.lab.__main__ import main
from ekiden.lab.addresses import Block, loopback, tcp_socket
from ekiden.lab.http import HttpRule
from ekiden.lab.mailbox import Mail, Mailbox

CONTENT = b"Subject: x\r\n\r\nx\r\n"


def send(port: int, to: str, content: bytes = CONTENT) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.sendmail("a@sender.test", [to], content)


async def mx(lab: Lab, name: str) -> list[str]:
    host, port = lab.dns_address
    response = await dns.asyncquery.udp(dns.message.make_query(name, "MX"), host, port=port, timeout=10)
    return sorted(value.to_text() for rrset in response.answer for value in rrset)


async def test_in_this_process() -> None:
    async with Lab() as lab:
        waiting = asyncio.create_task(lab.wait_for_mail("b@accept.lab.test", 2))
        for _ in range(2):
            await asyncio.to_thread(send, lab.smtp_port, "b@accept.lab.test")
        first, second = await waiting
        assert first.sender == "a@sender.test"
        assert first.data == second.data == CONTENT
        assert lab.mail("b@accept.lab.test") == [first, second]
        assert lab.mail("@accept.lab.test", sender="A@SENDER.test", limit=1) == [second]
        assert lab.mail() == [first, second]
        assert lab.violations() == []
        assert len(lab.sessions) == 2
        with pytest.raises(TimeoutError, match="0 of 1"):
            await lab.wait_for_mail("c@accept.lab.test", timeout=0.01)

        lab.set_dns("x.test", "MX", ["10 mx.accept.lab.test."])
        assert await mx(lab, "x.test") == ["10 mx.accept.lab.test."]
        assert lab.remove_dns("x.test", "MX")
        assert not lab.remove_dns("x.test", "MX")
        await lab.set_behaviour("y.test", Behaviour(hosts=(MailHost(5), MailHost(6, "dead"))))
        assert await mx(lab, "y.test") == ["5 mx1.y.test.", "6 mx2.y.test."]
        assert {query.name for query in lab.queries} == {"x.test", "y.test"}
        assert await lab.remove_behaviour("y.test")
        assert lab.callbacks() == []
    for port in (lab.smtp_port, lab.dns_address[1]):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)


async def test_labs_beside_each_other_do_not_meet() -> None:
    async with Lab() as one, Lab() as two:
        addresses = [
            {host.address for domain in lab.internet.domains.values() for _, host, _ in domain.hosts} - {"::1"}
            for lab in (one, two)
        ]
        assert not addresses[0] & addresses[1] or one.smtp_port != two.smtp_port
        await asyncio.to_thread(send, one.smtp_port, "b@accept.lab.test")
        await one.wait_for_mail("b@accept.lab.test")
        assert two.mail() == []


async def test_everything_listens_on_loopback() -> None:
    def listening() -> set[tuple[str, int]]:
        """Addresses of this process's own sockets that wait for others."""
        found = set()
        for fd in os.listdir("/proc/self/fd"):
            try:
                copy = socket.socket(fileno=os.dup(int(fd)))
            except OSError:
                continue  # no socket, or closed meanwhile
            with copy:
                waits = copy.type == socket.SOCK_DGRAM or copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                if copy.family in (socket.AF_INET, socket.AF_INET6) and waits:
                    found.add(copy.getsockname()[:2])
        return found

    before = listening()
    async with Lab() as lab:
        await lab.set_behaviour("new.test", "accept")
        new = listening() - before
        assert len(new) > 20
        assert all(ipaddress.ip_address(ip).is_loopback for ip, _ in new)
    assert not listening() - before


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "10.0.0.1", "localhost", "", "128.0.0.1"])
def test_addresses_outside_loopback_are_refused(address: str) -> None:
    with pytest.raises(LabError, match="loopback"):
        loopback(address)
    with pytest.raises(LabError, match="loopback"):
        Lab(LabConfig(host=address))
    with pytest.raises(LabError, match="loopback"):
        tcp_socket(address, 0)


def test_a_block_never_leaves_loopback() -> None:
    block = Block("127.255.255.250")
    assert [block.next() for _ in range(4)] == [f"127.255.255.{n}" for n in (251, 252, 253, 254)]
    with pytest.raises(LabError):
        block.next()
    addresses = [Block("127.9.0.0").next() for _ in range(2)]
    assert addresses == ["127.9.0.1", "127.9.0.1"]
    block = Block("127.9.0.253")
    assert [block.next() for _ in range(3)] == ["127.9.0.254", "127.9.1.1", "127.9.1.2"]


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for key in ("dns_port", "smtp_port", "api_port", "http_port"):
            with pytest.raises(LabError, match=str(port)):
                await Lab(LabConfig(**{key: port})).start()


async def test_a_state_file_brings_everything_back(tmp_path: Path) -> None:
    config = LabConfig(state_file=str(tmp_path / "lab.json"))
    async with Lab(config) as lab:
        before = lab.addresses()
        await lab.set_behaviour("kept.test", {"like": "deadfirst"})
        await lab.set_behaviour("accept.lab.test", {"dns": "null-mx"})
        await lab.set_behaviour("gone.test", "accept")
        await lab.remove_behaviour("gone.test")
        lab.set_dns("kept.example", "A", ["127.0.0.7"])
        lab.set_dns("ns.lab.test", "A", [])
        lab.set_http("/kept", [HttpRule(status=503)])
    async with Lab(config) as lab:
        assert lab.addresses() == before
        assert await mx(lab, "kept.test") == ["10 mx1.kept.test.", "20 mx2.kept.test."]
        assert await mx(lab, "accept.lab.test") == ["0 ."]
        assert await mx(lab, "gone.test") == []
        assert lab.records.listing("kept.example") == {"kept.example": {"A": ["127.0.0.7"]}}
        assert lab.records.listing("ns.lab.test") == {}
        assert lab.receiver.rules == {"/kept": [HttpRule(status=503)]}


async def test_a_remembered_port_that_is_taken_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "lab.json"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file.write_text(json.dumps({"api_port": port, "dns_port": port, "http_port": port, "smtp_port": port}))
        async with Lab(LabConfig(state_file=str(file))) as lab:
            await asyncio.to_thread(send, lab.smtp_port, "b@accept.lab.test")
            assert port not in (lab.smtp_port, lab.dns_address[1])
            assert str(port) not in lab.api_url + lab.http_url


async def test_a_state_file_that_is_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    path.write_text("nonsense")
    with pytest.raises(LabError, match=r"lab\.json"):
        await Lab(LabConfig(state_file=str(path))).start()


def mail(number: int, *to: str, size: int = 10) -> Mail:
    return Mail(id=number, sender="a@x.test", to=to, data=b"x" * size, tls=None, at=number)


def test_kept_mail_is_bounded_in_count_and_octets() -> None:
    box = Mailbox(3, 100, 10)
    for number in range(5):
        box.add(mail(number, "a@x.test", f"b{number}@y.test"))
    assert [m.id for m in box.find()] == [2, 3, 4]
    assert [m.id for m in box.find("A@x.test")] == [2, 3, 4]
    assert box.find("b1@y.test") == []
    assert (box.count("@y.test"), box.received, box.dropped) == (3, 5, 2)
    box.add(mail(5, "c@x.test", size=95))
    assert [m.id for m in box.find()] == [5]
    box.add(mail(6, "c@x.test", size=1000))
    assert [m.id for m in box.find()] == [6]  # the newest is always kept
    assert box.clear() == 1
    assert box.find() == box.find("c@x.test") == []


async def start(*arguments: str, **more: Any) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ekiden.lab", "--json", *arguments, stdout=subprocess.PIPE, **more
    )
    assert process.stdout is not None
    return process, json.loads(await process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_as_a_process_until_a_signal(number: int, tmp_path: Path) -> None:
    process, addresses = await start("--state-file", str(tmp_path / "lab.json"))
    await asyncio.to_thread(send, addresses["smtp"][1], "b@accept.lab.test")
    url = addresses["api"] + "/mail?to=b@accept.lab.test"
    found = await asyncio.to_thread(lambda: json.load(urllib.request.urlopen(url, timeout=10)))
    assert len(found) == 1
    process.send_signal(number)
    assert await process.wait() == 0
    again, resumed = await start("--state-file", str(tmp_path / "lab.json"))
    assert resumed | {"pid": 0} == addresses | {"pid": 0}
    again.send_signal(number)
    assert await again.wait() == 0


async def test_as_a_process_until_its_parent_has_gone() -> None:
    process, _ = await start("--watch-stdin", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0


async def test_a_process_that_cannot_start_says_why() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ekiden.lab", "--api-port", port, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert err.decode().startswith(f"lab: the HTTP port 127.0.0.1:{port} cannot be used")


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "An internet on loopback"), ("ja", "ループバック上のインターネット")]
)
def test_help_is_in_both_languages(
    lang: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EKIDEN_LANG", lang)
    monkeypatch.setattr(sys, "argv", ["lab", "--help"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out
    assert words in said
    assert "PUT /routes/DOMAIN" in said
