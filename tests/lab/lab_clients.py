"""Clients of a running lab: DNS, SMTP by smtplib and by bytes, HTTP."""

from __future__ import annotations

import http.client
import itertools
import json
import smtplib
import socket
from typing import Any
from urllib.parse import urlsplit

import dns.message
import dns.query
import dns.rdatatype

from ekiden.lab import Lab

_serial = itertools.count(1)


def name_of(sock: socket.socket) -> str:
    """Its own address, as the lab's records of sessions have it."""
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"


class RawClient:
    """An SMTP client that sends exactly what it is told to."""

    def __init__(self, address: str, port: int) -> None:
        self.socket = socket.create_connection((address, port), timeout=10)
        self.name = name_of(self.socket)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> bytes:
        """One whole reply; empty at the end of the stream."""
        lines = []
        while True:
            line = self.file.readline()
            lines.append(line)
            if line[3:4] != b"-":
                return b"".join(lines)

    def command(self, line: bytes) -> bytes:
        self.send(line + b"\r\n")
        return self.reply()

    def hello(self) -> bytes:
        """Greeting and EHLO."""
        self.reply()
        return self.command(b"EHLO client.test")

    def close(self) -> None:
        self.file.close()
        self.socket.close()


class Running:
    """What tests see of the lab: its addresses and its API, as a client in another process would."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.port = lab.smtp_port
        self._open: list[RawClient | smtplib.SMTP] = []

    def api(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        """Status and decoded JSON."""
        status, _, content = self.http(
            self.lab.api_url, method, path, raw if body is None else json.dumps(body).encode()
        )
        return status, json.loads(content)

    def http(
        self, url: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def put_behaviour(self, behaviour: Any) -> str:
        """A fresh domain with this behaviour."""
        name = f"d{next(_serial)}.lab.test"
        status, answer = self.api("PUT", f"/behaviour/{name}", behaviour)
        assert status == 200, answer
        return name

    def query(
        self, name: str, kind: str, *, tcp: bool = False, timeout: float = 10, **more: Any
    ) -> dns.message.Message:
        question = dns.message.make_query(name, kind, **more)
        ask = dns.query.tcp if tcp else dns.query.udp
        return ask(question, self.lab.dns_address[0], timeout=timeout, port=self.lab.dns_address[1])

    def values(self, name: str, kind: str) -> list[str]:
        wanted = dns.rdatatype.from_text(kind)
        answer = self.query(name, kind, tcp=True).answer
        return sorted(value.to_text() for rrset in answer if rrset.rdtype == wanted for value in rrset)

    def addresses(self, domain: str) -> list[str]:
        """Of the MX hosts, best first."""
        hosts = sorted((int(v.split()[0]), v.split()[1]) for v in self.values(domain, "MX"))
        return [address for _, host in hosts for address in self.values(host, "A")]

    def smtp(self, domain: str) -> smtplib.SMTP:
        client = smtplib.SMTP(self.addresses(domain)[0], self.port, "client.test", timeout=10)
        self._open.append(client)
        return client

    def raw(self, domain: str) -> RawClient:
        client = RawClient(self.addresses(domain)[0], self.port)
        self._open.append(client)
        return client

    def session(self, client: RawClient | smtplib.SMTP) -> dict[str, Any]:
        """The lab's record of this connection."""
        if isinstance(client, RawClient):
            name = client.name
        else:
            assert client.sock is not None
            name = name_of(client.sock)
        found = [s for s in self.api("GET", "/sessions")[1] if s["peer"] == name]
        assert found
        return found[-1]

    def close_clients(self) -> None:
        for client in self._open:
            client.close()
        self._open.clear()
