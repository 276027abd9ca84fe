"""Haraka (npm package ``Haraka``): an SMTP server for Node.js with its outbound queue on disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from bench.load import Endpoint
from bench.peers import Run, Server
from bench.tools import BenchError, find_program, free_ports

# The versions that Haraka's dependencies ask for are not all published; the overrides are their neighbours.
_PACKAGE = {
    "private": True,
    "dependencies": {"Haraka": "3.3.4"},
    "overrides": {"encoding-japanese": "2.2.0", "libqp": "2.1.1", "libmime": "5.3.7"},
}
_PLUGIN = """
exports.hook_rcpt = function (next, connection) {
    connection.relaying = true
    next(OK)
}
exports.hook_get_mx = function (next) {
    next(OK, [{ priority: 0, exchange: '127.0.0.1', port: %d }])
}
"""


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "ekiden-bench" / "haraka"


class Haraka(Server):
    """One process, as its makers ship it: every message and every delivery is a file, synced, then renamed."""

    name = "haraka"
    title = "Haraka, outbound disk queue, 1 process"

    def missing(self) -> str | None:
        if find_program("node") is None or find_program("npm") is None:
            return "it needs node and npm"
        return None if self._program().exists() else self._install()

    def _program(self) -> Path:
        return _cache() / "node_modules" / "Haraka" / "bin" / "haraka"

    def _install(self) -> str | None:
        print(f"installing Haraka with npm in {_cache()} ...", flush=True)
        _cache().mkdir(parents=True, exist_ok=True)
        (_cache() / "package.json").write_text(json.dumps(_PACKAGE))
        argv = [find_program("npm") or "npm", "install", "--no-audit", "--no-fund", "--omit=optional"]
        try:
            done = subprocess.run(argv, cwd=_cache(), capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            return "npm install took too long"
        if done.returncode or not self._program().exists():
            return f"npm install failed: {done.stderr.strip()[-500:]}"
        return None

    def version(self) -> str:
        return str(_PACKAGE["dependencies"]["Haraka"])  # type: ignore[index]

    def start(self, run: Run) -> Endpoint:
        (port,) = free_ports(1)
        configuration = run.directory / "config"
        for name in ("config", "plugins", "queue"):
            (run.directory / name).mkdir()
        for name, text in {
            "me": "mail.example.test\n",
            "plugins": "bench\n",
            "host_list": "nothing.test\n",
            "log.ini": "[main]\nlevel=ERROR\n",
            "smtp.ini": f"listen=127.0.0.1:{port}\nnodes=0\n",
            "outbound.ini": "concurrency_max=50\nlocal_mx_ok=true\nenable_tls=false\n",
        }.items():
            (configuration / name).write_text(text)
        # Haraka reads its defaults from the directory it is given, and fails without this one.
        shutil.copy(self._program().parent.parent / "config" / "connection.ini", configuration)
        (run.directory / "plugins" / "bench.js").write_text(_PLUGIN % run.sink_port)
        node = find_program("node")
        if node is None:
            raise BenchError("node was not found")
        run.group.spawn([node, str(self._program()), "-c", str(run.directory)], run.log)
        return self._await(run, Endpoint(port))
