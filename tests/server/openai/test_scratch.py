"""Folders of pictures that come in."""

import os
from pathlib import Path

from heliograph.server.openai.scratch import ABANDONED, Scratch, sweep


def held(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_folder_is_gone_when_it_is_closed(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    paths = [scratch.keep(b"a"), scratch.keep(b"b"), scratch.new()]
    assert len(set(paths)) == 3
    assert [held(path) for path in paths[:2]] == [b"a", b"b"]
    await scratch.close()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    old, new = Scratch(tmp_path).keep(b"a"), Scratch(tmp_path).keep(b"b")
    then = old.stat().st_mtime - ABANDONED - 60
    os.utime(old.parent, (then, then))
    (old.parent.parent / "form-gone").symlink_to(tmp_path / "nowhere")  # as if just closed
    sweep(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)
