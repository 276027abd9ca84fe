"""The lab's HTTP API."""

from __future__ import annotations

import base64
import json
import socket
import threading
from urllib.parse import urlsplit

import pytest
from lab_clients import Running

SENDER = "a@sender.test"


def send(running: Running, *to: str, sender: str = SENDER) -> None:
    running.smtp("accept.lab.test").sendmail(sender, to, b"Subject: x\r\n\r\nx\r\n")


def test_the_index_says_where_everything_is(running: Running) -> None:
    status, answer = running.api("GET", "/")
    assert status == 200
    assert answer["dns"] == list(running.lab.dns_address)
    assert answer["smtp"] == ["127.0.0.1", running.port]
    assert answer["api"] == running.lab.api_url
    assert answer["http"] == running.lab.http_url


def test_mail_is_filtered(running: Running, someone: str) -> None:
    one, two = f"{someone}+1@accept.lab.test", f"{someone}+2@Accept.lab.test"
    send(running, one, sender=f"{someone}@sender.test")
    send(running, one, two)
    assert len(running.api("GET", f"/mail?to={one}")[1]) == 2
    (second,) = running.api("GET", f"/mail?to={two}")[1]
    assert second["to"] == [one, two]
    assert running.api("GET", f"/mail?from={someone}@sender.test")[1][0]["to"] == [one]
    assert running.api("GET", f"/mail?to={one}&limit=1")[1] == [second]
    assert running.api("GET", f"/mail?to={one}&after={second['id'] - 1}")[1] == [second]
    assert running.api("GET", f"/mail?to={one}&since={second['at'] + 60_000}")[1] == []
    assert running.api("GET", f"/mail/count?to={one}")[1]["count"] == 2
    status, headers, raw = running.http(running.lab.api_url, "GET", f"/mail/{second['id']}")
    assert (status, headers["Content-Type"], raw) == (200, "message/rfc822", b"Subject: x\r\n\r\nx\r\n")
    assert base64.b64decode(second["data"]) == raw


def test_a_percent_encoded_address(running: Running, someone: str) -> None:
    to = f"{someone}+tag@accept.lab.test"
    send(running, to)
    assert len(running.api("GET", "/mail?to=" + to.replace("+", "%2B").replace("@", "%40"))[1]) == 1


def test_waiting_for_mail(running: Running, someone: str) -> None:
    to = f"{someone}@accept.lab.test"
    threading.Timer(0.05, send, (running, to)).start()
    assert len(running.api("GET", f"/mail?to={to}&wait=10")[1]) == 1
    assert len(running.api("GET", f"/mail?to={to}&wait=0.05&count=2")[1]) == 1


def test_sessions(running: Running, someone: str) -> None:
    client = running.smtp("reject.lab.test")
    client.ehlo()
    client.mail(SENDER)
    client.rcpt(f"{someone}@reject.lab.test")
    name = running.session(client)["peer"]
    _, sessions = running.api("GET", "/sessions?server=mx.reject.lab.test&limit=1")
    (session,) = sessions
    assert session["peer"] == name
    assert session["address"] == running.addresses("reject.lab.test")[0]
    assert "S: 550 5.1.1 No such user here" in session["dialogue"]


def test_behaviours_are_listed_and_described(running: Running) -> None:
    _, everything = running.api("GET", "/behaviour")
    assert "accept.lab.test" in everything
    _, one = running.api("GET", "/behaviour/deadfirst.lab.test")
    assert one == everything["deadfirst.lab.test"]
    assert [server["state"] for server in one["servers"]] == ["dead", "up"]
    assert running.api("GET", "/behaviour/unnamed.lab.test")[0] == 404
    assert running.api("GET", "/behaviour/schema")[1]["$defs"]["Rule"]["properties"]["at"]


def test_a_new_domain_gets_servers_and_records(running: Running, someone: str) -> None:
    status, answer = running.api("PUT", "/behaviour/Fresh.Test", {"like": "reject"})
    assert status == 200
    (server,) = answer["servers"]
    assert running.values("fresh.test", "MX") == ["10 mx.fresh.test."]
    assert running.values("mx.fresh.test", "A") == [server["address"]]
    client = running.smtp("fresh.test")
    client.ehlo()
    client.mail(SENDER)
    assert client.rcpt(f"{someone}@fresh.test")[0] == 550
    assert running.api("PUT", "/behaviour/fresh.test", {})[1]["servers"] == [server]
    assert client.rcpt(f"{someone}@fresh.test")[0] == 250
    two = running.api("PUT", "/behaviour/fresh.test", {"hosts": [{"preference": 5}, {"preference": 7}]})[1]
    assert len({host["address"] for host in two["servers"]} - {server["address"]}) == 2
    assert running.values("fresh.test", "MX") == ["5 mx1.fresh.test.", "7 mx2.fresh.test."]
    assert running.values("mx.fresh.test", "A") == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server["address"], running.port), timeout=10)
    assert running.api("PUT", "/behaviour/fresh.test", "nxdomain")[1]["servers"] == []
    assert running.query("fresh.test", "MX").rcode() == 3
    assert running.api("DELETE", "/behaviour/fresh.test") == (200, {"deleted": True})
    assert running.api("DELETE", "/behaviour/fresh.test") == (200, {"deleted": False})
    assert running.query("fresh.test", "MX").rcode() == 3
    assert running.api("GET", "/behaviour/fresh.test")[0] == 404


