"""The lab's receiver of callbacks, as tests of the road ask it."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any
from urllib.parse import urlencode

from support.demo_process import PATIENCE


class Hook:
    """A path of the receiver that is this test's own; ``url`` is what customers name."""

    def __init__(self, demo: Any) -> None:
        self._demo = demo
        self.path = f"/{uuid.uuid4().hex}"
        self.url: str = demo.facts["lab_http"] + self.path

    def behave(self, *rules: dict[str, Any]) -> None:
        """Answer so, in turn; without rules with 200 again."""
        if rules:
            self._demo.put(f"/http-behaviour{self.path}", list(rules))
        else:
            self._demo.put(f"/http-behaviour{self.path}", [{"status": 200}])

    def requests(self, count: int = 1) -> list[dict[str, Any]]:
        """All that came, once there are ``count``; ``body`` is decoded, ``headers`` have lower-case names."""
        query = urlencode({"path": self.path, "count": count, "wait": PATIENCE})
        found: list[dict[str, Any]] = self._demo.get(f"{self._demo.facts['lab']}/http?{query}")
        assert len(found) >= count, f"{len(found)} of {count} callbacks"
        for item in found:
            item["body"] = base64.b64decode(item["body"])
            item["headers"] = {name.lower(): value for name, value in item["headers"].items()}
        return found

    def reports(self, count: int = 1) -> list[dict[str, Any]]:
        """The entries of all reports that were taken, in the order in which they came, once there are ``count``."""
        requests = 1
        while True:
            came = self.requests(requests)
            found = [
                entry
                for item in came
                if 200 <= item["status"] < 300
                for entry in json.loads(item["body"])["results"]
            ]
            if len(found) >= count:
                return found
            # One more than were looked at: those that came since then count, too.
            requests = len(came) + 1

    def happenings(self, count: int = 1) -> list[dict[str, Any]]:
        """What the tracking URL was told, one request each."""
        return [json.loads(item["body"]) for item in self.requests(count)]
