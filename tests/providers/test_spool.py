"""The spool: what is read again is what was read live, and a disk that refuses loses nothing."""

import base64
import itertools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.killpoints import armed
from heliograph.providers import spool as spool_module
from heliograph.providers import tap as tap_module
from heliograph.providers.spool import HEAD, RAW, RESCUE, Spool, discard, places_of, reread, skim
from heliograph.providers.tap import AnswerTooLarge, Tapped
from heliograph.providers.wire import WireReply, documents

PICTURE = bytes(range(256)) * 600  # 150 KiB
HEADERS = {"content-type": "application/json", "x": "金"}


def answer(picture: bytes = PICTURE, **more: Any) -> bytes:
    inline = {"mimeType": "image/png", "data": base64.b64encode(picture).decode()}
    parts = [
        {"text": "data: 金"},
        {"inlineData": inline, "thoughtSignature": "c2ln" * 50},
    ]
    return json.dumps({"candidates": [{"content": {"parts": parts}}], **more}).encode()


BODY = answer()
KILLED = """
import os, sys
from pathlib import Path
from heliograph.providers.spool import Spool
spool = Spool(Path(sys.argv[1]))
spool.head(200, {})
while chunk := sys.stdin.buffer.read(4096):
    spool.feed(chunk)
os.write(1, b"!")
os.kill(os.getpid(), 9)
"""
CHUNKS = [BODY[start : start + 4096] for start in range(0, len(BODY), 4096)]
REUSED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def spooled(folder: Path, chunks: list[bytes]) -> Spool:
    folder.mkdir(parents=True, exist_ok=True)
    spool = Spool(folder)
    spool.head(200, HEADERS)
    for chunk in chunks:
        spool.feed(chunk)
    return spool


def said(tapped: Tapped) -> tuple[Any, ...]:
    """Everything a tapped body says, without its random marker and its folder."""
    skeleton = re.sub(rb"spool:[0-9a-f]{16}:", b"spool:", tapped.skeleton)
    parts = [(s.path.name, s.size, s.sha256, s.defect) for s in tapped.spools.values()]
    for one in tapped.spools.values():
        assert one.path.stat().st_size == one.size
    return skeleton, parts, tapped.cut


def again(folder: Path) -> WireReply:
    wire = reread(folder)
    assert wire is not None
    return wire


def picture_of(tapped: Tapped) -> bytes:
    (document,) = documents(tapped)
    part = document["candidates"][0]["content"]["parts"][1]
    assert tapped.spools[part["thoughtSignature"]].path.read_bytes() == b"c2ln" * 50
    assert tapped.spools[part["inlineData"]["data"]].defect is None
    return tapped.spools[part["inlineData"]["data"]].path.read_bytes()


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes meanwhile: the kernel says no, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def rescues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files, as far as this test is concerned."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


# ---------------------------------------------------------------- read live, and read again


def test_an_answer_lies_on_disk_as_it_came_and_taken_apart(tmp_path: Path) -> None:
    spool = spooled(tmp_path, CHUNKS)
    tapped = spool.close()
    assert spool.trouble is None
    assert picture_of(tapped) == PICTURE
    assert (tmp_path / RAW).read_bytes() == BODY
    rescue = Path(tempfile.gettempdir(), f"{RESCUE}{tmp_path.parent.name}-{tmp_path.name}")
    head = {"status": 200, "headers": HEADERS, "is_direct": False, "rescue": str(rescue)}
    assert json.loads((tmp_path / HEAD).read_text("utf-8")) == head
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [RAW, HEAD, "part-000", "part-001"]
    )
    wire = again(tmp_path)
    assert (wire.status, wire.headers, wire.incomplete) == (200, HEADERS, None)
    assert said(wire.tapped) == said(tapped)
    assert picture_of(wire.tapped) == PICTURE
    assert said(again(tmp_path).tapped) == said(tapped), "and once more, over what it left"


@REUSED
@given(
    cuts=st.lists(st.integers(0, 400), max_size=12),
    end=st.integers(0, 400),
    picture=st.binary(max_size=90),
)
def test_any_chunking_and_any_cut_reads_again_as_it_was_read(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], end: int, picture: bytes
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    body = answer(picture, modelVersion="m")[:end]
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    spool = spooled(folder, [body[a:b] for a, b in itertools.pairwise(edges)])
    # the process may be killed here: what counts is on disk before it is closed
    wire = again(folder)
    live = spool.close()
    assert said(wire.tapped) == said(live)
    assert (folder / RAW).read_bytes() == body


