"""Paid bytes on their way into quarantine: here or there at any moment, and never in two halves."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from heliograph.quarantine import quarantine


def test_another_file_system_that_is_full_keeps_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "attempt-1" / "body.raw"
    file.parent.mkdir()
    file.write_bytes(b"paid for")
    home, rename = tmp_path / "home", Path.rename

    def across(path: Path, target: Path) -> Path:
        if path.parent == file.parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(path, target)

    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "rename", across)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copy2", full)
        with pytest.raises(OSError, match="No space"):
            quarantine("job", [file], home)
        assert file.read_bytes() == b"paid for"
        assert list((home / "quarantine" / "job").iterdir()) == []
    quarantine("job", [file], home)
    assert not file.exists()
    (there,) = (home / "quarantine" / "job").iterdir()
    assert (there.name, there.read_bytes()) == ("attempt-1-body.raw", b"paid for")
