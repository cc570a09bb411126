"""What a library keeps is never written over, whatever is allowed besides."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Bill
from tests.e2e.saying import Say
from tests.e2e.test_sessions import begun

from heliograph import AsyncHeliograph, StorageError
from heliograph.placing import BLOBS, LIBRARY, OWN, place
from heliograph.types import Finish

FREE = {"prompts", "wildcards", "scratch", "served"}  # the user's own, or nothing's only copy


@pytest.fixture
def fox(say: Say) -> dict[str, Any]:
    found: dict[str, Any] = say("generate", "A fox", "--size", "1K", "--json").facts
    return found


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {p: (p.stat().st_mode, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


def test_force_does_not_reach_an_original(
    say: Say, fox: dict[str, Any], bill: Bill, tmp_path: Path
) -> None:
    original = fox["original"]
    kept = contents(tmp_path / "library" / "originals")
    for words in (
        ("images", "export", fox["id"], "--pixels", "100x100", "-o", original),
        ("generate", "A cow", "--size", "1K", "-o", original),
        ("generate", "A cow", "--size", "1K", "-n", "2", "-o", original),
        ("edit", "-c", "At night", "-o", original),
        ("generate", "A cow", "--size", "1K", "-o", str(Path(original).parent)),
    ):
        done = say(*words, "--force", "--json")
        assert (done.code, done.facts["error"]["code"]) == (1, "storage"), words
        assert str(tmp_path / "library") in done.facts["error"]["remedy"]
        assert done.facts["error"]["charged"] == "no"
    assert contents(tmp_path / "library" / "originals") == kept
    assert len(bill.lines) == 1
    assert say("images", "verify").code == 0


async def test_force_does_not_reach_an_original_from_python(
    helio: AsyncHeliograph, tmp_path: Path
) -> None:
    made = await helio.generate("A fox", size="1K", finish=Finish(format="png"))
    kept = contents(tmp_path / "library" / "originals")
    # in a round-about way as well, and under the name of another folder
    (tmp_path / "way").symlink_to(made.path.parent)
    targets = (
        made.path.with_suffix(".png"),
        made.path.parent / "missing" / "fox.png",
        tmp_path / "way" / "fox.png",
        made.path.parent / ".." / made.path.parent.name / "fox.png",
        tmp_path / "library" / "spool" / "fox.png",
    )
    for target in targets:
        with pytest.raises(StorageError, match="library of originals"):
            made.save(target, force=True)
    with pytest.raises(StorageError, match="library of originals"):
        place(made.path, made.path, force=True)
    with pytest.raises(StorageError, match="library of originals"):
        place(made.path, tmp_path / "library" / "heliograph.db", force=True)
    (turn,) = await begun(helio)
    kept = contents(tmp_path / "library" / "originals")
    with pytest.raises(StorageError, match="library of originals"):
        await helio.sessions.export(turn.session.id, made.path.parent, force=True)
    assert contents(tmp_path / "library" / "originals") == kept


async def test_a_link_to_an_original_is_replaced_and_the_original_stays(
    helio: AsyncHeliograph, tmp_path: Path
) -> None:
    made = await helio.generate("A fox", size="1K")
    kept = contents(tmp_path / "library" / "originals")
    soft, hard = tmp_path / "soft.jpg", tmp_path / "hard.jpg"
    soft.symlink_to(made.path)
    hard.hardlink_to(made.path)
    other = await helio.generate("A cow", size="1K")
    for link in (soft, hard):
        assert other.save(link, force=True).read_bytes() == other.path.read_bytes()
        assert not link.is_symlink()
    assert contents(tmp_path / "library" / "originals").items() >= kept.items()


async def test_beside_what_is_its_own_a_library_takes_files(
    helio: AsyncHeliograph, tmp_path: Path
) -> None:
    made = await helio.generate("A fox", size="1K")
    library = tmp_path / "library"
    assert made.save(library / "fox.jpg").exists()
    assert made.save(library / "prompts" / "fox.jpg").exists()
    assert made.save(tmp_path / "originals" / "sha256" / "fox.jpg").exists()


async def test_originals_in_a_folder_of_their_own_are_safe_too(
    helio: AsyncHeliograph, tmp_path: Path
) -> None:
    made = await helio.generate("A fox", size="1K")
    shutil.copytree(tmp_path / "library" / "originals", tmp_path / "elsewhere")
    for name in BLOBS:
        with pytest.raises(StorageError, match="library of originals"):
            made.save(tmp_path / "elsewhere" / name / "fox.jpg", force=True)


async def test_everything_in_a_library_is_known(helio: AsyncHeliograph, tmp_path: Path) -> None:
    await begun(helio)
    await helio.edit("A roof", region=(300, 300, 200, 200), protect=True)
    found = {path.name for path in (tmp_path / "library").iterdir()}
    assert found - FREE <= set(OWN)
    assert {LIBRARY, "originals", "heliograph.db", "running", "spool"} <= found