def test_what_a_killed_process_left_is_whole_up_to_its_last_piece(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    said, _ = process.communicate(b"".join(CHUNKS[:20]))
    assert said == b"!"
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / RAW).read_bytes() == b"".join(CHUNKS[:20])
    wire = again(tmp_path)
    assert wire.tapped.cut == "inside image data or a signature"
    (part,) = wire.tapped.spools.values()
    assert PICTURE.startswith(part.path.read_bytes())


def test_a_head_alone_is_an_answer_without_a_body(tmp_path: Path) -> None:
    spooled(tmp_path, []).close()
    wire = again(tmp_path)
    assert wire.incomplete == "nothing of its body arrived"
    assert (wire.tapped.skeleton, wire.tapped.spools) == (b"", {})


@pytest.mark.parametrize(
    "head",
    [
        *(None, "", '{"status"', "[]", '{"status": 200}', '{"headers": {}}'),
        *('{"status": null, "headers": {}}', '{"status": 200, "headers": 7}'),
    ],
)
def test_without_a_head_there_is_no_answer(head: str | None, tmp_path: Path) -> None:
    (tmp_path / RAW).write_bytes(BODY)
    if head is not None:
        (tmp_path / HEAD).write_text(head)
    assert reread(tmp_path) is None


def test_points_of_a_crash_are_reached(tmp_path: Path) -> None:
    points: list[str] = []
    with armed(points.append):
        spooled(tmp_path, CHUNKS[:3]).close()
    assert points == ["headers", "body", "body", "body"]


# ---------------------------------------------------------------- limits


def test_an_answer_that_is_too_large_stops_and_what_came_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "RAW_LIMIT", 5000)
    spool = spooled(tmp_path, CHUNKS[:1])
    with pytest.raises(AnswerTooLarge, match="0 MiB"):
        spool.feed(CHUNKS[1])
    assert spool.close().cut is not None
    assert (tmp_path / RAW).read_bytes() == b"".join(CHUNKS[:2])


def test_the_limit_itself_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "RAW_LIMIT", len(BODY))
    assert picture_of(spooled(tmp_path, CHUNKS).close()) == PICTURE


def test_a_limit_of_the_tap_is_told_when_it_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled(tmp_path, CHUNKS).close()
    monkeypatch.setattr(tap_module, "SPOOL_LIMIT", 1000)
    assert "image data" in str(again(tmp_path).incomplete)
    spool = Spool(tmp_path)
    with pytest.raises(AnswerTooLarge, match="image data"):
        spool.feed(BODY)
    assert spool.close().spools


# ---------------------------------------------------------------- a disk that refuses


@pytest.mark.parametrize("room", [0, 1, 5000, 50_000, 150_000, 200_000])
def test_a_disk_that_fills_up_costs_nothing(room: int, tmp_path: Path, rescues: Path) -> None:
    folder = tmp_path / "spool"
    with files_end_at(room):
        spool = spooled(folder, CHUNKS)
    assert spool.trouble == "File too large"
    assert (folder / RAW).stat().st_size == room
    tapped = spool.close()
    assert picture_of(tapped) == PICTURE
    (second,) = rescues.iterdir()
    assert (second / RAW).read_bytes() == BODY
    assert (second / HEAD).exists()
    for place in (second, folder):
        wire = again(place)
        assert said(wire.tapped) == said(tapped)
        assert (wire.status, wire.headers) == (200, HEADERS)
    assert places_of(tmp_path) == [second, tmp_path]
    discard(folder)
    assert not folder.exists()
    assert not second.exists()


