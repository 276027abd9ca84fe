"""TLS contexts for both sides, and certificates: chosen by SNI, reloaded, made, described.

TLS 1.2 and later only (RFC 8996, RFC 9325); no client certificates, no ALPN: SMTP has no protocol name for it.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ekiden.core.clock import DAY, Millis
from ekiden.core.errors import EkidenError

_OPTIONS = ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION


class TlsError(EkidenError):
    """A certificate or key that cannot be used; says which file and why."""


class CertificateFiles(NamedTuple):
    """PEM files: the certificate with its chain, and its private key."""

    certificate: str
    key: str


class ServerTls:
    """What a listener needs to speak TLS: one context for its lifetime, certificates chosen anew per handshake.

    The first certificate is the default, also for clients that send no server name; others are chosen when the
    name that the client asks for (RFC 6066 §3) is one of theirs, in full or by a ``*.`` label. Session tickets are
    on. Raises ``TlsError`` when a file cannot be used.
    """

    def __init__(self, certificates: Sequence[CertificateFiles]) -> None:
        if not certificates:
            raise TlsError("a listener with TLS needs at least one certificate")
        self.certificates = tuple(certificates)
        self._default, self._by_name = self._load()
        # OpenSSL keeps tickets with the context that accepted the connection, so this one stays, and hands each
        # handshake over to the context that holds the certificate of the moment.
        self.context = _server_context(self.certificates[0])
        self.context.sni_callback = self._choose

    def _load(self) -> tuple[ssl.SSLContext, dict[str, ssl.SSLContext]]:
        contexts = [_server_context(files) for files in self.certificates]
        by_name: dict[str, ssl.SSLContext] = {}
        for files, context in zip(self.certificates, contexts, strict=True):
            for name in describe_certificate(files.certificate).names:
                by_name.setdefault(name.lower(), context)
        return contexts[0], by_name

    def _choose(
        self, connection: ssl.SSLSocket | ssl.SSLObject, server_name: str | None, _: ssl.SSLContext
    ) -> None:
        chosen = self._default
        if server_name is not None:
            name = server_name.lower().rstrip(".")
            chosen = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2]) or self._default
        connection.context = chosen


def _server_context(files: CertificateFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= _OPTIONS
    try:
        context.load_cert_chain(files.certificate, files.key)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        raise TlsError(f"certificate {files.certificate} with key {files.key}: {reason}") from None
    except OSError as error:
        missing = files.certificate if not os.access(files.certificate, os.R_OK) else files.key
        raise TlsError(f"{missing}: {error.strerror or error}") from None
    return context


def client_context(verify: bool = False, *, ca: str | None = None) -> ssl.SSLContext:
    """For connections we open. Without ``verify`` any certificate will do: opportunistic TLS (RFC 7435, RFC 3207).

    ``ca`` is a PEM file of certificates to trust instead of the system's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is not None:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs()
    return context


def describe_tls(connection: ssl.SSLObject | ssl.SSLSocket) -> str:
    """``TLSv1.3 TLS_AES_256_GCM_SHA384``."""
    cipher = connection.cipher()
    return f"{connection.version()} {cipher[0]}" if cipher else str(connection.version() or "")


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What people ask about a certificate. ``names`` are its DNS names in lower case and its IP addresses."""

    names: tuple[str, ...]
    not_before: Millis
    not_after: Millis
    self_signed: bool


def describe_certificate(path: str | Path) -> CertificateFacts:
    """The facts of the first certificate in a PEM file. ``TlsError`` when there is none."""
    try:
        certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
    except OSError as error:
        raise TlsError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise TlsError(f"{path}: no certificate in PEM format") from None
    names: list[str] = []
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        # RFC 6125 lets only old certificates be known by their common name.
        names += [
            str(item.value).lower() for item in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
    else:
        names += [name.lower() for name in alternative.get_values_for_type(x509.DNSName)]
        names += [str(address) for address in alternative.get_values_for_type(x509.IPAddress)]
    return CertificateFacts(
        names=tuple(names),
        not_before=int(certificate.not_valid_before_utc.timestamp() * 1000),
        not_after=int(certificate.not_valid_after_utc.timestamp() * 1000),
        self_signed=certificate.issuer == certificate.subject,
    )


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "KeyPair(…)"

    def write(self, certificate: str | Path, key: str | Path) -> CertificateFiles:
        """Write both files; the key is readable by its owner only."""
        Path(certificate).write_bytes(self.certificate)
        handle = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(self.key)
        return CertificateFiles(str(certificate), str(key))


def make_self_signed(
    names: Sequence[str], *, days: int = 825, now: Millis | None = None, not_after: Millis | None = None
) -> KeyPair:
    """A certificate for DNS names (also ``*.``) and IP addresses that is its own authority (ECDSA P-256).

    Whoever trusts the file (``cafile=``, ``-CAfile``) trusts the server. ``not_after`` overrides ``days``, and may
    lie in the past: the lab shows expired certificates.
    """
    from datetime import UTC, datetime

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if not names:
        raise TlsError("a certificate needs at least one name")
    start = (time.time_ns() // 1_000_000 if now is None else now) - DAY  # for clocks that are behind
    end = start + (days + 1) * DAY if not_after is None else not_after
    if end <= start:
        start = end - DAY
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(start // 1000, tz=UTC))
        .not_valid_after(datetime.fromtimestamp(end // 1000, tz=UTC))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # Strict verification (Python 3.13's default) asks for both identifiers (RFC 5280 §4.2.1).
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower())
