"""``ekiden serve`` as the operator and the system see it: signals, crashes, mistakes."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import socket
import sqlite3
import ssl
from pathlib import Path
from typing import Any

from ekiden.net.tls import describe_certificate
from support.demo_process import LATE

TROUBLE = {"error", "critical", "warning"}


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def peer_names(address: list[Any]) -> set[str]:
    """The names in the certificate that a TLS listener shows."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(tuple(address), 30) as plain, context.wrap_socket(plain) as secure:
        data = secure.getpeercert(binary_form=True)
    assert data is not None
    file = Path(f"/tmp/{os.getpid()}-{address[1]}.pem")
    file.write_text(ssl.DER_cert_to_PEM_cert(data))
    try:
        return set(describe_certificate(file).names)
    finally:
        file.unlink()


def test_from_start_to_drain(serving: Any) -> None:
    serving.settings["workers"]["lease"] = "15s"  # as it is by default: a machine under load must not cause a word
    facts = serving.start("--workers", "2")
    assert len(serving.workers()) == 2
    assert serving.get("/healthz") == (200, b"ok\n")
    status, body = serving.get("/readyz")
    assert status == 200
    assert json.loads(body) == {"ready": True, "missing": []}
    with smtplib.SMTP(*facts["smtp"]["submission"][0], timeout=30) as client:
        assert client.ehlo()[0] == 250
        assert client.has_extn("starttls")
    assert serving.metric("ekiden_worker_processes") == 2
    assert serving.metric("ekiden_smtp_connections_opened_total") == 1
    assert serving.metric("ekiden_memory_bytes") > 1_000_000
    assert serving.stop() == 0
    # How long a loop was kept is a figure of the machine, which may be busy.
    trouble = [event for event in serving.events() if event["level"] in TROUBLE and event["event"] != LATE]
    assert not trouble, serving.events()
    assert serving.said("stopped")
    with sqlite3.connect(serving.directory / "ekiden.db") as database:
        assert database.execute("SELECT count(*) FROM worker WHERE ended_at IS NULL").fetchone() == (0,)
    database.close()


def test_a_restricted_listener_of_a_worker_turns_strangers_away(serving: Any, eventually: Any) -> None:
    """By the word ``restricted`` of the configuration, and on that listener alone."""
    certificates = serving.settings["listeners"][0]["certificates"]
    restricted = {"addresses": ["127.0.0.1:0"], "certificates": certificates, "restricted": True}
    serving.settings["listeners"].append({"name": "restricted", **restricted})
    facts = serving.start()

    def greeting(name: str) -> str:
        with socket.create_connection(tuple(facts["smtp"][name][0]), 30) as client:
            return client.recv(1000).decode()

    # A worker that has just started lets everybody on to AUTH until it knows the rules.
    eventually(lambda: greeting("restricted").startswith("554 5.7.1 No service for your network"), "a refusal")
    assert greeting("submission").startswith("220 ")
    assert serving.stop() == 0


def test_metrics_have_every_kind_of_number(serving: Any) -> None:
    serving.start()
    text = serving.get("/metrics")[1].decode()
    for name in (
        "ekiden_messages_accepted_total",
        'ekiden_attempts_total{cause="none",state="delivered"}',
        'ekiden_attempts_total{cause="recipient",state="bounced"}',
        'ekiden_queue_deliveries{state="deferred"}',
        "ekiden_queue_oldest_due_seconds",
        'ekiden_accept_seconds_bucket{le="+Inf"}',
        "ekiden_delivery_seconds_sum",
        "ekiden_leases",
        "ekiden_workers",
        "ekiden_store_commits_total",
        "ekiden_store_operations_total",
        'ekiden_build_info{version="',
    ):
        assert f"\n{name}" in text, name
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert all(name.startswith("ekiden_") for name in families)
    assert len(families) == len(set(families))


def test_a_crashed_worker_is_replaced(serving: Any, eventually: Any) -> None:
    facts = serving.start()
    (worker,) = serving.workers()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: serving.workers() and serving.workers() != [worker], "another worker")
    line = eventually(lambda: serving.said("worker ended unasked, starting another"), "a word about it")
    assert line["how"] == "SIGKILL"

    def answers() -> bool:
        try:
            with smtplib.SMTP(*facts["smtp"]["submission"][0], timeout=5) as client:
                return client.noop()[0] == 250
        except OSError:
            return False

    eventually(answers, "an answer on the same port")
    assert serving.metric("ekiden_worker_restarts_total") == 1
    # The one that died is known to be dead: nobody waits for its lease.
    with sqlite3.connect(serving.directory / "ekiden.db") as database:
        ended = database.execute("SELECT ended_at IS NOT NULL FROM worker WHERE pid = ?", (worker,)).fetchone()
    database.close()
    assert ended == (1,)
    assert serving.stop() == 0


def test_workers_do_not_outlive_a_killed_supervisor(serving: Any, eventually: Any) -> None:
    serving.start("--workers", "2")
    workers = serving.workers()
    assert serving.process is not None
    serving.process.kill()
    serving.process.wait()
    for worker in workers:
        eventually(lambda worker=worker: gone(worker), "the end of a worker")


def test_the_end_of_standard_input_drains(serving: Any) -> None:
    serving.start("--watch-stdin")
    serving.process.stdin.close()
    assert serving.process.wait(30) == 0
    assert serving.said("stopped")


