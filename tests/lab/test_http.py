"""The receiver of callbacks."""

from __future__ import annotations

import asyncio
import base64
import http.client
import select
import socket
import threading

import aiohttp
import pytest
from lab_clients import Running

from ekiden.lab import Lab, LabError
from ekiden.lab.forms import parts
from ekiden.lab.http import Receiver, Request


def post(running: Running, path: str, body: bytes = b"{}", **headers: str) -> int:
    return running.http(running.lab.http_url, "POST", path, body, headers)[0]


def test_callbacks_are_kept(running: Running, someone: str) -> None:
    body = bytes(range(256))
    assert post(running, f"/{someone}/a?b=c%20d", body, **{"X-Signature": "abc", "Content-Type": "a/b"}) == 200
    status, found = running.api("GET", f"/http?path=/{someone}")
    assert status == 200
    (callback,) = found
    assert callback["method"] == "POST"
    assert callback["path"] == f"/{someone}/a?b=c%20d"
    assert callback["headers"]["X-Signature"] == "abc"
    assert base64.b64decode(callback["body"]) == body
    assert isinstance(callback["at"], int)
    assert running.api("GET", f"/http?path={someone}/a")[1] == found
    assert running.api("GET", f"/http?path={someone}/b")[1] == []
    assert running.api("GET", f"/http?path={someone}&since={callback['at'] + 60_000}")[1] == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_every_method_is_taken(running: Running, someone: str, method: str) -> None:
    assert running.http(running.lab.http_url, method, f"/{someone}")[0] == 200
    assert running.api("GET", f"/http?path=/{someone}")[1][0]["method"] == method


def test_answers_are_chosen_by_the_longest_prefix(running: Running, someone: str) -> None:
    assert running.api("PUT", f"/http-behaviour/{someone}", {"status": 503, "body": "later"})[0] == 200
    running.api("PUT", f"/http-behaviour/{someone}/good", {"status": 202, "headers": {"X-Lab": "1"}})
    status, _, body = running.http(running.lab.http_url, "POST", f"/{someone}/x")
    assert (status, body) == (503, b"later")
    status, headers, _ = running.http(running.lab.http_url, "POST", f"/{someone}/good/x")
    assert (status, headers["X-Lab"]) == (202, "1")
    assert f"/{someone}" in running.api("GET", "/http-behaviour")[1]
    running.api("DELETE", f"/http-behaviour/{someone}")
    assert post(running, f"/{someone}/x") == 200
    assert [c["status"] for c in running.api("GET", f"/http?path=/{someone}")[1]] == [503, 202, 200]


def test_answers_in_a_row(running: Running, someone: str) -> None:
    rules = [{"status": 500, "times": 2}, {"status": 404, "times": 1}]
    running.api("PUT", f"/http-behaviour/{someone}", rules)
    assert [post(running, f"/{someone}") for _ in range(4)] == [500, 500, 404, 200]
    running.api("PUT", f"/http-behaviour/{someone}", rules)
    assert post(running, f"/{someone}") == 500


@pytest.mark.parametrize("how", ["close", "reset"])
def test_disconnects(running: Running, someone: str, how: str) -> None:
    running.api("PUT", f"/http-behaviour/{someone}", {"disconnect": how})
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        post(running, f"/{someone}")
    (callback,) = running.api("GET", f"/http?path=/{someone}")[1]
    assert callback["status"] == 0


def test_delays(running: Running, someone: str) -> None:
    running.api("PUT", f"/http-behaviour/{someone}", {"delay": 60})
    client = http.client.HTTPConnection(running.lab.http_url.removeprefix("http://"), timeout=0.2)
    client.request("POST", f"/{someone}", b"x")
    with pytest.raises(TimeoutError):
        client.getresponse()
    client.close()
    assert len(running.api("GET", f"/http?path=/{someone}")[1]) == 1


def test_waiting(running: Running, someone: str) -> None:
    threading.Timer(0.05, post, (running, f"/{someone}")).start()
    assert len(running.api("GET", f"/http?path=/{someone}&wait=10")[1]) == 1
    assert len(running.api("GET", f"/http?path=/{someone}&wait=0.05&count=2")[1]) == 1


def test_headers_that_repeat_are_joined(running: Running, someone: str) -> None:
    client = http.client.HTTPConnection(running.lab.http_url.removeprefix("http://"), timeout=10)
    client.putrequest("GET", f"/{someone}")
    client.putheader("X-Two", "a")
    client.putheader("X-Two", "b")
    client.endheaders()
    assert client.getresponse().read() == b""
    client.close()
    assert running.api("GET", f"/http?path=/{someone}")[1][0]["headers"]["X-Two"] == "a, b"


