"""The pictures in the tutorial are those that its commands make, at full size."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat
from tests.docs.fenced import ROOT, Session

from heliograph.imaging import read_header
from heliograph.types import Pixels

PAGE = ROOT / "docs/tutorial/edit-by-conversation.md"
SHOWN = {
    "lighthouse.jpg": "edit-lighthouse.webp",
    "warm.jpg": "edit-warm.webp",
    "boat.jpg": "edit-boat.webp",
    "night.jpg": "edit-night.webp",
}
ALIKE = 6.0  # of 255, mean difference of small copies: another encoder, never another picture


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    """The base URL of an emulator that draws in full detail."""
    command = [sys.executable, "-m", "heliograph.emulator", "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.communicate(timeout=60)


def test_the_tutorial_makes_the_pictures_it_shows(session: Session, tmp_path: Path) -> None:
    session.work_through(PAGE)
    work = tmp_path / "work"
    assert read_header(work / "warm.jpg").pixels == Pixels(5504, 3072)
    assert read_header(work / "night.jpg").pixels == Pixels(4096, 4096)
    for made, shown in SHOWN.items():
        difference = ImageChops.difference(
            small(work / made), small(ROOT / "docs/pictures" / shown)
        )
        assert max(ImageStat.Stat(difference).mean) < ALIKE, made
    # and they are four different ones
    assert max(ImageStat.Stat(_apart(work, "lighthouse.jpg", "warm.jpg")).mean) > ALIKE
    assert max(ImageStat.Stat(_apart(work, "warm.jpg", "night.jpg")).mean) > ALIKE
    exported = sorted(path.name for path in (work / "lighthouse").glob("*.jpg"))
    assert [name[:2] for name in exported] == ["00", "01", "02", "03"]


def small(path: Path) -> Image.Image:
    """A picture as 64 times 64 pixels."""
    with Image.open(path) as image:
        image.draft("RGB", (512, 512))
        return image.convert("RGB").resize((64, 64), Image.Resampling.BOX)


def _apart(work: Path, one: str, other: str) -> Image.Image:
    return ImageChops.difference(small(work / one), small(work / other))
