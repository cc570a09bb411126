"""Who gets which bytes of a picture, over a real socket."""

import asyncio
import hashlib
import io
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image
from tests.imaging.pictures import encoded, natural, quadrants
from tests.server.pictures.conftest import OLD_KEY, Desk, Site

from heliograph.server.pictures import signed_url
from heliograph.types import Role

ID = "ab" * 16
BELOW = f"/pictures/{ID}"
VARIANTS = (
    *("original", "original.jpg", "picture", "picture.webp", "preview", "thumbnail.avif"),
    *("w640", "256x256.png", "extra-1", "tiles.dzi", "tiles_files/0/0_0.webp", "nonsense"),
)


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


async def test_the_original_is_untouched(desk: Desk, site: Site, photograph: bytes) -> None:
    await desk.keep(photograph)
    answer = await site.ask(f"{BELOW}/original")
    assert (answer.status, answer.body) == (200, photograph)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["etag"] == f'"{hashlib.sha256(photograph).hexdigest()}"'
    assert answer.headers["content-length"] == str(len(photograph))
    for name, value in {
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "same-site",
        "referrer-policy": "no-referrer",
        "cache-control": "private, no-cache",
        "content-disposition": f'inline; filename="heliograph-{ID[:8]}.jpg"',
    }.items():
        assert answer.headers[name] == value
    same = await site.ask(f"{BELOW}/picture")
    assert (same.body, same.headers["etag"]) == (photograph, answer.headers["etag"])


@pytest.mark.parametrize(
    ("variant", "size", "kind"),
    [
        ("thumbnail", (512, 288), "WEBP"),
        ("preview", (1600, 900), "WEBP"),
        ("preview.jpg", (1600, 900), "JPEG"),
        ("w640.png", (640, 360), "PNG"),
        ("w4096", (1600, 900), "WEBP"),
        ("512x512.jpeg", (512, 512), "JPEG"),
        ("youtube-thumbnail.jpg", (1280, 720), "JPEG"),
        ("picture.avif", (1600, 900), "AVIF"),
    ],
)
async def test_a_copy_is_what_was_asked_and_tells_nothing_private(
    desk: Desk, site: Site, photograph: bytes, variant: str, size: tuple[int, int], kind: str
) -> None:
    assert b"PRIVATE-CANARY" in photograph
    await desk.keep(photograph)
    answer = await site.ask(f"{BELOW}/{variant}")
    picture = opened(answer.body)
    assert (answer.status, picture.size, picture.format) == (200, size, kind)
    assert answer.headers["content-type"] == f"image/{kind.lower()}"
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.body).hexdigest()}"'
    assert b"PRIVATE-CANARY" not in answer.body


async def test_further_images_by_number(desk: Desk, site: Site) -> None:
    drawn = [
        encoded(natural(80, 60, seed=n), kind) for n, kind in enumerate(("png", "jpeg", "png"))
    ]
    await desk.keep(drawn, roles=(Role.DRAFT, Role.EXTRA, Role.RESULT))
    got = [(await site.ask(f"{BELOW}/{v}")).body for v in ("draft-1", "extra-1.jpg", "original")]
    assert got == drawn
    assert (await site.ask(f"{BELOW}/draft-2")).status == 404
    refused = await site.ask(f"{BELOW}/extra-1.png")
    assert refused.status == 400
    assert b"extra-1.jpg" in refused.body


async def test_what_only_enlarges_is_refused(desk: Desk, site: Site, photograph: bytes) -> None:
    await desk.keep(photograph)
    for variant in ("2048x2048", "w641", "513x512", "original.png", "preview.gif", "x", "w0640"):
        assert (await site.ask(f"{BELOW}/{variant}")).status == 400, variant


async def test_nobody_else_learns_anything(desk: Desk, site: Site, photograph: bytes) -> None:
    """S16, S17: whatever is asked of somebody else's picture, it is not there."""
    await desk.keep(photograph)
    etag = f'"{hashlib.sha256(photograph).hexdigest()}"'
    absent = (await site.ask(f"/pictures/{'0' * 32}/original", who="ben")).body
    for variant in VARIANTS:
        for method in ("GET", "HEAD"):
            for headers in ({}, {"if_none_match": etag}, {"range": "bytes=0-0"}):
                answer = await site.ask(f"{BELOW}/{variant}", who="ben", method=method, **headers)
                assert answer.status == 404, (variant, method, headers)
                assert method == "HEAD" or answer.body == absent
        assert (await site.ask(f"{BELOW}/{variant}", who=None)).status == 401
        assert (await site.ask(f"{BELOW}/{variant}", who="blind")).status == 403
    assert (await site.ask(f"{BELOW}/original", who="root")).status == 200
    assert not (desk.settings.home / "served").exists()


