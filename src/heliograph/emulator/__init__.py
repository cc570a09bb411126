"""Local emulator of the Gemini API: a process of its own that shares no code with the client side.

Invariant: importing this package costs almost nothing; the server is loaded when it is started.
"""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from heliograph.emulator.settings import EmulatorSettings

if TYPE_CHECKING:
    from heliograph.emulator.serving import Running

__all__ = ["EmulatorSettings", "run", "serve"]


def serve(settings: EmulatorSettings) -> "AbstractAsyncContextManager[Running]":
    """Serve inside the running event loop; the block gets an object with `.url`."""
    from heliograph.emulator import serving

    return serving.serve(settings)


def run(settings: EmulatorSettings) -> int:
    """Serve until signalled and return the process exit code."""
    from heliograph.emulator import serving

    return serving.run(settings)
