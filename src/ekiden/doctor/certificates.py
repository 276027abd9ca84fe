"""The check of ``ekiden doctor`` on the certificates of listeners."""

from __future__ import annotations

from typing import Any

from ekiden.core.clock import DAY, Millis
from ekiden.core.display import local_time
from ekiden.doctor.checks import Finding, Patient, find
from ekiden.net.tls import CertificateFiles, ServerTls, TlsError, describe_certificate


async def check_certificates(patient: Patient) -> list[Finding]:
    config = patient.config
    found: list[Finding] = []
    pairs = {
        (item.certificate, item.key): listener.name
        for listener in config.listeners
        for item in listener.certificates
    }
    for (certificate, key), listener in pairs.items():
        found += _certificate(certificate, key, listener, patient.clock.now())
    names: set[str] = set()
    for listener_config in config.listeners:
        for item in listener_config.certificates:
            try:
                names.update(describe_certificate(item.certificate).names)
            except TlsError:
                continue
    wildcard = "*." + config.hostname.partition(".")[2]
    if names and config.hostname not in names and wildcard not in names:
        what = "none is for the host name {hostname}; there are {names}"
        fix = "clients that connect to this name will refuse it: get a certificate for it"
        found.append(
            find(
                "certificates",
                "warn",
                "Certificates",
                what,
                fix,
                hostname=config.hostname,
                names=", ".join(sorted(names)),
            )
        )
    return found


def _certificate(certificate: str, key: str, listener: str, now: Millis) -> list[Finding]:
    try:
        ServerTls([CertificateFiles(certificate, key)])
        facts = describe_certificate(certificate)
    except TlsError as error:
        what = "listener {listener}: {why}"
        fix = "put a certificate and the key that belongs to it there"
        return [find("certificates", "fail", "Certificates", what, fix, listener=listener, why=error)]
    values: dict[str, Any] = {"path": certificate, "end": local_time(facts.not_after)}
    if facts.not_after <= now:
        fix = "renew it, then tell the running Ekiden with SIGHUP"
        return [find("certificates", "fail", "Certificates", "{path} has expired: {end}", fix, **values)]
    if facts.not_before > now:
        values["start"] = local_time(facts.not_before)
        fix = "check this machine's clock, or wait"
        return [find("certificates", "fail", "Certificates", "{path} is not valid before {start}", fix, **values)]
    if facts.not_after - now < 14 * DAY:
        fix = "renew it, then tell the running Ekiden with SIGHUP"
        return [find("certificates", "warn", "Certificates", "{path} expires soon: {end}", fix, **values)]
    if facts.self_signed:
        what = "{path} is valid until {end}; it is self-signed, so clients must be told to trust it"
        return [find("certificates", "ok", "Certificates", what, **values)]
    return [find("certificates", "ok", "Certificates", "{path} is valid until {end}", **values)]
