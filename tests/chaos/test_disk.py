"""The model of a disk whose power fails: flushed things stay, others may be gone or torn."""

import os
from pathlib import Path

from heliograph.chaos.disk import Frame, Loss, Recording, lay_out, losses
from heliograph.chaos.recorder import Recorder

# what a name and its bytes may come to, by how the power was lost
Found = dict[str, set[bytes | None]]


def found(recording: Recording, path: str) -> Found:
    """Every content a path may have; None for no such file."""
    seen: Found = {}
    for loss in losses(recording):
        data = dict(lay_out(recording, loss.image)).get(path)
        seen.setdefault(loss.how, set()).add(data)
    return seen


def last(recording: Recording, path: str) -> set[bytes | None]:
    """What may be found after everything was done."""
    frame: Frame = recording.frames[-1]
    return {
        dict(lay_out(recording, loss.image)).get(path)
        for loss in losses(recording)
        if loss.last >= frame.at
    }


def record(home: Path, *, flush_file: bool, flush_folder: bool) -> Recording:
    (home / "kept").mkdir(parents=True)
    recorder = Recorder(home)
    with recorder.on():
        with (home / "kept" / "part").open("wb") as file:
            file.write(b"0123456789")
            file.flush()
            if flush_file:
                os.fsync(file.fileno())
        (home / "kept" / "part").rename(home / "kept" / "whole")
        if flush_folder:
            handle = os.open(home / "kept", os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
    return recorder.recording


def test_what_was_flushed_is_always_found(tmp_path: Path) -> None:
    recording = record(tmp_path / "home", flush_file=True, flush_folder=True)
    assert last(recording, "kept/whole") == {b"0123456789"}


def test_bytes_that_were_not_flushed_may_be_torn_or_empty(tmp_path: Path) -> None:
    recording = record(tmp_path / "home", flush_file=False, flush_folder=True)
    assert last(recording, "kept/whole") == {b"", b"01234", b"0123456789"}


def test_a_name_that_was_not_flushed_may_be_gone(tmp_path: Path) -> None:
    recording = record(tmp_path / "home", flush_file=True, flush_folder=False)
    assert last(recording, "kept/whole") == {None, b"0123456789"}


def test_every_moment_before_is_among_the_images(tmp_path: Path) -> None:
    recording = record(tmp_path / "home", flush_file=True, flush_folder=True)
    whole = set().union(*found(recording, "kept/whole").values())
    part = set().union(*found(recording, "kept/part").values())
    assert {None, b"0123456789"} <= whole & part


def test_each_image_is_there_once(tmp_path: Path) -> None:
    recording = record(tmp_path / "home", flush_file=True, flush_folder=True)
    all_losses: list[Loss] = list(losses(recording))
    names = [loss.image.name for loss in all_losses]
    assert len(names) == len(set(names)) < 3 * len(recording.frames)
    assert all(loss.first <= loss.last for loss in all_losses)


def test_a_log_may_be_torn_in_the_middle_of_what_was_added(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    log = home / "heliograph.db-wal"
    log.write_bytes(b"a" * 40)
    recorder = Recorder(home)
    with recorder.on():
        recorder.reached("before")
        with log.open("ab") as file:
            file.write(b"b" * 20)
        recorder.reached("after")
    assert found(recorder.recording, log.name)["torn log"] == {b"a" * 40 + b"b" * 10}
