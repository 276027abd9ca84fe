"""Infobip's own Python client, unmodified, behind a pipe: one JSON object per line in, one out.

Both generations of the client have the same import name, so neither can be imported by the tests: this program is
run once for each, with the place of that one as PYTHONPATH (``official_clients.InfobipPython``).

A line in: ``{"configuration": {…}, "call": "send_email", "args": […], "fields": {…}}``: arguments of the client's
``Configuration``, a method of its ``EmailApi``, that method's arguments by position and by name.
A line out: ``{"result": …}``, or for whatever was raised ``{"error": {"type", "bases", "text", "status", "reason",
"headers", "body", "data"}}``.

What JSON lacks, in either direction: ``{"$bytes": base64}``, ``{"$time": ISO 8601}``. In only:
``{"$new": "EmailMessage", "args": […], "fields": {…}}``, an object of a class of ``infobip_api_client.models``.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import date, datetime
from enum import Enum
from typing import Any

from infobip_api_client import ApiClient, Configuration, models
from infobip_api_client.api.email_api import EmailApi
from infobip_api_client.models.file_parameter import FileParameter


def revived(value: dict[str, Any]) -> Any:
    """What an object of JSON stands for; those inside it are revived already."""
    match value:
        case {"$bytes": text}:
            return base64.b64decode(text)
        case {"$time": text}:
            return datetime.fromisoformat(text)
        case {"$new": "FileParameter", "args": args, "fields": fields}:
            return FileParameter(*args, **fields)  # the one class that `models` does not export
        case {"$new": name, "args": args, "fields": fields}:
            return getattr(models, name)(*args, **fields)
    return value


def plain(value: Any) -> Any:
    """A value that JSON has no word for."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):  # every datetime is one
        return {"$time": value.isoformat()}
    if isinstance(value, bytes | bytearray):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "model_dump"):
        return value.model_dump(by_alias=True)
    return dict(value) if hasattr(value, "items") else str(value)


def told(error: Exception) -> dict[str, Any]:
    headers = getattr(error, "headers", None)
    return {
        "type": type(error).__name__,
        "bases": [base.__name__ for base in type(error).__mro__],
        "text": str(error),
        "status": getattr(error, "status", None),
        "reason": getattr(error, "reason", None),
        "headers": {name.lower(): text for name, text in dict(headers).items()} if headers else {},
        "body": getattr(error, "body", None),
        "data": getattr(error, "data", None),
    }


def main() -> None:
    clients: dict[str, EmailApi] = {}
    out, sys.stdout = sys.stdout, sys.stderr  # whatever the client prints is no line of ours
    for line in sys.stdin:
        try:
            request = json.loads(line, object_hook=revived)
            settings = request["configuration"]
            key = json.dumps(settings, sort_keys=True)
            if key not in clients:
                clients[key] = EmailApi(ApiClient(Configuration(**settings)))
            method = getattr(clients[key], request["call"])
            answer = {"result": method(*request["args"], **request["fields"])}
        except Exception as error:
            answer = {"error": told(error)}
        print(json.dumps(answer, default=plain), file=out, flush=True)


if __name__ == "__main__":
    main()
