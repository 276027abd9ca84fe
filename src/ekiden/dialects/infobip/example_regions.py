"""The SMTP endpoints of Infobip's regions (contract §7.1), as an example of ``[[regions]]``."""

from __future__ import annotations

from typing import Any, Final

_BOTH: Final = (587, 465)
_STARTTLS: Final = (587,)


def _example(name: str, host: str, ports: tuple[int, ...]) -> dict[str, Any]:
    return {"name": name, "smtp_public": f"{host}.infobip.com", "ports": list(ports)}


EXAMPLE_REGIONS: Final = tuple(
    _example(*row)
    for row in (
        ("europe", "smtp-api", _BOTH),
        ("great-britain", "smtp-api-gb1", _BOTH),
        ("india-mumbai", "smtp-api-mum", _BOTH),
        ("indonesia", "smtp-api-id", _BOTH),
        ("mena", "smtp-api-ae2", _STARTTLS),
        ("pakistan", "smtp-api-pk2", _STARTTLS),
        ("qatar", "smtp-api-qa1", _STARTTLS),
        ("saudi-arabia", "smtp-api-sa3", _STARTTLS),
        ("turkiye", "smtp-api-tr1", _STARTTLS),
        ("us", "smtp-api-us", _BOTH),
        ("eu-schrems-ii", "smtp-api-eu", _BOTH),
    )
)
"""The table of the seed: ten regions, and the endpoint that keeps mail within the EU (Schrems II)."""
