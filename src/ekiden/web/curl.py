"""A request as a command line, for people who try an API by hand."""

from __future__ import annotations

import shlex
from collections.abc import Mapping


def curl_command(method: str, url: str, headers: Mapping[str, str], data: str | None = None) -> str:
    """For a shell. ``data``: a JSON body, or ``@file``."""
    fields = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    if data is not None:
        fields.append(f"-H 'Content-Type: application/json' -d {shlex.quote(data)}")
    return f"curl -X {method} {shlex.quote(url)} {' '.join(fields)}".rstrip()