def test_header_fields_are_kept_as_sent(running: Running, someone: str) -> None:
    host = running.lab.http_url.removeprefix("http://")
    with socket.create_connection((host.partition(":")[0], int(host.partition(":")[2])), timeout=10) as client:
        client.sendall(
            b"POST /%s HTTP/1.1\r\nhost: x\r\nX-TWO: b\r\nx-two: a;  c\r\nX-Raw: \xe3\x81\x82\r\n"
            b"Content-Length: 2\r\nConnection: close\r\n\r\nok" % someone.encode()
        )
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    (callback,) = running.api("GET", f"/http?path=/{someone}")[1]
    assert callback["fields"] == [
        ["host", "x"],
        ["X-TWO", "b"],
        ["x-two", "a;  c"],
        ["X-Raw", b"\xe3\x81\x82".decode("latin-1")],
        ["Content-Length", "2"],
        ["Connection", "close"],
    ]
    assert callback["size"] == 2


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="subject"\r\n\r\n\xe4\xbb\xb6\xe5\x90\x8d\r\n'
    b'--b\r\ncontent-disposition: form-data; name="attachment1"; filename="\xe6\x97\xa5.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n\xff\r\n-b\r\n\n\r\n--b--\r\n"
)


def test_a_form_is_taken_apart(running: Running, someone: str) -> None:
    post(running, f"/{someone}", FORM, **{"Content-Type": "multipart/form-data; boundary=b"})
    post(running, f"/{someone}", b"a=1+2&b=%E3%81%82", **{"content-type": "application/x-www-form-urlencoded"})
    post(running, f"/{someone}", b'{"a": 1}', **{"Content-Type": "application/json"})
    form, pairs, other = (c["id"] for c in running.api("GET", f"/http?path=/{someone}")[1])
    subject, attached = running.api("GET", f"/http/{form}/parts")[1]
    assert (subject["name"], subject["filename"], subject["text"]) == ("subject", None, "件名")
    assert (attached["name"], attached["filename"], attached["text"]) == ("attachment1", "日.txt", None)
    assert attached["headers"][1] == ["Content-Type", "text/plain"]
    data = b"\xff\r\n-b\r\n\n"
    assert (base64.b64decode(attached["data"]), attached["size"]) == (data, len(data))
    assert running.http(running.lab.api_url, "GET", f"/http/{form}/parts/attachment1")[2] == data
    status, headers, body = running.http(running.lab.api_url, "GET", f"/http/{form}/body")
    assert (status, headers["Content-Type"], body) == (200, "multipart/form-data; boundary=b", FORM)
    assert [(p["name"], p["text"]) for p in running.api("GET", f"/http/{pairs}/parts")[1]] == [
        ("a", "1 2"),
        ("b", "あ"),
    ]
    assert running.api("GET", f"/http/last?path=/{someone}")[1]["id"] == other
    for path, status, word in (
        (f"/http/{other}/parts", 400, "no form"),
        (f"/http/{form}/parts/lunch", 404, "lunch"),
        ("/http/0", 404, "0"),
        (f"/http/{form}/lunch", 404, "/http/ID"),
    ):
        found, answer = running.api("GET", path)
        assert found == status
        assert word in answer["error"]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "before the first"),
        (b"x" + FORM, "before the first"),
        (FORM[:-4], "last boundary"),
        (FORM + b"x", "last boundary"),
        (b"--b--\r\n", ""),
        (b"--bx\r\n\r\n\r\n--b--", "line end"),
        (b"--b\r\nA: b\r\n--b--", "does not end"),
        (b"--b\r\nno field\r\n\r\n\r\n--b--", "no field"),
        (b"--b\r\nA: b\r\n\r\n\r\n--b--", "no name"),
        (b"--b\r\n" * 10_002, "more than"),
    ],
)
def test_forms_that_are_broken_are_not_repaired(body: bytes, what: str) -> None:
    if not what:
        assert parts("multipart/form-data; boundary=b", body) == []
        return
    with pytest.raises(LabError, match=what):
        parts('multipart/form-data; charset=utf-8; boundary="b"', body)


def test_more_fields_than_anybody_reads() -> None:
    with pytest.raises(LabError, match="more than"):
        parts("application/x-www-form-urlencoded", b"&" * 10_000)
    assert parts("application/x-www-form-urlencoded", b"") == []
    with pytest.raises(LabError, match="boundary"):
        parts("multipart/form-data", FORM)


