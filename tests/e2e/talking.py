"""What sessions are tried with: the emulator's log of requests, and processes that may be killed.

Invariant: what was sent is read from the emulator, never from the client.
"""

import asyncio
import base64
import hashlib
import json
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph import AsyncHeliograph
from heliograph.sessions import Session
from heliograph.types import Record

KILLED = -9
CHILD = """
import asyncio, json, os, signal, sys
from heliograph import AsyncHeliograph
from heliograph.killpoints import armed

steps, client, point = json.loads(sys.argv[1])

def act(name):
    if name == point:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with AsyncHeliograph(**client) as helio:
        for what, prompt, options in steps:
            await getattr(helio, what)(prompt, **options)

with armed(act):
    asyncio.run(main())
"""
Step = tuple[str, str, Mapping[str, Any]]  # "generate" or "edit", prompt, options


async def apart(
    *steps: Step, client: Mapping[str, object], kill: str | None = None, code: int | None = None
) -> None:
    """Take steps in a process of its own, which kills itself when it comes to a point."""
    words = json.dumps([steps, dict(client), kill])
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, words)
    async with asyncio.timeout(60):
        found = await child.wait()
    assert found == (code if code is not None else KILLED if kill else 0)


@dataclass(frozen=True)
class Sent:
    """One request as the emulator saw it."""

    document: dict[str, Any]

    @property
    def contents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document["contents"]
        return found

    def texts(self, role: str = "user") -> list[str]:
        """Everything said in words by one side, in order."""
        return [
            part["text"]
            for content in self.contents
            if content["role"] == role
            for part in content["parts"]
            if "text" in part
        ]

    def images(self, *roles: str) -> list[str]:
        """SHA-256 of the images of some sides, or of both, in order."""
        return [
            _sha256(part["inlineData"]["data"])
            for content in self.contents
            if not roles or content["role"] in roles
            for part in content["parts"]
            if "inlineData" in part
        ]

    @property
    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document["generationConfig"]
        return found


def _sha256(data: str | dict[str, Any]) -> str:
    # the log shortens what is long
    if isinstance(data, dict):
        return str(data["sha256"])
    return hashlib.sha256(base64.b64decode(data)).hexdigest()


def control(url: str, path: str, document: Any = None) -> Any:
    """Ask the emulator itself."""
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(f"{url}/_emulator/{path}", data=data)  # noqa: S310 loopback
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 loopback
        return json.loads(answer.read())


class Log:
    """The requests for pictures since this was made."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._since = max((entry["time"] for entry in self._all()), default=0.0)

    def _all(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = control(self._url, "requests")
        return found

    @property
    def sent(self) -> Sequence[Sent]:
        """Those there are by now, oldest first."""
        new = [entry for entry in self._all() if entry["time"] > self._since]
        return [Sent(e["json"]) for e in new if e["path"].endswith(":generateContent")]

    @property
    def last(self) -> Sent:
        return self.sent[-1]


def pictures(*records: Record) -> list[str]:
    """SHA-256 of the pictures of some records."""
    return [record.result.sha256 for record in records if record.result is not None]


def shape(tree: Session) -> dict[int, int | None]:
    """Parent by number."""
    return {
        node.number: tree.nodes[node.parent].number if node.parent is not None else None
        for node in tree.nodes.values()
    }


def stands_at(tree: Session) -> int | None:
    """Number of the version where a session stands."""
    return tree.nodes[tree.head].number if tree.head is not None else None


async def settled(helio: AsyncHeliograph) -> int:
    """Micro-dollars that our books say were charged."""
    return sum(row.micro for row in await helio.costs("model"))