def test_whoever_has_another_folder_for_temporary_files_finds_it(
    tmp_path: Path, rescues: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    with files_end_at(5000):
        spool = spooled(folder, CHUNKS)
    spool.close()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert picture_of(again(folder).tapped) == PICTURE


def test_what_has_its_name_already_is_not_written_over(tmp_path: Path, rescues: Path) -> None:
    folder = tmp_path / "spool"
    there = rescues / f"{RESCUE}{tmp_path.name}-spool"
    there.mkdir()
    with files_end_at(5000):
        spool = spooled(folder, CHUNKS)
    assert picture_of(spool.close()) == PICTURE
    assert list(there.iterdir()) == []
    assert len(list(rescues.iterdir())) == 2


def test_what_is_not_our_own_folder_is_not_read(tmp_path: Path, rescues: Path) -> None:
    """Where everybody may write, a name proves nothing."""
    folder = tmp_path / "spool"
    spooled(folder, CHUNKS[:3]).close()
    spooled(tmp_path / "others", CHUNKS).close()
    (rescues / f"{RESCUE}{tmp_path.name}-spool").symlink_to(tmp_path / "others")
    assert again(folder).tapped.cut is not None
    discard(folder)
    assert (tmp_path / "others" / RAW).exists()


def test_the_longer_one_of_two_places_is_read(tmp_path: Path, rescues: Path) -> None:
    """The process was killed while it wrote the second one."""
    folder, second = tmp_path / "spool", rescues / f"{RESCUE}{tmp_path.name}-spool"
    spooled(folder, CHUNKS).close()
    spooled(second, CHUNKS[:3]).close()
    assert picture_of(again(folder).tapped) == PICTURE


def test_a_part_that_cannot_be_written_is_made_elsewhere(tmp_path: Path, rescues: Path) -> None:
    (tmp_path / "spool" / "part-000").mkdir(parents=True)
    spool = spooled(tmp_path / "spool", CHUNKS)
    assert spool.trouble == "Is a directory"
    assert picture_of(spool.close()) == PICTURE
    assert (tmp_path / "spool" / RAW).read_bytes() == BODY
    (second,) = rescues.iterdir()
    assert (second / RAW).read_bytes() == BODY


def test_a_folder_that_is_gone_costs_nothing(tmp_path: Path, rescues: Path) -> None:
    spool = Spool(tmp_path / "gone")
    spool.head(200, HEADERS)
    assert spool.trouble == "No such file or directory"
    for chunk in CHUNKS:
        spool.feed(chunk)
    assert picture_of(spool.close()) == PICTURE
    (second,) = rescues.iterdir()
    assert again(second).headers == HEADERS


@pytest.mark.parametrize("broken_off", [10_000, 204_000])
def test_a_cut_on_a_full_disk_is_a_cut(broken_off: int, tmp_path: Path, rescues: Path) -> None:
    plain = spooled(tmp_path / "plain", [BODY[:broken_off]]).close()
    with files_end_at(6000):
        spool = spooled(tmp_path / "spool", [BODY[:broken_off]])
    assert said(spool.close()) == said(plain)


def test_where_no_place_takes_it_the_answer_is_cut_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with files_end_at(5000):
        tapped = spooled(tmp_path / "spool", CHUNKS).close()
    assert tapped == Tapped(
        skeleton=b"", spools={}, cut="the disk refused it (No such file or directory)"
    )


def test_what_is_too_large_on_a_full_disk_is_still_closed(
    tmp_path: Path, rescues: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tap_module, "SKELETON_LIMIT", 20_000)
    words = json.dumps({"text": "x" * 50_000}).encode()
    with files_end_at(0):
        spool = spooled(tmp_path / "spool", [words[:10_000]])
        with pytest.raises(AnswerTooLarge, match="JSON besides"):
            spool.feed(words[10_000:])
    assert spool.close().skeleton == words


def test_a_spool_that_another_process_deletes_meanwhile_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    for name in ("listdir", "scandir"):
        look = getattr(os, name)

        def deleted_first(path: Any = ".", look: Any = look) -> Any:
            shutil.rmtree(folder, ignore_errors=True)
            return look(path)

        monkeypatch.setattr(os, name, deleted_first)
        spooled(folder / "attempt-1", CHUNKS[:1]).close()
        assert places_of(folder) == [folder]
        discard(folder)


@given(cut=st.integers(0, len(BODY)))
@REUSED
def test_a_look_at_the_small_parts_says_the_same_and_writes_nothing(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("skim") / "attempt-1"
    spooled(folder, [BODY[:cut]]).close()
    before = sorted(folder.rglob("*"))
    seen = skim(folder)
    assert sorted(folder.rglob("*")) == before
    read = again(folder)
    assert seen is not None
    assert (seen.status, seen.headers, seen.tapped.cut) == (200, HEADERS, read.tapped.cut)
    assert [(s.size > 0) for s in seen.tapped.spools.values()] == [
        s.size > 0 for s in read.tapped.spools.values()
    ]
    blank = re.compile(rb"spool:[0-9a-f]{16}:")
    assert blank.sub(b"", seen.tapped.skeleton) == blank.sub(b"", read.tapped.skeleton)
