"""Customers Mail Cloud's client for Python, ``customersmailcloud``, unmodified, behind a pipe: JSON lines in and
out.

A line in: ``{"host", "api_user", "api_key", "plan", "to": [[name, address]], "from": [name, address], "fields"}``,
and if they are wanted ``"reply_to": [name, address]`` and ``"files": [[name, octets in base64]]``. ``plan``:
``trial``, ``standard``, or the subdomain of a ``pro``; ``fields`` are attributes of the client. Its requests to
``*.smtps.jp`` go to ``host``, the URL of a server, and are otherwise as it makes them.
A line out: ``{"result": …}``, what ``send`` returns; for whatever was raised ``{"error": {"type", "text"}}``, with
``body`` where the client raises the answer's octets.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests
from CustomersMailCloud import CustomersMailCloud

HOST = re.compile(r"https://[^/]+\.smtps\.jp")
_request = requests.Session.request
_host = [""]


def to_host(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
    return _request(self, method, HOST.sub(_host[0], url), *args, **kwargs)


def sent(given: dict[str, Any], folder: Path) -> Any:
    _host[0] = given["host"]
    client = CustomersMailCloud(given["api_user"], given["api_key"])
    if given["plan"] in ("trial", "standard"):
        getattr(client, given["plan"])()
    else:
        client.pro(given["plan"])
    for name, address in given["to"]:
        client.addTo(name, address)
    client.setFrom(*given["from"])
    if "reply_to" in given:
        client.setReplyTo(*given["reply_to"])
    for name, value in given["fields"].items():
        setattr(client, name, value)
    for name, octets in given.get("files", ()):
        (folder / name).write_bytes(base64.b64decode(octets))
        client.addFile(str(folder / name))
    return client.send()


def main() -> None:
    requests.Session.request = to_host  # type: ignore[method-assign]
    out, sys.stdout = sys.stdout, sys.stderr  # whatever the client prints is no line of ours
    for line in sys.stdin:
        try:
            with tempfile.TemporaryDirectory() as folder:
                answer: dict[str, Any] = {"result": sent(json.loads(line), Path(folder))}
        except Exception as error:
            facts = {"type": type(error).__name__, "text": str(error)}
            if error.args and isinstance(error.args[0], bytes):
                facts["body"] = error.args[0].decode()
            answer = {"error": facts}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
