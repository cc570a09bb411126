"""Open a picture with the loader of its own format, ready to be read once from top to bottom.

Invariant: loaders are named, never guessed from the content, warnings count as errors, and the
file name never reaches libvips, which would read options in it.
"""

from typing import Any

import pyvips

from heliograph.imaging.refusal import NotAnImage

_LOADERS = {
    "jpeg": pyvips.Image.jpegload_source,
    "png": pyvips.Image.pngload_source,
    "webp": pyvips.Image.webpload_source,
}


def load(descriptor: int, format_name: str, *, shrink: int = 1) -> Any:
    """A lazy picture over an open file; `shrink` (1, 2, 4, 8) is done while decoding JPEG.

    Raises:
        pyvips.Error: its header does not decode.
        NotAnImage: there is no loader for the format.
    """
    loader = _LOADERS.get(format_name)
    if loader is None:
        raise NotAnImage(f"{format_name} is not decoded here", looks_like=format_name)
    options: dict[str, Any] = {"access": "sequential", "fail_on": "warning"}
    if format_name == "jpeg" and shrink > 1:
        options["shrink"] = shrink
    return loader(pyvips.Source.new_from_descriptor(descriptor), **options)


def complaint() -> str | None:
    """What libvips has noted since it was last asked, on one line.

    It reports a warning of the JPEG decoder only at the next read. In the last rows there is no
    next read, so a file that decoded "well" has still to be asked.
    """
    lines = str(pyvips.Error("").detail).splitlines()
    return "; ".join(line.strip() for line in lines if line.strip())[:300] or None