async def test_what_lies_in_the_trash_is_gone(desk: Desk, site: Site, photograph: bytes) -> None:
    await desk.keep(photograph)
    assert (await site.ask(f"{BELOW}/thumbnail")).status == 200
    link = signed_url(desk, ID, "thumbnail", base=site.base)
    assert (await site.ask(link, who=None)).status == 200
    await desk.store.books.trash(ID, datetime.now(UTC))
    for variant in VARIANTS:
        for who in ("anna", "ben", "root"):
            assert (await site.ask(f"{BELOW}/{variant}", who=who)).status == 404
    assert (await site.ask(link, who=None)).status == 404


@pytest.mark.parametrize(
    "bad",
    [
        *("..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "AB" * 16, "ab" * 15, "con", "a" * 4096),
        *("ab" * 16 + "%00", "%ef%bc%a1" * 16, "ab" * 16 + "%0d%0aX-Y:1", "*", "' OR 1=1"),
    ],
)
async def test_ids_and_variants_are_never_paths(
    desk: Desk, site: Site, photograph: bytes, bad: str
) -> None:
    """S51."""
    await desk.keep(photograph)
    assert (await site.ask(f"/pictures/{bad}/original")).status in (400, 404)
    assert (await site.ask(f"{BELOW}/{bad}")).status in (400, 404)
    assert (await site.ask(f"{BELOW}/tiles_files/{bad}/{bad}")).status in (400, 404)


@pytest.mark.parametrize("planted", [b"<svg onload='alert(1)'/>", b"<html><script>", b"", b"%PDF-"])
async def test_what_was_planted_on_disk_is_not_served(
    desk: Desk, site: Site, photograph: bytes, planted: bytes
) -> None:
    """S78."""
    record = await desk.keep(photograph)
    assert record.result is not None
    file = await desk.store.blobs.local(record.result.key, desk.settings.home)
    file.chmod(0o600)
    for data in (planted, planted.ljust(len(photograph))):
        file.write_bytes(data)
        for variant in ("original", "picture"):
            answer = await site.ask(f"{BELOW}/{variant}")
            assert answer.status == 404
            assert answer.body.startswith(b'{"code"')
    copy = await _thumbnail_file(desk, site, photograph)
    copy.write_bytes(planted)
    assert (await site.ask(f"/pictures/{'cd' * 16}/thumbnail")).status == 404


async def test_a_link_on_disk_is_not_followed(
    desk: Desk, site: Site, photograph: bytes, tmp_path: Path
) -> None:
    copy = await _thumbnail_file(desk, site, photograph)
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(photograph)
    copy.unlink()
    copy.symlink_to(outside)
    assert (await site.ask(f"/pictures/{'cd' * 16}/thumbnail")).status == 404


async def _thumbnail_file(desk: Desk, site: Site, data: bytes) -> Path:
    await desk.keep(encoded(natural(90, 60), "png"), record_id="cd" * 16)
    assert (await site.ask(f"/pictures/{'cd' * 16}/thumbnail")).status == 200
    (copy,) = (desk.settings.home / "served" / ("cd" * 16) / "thumbnail.webp").iterdir()
    return copy


async def test_copies_are_made_once_and_again_when_gone(
    desk: Desk, site: Site, photograph: bytes
) -> None:
    """K14."""
    await desk.keep(photograph)
    answers = await asyncio.gather(*(site.ask(f"{BELOW}/thumbnail") for _ in range(8)))
    assert {a.status for a in answers} == {200}
    assert len({a.body for a in answers}) == 1
    entry = desk.settings.home / "served" / ID / "thumbnail.webp"
    (copy,) = entry.iterdir()
    first = copy.stat().st_ino
    await site.ask(f"{BELOW}/thumbnail")
    assert copy.stat().st_ino == first
    copy.unlink()
    again = await site.ask(f"{BELOW}/thumbnail")
    assert again.body == answers[0].body
    assert not await desk.store.journal.calls(limit=1)


async def test_a_link_needs_no_key(desk: Desk, site: Site, photograph: bytes) -> None:
    await desk.keep(photograph)
    for variant in ("original", "preview.jpg", "tiles.dzi", "tiles_files/0/0_0.webp"):
        link = signed_url(desk, ID, variant, base=site.base)
        assert (await site.ask(link, who=None)).status == 200
        assert (await site.ask(link, who="ben")).status == 200  # it is the link that counts
        assert (await site.ask(link + "&download=x", who=None)).status == 403
        assert (await site.ask(link, who=None, method="HEAD")).status == 403
        assert (await site.ask(link, who=None, method="DELETE")).status == 405
    told = signed_url(desk, ID, "original", base=site.base, method="HEAD")
    assert (await site.ask(told, who=None, method="HEAD")).status == 200
    assert (await site.ask(told, who=None)).status == 403


async def test_a_bad_link_is_not_saved_by_a_key(desk: Desk, site: Site, photograph: bytes) -> None:
    await desk.keep(photograph)
    link = signed_url(desk, ID, "original", base=site.base)
    assert (await site.ask(link[:-1] + ("A" if link[-1] != "A" else "B"))).status == 403
    assert (await site.ask(link.replace(ID, "cd" * 16), who=None)).status == 403
    assert (await site.ask(link.replace("original", "picture"), who=None)).status == 403
    other = signed_url(desk, ID, "original", base="https://elsewhere.example")
    assert (
        await site.ask(site.base + other.removeprefix("https://elsewhere.example"))
    ).status == 403


async def test_old_links_and_old_keys(desk: Desk, site: Site, photograph: bytes) -> None:
    """S27: a link of the key before the last rotation is good, an expired one says so."""
    await desk.keep(photograph)
    late = signed_url(desk, ID, "original", base=site.base, seconds=60, now=time.time() - 61)
    assert (await site.ask(late, who=None)).status == 410
    gone = signed_url(desk, "cd" * 16, "original", base=site.base)
    assert (await site.ask(gone, who=None)).status == 404
    both = desk.secrets.signing
    desk.secrets.signing = (OLD_KEY,)
    old = signed_url(desk, ID, "original", base=site.base)
    desk.secrets.signing = both
    assert (await site.ask(old, who=None)).status == 200
    desk.secrets.signing = both[:1]
    assert (await site.ask(old, who=None)).status == 403


async def test_a_download_has_the_name_that_is_asked(
    desk: Desk, site: Site, photograph: bytes
) -> None:
    """S88."""
    await desk.keep(photograph)
    asked = "%22a%0d%0aSet-Cookie:%20x=1%22%E2%80%AEgpj.exe"
    answer = await site.ask(f"{BELOW}/original?download={asked}")
    header = answer.headers["content-disposition"]
    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    assert header.startswith('attachment; filename="')
    assert header.endswith('.jpg"')
    assert "\u202e" not in header
    plain = await site.ask(f"{BELOW}/original?download=")
    assert f'attachment; filename="heliograph-{ID[:8]}.jpg"' == plain.headers["content-disposition"]
    assert (await site.ask(f"{BELOW}/original?size=4K")).status == 400


async def test_a_picture_with_protected_parts_is_seen_as_a_whole(desk: Desk, site: Site) -> None:
    parent = encoded(quadrants(64, 64), "png")
    change = encoded(Image.new("RGB", (64, 64), "white"), "png")
    first = await desk.keep(parent, record_id="cd" * 16)
    area = {"region": [0, 0, 16, 16], "feather": 0, "protect": True}
    assert first.result is not None
    area["picture"] = {"name": "parent", "key": first.result.key}
    await desk.keep(change, request={"area": area})
    assert (await site.ask(f"{BELOW}/original")).body == change
    seen = await site.ask(f"{BELOW}/picture")
    picture = opened(seen.body).convert("RGB")
    assert picture.getpixel((2, 2)) == (255, 255, 255)
    assert picture.getpixel((60, 60)) == quadrants(64, 64).getpixel((60, 60))
    assert seen.headers["etag"] == f'"{hashlib.sha256(seen.body).hexdigest()}"'
    small = opened((await site.ask(f"{BELOW}/thumbnail.png")).body).convert("RGB")
    assert small.getpixel((60, 60)) == quadrants(64, 64).getpixel((60, 60))


async def test_a_deep_zoom_puts_the_picture_together(desk: Desk, site: Site) -> None:
    """The tiles of the last level, laid side by side as its description says, are the picture."""
    picture = natural(1100, 600)
    await desk.keep(encoded(picture, "png"))
    answer = await site.ask(f"{BELOW}/tiles.dzi")
    assert answer.headers["content-type"] == "application/xml"
    text = answer.body.decode()
    facts = {n: int(v) for n, v in re.findall(r'(Overlap|TileSize|Width|Height)="(\d+)"', text)}
    assert (facts["Width"], facts["Height"]) == (1100, 600)
    level = (max(facts["Width"], facts["Height"]) - 1).bit_length()
    side, overlap = facts["TileSize"], facts["Overlap"]
    whole = Image.new("RGB", (1100, 600))
    for column in range(-(-1100 // side)):
        for row in range(-(-600 // side)):
            tile = await site.ask(f"{BELOW}/tiles_files/{level}/{column}_{row}.webp")
            assert (tile.status, tile.headers["content-type"]) == (200, "image/webp")
            place = (max(0, column * side - overlap), max(0, row * side - overlap))
            whole.paste(opened(tile.body), place)
    drift = [abs(a - b) for a, b in zip(whole.tobytes(), picture.tobytes(), strict=True)]
    assert sum(drift) / len(drift) < 8
    for missing in ("11/0_2.webp", "11/3_0.webp", "12/0_0.webp", "99/0_0.webp", "11/00_0.webp"):
        assert (await site.ask(f"{BELOW}/tiles_files/{missing}")).status == 404


async def test_a_record_without_a_picture(desk: Desk, site: Site, photograph: bytes) -> None:
    await desk.keep([photograph], roles=(Role.DRAFT,))
    for variant in ("original", "picture", "thumbnail", "tiles.dzi"):
        assert (await site.ask(f"{BELOW}/{variant}")).status == 404
    assert (await site.ask(f"{BELOW}/draft-1")).body == photograph
