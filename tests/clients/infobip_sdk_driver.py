"""Infobip's older client for Python, ``infobip-api-python-sdk``, unmodified, behind a pipe: JSON lines in and out.

A line in: ``{"settings": {"base_url", "api_key"}, "call": "send_email_message", "args": […]}``: a method of its
``EmailChannel`` and that method's arguments; a message may have a file, ``{"$file": [name, base64]}``.
A line out: ``{"result": {"class", "status", "value", "text"}}``: the class of what its user is given, and that
object as the client's ``convert_model_to_dict`` says. The client hides what it cannot read: then ``class`` is
``Response``, that of the library below it, and ``value`` nothing. ``text`` is the answer's own. For whatever was
raised: ``{"error": {"type", "text"}}``.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from typing import Any

from infobip_channels.core.models import ResponseBase
from infobip_channels.email.channel import EmailChannel


class NamedFile(io.BytesIO):
    """As ``open`` gives them."""

    name = ""


def revived(value: dict[str, Any]) -> Any:
    match value:
        case {"$file": [name, text]}:
            file = NamedFile(base64.b64decode(text))
            file.name = name
            return file
    return value


def told(answer: Any) -> dict[str, Any]:
    name = type(answer).__name__
    if isinstance(answer, ResponseBase):
        value = EmailChannel.convert_model_to_dict(answer, exclude={"status_code", "raw_response"})
        return {"class": name, "status": int(answer.status_code), "value": value, "text": answer.raw_response.text}
    return {"class": name, "status": answer.status_code, "value": None, "text": answer.text}


def main() -> None:
    out, sys.stdout = sys.stdout, sys.stderr  # whatever the client prints is no line of ours
    for line in sys.stdin:
        try:
            request = json.loads(line, object_hook=revived)
            channel = EmailChannel.from_auth_params(request["settings"])
            answer = {"result": told(getattr(channel, request["call"])(*request["args"]))}
        except Exception as error:
            answer = {"error": {"type": type(error).__name__, "text": str(error)}}
        print(json.dumps(answer, default=str), file=out, flush=True)


if __name__ == "__main__":
    main()
