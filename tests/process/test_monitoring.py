"""Health and metrics on addresses of their own, and what the doctor says of an Ekiden that runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from typing import Any

from ekiden.net.tls import make_self_signed
from support.commands import run_command

PATHS = ("/healthz", "/readyz", "/metrics")


def status(base: str, path: str) -> int:
    try:
        with urllib.request.urlopen(base + path, timeout=30) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def refused(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        return client.recv(1000).startswith(b"554 ")


def doctor(serving: Any) -> dict[str, list[tuple[str, str]]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EKIDEN_")}
    arguments = ["doctor", "--json", "--config", str(serving.config)]
    ended = run_command(arguments, environment | {"EKIDEN_LANG": "en"})
    found: dict[str, list[tuple[str, str]]] = {}
    for item in json.loads(ended.stdout)["findings"]:
        found.setdefault(item["check"], []).append((item["level"], item["what"]))
    return found


def test_addresses_of_their_own(serving: Any, eventually: Any) -> None:
    serving.settings["http"]["monitoring_addresses"] = ["127.0.0.1:0"]
    facts = serving.start()
    (main,), (own,) = facts["http"], facts["monitoring"]
    assert [status(own, path) for path in PATHS] == [200, 200, 200]
    assert [status(main, path) for path in PATHS] == [200, 200, 404]
    # What recipients and clients reach is not there.
    assert status(main, "/email/1/logs") == 401
    assert status(own, "/email/1/logs") == 404
    # A reload keeps the port; without the setting everything is where it was.
    serving.signal(signal.SIGHUP)
    eventually(lambda: serving.said("reloaded: all new workers take work"), "the reload")
    assert status(own, "/metrics") == 200
    del serving.settings["http"]["monitoring_addresses"]
    serving.write()
    serving.signal(signal.SIGHUP)
    eventually(lambda: status(main, "/metrics") == 200, "metrics where they were")
    assert serving.stop() == 0


def test_the_doctor_and_a_running_ekiden(serving: Any, eventually: Any) -> None:
    """Everything that answers is seen as ours, whoever stands before it; a certificate that was changed is told."""
    ports = {name: free_port() for name in ("submission", "submissions", "balanced", "restricted", "http", "own")}
    certificates = serving.settings["listeners"][0]["certificates"]
    (second := serving.directory / "second").mkdir()
    make_self_signed(["*.other.example"]).write(second / "cert.pem", second / "key.pem")
    both = [*certificates, {"certificate": "second/cert.pem", "key": "second/key.pem"}]

    def listener(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "addresses": [f"127.0.0.1:{ports[name]}"], "certificates": both, **more}

    serving.settings["listeners"] = [
        listener("submission"),
        listener("submissions", mode="tls"),
        listener("balanced", proxy_from=["127.0.0.0/8"]),
        listener("restricted", restricted=True),
    ]
    serving.settings["http"] = {
        "addresses": [f"127.0.0.1:{ports['http']}"],
        "monitoring_addresses": [f"127.0.0.1:{ports['own']}"],
    }
    serving.settings["workers"]["lease"] = "15s"
    serving.settings["dns"] |= {"port": 9, "timeout": "200ms", "lifetime": "500ms"}
    serving.start()
    # A worker that has just started lets everybody on to AUTH until it knows the rules.
    eventually(lambda: refused(ports["restricted"]), "what a stranger is told")
    found = doctor(serving)
    assert found["ports"] == [
        ("ok", f"{name}: 127.0.0.1:{port} is answered by a running Ekiden")
        for name, port in [*list(ports.items())[:4], ("http", ports["http"]), ("http", ports["own"])]
    ]
    assert [level for level, _ in found["workers"]] == ["ok"]
    assert [level for level, _ in found["key"]] == ["ok"]

    make_self_signed(["new.other.example"]).write(second / "cert.pem", second / "key.pem")
    shown = f"shows another certificate than the one in {second}/cert.pem"
    wrong = [what for level, what in doctor(serving)["ports"] if level == "fail"]
    # A listener that turns strangers away shows nobody its certificate, and may let some on while it is busy.
    assert [what for what in wrong if not what.startswith("restricted: ")] == [
        f"{name}: 127.0.0.1:{ports[name]} {shown}" for name in ("submission", "submissions", "balanced")
    ]
    serving.signal(signal.SIGHUP)
    eventually(lambda: serving.said("reloaded: all new workers take work"), "the reload")
    eventually(lambda: len(serving.workers()) == 1, "only the new worker")
    assert {level for level, _ in doctor(serving)["ports"]} == {"ok"}
    assert serving.stop() == 0
