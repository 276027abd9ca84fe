"""The receiver of callbacks."""

from __future__ import annotations

import base64
import http.client
import threading

import pytest
from lab_clients import Running


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