def test_large_bodies_are_kept_to_the_octet(running: Running, someone: str) -> None:
    body = bytes(range(256)) * (160 << 10)  # 40 MiB
    assert post(running, f"/{someone}", body, **{"Content-Type": "application/octet-stream"}) == 200
    (callback,) = running.api("GET", f"/http?path=/{someone}&bodies=no")[1]
    assert (callback["size"], callback["body"]) == (len(body), "")
    assert running.http(running.lab.api_url, "GET", f"/http/{callback['id']}/body")[2] == body
    assert running.api("DELETE", "/http")[1]["deleted"] >= 1


def test_larger_ones_are_refused(running: Running, someone: str) -> None:
    host, _, port = running.lab.http_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"POST /%s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % someone.encode())
        answer = b""
        try:
            while not answer and select.select([], [client], [], 10)[1]:
                client.sendall(b"100000\r\n" + bytes(0x100000) + b"\r\n")
                answer = client.recv(100) if select.select([client], [], [], 0)[0] else b""
        except ConnectionError:
            answer = b"HTTP/1.1 413 reset while we were still sending"
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert running.api("GET", f"/http?path=/{someone}")[1] == []
    assert running.api("GET", "/http-server")[1]["state"] == "up"


def test_kept_callbacks_are_bounded_in_count_and_octets() -> None:
    async def fill(receiver: Receiver, *sizes: int) -> None:
        for size in sizes:
            await receiver.handle(Request("POST", "/", (), b"x" * size))

    receiver = Receiver(3, 100)
    asyncio.run(fill(receiver, 1, 1, 1, 1))
    assert ([c.id for c in receiver.callbacks], receiver.dropped) == ([2, 3, 4], 1)
    asyncio.run(fill(receiver, 99))
    assert [c.id for c in receiver.callbacks] == [4, 5]
    asyncio.run(fill(receiver, 1000))
    assert [c.id for c in receiver.callbacks] == [6]  # the newest is always kept
    assert (receiver.clear(), receiver.received) == (1, 6)


def test_the_sender_has_to_prove_itself(running: Running, someone: str) -> None:
    running.api("PUT", f"/http-behaviour/{someone}", {"basic": "user:pass", "bearer": "t0ken", "status": 202})
    basic = "Basic " + base64.b64encode(b"user:pass").decode()
    given = ["", "Basic dXNlcjp4", basic, basic.lower(), "bearer t0ken", "Bearer T0ken"]
    codes = [post(running, f"/{someone}", **{"Authorization": value} if value else {}) for value in given]
    assert codes == [401, 401, 202, 401, 202, 401]
    assert [c["status"] for c in running.api("GET", f"/http?path=/{someone}")[1]] == codes
    status, headers, _ = running.http(running.lab.http_url, "POST", f"/{someone}")
    assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="lab"')
    running.api("PUT", f"/http-behaviour/{someone}", {"bearer": "t0ken"})
    assert running.http(running.lab.http_url, "POST", f"/{someone}")[1]["WWW-Authenticate"] == "Bearer"


async def test_it_can_be_down_for_a_while() -> None:
    async with Lab() as lab, aiohttp.ClientSession() as client:

        async def answer() -> int:
            async with client.post(lab.http_url + "/x", data=b"x") as response:
                return response.status

        async def state(**wanted: object) -> str:
            call = (
                client.put(lab.api_url + "/http-server", json=wanted)
                if wanted
                else client.get(lab.api_url + "/http-server")
            )
            async with call as response:
                assert response.status == 200
                found = await response.json()
            assert found["url"] == lab.http_url
            return str(found["state"])

        assert await answer() == 200
        assert await state(state="dead") == "dead"
        with pytest.raises(aiohttp.ClientConnectorError):
            await answer()
        assert await state() == "dead"
        assert await state(state="up") == await state(state="up") == "up"
        assert await answer() == 200
        assert await state(state="dead", seconds=0.05) == "dead"
        while await state() == "dead":
            pass
        assert await answer() == 200
        assert len(lab.callbacks("/x")) == 3
        await state(state="dead", seconds=3600)  # what waits ends with the lab
    lost = Lab()
    await lost.start()
    await lost.set_http_up(False, 0.01)
    host, _, port = lost.http_url.removeprefix("http://").partition(":")
    with socket.create_server((host, int(port))):  # somebody else takes its port
        with pytest.raises(LabError, match=port):
            await lost.set_http_up(True)
        await lost.set_http_up(False, 0.01)
        await asyncio.sleep(0.05)
        assert not lost.http_up
    await lost.close()
