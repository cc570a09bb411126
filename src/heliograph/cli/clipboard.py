"""A picture from the system's clipboard, by whatever program the system has for that.

Invariant: programs are started by argument list, never by a shell; they may take a few seconds and
hand over a picture of ordinary size, not more.
"""

import base64
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from heliograph.errors import InvalidRequest, Problem
from heliograph.imaging.reference import MAX_BYTES

TIMEOUT = 10.0  # seconds for each program
ENCODED = 3  # bytes of text that stand for one byte of the picture, at most
# what these programs are asked for, in order
KINDS = ("image/png", "image/jpeg", "image/webp")
POWERSHELL = (
    "Add-Type -AssemblyName System.Windows.Forms,System.Drawing;"
    "$picture=[System.Windows.Forms.Clipboard]::GetImage();"
    "if($null -eq $picture){exit 3};"
    "$memory=New-Object System.IO.MemoryStream;"
    "$picture.Save($memory,[System.Drawing.Imaging.ImageFormat]::Png);"
    "[Convert]::ToBase64String($memory.ToArray())"
)
REMEDIES = {
    "darwin": "install pngpaste",
    "win32": "PowerShell is not found",
    "linux": "install wl-clipboard (Wayland) or xclip (X11)",
}


@dataclass(frozen=True, kw_only=True)
class Way:
    """One program that may print the clipboard's picture."""

    command: tuple[str, ...]
    decode: Callable[[bytes], bytes] = bytes


def clipboard_picture(platform: str = sys.platform, *, timeout: float = TIMEOUT) -> bytes:
    """The picture on the clipboard, as an image file's bytes.

    Args:
        platform: as `sys.platform` names it.
        timeout: seconds that each program may take.

    Raises:
        InvalidRequest: there is no program for it, no picture on it, or it is too large.
    """
    is_readable = False
    for way in _ways(platform):
        program = shutil.which(way.command[0])
        if program is None:
            continue
        is_readable = True
        printed = _printed((program, *way.command[1:]), timeout)
        picture = way.decode(printed) if printed else b""
        if len(printed) > MAX_BYTES * ENCODED or len(picture) > MAX_BYTES:
            raise _problem(f"holds more than {MAX_BYTES // 10**6} MB; give a file instead")
        if picture:
            return picture
    if is_readable:
        raise _problem("holds no picture; copy one, or give a file")
    remedy = REMEDIES.get(platform, REMEDIES["linux"])
    raise _problem(f"cannot be read here: {remedy}, or give a file")


def _ways(platform: str) -> Iterator[Way]:
    if platform == "darwin":
        yield Way(command=("pngpaste", "-"))
        script = "the clipboard as \u00abclass PNGf\u00bb"
        yield Way(command=("osascript", "-e", script), decode=_from_hex)
        return
    if platform != "win32":
        for kind in KINDS:
            yield Way(command=("wl-paste", "--no-newline", "--type", kind))
        for kind in KINDS:
            yield Way(command=("xclip", "-selection", "clipboard", "-t", kind, "-o"))
    # also under a Linux that runs inside of Windows
    words = ("-NoProfile", "-NonInteractive", "-STA", "-Command", POWERSHELL)
    yield Way(command=("powershell.exe", *words), decode=_from_base64)


def _printed(command: Sequence[str], timeout: float) -> bytes:
    """What a program prints; nothing when it fails or takes too long."""
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            timer = threading.Timer(timeout, process.kill)
            timer.start()
            try:
                # no more than can be of use: whoever copied a film must not fill the memory
                printed = process.stdout.read(MAX_BYTES * ENCODED + 1) if process.stdout else b""
            finally:
                timer.cancel()
            if len(printed) > MAX_BYTES * ENCODED:
                process.kill()
                return printed
            return printed if process.wait(timeout) == 0 else b""
    except (OSError, subprocess.TimeoutExpired):
        return b""


def _from_hex(printed: bytes) -> bytes:
    """AppleScript prints «data PNGf8950…»."""
    digits = re.search(rb"PNGf((?:[0-9A-Fa-f]{2})+)", printed)
    return bytes.fromhex(digits[1].decode()) if digits else b""


def _from_base64(printed: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(printed.split()), validate=True)
    except ValueError:
        return b""


def _problem(message: str) -> InvalidRequest:
    return InvalidRequest([Problem(field="image", value="clipboard", message=message)])
