"""Casts and references: kept, told to the model by number, or refused before anything is sent."""

import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.talking import Log, settled
from tests.e2e.test_sessions import small

from heliograph import AsyncHeliograph, InvalidRequest
from heliograph.errors import RecordNotFound, WouldOverwrite
from heliograph.planning.wording import ROLE_WORDS
from heliograph.types import ROLES, Given

PRO, OTHER = "gemini-3-pro-image", "gemini-nano-banana-2.1"


@pytest.fixture
async def helio(emulated: Emulated, project: str, bill: Bill) -> AsyncIterator[AsyncHeliograph]:
    key = f"emu-project-{project}"
    async with AsyncHeliograph(base_url=emulated.url, api_key=key) as client:
        yield client
        assert await client.audit() == ()
        if await client.calls():
            assert await settled(client) == bill.micro


@pytest.fixture
def log(emulated: Emulated) -> Log:
    return Log(emulated.url)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------- casts


async def test_a_cast_stays_what_it_was_when_its_files_are_gone(
    helio: AsyncHeliograph, log: Log, tmp_path: Path
) -> None:
    mine = tmp_path / "mascot.png"
    mine.write_bytes(small(1))
    cast = await helio.casts.add("mascot", [mine], description="A fox with a red scarf.")
    mine.unlink()
    assert [(r.label, r.role) for r in cast.references] == [("mascot", "character")]
    # the same bytes, however often
    for number in range(5):
        await helio.generate(f"@Mascot on hill {number}", size="1K", casts=["mascot"])
    assert [sent.images() for sent in log.sent] == [[sha256(small(1))]] * 5
    words = log.last.texts()[0]
    assert words.startswith("Mascot (image 1 below) on hill 4\n\n")
    assert f"Image 1 mascot: {ROLE_WORDS['character']}." in words
    assert words.endswith("mascot: A fox with a red scarf.")


async def test_casts_come_before_references_and_all_are_called_by_number(
    helio: AsyncHeliograph, log: Log
) -> None:
    await helio.casts.add("pair", [small(1), Given(source=small(2), role="object", name="hat")])
    await helio.casts.add("sea", [Given(source=small(3), role="scene")])
    await helio.generate(
        "@pair-1 with @hat and @dog at the @sea",
        size="1K",
        casts=["pair", "sea"],
        references=[Given(source=small(4), role="subject", name="dog"), small(5)],
    )
    assert log.last.images() == [sha256(small(n)) for n in range(1, 6)]
    words = log.last.texts()[0]
    assert words.startswith(
        "pair-1 (image 1 below) with hat (image 2 below) and dog (image 4 below) "
        "at the sea (image 3 below)"
    )
    assert words.splitlines()[-1] == "Image 5: a reference."


async def test_a_cast_in_a_turn_goes_back_with_it(helio: AsyncHeliograph, log: Log) -> None:
    await helio.casts.add("mascot", [small(1)])
    await helio.generate("A hill", size="1K")
    await helio.edit("@mascot on it", casts=["mascot"])
    await helio.casts.remove("mascot")
    turn = await helio.edit("At night")
    assert log.last.images("user") == [sha256(small(1))]
    assert log.last.texts()[1].startswith("mascot (image 1 below) on it")
    assert turn.node.record.request["references"] == []
    (folder,) = await helio.sessions.list()
    assert folder.turns == 2


async def test_a_cast_is_replaced_only_when_told_to_and_removed_without_its_images(
    helio: AsyncHeliograph, log: Log, tmp_path: Path
) -> None:
    casts = helio.casts
    first = await casts.add("mascot", [small(1)], description="One.")
    with pytest.raises(WouldOverwrite, match="mascot"):
        await casts.add("mascot", [small(2)])
    assert await casts.list() == [first]
    second = await casts.add("mascot", [small(2), small(3)], force=True)
    assert await casts.find("mascot") == second
    assert second.description == ""
    await casts.remove("mascot")
    assert await casts.list() == []
    for reference in (*first.references, *second.references):
        assert isinstance(reference.source, Path)
        assert sha256(reference.source.read_bytes()) == reference.sha256
    for ask in (casts.find("mascot"), casts.remove("mascot")):
        with pytest.raises(RecordNotFound, match="casts list"):
            await ask
    await casts.add("mascot", [small(1)])
    assert (await casts.find("mascot")).references == first.references


