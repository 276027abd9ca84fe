"""How a message goes that came in for somebody else: what the queue knows of it, besides what it knows of all."""

from __future__ import annotations

from typing import Final, Literal

import msgspec


class Forward(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """``sender`` is the envelope sender on the wire:

    - ``own``: that of the message, as it came in
    - ``srs``: one of ours that has it inside (``core.srs``); its bounces go on to whoever sent the message
    - ``token``: one of ours (``core.return_path``), whose bounces end with us

    ``host``, when there is one, and ``port`` take it whatever its domain's DNS says; ``tls``: not in clear.
    """

    sender: Literal["own", "srs", "token"]
    host: str = ""
    port: int = 0
    tls: bool = False


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Forward).decode


def forward_text(forward: Forward | None) -> str:
    """As the store keeps it; empty for none."""
    return "" if forward is None else _encode(forward).decode()


def parse_forward(text: str) -> Forward | None:
    """From ``forward_text``. Raises ``msgspec.MsgspecError``."""
    return _decode(text) if text else None
