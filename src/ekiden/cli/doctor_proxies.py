"""The check of ``ekiden doctor`` on proxies before the HTTP listener that the configuration does not name."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from ekiden.cli.doctor_checks import Finding, Patient, find
from ekiden.net.listen import ListenAddress, parse_listen_address

_TIMEOUT: Final = 5.0
_MOST: Final = 4_194_304
_COUNT: Final = re.compile(rb"^ekiden_http_unknown_proxies_total ([0-9.e+]+)", re.MULTILINE)


async def check_proxies(patient: Patient) -> list[Finding]:
    """Asks a running Ekiden of this machine; without one there is nothing to say."""
    config = patient.config
    if "http" not in config.workers.roles:
        return []
    for text in config.http.addresses:
        address = parse_listen_address(text)
        count = await _unknown(address) if address.port else 0
        if count:
            what = (
                "a proxy that http.proxy_from does not name passes requests on ({count} so far): "
                "all of its clients count as one, failed logins included"
            )
            fix = "name its network in http.proxy_from"
            return [find("proxies", "warn", "Proxies", what, fix, count=f"{count:,}")]
    return []


async def _unknown(address: ListenAddress) -> int:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    answer = b""
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, address.port)
            try:
                writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                while len(answer) < _MOST and (data := await reader.read(65_536)):
                    answer += data
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0
    found = _COUNT.search(answer)
    return 0 if found is None else int(float(found[1]))