def test_a_ready_made_domain_can_be_changed_and_restored(running: Running, someone: str) -> None:
    name = "fewrecipients.lab.test"
    original = running.api("GET", f"/behaviour/{name}")[1]
    running.api("PUT", f"/behaviour/{name}", {"dns": "servfail"})
    assert running.query(name, "MX").rcode() == 2
    assert running.api("DELETE", f"/behaviour/{name}") == (200, {"deleted": True})
    restored = running.api("GET", f"/behaviour/{name}")[1]
    assert restored["behaviour"] == original["behaviour"]
    assert running.values(name, "MX") == [f"10 mx.{name}."]


def test_greylisting_starts_again_when_it_is_set_again(running: Running, someone: str) -> None:
    domain = running.put_behaviour("greylist")
    client = running.smtp(domain)
    client.ehlo()
    client.mail(SENDER)
    codes = [client.rcpt(f"{someone}@{domain}")[0] for _ in range(2)]
    running.api("PUT", f"/behaviour/{domain}", "greylist")
    codes.append(client.rcpt(f"{someone}@{domain}")[0])
    assert codes == [451, 250, 451]


def test_a_name_without_servers_can_fail_in_dns(running: Running) -> None:
    name = "s1._domainkey.fail.test"
    running.api("PUT", f"/dns/{name}/TXT", ["v=DKIM1; k=rsa; p=abc"])
    assert running.values(name, "TXT") == ['"v=DKIM1; k=rsa; p=abc"']
    running.api("PUT", f"/behaviour/{name}", {"dns": "servfail"})
    assert running.query(name, "TXT").rcode() == 2
    running.api("DELETE", f"/behaviour/{name}")
    assert running.values(name, "TXT") == ['"v=DKIM1; k=rsa; p=abc"']


def test_an_alias_gives_way_to_a_domain(running: Running) -> None:
    running.api("PUT", "/dns/alias.test/CNAME", ["accept.lab.test."])
    assert running.values("alias.test", "MX") == ["10 mx.accept.lab.test."]
    assert running.api("PUT", "/behaviour/alias.test", "accept")[0] == 200
    assert running.values("alias.test", "MX") == ["10 mx.alias.test."]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "what"),
    [
        ("GET", "/lunch", None, 404, "/lunch"),
        ("POST", "/mail", None, 405, "GET, DELETE"),
        ("GET", "/mail?lunch=1", None, 400, "lunch"),
        ("GET", "/mail?limit=-1", None, 400, "limit"),
        ("GET", "/mail?limit=x", None, 400, "limit"),
        ("GET", "/mail?wait=nan", None, 400, "wait"),
        ("GET", "/mail/999999999", None, 404, "999999999"),
        ("GET", "/mail/a/b", None, 404, "a/b"),
        ("GET", "/dns/a/b/c", None, 404, "/dns/NAME"),
        ("PUT", "/dns/a.test", ["x"], 404, "/dns/NAME/TYPE"),
        ("PUT", "/dns/a.test/A", {"a": 1}, 400, "list"),
        ("PUT", "/dns/a.test/A", ["nonsense"], 400, "nonsense"),
        ("PUT", "/dns/a.test/LUNCH", ["x"], 400, "LUNCH"),
        ("PUT", "/dns/a..test/A", ["127.0.0.1"], 400, "a..test"),
        ("PUT", "/behaviour/a.test", "nonsense", 400, "nonsense"),
        ("PUT", "/behaviour/a.test", {"tls": 1}, 400, "$.tls"),
        ("PUT", "/behaviour/127.0.0.1", "accept", 400, "address"),
        ("PUT", "/behaviour/*.test", "accept", 400, "domain"),
        ("PUT", "/behaviour", "accept", 404, "/behaviour/DOMAIN"),
        ("PUT", "/http-behaviour/x", {"status": 1}, 400, "status"),
        ("PUT", "/http-behaviour/x", {"lunch": 1}, 400, "lunch"),
    ],
)
def test_errors_are_explained(
    running: Running, method: str, path: str, body: object, status: int, what: str
) -> None:
    found, answer = running.api(method, path, body)
    assert found == status
    assert what in answer["error"]


def test_a_body_that_is_no_json(running: Running) -> None:
    for path in ("/behaviour/a.test", "/dns/a.test/A", "/http-behaviour/x"):
        status, answer = running.api("PUT", path, raw=b"{nonsense")
        assert status == 400
        assert "body" in answer["error"]


class TestHttp:
    """The little HTTP server itself."""

    def exchange(self, running: Running, *pieces: bytes) -> bytes:
        parts = urlsplit(running.lab.api_url)
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as client:
            for piece in pieces:
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR) if not pieces[-1].endswith(b"\r\n") else None
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            return answer

    def test_requests_in_a_row_are_answered_in_a_row(self, running: Running) -> None:
        answer = self.exchange(
            running,
            b"GET /mail/count HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHo",
            b"st: x\r\n\r\nHEAD /mail/count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        first, second, third = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert b'"count"' in first
        assert b'"dns"' in second
        assert b"Content-Length" in third
        assert third.endswith(b"\r\n\r\n")

    def test_chunks_and_expectations(self, running: Running) -> None:
        answer = self.exchange(
            running,
            b"PUT /dns/chunks.test/A HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            b'8\r\n["127.0.\r\n5\r\n0.9"]\r\n0\r\n\r\n',
        )
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert running.values("chunks.test", "A") == ["127.0.0.9"]

    def test_nonsense(self, running: Running) -> None:
        assert self.exchange(running, b"\x16\x03\x01 nonsense\r\n").startswith(b"HTTP/1.1 400 ")
        huge = b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"
        assert self.exchange(running, huge).startswith(b"HTTP/1.1 413 ")

    def test_upgrades_are_ignored(self, running: Running) -> None:
        answer = self.exchange(
            running,
            b"GET /mail/count HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
        )
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])