@pytest.mark.parametrize(
    ("name", "given", "more", "field"),
    [
        ("2fast", [b"1"], {}, "name"),
        ("", [b"1"], {}, "name"),
        ("a b", [b"1"], {}, "name"),
        ("a" * 41, [b"1"], {}, "name"),
        ("a" * 40, [b"1", b"2"], {}, "references"),
        ("fox", [], {}, "references"),
        ("fox", [b"1"] * 15, {}, "references"),
        ("fox", [b"no picture"], {}, "references[0]"),
        ("fox", [Given(source=b"1", role="hero")], {}, "references"),
        ("fox", [Given(source=b"1", name="a b")], {}, "references"),
        ("fox", [Given(source=b"1", name="A"), Given(source=b"2", name="a")], {}, "references"),
        ("fox", [Given(source=b"1", name="fox-2"), b"2"], {}, "references"),
        ("fox", [b"1"], {"description": "x" * 4001}, "description"),
    ],
)
async def test_what_is_no_cast_is_refused_and_not_kept(
    helio: AsyncHeliograph, name: str, given: list[Any], more: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await helio.casts.add(name, given, **more)
    assert {problem.field for problem in caught.value.problems} == {field}
    assert await helio.casts.list() == []


async def test_a_cast_that_is_none_is_named_with_those_there_are(
    helio: AsyncHeliograph, log: Log
) -> None:
    await helio.casts.add("mascot", [small(1)])
    with pytest.raises(InvalidRequest) as caught:
        await helio.generate("A fox", size="1K", casts=["mascott", "mascot", "other"])
    assert [(p.value, p.nearest) for p in caught.value.problems] == [
        ("mascott", ("mascot",)),
        ("other", ("mascot",)),
    ]
    with pytest.raises(InvalidRequest, match="two images"):
        await helio.generate(
            "A fox", casts=["mascot"], references=[Given(source=small(2), name="Mascot")]
        )
    assert list(log.sent) == []


async def test_a_name_that_no_image_has_is_told(helio: AsyncHeliograph) -> None:
    await helio.casts.add("mascot", [small(1)])
    result = await helio.generate("@mascto on a hill", size="1K", casts=["mascot"])
    assert [n for n in result.plan.notes if "No image is called @mascto" in n]


# ---------------------------------------------------------------- fourteen


@pytest.mark.parametrize("model", [PRO, OTHER])
async def test_fourteen_images_with_roles_go_and_fifteen_do_not(
    helio: AsyncHeliograph, log: Log, tmp_path: Path, model: str
) -> None:
    given = []
    for number in range(15):
        path = tmp_path / f"{number}.png"
        path.write_bytes(small(number))
        given.append(Given(source=path, role=ROLES[number % len(ROLES)], name=f"i{number}"))
    result = await helio.generate("@i0 and @i13", size="1K", model=model, references=given[:14])
    assert log.last.images() == [sha256(small(n)) for n in range(14)]
    lines = log.last.texts()[0].splitlines()
    assert lines[0] == "i0 (image 1 below) and i13 (image 14 below)"
    for number in range(14):
        role = ROLES[number % len(ROLES)]
        assert f"Image {number + 1} i{number}: {ROLE_WORDS[role]}." in lines
    facts = result.record.request["references"]
    assert [f["role"] for f in facts] == [ROLES[n % len(ROLES)] for n in range(14)]
    with pytest.raises(InvalidRequest, match="at most 14") as caught:
        await helio.generate("A fox", size="1K", model=model, references=given)
    (problem,) = caught.value.problems
    assert (problem.field, problem.value, problem.nearest) == ("references", "15 images", ("14",))
    assert "nothing was sent" in str(caught.value)
    assert len(log.sent) == 1
    assert [(tmp_path / f"{n}.png").read_bytes() for n in range(15)] == [
        small(n) for n in range(15)
    ]


# ---------------------------------------------------------------- files that cannot go


def photo(path: Path, width: int, height: int) -> None:
    """A picture of noise, which no encoder makes small."""
    tile = Image.effect_noise((1000, 1000), 90)
    whole = Image.new("L", (width, height))
    for left in range(0, width, 1000):
        for top in range(0, height, 1000):
            whole.paste(tile, (left, top))
    whole.save(path, quality=90)


async def test_files_that_cannot_go_are_refused_with_reasons_and_stay_as_they_are(
    helio: AsyncHeliograph, log: Log, tmp_path: Path
) -> None:
    frame = Image.new("RGB", (30, 30), (9, 9, 9))
    files = {name: tmp_path / name for name in ("60mp.jpg", "70mp.png", "anim.webp", "cut.jpg")}
    photo(files["60mp.jpg"], 10_000, 6_000)
    Image.new("1", (10_000, 7_000)).save(files["70mp.png"])
    Image.new("RGB", (30, 30)).save(files["anim.webp"], save_all=True, append_images=[frame])
    whole = io.BytesIO()
    Image.effect_noise((300, 300), 90).save(whole, "JPEG")
    files["cut.jpg"].write_bytes(whole.getvalue()[:2000])
    files["pic.svg"] = tmp_path / "pic.svg"
    files["pic.svg"].write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    before = {name: sha256(path.read_bytes()) for name, path in files.items()}
    assert files["60mp.jpg"].stat().st_size > 20_000_000
    with pytest.raises(InvalidRequest) as caught:
        await helio.generate("A fox", size="1K", references=list(files.values()))
    found = {str(p.value): (p.field, p.message) for p in caught.value.problems}
    reasons = {
        "60mp.jpg": ("bytes, at most 20000000 are accepted", "save it as a smaller JPEG"),
        "70mp.png": ("10000x7000 px, at most 64 megapixels", "scale it down"),
        "anim.webp": ("animated (2 frames)", "give a single picture"),
        "cut.jpg": ("ends inside its picture data",),
        "pic.svg": ("looks like SVG", "only JPEG, PNG and WebP"),
    }
    assert [found[name][0] for name in reasons] == [f"references[{n}]" for n in range(5)]
    for name, words in reasons.items():
        assert all(word in found[name][1] for word in words), name
    assert "nothing was sent" in str(caught.value)
    # each of them alone, as a turn, as what is to be changed, and in a cast
    await helio.generate("A fox", size="1K")
    for path in files.values():
        for ask in (
            helio.edit("On", references=[path]),
            helio.edit("On", of=path, size="1K"),
            helio.casts.add("cast", [path]),
        ):
            with pytest.raises(InvalidRequest):
                await ask
    assert len(log.sent) == 1
    assert {name: sha256(path.read_bytes()) for name, path in files.items()} == before
    assert await helio.sessions.list() == []
    assert await helio.casts.list() == []


async def test_the_field_says_which_image_was_meant(helio: AsyncHeliograph, log: Log) -> None:
    await helio.generate("A fox", size="1K")
    with pytest.raises(InvalidRequest) as caught:
        await helio.edit("On", references=[small(1), b"nothing"])
    assert [p.field for p in caught.value.problems] == ["references[1]"]
    with pytest.raises(InvalidRequest) as caught:
        await helio.edit("On", of=b"nothing", references=[b"nothing"])
    assert [p.field for p in caught.value.problems] == ["base", "references[0]"]
    with pytest.raises(InvalidRequest) as caught:
        await helio.edit("On", mask=b"nothing")
    assert [p.field for p in caught.value.problems] == ["mask"]
    assert len(log.sent) == 1
