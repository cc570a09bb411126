"""The gateway that the examples of a page talk to."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

GATEWAY_IN_DOCS = "http://127.0.0.1:8700"
HOME_IN_DOCS = "~/.local/share/heliograph"
KEY_IN_DOCS = "helio_live_…"
LAST_LINE = "Stop it with Ctrl-C"
_KEY = re.compile(r"helio_live_[0-9A-Za-z]{49}")


class Gateway:
    """A gateway in a process of its own, on any free port.

    Attributes:
        url: where it is.
        key: text of the admin's key.
        said: its lines, spelled as pages spell them.
    """

    def __init__(self, words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        log = folder.parent / "gateway.log"
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "heliograph", *words],
                cwd=folder,
                env={**environment, "HELIOGRAPH_SERVER_PORT": "0"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        lines = self._read()
        found = re.search(r"http://[\d.]+:\d+", lines[0]) if lines else None
        keys = _KEY.findall("\n".join(lines))
        if found is None or not keys:
            self.close()
            raise AssertionError(f"it did not start: {lines}\n{log.read_text(encoding='utf-8')}")
        self.url = found[0]
        self.key = keys[0]
        home = environment["HELIOGRAPH_HOME"]
        self.said = [
            _KEY.sub(KEY_IN_DOCS, line)
            .replace(self.url, GATEWAY_IN_DOCS)
            .replace(home, HOME_IN_DOCS)
            for line in lines
        ]

    def close(self) -> None:
        """Stop it as Ctrl-C does; it must end well."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
        self._process.communicate(timeout=60)

    def _read(self) -> list[str]:
        lines: list[str] = []
        if self._process.stdout is None:
            raise AssertionError("the gateway has no output")
        for line in self._process.stdout:
            lines.append(line.strip())
            if line.startswith(LAST_LINE):
                break
        return lines
