"""Certificates and contexts, with real handshakes."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ekiden.core.clock import DAY
from ekiden.net.tls import (
    CertificateFiles,
    ServerTls,
    TlsError,
    client_context,
    describe_certificate,
    describe_tls,
    make_self_signed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def write(folder: Path, name: str, names: list[str]) -> CertificateFiles:
    return make_self_signed(names).write(folder / f"{name}.crt", folder / f"{name}.key")


@contextmanager
def handshake(server: ServerTls, client: ssl.SSLContext, name: str | None) -> Iterator[ssl.SSLSocket]:
    """The client's side of a connection to ``server``."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    theirs.settimeout(10)

    def serve() -> None:
        try:
            with server.context.wrap_socket(theirs, server_side=True) as secured:
                secured.recv(1)
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours, client.wrap_socket(ours, server_hostname=name) as secured:
            yield secured
    finally:
        thread.join()


def names_seen(server: ServerTls, name: str | None) -> tuple[str, ...]:
    with handshake(server, client_context(), name) as connection:
        der = connection.getpeercert(binary_form=True)
    assert der is not None
    for files in server.certificates:
        if ssl.PEM_cert_to_DER_cert(Path(files.certificate).read_text()) == der:
            return describe_certificate(files.certificate).names
    raise AssertionError("a certificate that is none of the server's")


@pytest.mark.parametrize("name", ["mail.example.com", "127.0.0.1", "::1", "any.example.net"])
def test_whoever_trusts_the_file_trusts_the_server(tmp_path: Path, name: str) -> None:
    files = write(tmp_path, "a", ["mail.example.com", "*.example.net", "127.0.0.1", "::1"])
    client = client_context(verify=True, ca=files.certificate)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    with handshake(ServerTls([files]), client, name) as connection:
        assert describe_tls(connection).startswith("TLSv1.3 TLS_")


def test_other_names_are_refused(tmp_path: Path) -> None:
    files = write(tmp_path, "a", ["mail.example.com"])
    client = client_context(verify=True, ca=files.certificate)
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        handshake(ServerTls([files]), client, "mail.example.net"),
    ):
        pass


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("one.example.com", "one.example.com"),
        ("ONE.example.com", "one.example.com"),
        ("two.example.com", "two.example.com"),
        ("x.wild.example.com", "*.wild.example.com"),
        ("x.y.wild.example.com", "one.example.com"),
        ("unknown.example.com", "one.example.com"),
        (None, "one.example.com"),
    ],
)
def test_the_name_asked_for_chooses_the_certificate(tmp_path: Path, asked: str | None, seen: str) -> None:
    server = ServerTls(
        [
            write(tmp_path, "1", ["one.example.com"]),
            write(tmp_path, "2", ["two.example.com"]),
            write(tmp_path, "3", ["*.wild.example.com"]),
        ]
    )
    assert names_seen(server, asked)[0] == seen


def test_old_versions_are_refused(tmp_path: Path) -> None:
    server = ServerTls([write(tmp_path, "a", ["a.example.com"])])
    client = client_context()
    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLS"):
        client.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLS"):
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError), handshake(server, client, None):
        pass


def test_sessions_are_resumed(tmp_path: Path) -> None:
    server = ServerTls([write(tmp_path, "a", ["a.example.com"])])
    client = client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with handshake(server, client, "a.example.com") as connection:
        session = connection.session
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=lambda: server.context.wrap_socket(theirs, server_side=True).close())
    thread.start()
    with ours, client.wrap_socket(ours, server_hostname="a.example.com", session=session) as connection:
        assert connection.session_reused
    thread.join()


def test_the_key_is_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "a.key").touch(0o644)
    pair = make_self_signed(["a.example.com"])
    files = pair.write(tmp_path / "a.crt", tmp_path / "a.key")
    assert stat.S_IMODE(Path(files.key).stat().st_mode) == 0o600
    assert "PRIVATE" not in repr(pair)


def test_describe(tmp_path: Path) -> None:
    now = 1_800_000_000_000
    pair = make_self_signed(["Mail.example.com", "*.example.net", "192.0.2.1"], days=30, now=now)
    files = pair.write(tmp_path / "a.crt", tmp_path / "a.key")
    facts = describe_certificate(files.certificate)
    assert facts.names == ("mail.example.com", "*.example.net", "192.0.2.1")
    assert (facts.not_before, facts.not_after) == (now - DAY, now + 30 * DAY)
    assert facts.self_signed

    expired = make_self_signed(["a"], now=now, not_after=now - 10 * DAY)
    expired.write(files.certificate, files.key)
    facts = describe_certificate(files.certificate)
    assert facts.not_before < facts.not_after == now - 10 * DAY


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    one = write(tmp_path, "one", ["a"])
    two = write(tmp_path, "two", ["b"])
    with pytest.raises(TlsError, match=r"none\.crt"):
        ServerTls([CertificateFiles(str(tmp_path / "none.crt"), one.key)])
    with pytest.raises(TlsError, match=r"none\.key"):
        ServerTls([CertificateFiles(one.certificate, str(tmp_path / "none.key"))])
    with pytest.raises(TlsError, match="mismatch"):
        ServerTls([CertificateFiles(one.certificate, two.key)])
    with pytest.raises(TlsError, match="at least one"):
        ServerTls([])
    with pytest.raises(TlsError, match="at least one"):
        make_self_signed([])
