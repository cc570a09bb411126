"""Makes files and names survive a power loss; a file system promises that only when it is asked.

Invariant: what these functions returned from is on the disk, as far as the disk tells the truth.
"""

import os
from pathlib import Path


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` survive power loss.

    Raises:
        OSError: the disk refuses.
    """
    if os.name == "nt":
        return  # Windows has no such call; NTFS journals names by itself
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_file(path: Path) -> None:
    """Make the bytes of a file survive power loss; its name needs `flush_folder`.

    Raises:
        OSError: the disk refuses.
    """
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
