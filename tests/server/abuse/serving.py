"""`heliograph serve` as a process: its wire, its log and what it leaves behind."""

import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.server.waiting import HANG


class Process:
    """A gateway process over an emulator; ended when it is left.

    Args:
        secret: the key of the upstream project; all that is known of it is in `said` and in files.
    """

    def __init__(self, home: Path, upstream: str, secret: str, **env: str) -> None:
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("HELIOGRAPH_", "GEMINI_"))}
        self.home, self.errors = home, ""
        self.log = home.parent / "log.txt"
        config = home.parent / "config.toml"
        config.touch()  # not the developer's own
        self._log = self.log.open("wb")
        self.child = subprocess.Popen(
            [sys.executable, "-m", "heliograph", "serve", "--json", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={
                **mine,
                "HELIOGRAPH_HOME": str(home),
                "HELIOGRAPH_WORKERS": "1",
                "HELIOGRAPH_CONFIG": str(config),
                "GOOGLE_GEMINI_BASE_URL": upstream,
                "GEMINI_API_KEY": secret,
                **env,
            },
        )
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line, self.log.read_text()
        self.said: dict[str, Any] = json.loads(line)
        self.admin: str = self.said["admin_key"] or ""
        self.port = int(self.said["url"].rpartition(":")[2])

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and wait for that."""
        if self.child.poll() is None:
            self.child.terminate()
            self.child.communicate(timeout=HANG)
        self._log.close()

    def ask(
        self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request: status, headers, body. With the admin's key, unless another is given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key != "":
            sent["authorization"] = f"Bearer {key or self.admin}"
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            sent.setdefault("content-type", "application/json")
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            connection.close()

    def raw(self, sent: bytes) -> bytes:
        """What comes back first on a connection that sent this.

        Raises:
            TimeoutError: nothing comes, and the connection is not ended.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=HANG) as link:
            link.sendall(sent)
            return link.recv(65536)