def test_a_hanging_worker_is_killed_after_its_time(serving: Any, eventually: Any) -> None:
    serving.settings["workers"]["drain_timeout"] = "0s"
    serving.start()
    (worker,) = serving.workers()
    os.kill(worker, signal.SIGSTOP)
    assert serving.stop() == 0
    assert gone(worker)
    assert serving.said("worker did not drain in time, killing it")


def test_a_second_signal_does_not_wait(serving: Any, eventually: Any) -> None:
    serving.settings["workers"]["drain_timeout"] = "1h"
    serving.start()
    (worker,) = serving.workers()
    os.kill(worker, signal.SIGSTOP)
    serving.signal(signal.SIGTERM)
    eventually(lambda: serving.said("draining"), "the drain")
    assert serving.stop() == 0


def test_reload_of_certificates_and_settings(serving: Any, eventually: Any) -> None:
    facts = serving.start()
    old = serving.workers()
    assert peer_names(facts["smtp"]["submissions"][0]) == {"localhost"}
    serving.certify("new.example.com")
    serving.settings["workers"]["count"] = 2
    serving.settings["hostname"] = "other.example.com"
    serving.write()
    serving.signal(signal.SIGHUP)
    eventually(lambda: len(serving.workers()) == 2 and not set(old) & set(serving.workers()), "two new workers")
    # Same ports, though the configuration says "any".
    assert peer_names(facts["smtp"]["submissions"][0]) == {"new.example.com"}
    with smtplib.SMTP(*facts["smtp"]["submission"][0], timeout=30) as client:
        assert client.ehlo()[1].startswith(b"other.example.com")
    assert serving.stop() == 0


def test_reload_of_a_broken_configuration_changes_nothing(serving: Any, eventually: Any) -> None:
    serving.start()
    old = serving.workers()
    serving.settings["listeners"][0]["mode"] = "startls"
    serving.write()
    serving.signal(signal.SIGHUP)
    line = eventually(lambda: serving.said("not reloaded, the configuration stays as it was"), "a word about it")
    assert 'listeners[0].mode: "startls" is not allowed' in line["why"]
    serving.settings["listeners"][0]["mode"] = "starttls"
    (serving.directory / "key.pem").write_text("no key")
    serving.write()
    serving.signal(signal.SIGHUP)
    eventually(lambda: "key.pem" in serving.events()[-1].get("why", ""), "a word about the key")
    assert serving.workers() == old
    assert serving.stop() == 0


def test_reload_says_what_needs_a_restart(serving: Any, eventually: Any) -> None:
    serving.start()
    old = serving.workers()
    serving.settings["store"] = {"url": "sqlite:///other.db"}
    serving.write()
    serving.signal(signal.SIGHUP)
    line = eventually(lambda: serving.said("these settings change with a restart only"), "a word about it")
    assert line["settings"] == ["store.url"]
    eventually(lambda: serving.workers() and not set(old) & set(serving.workers()), "a new worker")
    assert serving.stop() == 0
    assert not (serving.directory / "other.db").exists()


def test_a_listener_can_come_and_go_with_a_reload(serving: Any, eventually: Any) -> None:
    facts = serving.start()
    serving.settings["listeners"] = serving.settings["listeners"][1:]
    serving.write()
    old = serving.workers()
    serving.signal(signal.SIGHUP)
    eventually(lambda: serving.workers() and not set(old) & set(serving.workers()), "a new worker")
    with socket.socket() as probe:
        assert probe.connect_ex(tuple(facts["smtp"]["submission"][0])) != 0
    assert peer_names(facts["smtp"]["submissions"][0]) == {"localhost"}
    assert serving.stop() == 0


def test_a_port_in_use_names_the_listener(serving: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        serving.settings["listeners"][1]["addresses"] = [f"127.0.0.1:{port}"]
        assert serving.fail() == (f"ekiden: listeners.submissions: 127.0.0.1:{port} is in use by another program")


def test_two_platforms_do_not_share_a_port_unnoticed(
    serving: Any, tmp_path_factory: Any, sqlite_template: Path
) -> None:
    facts = serving.start()
    other = type(serving)(tmp_path_factory.mktemp("other"), sqlite_template)
    port = facts["smtp"]["submission"][0][1]
    other.settings["listeners"][0]["addresses"] = [f"127.0.0.1:{port}"]
    try:
        assert other.fail().endswith(f"listeners.submission: 127.0.0.1:{port} is in use by another program")
    finally:
        other.close()


def test_an_address_of_another_machine(serving: Any) -> None:
    serving.settings["http"]["addresses"] = ["192.0.2.1:8080"]
    assert serving.fail() == "ekiden: http: this machine does not have the address 192.0.2.1"


def test_a_certificate_that_is_missing(serving: Any) -> None:
    (serving.directory / "cert.pem").unlink()
    assert "cert.pem: No such file or directory" in serving.fail()


def test_a_database_that_is_missing(serving: Any) -> None:
    (serving.directory / "ekiden.db").unlink()
    assert "ekiden db upgrade" in serving.fail()


def test_an_account_that_is_missing(serving: Any) -> None:
    listener = serving.settings["listeners"][0]
    listener.update(mode="plain", trusted_networks=["127.0.0.0/8"], trusted_account="relay")
    assert serving.fail() == "ekiden: there is no account 'relay', which listeners.submission trusts"


def test_roles_narrow_the_work(serving: Any) -> None:
    facts = serving.start("--roles", "http,housekeeping")
    assert facts["smtp"] == {}
    assert serving.get("/readyz")[0] == 200
    assert serving.stop() == 0
