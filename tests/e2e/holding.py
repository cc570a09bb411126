"""A way to the emulator on which answers wait: a test decides when a call ends, not the clock.

Invariant: requests pass at once and unchanged, and so do answers to what is only read (GET); of
an answer to anything else no byte passes before `let_go`.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

PIECE = 65_536


class Held:
    """A listening port in front of an emulator; it works in threads of its own.

    Attributes:
        url: where a client finds it.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._there = (parts.hostname, parts.port)
        self._may_pass = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._begin(self._accept)

    def let_go(self) -> None:
        """What is held passes, and from now on everything does at once."""
        self._may_pass.set()

    def close(self) -> None:
        """Let go, and break off what is left."""
        self.let_go()
        _hang_up(self._listening)
        self._threads[0].join()
        for each in self._sockets:
            _hang_up(each)
        for thread in self._threads:
            thread.join()
        for each in (self._listening, *self._sockets):
            each.close()

    def _begin(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._sockets.append(client)
                upstream = socket.create_connection(self._there)
                self._sockets.append(upstream)
                _Line(client, upstream, self._may_pass, self._begin)


class _Line:
    """One connection of a client, and ours to the emulator for it."""

    def __init__(
        self,
        client: socket.socket,
        upstream: socket.socket,
        may_pass: threading.Event,
        begin: Callable[[Callable[[], None]], None],
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._may_pass = may_pass
        self._is_paid = False
        begin(self._ask)
        begin(self._answer)

    def _ask(self) -> None:
        with contextlib.suppress(OSError):
            while piece := self._client.recv(PIECE):
                # connections are kept: the last request with a verb at its head counts
                self._is_paid = piece.startswith(b"POST ") or (
                    self._is_paid and not piece.startswith(b"GET ")
                )
                self._upstream.sendall(piece)
        _hang_up(self._upstream)

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while piece := self._upstream.recv(PIECE):
                if self._is_paid:
                    self._may_pass.wait()
                self._client.sendall(piece)
        _hang_up(self._client)


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def holding(upstream: str) -> Iterator[Held]:
    """Stand before an emulator; at the end nothing of it is left."""
    held = Held(upstream)
    try:
        yield held
    finally:
        held.close()
